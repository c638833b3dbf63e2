public import Clinical
internal import Crypto
public import FoundationEssentials
internal import GRDB

extension Store {
    /// Recordings whose documents can be built: sealed, not empty, bound, with a known start, not replaced. An
    /// interrupted download waits until its visit is closed (the nurse may plug the device in again), and while the
    /// same source is being downloaded anew. ECGs first, then the oldest.
    public func awaitingFreeze() async throws(StoreError) -> [RecordingID] {
        try await read { tx in try tx.awaitingFreeze() }
    }

    /// Stores the bytes that will be sent, in one transaction. They never change under their identity once an attempt
    /// to send them was made.
    /// - Parameters:
    ///   - documents: with their bytes; size and hashes are computed again and must agree.
    ///   - visit: the visit for which they were built.
    ///   - revision: `RecordingSummary.revision` at the time that the recording was read to build them.
    /// - Throws: `.refused` when it is frozen already, isn't ready, or was attributed or dated otherwise meanwhile.
    public func freeze(
        _ id: RecordingID, documents: [(Document, [UInt8])], boundTo visit: String, revision: Int
    ) async throws(StoreError) {
        // Hashing megabytes is not the writer's work.
        try await check(documents, of: id)
        let total = documents.reduce(Int64(0)) { $0 + Int64($1.1.count) }
        try await write { tx in
            let uuid = id.description
            let (row, key) = try tx.requireFreezable(uuid, boundTo: visit, revision: revision)
            try tx.requireSpace(.stopRunning, for: total)
            for (document, bytes) in documents { try tx.insert(document, bytes, row, key) }
            try tx.db.execute(sql: "UPDATE recording SET is_frozen = 1 WHERE uuid = ?", arguments: [uuid])
            try tx.audit(
                by: "agent", "recording.freeze", uuid,
                documents.map { "\($0.0.role.rawValue) \($0.0.sha256)" }.joined(separator: ", "))
        }
    }

    /// Drops a recording's documents, so that they are built again.
    /// - Throws: `.refused` after the first attempt to send any of them.
    public func thaw(_ id: RecordingID) async throws(StoreError) {
        try await write { tx in
            _ = try tx.recordingRow(id.description)
            guard try !tx.wasTried(id.description) else {
                throw StoreError.refused("sending of recording \(id) has begun: its documents stay as they are")
            }
            try tx.thaw(id.description)
        }
    }

    public func documents(of id: RecordingID) async throws(StoreError) -> [DocumentStatus] {
        try await read { tx in
            let row = try tx.recordingRow(id.description)
            return try tx.documents(of: id.description, try tx.keptKey(row))
        }
    }

    /// A stretch of a document's bytes; shorter at its end, empty behind it.
    /// - Throws: `.notFound`; `.corrupt` when they aren't what was frozen.
    public func documentBytes(_ id: UUID, offset: Int, count: Int) async throws(StoreError) -> [UInt8] {
        try await read { tx in
            let (document, key) = try tx.document(id)
            let lower = min(max(offset, 0), document.size)
            let upper = lower + min(max(count, 0), document.size - lower)
            var bytes: [UInt8] = []
            bytes.reserveCapacity(min(upper - lower, 1 << 26))
            while lower + bytes.count < upper {
                let position = lower + bytes.count
                let part = position / documentPartSize
                let opened = try tx.part(part, of: document, key)
                let start = position - part * documentPartSize
                guard start < opened.count else { throw StoreError.corrupt("part \(part) of document \(id.text)") }
                bytes += opened[start..<min(opened.count, start + upper - position)]
            }
            return bytes
        }
    }

    @concurrent
    private func check(_ documents: [(Document, [UInt8])], of id: RecordingID) async throws(StoreError) {
        guard !documents.isEmpty else { throw .refused("nothing to freeze") }
        for (document, bytes) in documents {
            let expected = DocumentHasher.document(
                of: id, role: document.role, mediaType: document.mediaType, bytes: bytes)
            guard document == expected, !bytes.isEmpty else {
                throw .refused("the \(document.role.rawValue) of recording \(id) is not what it says it is")
            }
        }
    }
}

/// Bytes of a document in one row; all rows but the last are full.
let documentPartSize = 1 << 20

extension Transaction {
    /// Of a recording: something came before it ended. Values count, also where their bytes are missing.
    static let isSomething = "(chunks > 0 OR EXISTS (SELECT 1 FROM reading WHERE reading.recording = uuid))"

    func awaitingFreeze() throws -> [RecordingID] {
        try String.fetchAll(
            db,
            sql: """
                SELECT r.uuid FROM recording r INDEXED BY recording_unfrozen
                JOIN visit v ON v.id = r.visit
                WHERE r.is_frozen = 0 AND r.superseded_by IS NULL
                AND r.state <> 'open' AND r.start_known = 1 AND \(Self.isSomething)
                AND NOT (r.state = 'interrupted' AND r.kind IN ('stored', 'file') AND (v.status = 'open'
                    OR EXISTS (SELECT 1 FROM recording o WHERE o.source = r.source AND o.state = 'open')))
                ORDER BY r.modality = 'ecg' DESC, r.begun_at, r.uuid
                """
        ).map(recordingID)
    }

    /// - Returns: the recording's row and its key.
    func requireFreezable(_ uuid: String, boundTo visit: String, revision: Int) throws -> (Row, SymmetricKey) {
        let row = try recordingRow(uuid)
        guard try !isFrozen(uuid) else { throw StoreError.refused("recording \(uuid) is frozen already") }
        guard try row["state"] as String != "open", try (row["superseded_by"] as String?) == nil,
            try row["start_known"] as Bool
        else { throw StoreError.refused("recording \(uuid) is not ready to be frozen") }
        let key = try dataKey(row)
        guard try bindings(uuid, key).last?.visit == visit, try row["revision"] as Int == revision else {
            throw StoreError.refused("recording \(uuid) changed while its documents were built: build them again")
        }
        return (row, key)
    }

    func insert(_ document: Document, isCarried: Bool) throws {
        try db.execute(
            sql: """
                INSERT INTO document (id, recording, role, media_type, size, sha256, sha1, frozen_at, is_carried)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
                """,
            arguments: [
                document.id.text, document.recording.description, document.role.rawValue, document.mediaType,
                document.size, document.sha256, document.sha1, now, isCarried,
            ])
    }

    fileprivate func insert(_ document: Document, _ bytes: [UInt8], _ row: Row, _ key: SymmetricKey) throws {
        try insert(document, isCarried: false)
        try insertParts(document, bytes, key)
        try announce(document, row)
    }

    func insertParts(_ document: Document, _ bytes: [UInt8], _ key: SymmetricKey) throws {
        for (n, start) in stride(from: 0, to: bytes.count, by: documentPartSize).enumerated() {
            let part = bytes[start..<min(bytes.count, start + documentPartSize)]
            try db.execute(
                sql: "INSERT INTO document_part (document, n, bytes) VALUES (?, ?, ?)",
                arguments: [
                    document.id.text, n,
                    try key.seal(packing: part, environment.coding, at: Self.place(n, of: document)),
                ])
        }
    }

    /// From now on it waits to be sent.
    func announce(_ document: Document, _ row: Row) throws {
        let id = document.id.text
        let urgency = Self.urgency(modality: try row["modality"], document)
        try db.execute(
            sql: "INSERT INTO outgoing (document, urgency, begun, origin) VALUES (?, ?, ?, ?)",
            arguments: [id, urgency, try row["begun_at"] as Int64, try row["origin"] as String])
        try db.execute(sql: "INSERT INTO attempt (document) VALUES (?)", arguments: [id])
    }

    /// The smallest useful thing first (sync.md 4.2): ECGs, single values, nights, then images; artefacts before originals;
    /// small before large. Among equals, the oldest.
    static func urgency(modality: String, _ document: Document) -> Int {
        let kinds = ["ecg": 0, "bloodPressure": 1, "vitals": 1, "oximetry": 2, "sleep": 2]
        let size = [256 << 10, 4 << 20, 64 << 20].count { document.size > $0 }
        return (kinds[modality] ?? 3) * 8 + (document.role == .artefact ? 0 : 4) + size
    }

    /// Triggers refuse it once sending has begun.
    func thaw(_ uuid: String) throws {
        let documents = try String.fetchAll(
            db, sql: "SELECT id FROM document WHERE recording = ?", arguments: [uuid])
        for document in documents {
            try db.execute(sql: "DELETE FROM document_part WHERE document = ?", arguments: [document])
            try db.execute(sql: "DELETE FROM outgoing WHERE document = ?", arguments: [document])
            try db.execute(sql: "DELETE FROM attempt WHERE document = ?", arguments: [document])
            try db.execute(sql: "DELETE FROM document WHERE id = ?", arguments: [document])
        }
        try db.execute(sql: "UPDATE recording SET is_frozen = 0 WHERE uuid = ?", arguments: [uuid])
        if !documents.isEmpty { try audit(by: "agent", "recording.thaw", uuid) }
    }

    func document(_ id: UUID) throws -> (Document, SymmetricKey) {
        guard
            let row = try Row.fetchOne(
                db.cachedStatement(
                    sql: """
                        SELECT document.*, uuid, data_key FROM document JOIN recording ON uuid = recording WHERE id = ?
                        """), arguments: [id.text])
        else { throw StoreError.notFound("document \(id.text)") }
        return (try document(row), try dataKey(row))
    }

    func document(_ row: Row) throws -> Document {
        guard let id = UUID(uuidString: try row["id"]) else { throw StoreError.corrupt("a document's id") }
        let size: Int = try row["size"]
        guard size >= 0, size < 1 << 40 else { throw StoreError.corrupt("the size of document \(id.text)") }
        return Document(
            id: id, recording: try recordingID(row["recording"]), role: try parse(row["role"]),
            mediaType: try row["media_type"], size: size, sha256: try row["sha256"], sha1: try row["sha1"])
    }

    func part(_ n: Int, of document: Document, _ key: SymmetricKey) throws -> [UInt8] {
        if try isCarried(document) { return try carriedPart(n, of: document, key) }
        let sealed = try Data.fetchOne(
            db.cachedStatement(sql: "SELECT bytes FROM document_part WHERE document = ? AND n = ?"),
            arguments: [document.id.text, n])
        guard let sealed else { throw StoreError.corrupt("part \(n) of document \(document.id.text) is missing") }
        let bytes = try key.open(packed: sealed, environment.coding, at: Self.place(n, of: document))
        guard bytes.count == min(documentPartSize, document.size - n * documentPartSize) else {
            throw StoreError.corrupt("part \(n) of document \(document.id.text)")
        }
        return bytes
    }

    private func isCarried(_ document: Document) throws -> Bool {
        try Bool.fetchOne(
            db.cachedStatement(sql: "SELECT is_carried FROM document WHERE id = ?"), arguments: [document.id.text])
            ?? false
    }

    private func carriedPart(_ n: Int, of document: Document, _ key: SymmetricKey) throws -> [UInt8] {
        let bytes = try carriedPart(n, of: document.recording.description, key)
        guard bytes.count == min(documentPartSize, document.size - n * documentPartSize) else {
            throw StoreError.corrupt("part \(n) of document \(document.id.text)")
        }
        return bytes
    }

    func carriedPart(_ n: Int, of uuid: String, _ key: SymmetricKey) throws -> [UInt8] {
        guard
            let sealed = try Data.fetchOne(
                db.cachedStatement(sql: "SELECT raw FROM chunk WHERE recording = ? AND n = ?"), arguments: [uuid, n])
        else { throw StoreError.corrupt("part \(n) of \(uuid) is missing") }
        return try key.open(packed: sealed, environment.coding, at: "\(uuid)|chunk.raw|\(n)")
    }

    private static func place(_ n: Int, of document: Document) -> String {
        "\(document.recording)|document_part.bytes|\(document.role.rawValue)|\(n)"
    }
}
