import Clinical
import FoundationEssentials
import Logging
import Store

extension SyncEngine {
    /// When a document can't be read: of one that the disk damaged the same bytes are built again, because a recording
    /// always gives the same; when they can't be, it is set aside and told, and holds up nobody.
    /// - Returns: false when it isn't damaged.
    func mend(_ document: Document) async throws -> Bool {
        guard try await !store.isIntact(document.id) else { return false }
        logger.warning("a document is damaged on this laptop's disk", metadata: ["document": "\(document.id)"])
        let rebuilt = try? await Freezing.render(document.recording, store, logger)?.parts
        if let same = rebuilt?.first(where: { $0.0 == document }) {
            try await store.restoreBytes(of: document.id, same.1)
            logger.notice("it was built again, byte for byte", metadata: ["document": "\(document.id)"])
            return true
        }
        try await quarantine(document.id, "its bytes are damaged on this laptop's disk, and can't be built again")
        return true
    }
}
