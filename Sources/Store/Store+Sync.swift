public import Clinical
public import FoundationEssentials
internal import GRDB

/// One document on its way, for a list of what is being sent. Without an identity.
public struct SyncItem: Sendable, Equatable {
    public var document: Document
    public var modality: Recording.Modality
    public var visit: String?
    public var stage: DocumentStatus.Stage
    /// Bytes that the server has confirmed.
    public var confirmed: Int
    public var attempts: Int
    /// Unix time in milliseconds before which it is not tried again; 0 when it may be tried at once.
    public var notBefore: Int64
    /// When its receipt came, Unix time in milliseconds.
    public var receivedAt: Int64?
    /// Why it is quarantined, or what went wrong the last time.
    public var trouble: String?
}

extension Store {
    /// What waits, most urgent first; then what is quarantined; then what was received, the newest first. States come from
    /// receipts alone.
    public func syncItems(limit: Int, received: Int) async throws(StoreError) -> [SyncItem] {
        try await read { tx in
            let columns = "d.*, o.*, a.*, r.uuid, r.data_key, r.purged_at, r.modality, r.visit AS visit"
            let tables = """
                outgoing o JOIN document d ON d.id = o.document JOIN attempt a ON a.document = o.document
                JOIN recording r ON r.uuid = d.recording
                """
            let waiting = try Row.fetchAll(
                tx.db,
                sql: """
                    SELECT \(columns) FROM \(tables)
                    WHERE (o.received_at IS NULL OR o.is_quarantined = 1) AND o.is_superseded = 0
                    AND r.visit IS NOT NULL
                    ORDER BY o.is_quarantined, o.urgency, o.begun, o.document LIMIT ?
                    """, arguments: [max(0, limit)])
            let done = try Row.fetchAll(
                tx.db,
                sql: """
                    SELECT \(columns) FROM \(tables) WHERE o.received_at IS NOT NULL AND o.is_quarantined = 0
                    ORDER BY o.received_at DESC, o.document LIMIT ?
                    """, arguments: [max(0, received)])
            return try (waiting + done).map { try tx.syncItem($0) }
        }
    }

    /// One document of the outbox, also when it has to wait; nil when it is not there any more.
    public func outboxItem(_ id: UUID) async throws(StoreError) -> OutboxItem? {
        try await read { tx in
            try tx.pending(where: "AND o.document = :id", ["id": id.text, "limit": 1]).first.map {
                try tx.outboxItem($0)
            }
        }
    }

    /// What waits for a person: documents and typed entries that were set aside.
    public func setAsideCount() async throws(StoreError) -> Int {
        try await read { tx in
            try Int.fetchOne(
                tx.db,
                sql: """
                    SELECT (SELECT COUNT(*) FROM outgoing WHERE is_quarantined = 1 AND is_superseded = 0)
                        + (SELECT COUNT(*) FROM entry WHERE sent = 'refused')
                    """) ?? 0
        }
    }

    /// Bytes that the server hasn't confirmed, of everything that may be sent.
    public func remainingBytes() async throws(StoreError) -> Int {
        try await read { tx in
            try Int.fetchOne(
                tx.db,
                sql: """
                    SELECT COALESCE(SUM(d.size - o.confirmed), 0) FROM outgoing o JOIN document d ON d.id = o.document
                    WHERE o.received_at IS NULL AND o.is_superseded = 0 AND o.is_quarantined = 0
                    """) ?? 0
        }
    }

    /// Visits with something that isn't finished: recordings without documents, documents without a receipt, facts that
    /// are not final, or entries that the server doesn't have.
    public func unfinishedVisits() async throws(StoreError) -> Set<String> {
        try await read { tx in
            try Set(
                String.fetchAll(
                    tx.db,
                    sql: """
                        SELECT DISTINCT r.visit FROM recording r
                        WHERE r.visit IS NOT NULL AND r.superseded_by IS NULL AND r.purged_at IS NULL
                        AND (r.state = 'open' OR \(Transaction.isSomething)) AND (r.is_frozen = 0 OR EXISTS (
                            SELECT 1 FROM document d JOIN outgoing o ON o.document = d.id WHERE d.recording = r.uuid
                            AND (o.received_at IS NULL OR o.facts <> 'final')))
                        UNION SELECT visit FROM entry WHERE \(Transaction.isPendingEntry)
                        """))
        }
    }

    /// When visits were opened and closed here, Unix time in milliseconds.
    public func visitTimes(_ id: String) async throws(StoreError) -> (opened: Int64?, closed: Int64?) {
        try await read { tx in
            let row = try Row.fetchOne(
                tx.db, sql: "SELECT opened_at, closed_at FROM visit WHERE id = ?", arguments: [id])
            return try (row?["opened_at"], row?["closed_at"])
        }
    }

    /// The server has the bytes but no more what was said of them: the facts go again, under the same identities.
    public func factsLost(_ id: UUID) async throws(StoreError) {
        try await write { tx in
            _ = try tx.document(id)
            try tx.db.execute(
                sql: """
                    UPDATE outgoing SET facts = 'none', facts_key = NULL, facts_key_state = NULL WHERE document = ?
                    """, arguments: [id.text])
            try tx.audit(by: "server", "document.facts-lost", id.text)
        }
    }
}

extension Transaction {
    fileprivate func syncItem(_ row: Row) throws -> SyncItem {
        let document = try document(row)
        let id = document.id.text
        let key = try (row["purged_at"] as Int64?) == nil ? try dataKey(row) : nil
        let isReceived = try (row["received_at"] as Int64?) != nil
        let isQuarantined = try row["is_quarantined"] as Bool
        let sealed: (column: String, data: Data)? =
            if isQuarantined, let data = try row["quarantine"] as Data? {
                ("quarantine", data)
            } else if !isReceived, let data = try row["last_error"] as Data? {
                ("last_error", data)
            } else { nil }
        let stage: DocumentStatus.Stage =
            isQuarantined
            ? .quarantined
            : isReceived ? .received : try (row["begun_at"] as Int64?) != nil ? .sending : .waiting
        return SyncItem(
            document: document, modality: try parse(try row["modality"]), visit: try row["visit"], stage: stage,
            confirmed: isReceived ? document.size : try row["confirmed"], attempts: try row["count"],
            notBefore: try row["not_before"], receivedAt: try row["received_at"],
            trouble: try sealed.flatMap { try key?.openText($0.data, at: "\(id)|attempt.\($0.column)") })
    }
}
