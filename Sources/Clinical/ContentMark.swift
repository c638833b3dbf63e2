/// Names a stored recording by what is in it, where its device can't: one without a clock, or whose clock began anew, gives the next
/// night the start of the last one, and a full memory always the same length. Taken for "already here", that night would be lost.
///
/// A hash of samples: minutes of them can't be guessed, so that nothing is told by it.
public struct ContentMark: Sendable, Equatable {
    /// Samples with a value that tell one night from all others; a memory may begin with hours without a finger.
    private static let telling = 300
    /// So many are enough without a value: what waits for its name is in memory.
    private static let most = 1 << 16
    private static let uncertain = "~"
    /// Behind it is the mark: what names a place has none.
    public static let separator: Character = "#"

    private var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    private var values = 0
    private var count = 0

    public init() {}

    /// What comes now no longer changes the name.
    public var isFull: Bool { values >= Self.telling || count >= Self.most }

    /// - Parameters:
    ///   - sample: one of each channel, as the device sends it.
    ///   - hasValue: the device doesn't call it absent.
    public mutating func add(_ sample: some Sequence<UInt8>, hasValue: Bool) {
        guard !isFull else { return }
        // FNV-1a.
        for byte in sample { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
        count += 1
        if hasValue { values += 1 }
    }

    /// The recording's name: what is at `place`, with this content.
    /// - Parameter isCertain: false where samples were lost, or the rest did not come: it may be any that is at this place.
    public func source(of place: String, isCertain: Bool) -> String {
        "\(place)\(Self.separator)\(isCertain ? "" : Self.uncertain)\(String(hash, radix: 16))"
    }

    /// What all names at the place of `source` begin with; all of `source` where it has no mark.
    public static func beginning(of source: String) -> String {
        source.lastIndex(of: separator).map { String(source[...$0]) } ?? source
    }

    /// Whether two names may be of the same recording.
    public static func mayBeSame(_ one: String, _ other: String) -> Bool {
        guard one != other else { return true }
        let beginning = beginning(of: one)
        return areOfOnePlace(one, other)
            && [one, other].contains { $0.dropFirst(beginning.count).hasPrefix(uncertain) }
    }

    /// Whether they differ in nothing but their marks.
    public static func areOfOnePlace(_ one: String, _ other: String) -> Bool {
        let beginning = beginning(of: one)
        return beginning.last == separator && beginning == self.beginning(of: other)
    }
}
