public import FoundationEssentials

/// The server's durable acknowledgement of one document: the only proof that counts (sync.md 4.3).
public struct Receipt: Sendable, Equatable, Codable {
    /// The document's id, as sent.
    public var rid: UUID
    /// Lower-case hexadecimal SHA-256 of what is really on the server's disk.
    public var sha256: String
    /// Bytes.
    public var size: Int
    /// RFC 3339, the server's clock.
    public var storedAt: String
    /// `fsync` or `replicated`.
    public var durability: String
    /// Changes when the server was restored from a backup.
    public var storeEpoch: String

    public init(rid: UUID, sha256: String, size: Int, storedAt: String, durability: String, storeEpoch: String) {
        self.rid = rid
        self.sha256 = sha256
        self.size = size
        self.storedAt = storedAt
        self.durability = durability
        self.storeEpoch = storeEpoch
    }

    /// True only for the very same bytes under the very same identity.
    public func covers(rid: UUID, sha256: String, size: Int) -> Bool {
        self.rid == rid && self.sha256 == sha256 && self.size == size
    }
}
