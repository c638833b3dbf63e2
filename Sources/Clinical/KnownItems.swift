/// What of a device's memory is in the store already, so that reading the memory again brings only what is new: a measurement that
/// was one patient's must not come again as the next one's.
public struct KnownItems: Sendable, Equatable, ExpressibleByArrayLiteral {
    public private(set) var sources: Set<String>
    /// By digest: the source of the recording that holds the measurement, while that recording isn't whole; nil when it is.
    private var measurements: [String: String?]
    private var digest: @Sendable (String) -> String
    private let isKeyed: Bool

    /// - Parameters:
    ///   - sources: of whole recordings, as `StoredItem.source` names them.
    ///   - measurements: of single measurements, by the digest of `Reading.mark`: nil where it is in a whole recording, else the source
    ///     of the interrupted recording that it is in ("" for none).
    ///   - digest: what `measurements` were named with, under a key; nil in tests and where nothing is kept.
    public init(
        _ sources: Set<String>, measurements: [String: String?] = [:],
        digest: (@Sendable (String) -> String)? = nil
    ) {
        self.sources = sources
        self.measurements = measurements
        self.digest = digest ?? { $0 }
        isKeyed = digest != nil
    }

    public init(arrayLiteral elements: String...) { self.init(Set(elements)) }

    public static func == (left: KnownItems, right: KnownItems) -> Bool {
        left.sources == right.sources && left.measurements == right.measurements
    }

    /// Whether the whole recording is there.
    public func contains(_ source: String) -> Bool { sources.contains(source) }

    /// Whether a whole recording differs from this one in nothing but its mark.
    public func hasPlace(of source: String) -> Bool {
        sources.contains { ContentMark.areOfOnePlace($0, source) }
    }

    /// A name for values that tells nobody what they are; nil where there is no key for it.
    public func name(of values: String) -> String? { isKeyed ? String(digest(values).prefix(22)) : nil }

    /// Whether the same measurement with the same value is there, in another recording than the interrupted one that `source` names:
    /// that one is replaced by what is read now.
    public func contains(_ reading: Reading, outside source: String? = nil) -> Bool {
        guard !measurements.isEmpty, let mark = reading.mark, let holder = measurements[digest(mark)] else {
            return false
        }
        return holder == nil || holder != source
    }
}
