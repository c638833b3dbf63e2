// Which of the C modules brings in the socket types depends on what was compiled first.
import CHost
import FoundationEssentials
import Glibc

/// systemd's notification protocol: one datagram to `$NOTIFY_SOCKET` (sd_notify(3)). Without the variable it does nothing.
public struct SystemdNotifier: Sendable {
    private let path: String?
    /// How often systemd should hear from us (a third of WatchdogSec, so that one slow answer is not too late); nil without a watchdog.
    public let watchdogInterval: Duration?

    /// From the process's environment.
    public init() { self.init(environment: ProcessInfo.processInfo.environment) }

    public init(environment: [String: String]) {
        path = environment["NOTIFY_SOCKET"].flatMap { $0.isEmpty ? nil : $0 }
        let isForUs = environment["WATCHDOG_PID"].flatMap { Int32($0) }.map { $0 == getpid() } ?? true
        watchdogInterval = environment["WATCHDOG_USEC"].flatMap { Int64($0) }
            .flatMap { isForUs && $0 > 0 ? .microseconds($0 / 3) : nil }
    }

    public func ready() { send("READY=1") }
    public func stopping() { send("STOPPING=1") }
    /// The start goes on, and may take this much longer from now.
    public func extendStart(by time: Duration) { send("EXTEND_TIMEOUT_USEC=\(time.components.seconds * 1_000_000)") }
    public func watchdog() { send("WATCHDOG=1") }
    /// A French sentence for `systemctl status`; no identity.
    public func status(_ text: String) { send("STATUS=\(text.replacing("\n", with: " "))") }

    private func send(_ message: String) {
        guard let path else { return }
        // SOCK_CLOEXEC by its other name (the kernel holds them equal): beside CSystemd's headers an optimised build doesn't find it.
        let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | O_CLOEXEC, 0)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var name = Array(path.utf8)
        let capacity = MemoryLayout.size(ofValue: address.sun_path)
        guard name.count < capacity else { return }
        // A leading @ names a socket of the abstract namespace.
        if name.first == UInt8(ascii: "@") { name[0] = 0 }
        let length = socklen_t(MemoryLayout<sa_family_t>.size + name.count)
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: name) }
        let bytes = Array(message.utf8)
        // The datagram is small and the socket local: it goes out whole or systemd is gone.
        _ = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                unsafe sendto(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL), generic, length)
            }
        }
    }
}
