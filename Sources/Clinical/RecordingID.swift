public import FoundationEssentials

/// The identity of a recording: a UUIDv7 (RFC 9562 section 5.7), minted before the first byte and never changed.
public struct RecordingID: Hashable, Sendable, Codable, CustomStringConvertible {
    public let uuid: UUID

    public init(_ uuid: UUID) { self.uuid = uuid }

    public init?(_ text: String) {
        guard let uuid = UUID(uuidString: text) else { return nil }
        self.uuid = uuid
    }

    /// Mints an identity. Time and randomness are passed in.
    /// - Parameters:
    ///   - milliseconds: Unix time in milliseconds; the low 48 bits are used.
    ///   - random: the source of the 74 random bits.
    public init(milliseconds: UInt64, random: inout some RandomNumberGenerator) {
        let high = random.next()
        let low = random.next()
        let time = (0..<6).map { UInt8(truncatingIfNeeded: milliseconds >> (40 - 8 * UInt64($0))) }
        let tail = (0..<8).map { UInt8(truncatingIfNeeded: low >> (8 * UInt64($0))) }
        uuid = UUID(
            uuid: (
                time[0], time[1], time[2], time[3], time[4], time[5],
                0x70 | UInt8(truncatingIfNeeded: high) & 0x0F, UInt8(truncatingIfNeeded: high >> 8),
                0x80 | tail[0] & 0x3F, tail[1], tail[2], tail[3], tail[4], tail[5], tail[6], tail[7]
            ))
    }

    /// Lower case, with hyphens.
    public var description: String { uuid.uuidString.lowercased() }

    public init(from decoder: any Decoder) throws {
        uuid = try decoder.singleValueContainer().decode(UUID.self)
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
