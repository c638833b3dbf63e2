public import Clinical
public import FoundationEssentials
internal import GRDB

/// Facts about a visit's documents that the server doesn't have yet: one bundle.
public struct PendingFacts: Sendable, Equatable {
    public var visit: Visit
    /// What they become: `preliminary` announces the documents, `final` says that their bytes are received.
    public var state: FactsState
    /// Most urgent first.
    public var documents: [Document]
    /// The key of an earlier attempt with exactly these documents and this state: to be used again. Nil: mint one.
    public var key: UUID?
}

extension Store {
    /// What the facts lane has to send, per visit, announcements first. Documents in quarantine, and those that must
    /// wait, are left out.
    public func factsPending(now: Int64) async throws(StoreError) -> [PendingFacts] {
        try await read { tx in
            try tx.factsPending(.preliminary, now: now) + (try tx.factsPending(.final, now: now))
        }
    }

    /// To be called before a bundle leaves: keeps its key for retries. From now on, its documents never change.
    public func beginFacts(_ documents: [UUID], state: FactsState, key: UUID) async throws(StoreError) {
        try await write { tx in
            for id in documents {
                _ = try tx.document(id)
                try tx.db.execute(
                    sql: """
                        UPDATE outgoing SET facts_key = ?, facts_key_state = ?,
                            facts_begun_at = COALESCE(facts_begun_at, ?)
                        WHERE document = ?
                        """, arguments: [key.text, state.rawValue, tx.now, id.text])
            }
        }
    }

    /// The server has taken the bundle.
    public func markFactsSent(_ documents: [UUID], state: FactsState) async throws(StoreError) {
        try await write { tx in
            for id in documents {
                _ = try tx.document(id)
                try tx.db.execute(
                    sql: """
                        UPDATE outgoing SET facts = ?, facts_key = NULL, facts_key_state = NULL,
                            facts_begun_at = COALESCE(facts_begun_at, ?)
                        WHERE document = ?
                        """, arguments: [state.rawValue, tx.now, id.text])
                try tx.progressed(id)
            }
        }
    }
}

extension Transaction {
    fileprivate func factsPending(_ state: FactsState, now: Int64) throws -> [PendingFacts] {
        let condition =
            state == .preliminary
            ? "o.facts = 'none'"
            : "o.facts = 'preliminary' AND EXISTS (SELECT 1 FROM receipt WHERE receipt.document = d.id)"
        let rows = try Row.fetchAll(
            db,
            sql: """
                SELECT d.*, o.facts_key, o.facts_key_state, b.visit AS visit
                FROM document d
                JOIN outgoing o ON o.document = d.id
                JOIN attempt a ON a.document = d.id
                JOIN recording r ON r.uuid = d.recording
                JOIN binding b ON b.recording = r.uuid AND b.n = (SELECT MAX(n) FROM binding WHERE recording = r.uuid)
                WHERE r.superseded_by IS NULL AND a.quarantined_at IS NULL AND a.not_before <= ? AND \(condition)
                ORDER BY r.modality = 'ecg' DESC, d.role = 'artefact' DESC, r.begun_at, d.id
                """, arguments: [now])
        var order: [String] = []
        var byVisit: [String: [Row]] = [:]
        for row in rows {
            let visit: String = row["visit"]
            if byVisit[visit] == nil { order.append(visit) }
            byVisit[visit, default: []].append(row)
        }
        return try order.map { id in
            guard let visit = try visit(id) else { throw StoreError.corrupt("a binding's visit") }
            let rows = byVisit[id] ?? []
            return PendingFacts(
                visit: visit, state: state, documents: try rows.map(document), key: try reusableKey(rows, state))
        }
    }

    /// An idempotency key stands for one content: only when the very same documents were tried under it.
    private func reusableKey(_ rows: [Row], _ state: FactsState) throws -> UUID? {
        guard let text = rows.first?["facts_key"] as String?, let key = UUID(uuidString: text) else { return nil }
        guard
            rows.allSatisfy({
                ($0["facts_key"] as String?) == text && ($0["facts_key_state"] as String?) == state.rawValue
            })
        else { return nil }
        let tried = try Int.fetchOne(
            db, sql: "SELECT COUNT(*) FROM outgoing WHERE facts_key = ?", arguments: [text])
        return tried == rows.count ? key : nil
    }
}
