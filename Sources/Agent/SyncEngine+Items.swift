import Clinical
import FoundationEssentials
import Store

/// What is on its way, one line per document. States are computed from receipts alone.
public struct SyncItemsView: Codable, Sendable, Equatable {
    public var sync: SyncView
    /// Bytes that the server hasn't confirmed yet.
    public var remainingBytes: Int
    /// Bytes per second as the server confirms them; absent when nothing moves.
    public var rate: Double?
    /// For everything that waits, at this rate.
    public var secondsLeft: Double?
    /// Waiting ones first, most urgent first; quarantined ones; then the newest received.
    public var items: [Item]

    public struct Item: Codable, Sendable, Equatable {
        public var document: String
        public var recording: String
        public var visit: String?
        public var modality: String
        public var role: String
        public var mediaType: String
        public var size: Int
        /// `waiting`, `sending`, `received`, `quarantined`.
        public var state: String
        /// Bytes that the server has confirmed.
        public var confirmedBytes: Int
        /// Of the one that is being sent.
        public var rate: Double?
        public var secondsLeft: Double?
        public var attempts: Int
        /// Not tried again before; RFC 3339.
        public var notBefore: String?
        public var receivedAt: String?
        /// Technical, for support: why it is quarantined or waits.
        public var detail: String?
    }
}

extension SyncEngine {
    /// - Parameter limit: how many that wait are named; the counts of `status` tell how many there are.
    public func items(limit: Int = 500, received: Int = 50) async throws -> SyncItemsView {
        let rate = underway.first == nil ? nil : rate.bytesPerSecond(at: now)
        let remaining = try await store.remainingBytes()
        let items = try await store.syncItems(limit: limit, received: received).map { item in
            let moving = underway[item.document.id]
            let isMoving = moving != nil
            let confirmed = max(item.confirmed, moving?.sent ?? 0)
            return SyncItemsView.Item(
                document: "\(item.document.id)".lowercased(), recording: "\(item.document.recording)",
                visit: item.visit, modality: item.modality.rawValue, role: item.document.role.rawValue,
                mediaType: item.document.mediaType, size: item.document.size,
                // Begun once and lying there now is waiting, for those who look.
                state: item.stage == .sending && !isMoving && unreceipted[item.document.id] == nil
                    ? "waiting" : item.stage.rawValue,
                confirmedBytes: confirmed, rate: isMoving ? rate : nil,
                secondsLeft: isMoving ? Self.secondsLeft(item.document.size - confirmed, rate) : nil,
                attempts: item.attempts,
                notBefore: item.notBefore > clock.wall ? rfc3339(unixMilliseconds: item.notBefore) : nil,
                receivedAt: item.receivedAt.map(rfc3339(unixMilliseconds:)), detail: item.trouble)
        }
        return SyncItemsView(
            sync: view(), remainingBytes: remaining, rate: rate, secondsLeft: Self.secondsLeft(remaining, rate),
            items: items)
    }

    private static func secondsLeft(_ bytes: Int, _ rate: Double?) -> Double? {
        rate.flatMap { $0 > 0 ? Double(bytes) / $0 : nil }
    }

    /// A person wants a quarantined document tried again, with everything that a new one gets.
    func forgive(_ document: UUID) { rehashed.remove(document) }
}

extension Verbs {
    public func syncItems() async throws -> SyncItemsView { try await guarded { try await sync.items() } }
}
