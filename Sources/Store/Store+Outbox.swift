public import Clinical
internal import Crypto
public import FoundationEssentials
internal import GRDB

/// A document that has no receipt yet.
public struct OutboxItem: Sendable, Equatable {
    public var document: Document
    public var modality: Recording.Modality
    public var origin: Recording.Origin
    public var visit: Visit
    public var upload: UploadState
    public var facts: FactsState
    /// Failures since the last progress.
    public var attempts: Int
    /// How often its upload was forgotten by or for the server and begun again.
    public var restarts: Int

    /// The server said once that it had all bytes.
    public var isUploaded: Bool {
        if case .created(_, document.size) = upload { true } else { false }
    }
}

extension Store {
    /// What may be sent now, most urgent first: ECGs before oximetry, artefacts before originals, then the oldest.
    /// Quarantined documents and those that must wait are left out.
    public func outbox(now: Int64) async throws(StoreError) -> [OutboxItem] {
        try await outbox(now: now, limit: .max)
    }

    /// The first of `outbox(now:)`, found without looking at the rest.
    /// - Parameter includingSimulated: false where simulated data must not be sent.
    public func outbox(
        now: Int64, limit: Int, includingSimulated: Bool = true
    ) async throws(StoreError) -> [OutboxItem] {
        try await read { tx in
            try tx.pending(
                where: "AND a.not_before <= :now AND (:simulated OR o.origin <> 'simulated')",
                ["now": now, "simulated": includingSimulated, "limit": max(0, limit)]
            ).map { try tx.outboxItem($0) }
        }
    }

    /// Documents that wait, also those that must wait for their time.
    /// - Parameter origin: only these; nil for all.
    public func pendingCount(origin: Recording.Origin? = nil) async throws(StoreError) -> Int {
        try await read { tx in
            try Int.fetchOne(
                tx.db,
                sql: """
                    SELECT COUNT(*) FROM outgoing
                    WHERE received_at IS NULL AND is_superseded = 0 AND is_quarantined = 0
                    AND (:origin IS NULL OR origin = :origin)
                    """, arguments: ["origin": origin?.rawValue]) ?? 0
        }
    }

    /// When the next document may be tried that must wait now; nil when none has to.
    public func nextWake(after now: Int64) async throws(StoreError) -> Int64? {
        try await read { tx in
            try Int64.fetchOne(
                tx.db,
                sql: """
                    SELECT a.not_before FROM attempt a JOIN outgoing o ON o.document = a.document
                    WHERE a.not_before > 0 AND a.not_before > ?
                    AND o.received_at IS NULL AND o.is_superseded = 0 AND o.is_quarantined = 0
                    ORDER BY a.not_before LIMIT 1
                    """, arguments: [now])
        }
    }

    /// To be called before the first byte of a creation leaves: from now on, the document never changes.
    public func beginUpload(_ id: UUID) async throws(StoreError) {
        try await change(id) { tx, _ in
            try tx.db.execute(
                sql: """
                    UPDATE outgoing SET state = 'creating', location = NULL, confirmed = 0,
                        begun_at = COALESCE(begun_at, ?)
                    WHERE document = ?
                    """, arguments: [tx.now, id.text])
        }
    }

    public func uploadCreated(_ id: UUID, location: String) async throws(StoreError) {
        try await change(id) { tx, key in
            try tx.db.execute(
                sql: """
                    UPDATE outgoing SET state = 'created', location = ?, confirmed = 0,
                        begun_at = COALESCE(begun_at, ?)
                    WHERE document = ?
                    """,
                arguments: [try key.seal(text: location, at: "\(id.text)|outgoing.location"), tx.now, id.text])
        }
    }

    /// The server has confirmed this many bytes. It may say less than before: it is the server's word that counts.
    /// - Throws: `.refused` beyond the document's size, or without an upload.
    public func uploadConfirmed(_ id: UUID, offset: Int) async throws(StoreError) {
        try await write { tx in
            let (document, _) = try tx.document(id)
            guard (0...document.size).contains(offset) else {
                throw StoreError.refused("the server confirmed \(offset) of \(document.size) bytes")
            }
            let before = try Int.fetchOne(
                tx.db.cachedStatement(
                    sql: "SELECT confirmed FROM outgoing WHERE document = ? AND state = 'created'"),
                arguments: [id.text])
            guard let before else { throw StoreError.refused("document \(id.text) has no upload") }
            try tx.db.cachedStatement(sql: "UPDATE outgoing SET confirmed = ? WHERE document = ?")
                .execute(arguments: [offset, id.text])
            if offset > before { try tx.progressed(id) }
        }
    }

    /// The upload is gone (expired, discarded): it begins again with the same bytes and identity.
    public func uploadForgotten(_ id: UUID) async throws(StoreError) {
        try await change(id) { tx, _ in
            try tx.db.execute(
                sql: """
                    UPDATE outgoing SET state = 'none', location = NULL, confirmed = 0, restarts = restarts + 1
                    WHERE document = ?
                    """, arguments: [id.text])
        }
    }

    /// An attempt failed, for reasons that pass.
    /// - Parameter notBefore: Unix time in milliseconds of the next one.
    public func failed(_ id: UUID, error: String, notBefore: Int64) async throws(StoreError) {
        try await change(id) { tx, key in
            try tx.db.execute(
                sql: "UPDATE attempt SET count = count + 1, last_error = ?, not_before = ? WHERE document = ?",
                arguments: [try key.seal(text: error, at: "\(id.text)|attempt.last_error"), notBefore, id.text])
        }
    }

    /// Forgets pauses that were reckoned with a clock that was wrong: nothing waits longer than the longest pause.
    /// - Parameter latest: Unix time in milliseconds that no pause ends after.
    public func forgetPauses(beyond latest: Int64) async throws(StoreError) {
        try await write { tx in
            try tx.db.execute(sql: "UPDATE attempt SET not_before = 0 WHERE not_before > ?", arguments: [latest])
        }
    }

    /// Takes a document out of the way of the others: kept, not tried again until a person says so.
    public func quarantine(_ id: UUID, reason: String) async throws(StoreError) {
        try await change(id) { tx, key in
            try tx.db.execute(
                sql: "UPDATE attempt SET quarantined_at = ?, quarantine = ? WHERE document = ?",
                arguments: [tx.now, try key.seal(text: reason, at: "\(id.text)|attempt.quarantine"), id.text])
            try tx.db.execute(
                sql: "UPDATE outgoing SET is_quarantined = 1 WHERE document = ?", arguments: [id.text])
            try tx.audit(by: "agent", "document.quarantine", id.text)
        }
    }

    /// Puts a quarantined document back into the queue, at once and from its first byte.
    public func requeue(_ id: UUID, by actor: String) async throws(StoreError) {
        try await change(id) { tx, _ in
            try tx.takeBack(id)
            try tx.db.execute(
                sql:
                    "UPDATE outgoing SET state = 'none', location = NULL, confirmed = 0, restarts = 0 WHERE document = ?",
                arguments: [id.text])
            try tx.audit(by: actor, "document.requeue", id.text)
        }
    }

    /// Documents that were set aside with all their bytes on a server that gave no receipt for them.
    public func setAsideWithoutReceipt(limit: Int) async throws(StoreError) -> [Document] {
        try await read { tx in
            try tx.heldDocuments(
                where: """
                    o.is_quarantined = 1 AND o.is_superseded = 0 AND o.received_at IS NULL
                    AND o.state = 'created' AND o.confirmed = d.size
                    """, ["limit": limit])
        }
    }

    /// Keeps the server's acknowledgement. The same one again changes nothing.
    /// - Parameter isLate: its document was set aside for want of it, and no longer is.
    /// - Throws: `.notFound`; `.refused` unless it repeats the document's identity, size and SHA-256.
    public func record(_ receipt: Receipt, isLate: Bool = false) async throws(StoreError) {
        try await write { tx in
            let (document, _) = try tx.document(receipt.rid)
            guard receipt.covers(rid: document.id, sha256: document.sha256, size: document.size) else {
                throw StoreError.refused("the receipt is for other bytes than document \(document.id.text)")
            }
            let isReceived = try Bool.fetchOne(
                tx.db, sql: "SELECT received_at IS NOT NULL FROM outgoing WHERE document = ?",
                arguments: [document.id.text])
            guard try isReceived != true || tx.receipt(of: document) != receipt else { return }
            guard receipt.storeEpoch.utf8.count <= 200, receipt.storedAt.utf8.count <= 64 else {
                throw StoreError.refused("the receipt for document \(document.id.text) is not a receipt")
            }
            try tx.db.execute(
                sql: """
                    INSERT INTO receipt (document, sha256, size, stored_at, durability, store_epoch, received_at)
                    VALUES (?, ?, ?, ?, ?, ?, ?)
                    """,
                arguments: [
                    document.id.text, receipt.sha256, receipt.size, receipt.storedAt, receipt.durability,
                    receipt.storeEpoch, tx.now,
                ])
            // The server has it, however it got there: its bytes are fixed.
            try tx.db.execute(
                sql: "UPDATE outgoing SET begun_at = COALESCE(begun_at, ?), received_at = ? WHERE document = ?",
                arguments: [tx.now, tx.now, document.id.text])
            try tx.progressed(document.id)
            if isLate { try tx.takeBack(document.id) }
            try tx.audit(by: "server", "document.receipt", document.id.text, "epoch \(receipt.storeEpoch)")
        }
    }

    /// One change to a document that must exist.
    private func change(
        _ id: UUID, _ body: @escaping @Sendable (Transaction, SymmetricKey) throws -> Void
    ) async throws(StoreError) {
        try await write { tx in try body(tx, try tx.document(id).1) }
    }
}

extension Transaction {
    /// Documents without a receipt, not quarantined, of recordings that weren't replaced; most urgent first.
    func pending(where condition: String, _ arguments: StatementArguments) throws -> [Row] {
        try Row.fetchAll(
            db.cachedStatement(
                sql: """
                    SELECT d.*, o.*, a.*, r.uuid, r.data_key, r.modality, r.origin, r.begun_at AS recording_begun_at,
                        r.visit AS visit
                    FROM outgoing o
                    JOIN document d ON d.id = o.document
                    JOIN attempt a ON a.document = o.document
                    JOIN recording r ON r.uuid = d.recording
                    WHERE o.received_at IS NULL AND o.is_superseded = 0 AND o.is_quarantined = 0
                    AND r.visit IS NOT NULL \(condition)
                    ORDER BY o.urgency, o.begun, o.document LIMIT :limit
                    """), arguments: arguments)
    }

    /// Documents whose data are still here, most urgent first.
    /// - Parameter arguments: those of the condition, and `limit`.
    func heldDocuments(where condition: String, _ arguments: StatementArguments) throws -> [Document] {
        try Row.fetchAll(
            db,
            sql: """
                SELECT d.* FROM outgoing o JOIN document d ON d.id = o.document
                JOIN recording r ON r.uuid = d.recording
                WHERE r.purged_at IS NULL AND \(condition)
                ORDER BY o.urgency, o.begun, d.id LIMIT :limit
                """, arguments: arguments
        ).map { try document($0) }
    }

    func outboxItem(_ row: Row) throws -> OutboxItem {
        guard let visit = try visit(row["visit"] as String) else { throw StoreError.corrupt("a binding's visit") }
        let document = try document(row)
        let key = try dataKey(row)
        // Under no other name than the one that was decided: the column is only a copy of the binding that holds.
        guard try bindings(document.recording.description, key).last?.visit == visit.id else {
            throw StoreError.corrupt("the visit of recording \(document.recording)")
        }
        return OutboxItem(
            document: document, modality: try parse(row["modality"]), origin: try parse(row["origin"]),
            visit: visit, upload: try upload(row, key), facts: try parse(row["facts"]),
            attempts: try row["count"], restarts: try row["restarts"])
    }

    fileprivate func upload(_ row: Row, _ key: SymmetricKey?) throws -> UploadState {
        let document: String = try row["id"]
        switch try row["state"] as String {
        case "none": return .none
        case "creating": return .creating
        default:
            // Purging forgets locations.
            guard let key else { return .none }
            let location = try key.openText(row["location"], at: "\(document)|outgoing.location")
            return .created(location: location, confirmed: try row["confirmed"])
        }
    }

    /// It is set aside no longer.
    fileprivate func takeBack(_ id: UUID) throws {
        try db.execute(
            sql: """
                UPDATE attempt SET quarantined_at = NULL, quarantine = NULL, count = 0, not_before = 0
                WHERE document = ?
                """, arguments: [id.text])
        try db.execute(sql: "UPDATE outgoing SET is_quarantined = 0 WHERE document = ?", arguments: [id.text])
    }

    /// What went wrong before is over.
    func progressed(_ id: UUID) throws {
        try db.cachedStatement(
            sql: "UPDATE attempt SET count = 0, not_before = 0, last_error = NULL WHERE document = ?"
        ).execute(arguments: [id.text])
    }

    func receipt(of document: Document) throws -> Receipt? {
        try Row.fetchOne(
            db.cachedStatement(sql: "SELECT * FROM receipt WHERE document = ? ORDER BY id DESC LIMIT 1"),
            arguments: [document.id.text]
        ).map {
            Receipt(
                rid: document.id, sha256: try $0["sha256"], size: try $0["size"], storedAt: try $0["stored_at"],
                durability: try $0["durability"], storeEpoch: try $0["store_epoch"])
        }
    }

    func documents(of uuid: String, _ key: SymmetricKey?) throws -> [DocumentStatus] {
        try Row.fetchAll(
            db.cachedStatement(
                sql: """
                    SELECT d.*, o.*, a.* FROM document d
                    JOIN outgoing o ON o.document = d.id JOIN attempt a ON a.document = d.id
                    WHERE d.recording = ? ORDER BY d.role
                    """), arguments: [uuid]
        ).map { row in
            let document = try document(row)
            let id = document.id.text
            let receipt = try receipt(of: document)
            let quarantine = try (row["quarantine"] as Data?).flatMap {
                try key?.openText($0, at: "\(id)|attempt.quarantine")
            }
            let stage: DocumentStatus.Stage =
                // Received bytes that nobody can find, because what is said of them was refused, are to be told to the centre.
                if quarantine != nil {
                    .quarantined
                } else if try (row["received_at"] as Int64?) != nil {
                    .received
                } else if try (row["begun_at"] as Int64?) != nil {
                    .sending
                } else {
                    .waiting
                }
            return DocumentStatus(
                document: document, stage: stage, upload: try upload(row, key), facts: try parse(row["facts"]),
                receipt: receipt, attempts: try row["count"],
                lastError: try (row["last_error"] as Data?).flatMap {
                    try key?.openText($0, at: "\(id)|attempt.last_error")
                },
                notBefore: try row["not_before"], quarantine: quarantine)
        }
    }
}
