public import Clinical

/// What may be deleted, and when (sync.md 4.3).
public struct PurgePolicy: Sendable, Equatable {
    /// Milliseconds that everything is kept after its receipt.
    public var retention: Int64
    /// The same when the disk is short.
    public var shortRetention: Int64
    /// Whether the disk is short; nil: whenever `Store.diskVerdict` isn't `ample`.
    public var isDiskShort: Bool?
    /// What a receipt has to promise.
    public var durabilities: Set<String>

    public init(
        retention: Int64 = 14 * 86_400_000, shortRetention: Int64 = 72 * 3_600_000, isDiskShort: Bool? = nil,
        durabilities: Set<String> = ["fsync", "replicated"]
    ) {
        self.retention = retention
        self.shortRetention = shortRetention
        self.isDiskShort = isDiskShort
        self.durabilities = durabilities
    }
}

/// What purging would do with one recording, and why it stays.
public struct PurgeVerdict: Sendable, Equatable, Codable {
    public enum Reason: String, Sendable, Codable, CaseIterable {
        /// Being written.
        case open
        /// Nobody's: it was never sent.
        case unattributed
        /// A complete recording took its place; it was never sent itself.
        case superseded
        /// No documents yet (nothing recorded, no start time, or about to be built).
        case notPrepared
        case noReceipt
        case receiptForOtherBytes
        case quarantined
        /// The receipt doesn't promise enough.
        case durabilityNotAllowed
        /// Nobody knows whether the server still is what it was (`Store.storeEpochKey`).
        case epochUnknown
        /// The server was restored from a backup since: ask again.
        case epochChanged
        case factsNotFinal
        /// Its visit is still open.
        case visitOpen
        case withinRetention
    }

    public var recording: RecordingID
    /// Empty: it goes.
    public var reasons: [Reason]
    /// Original bytes.
    public var bytes: Int
    /// When the retention time ends, Unix time in milliseconds; nil without all receipts.
    public var due: Int64?

    public var goes: Bool { reasons.isEmpty }
}
