import FoundationEssentials
import Glibc
public import Logging

/// Log lines on standard error: with a syslog priority prefix when that is the journal (sd-daemon(3)), with a time
/// otherwise. Callers never put an identity into a message (PRODUCT.md, rule 9).
public struct StandardErrorLogHandler: LogHandler {
    public var logLevel: Logger.Level = .info
    public var metadata: Logger.Metadata = [:]
    private let label: String
    private let isJournal: Bool

    public init(label: String) {
        self.label = label
        isJournal = ProcessInfo.processInfo.environment["JOURNAL_STREAM"] != nil
    }

    public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    public func log(event: LogEvent) {
        let fields = metadata.merging(event.metadata ?? [:]) { $1 }
            .sorted { $0.key < $1.key }.map { " \($0.key)=\($0.value)" }.joined()
        let start =
            isJournal
            ? "<\(event.level.syslogPriority)>" : "\(rfc3339(unixMilliseconds: HostClock.wallNow)) \(event.level) "
        let line = start + (event.message.description + fields).replacing("\n", with: " ") + "\n"
        let bytes = Array(line.utf8)
        // One write per line, so that lines of several threads never mix.
        _ = unsafe write(STDERR_FILENO, bytes, bytes.count)
    }
}

extension Logger.Level {
    fileprivate var syslogPriority: Int {
        switch self {
        case .trace, .debug: 7
        case .info: 6
        case .notice: 5
        case .warning: 4
        case .error: 3
        case .critical: 2
        }
    }
}
