internal import Clinical
internal import Crypto
public import FoundationEssentials
internal import GRDB

/// A document whose bytes the disk lost: noticed before they are sent, and put back when the same bytes can be had.
extension Store {
    /// Whether a document's bytes are still those that were frozen; reads all of them.
    public func isIntact(_ id: UUID) async throws(StoreError) -> Bool {
        do throws(StoreError) {
            return try await read { tx in
                let (document, key) = try tx.document(id)
                do { try tx.verify(document, key) } catch let error as StoreError {
                    guard case .corrupt = error else { throw error }
                    return false
                }
                return true
            }
        } catch .corrupt {
            return false
        }
    }

    /// Puts back what the disk lost of a document: only the very same bytes, because sending may have begun.
    /// - Throws: `.refused` for other bytes; `.notFound`.
    public func restoreBytes(of id: UUID, _ bytes: [UInt8]) async throws(StoreError) {
        try await write { tx in
            let (document, key) = try tx.document(id)
            guard bytes.count == document.size, DocumentHasher.sha256(bytes) == document.sha256 else {
                throw StoreError.refused("these are not the bytes of document \(id.text)")
            }
            try tx.without(triggers: ["document_part_stays"]) {
                try tx.db.execute(sql: "DELETE FROM document_part WHERE document = ?", arguments: [id.text])
            }
            try tx.insertParts(document, bytes, key)
            try tx.audit(by: "agent", AuditAction.repair, id.text)
        }
    }
}
