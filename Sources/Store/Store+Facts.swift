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
        try await factsPending(now: now, limit: .max)
    }

    /// The same for the most urgent documents only: found without looking at the rest.
    /// - Parameters:
    ///   - limit: documents per state. A visit with more of them is told of in several bundles.
    ///   - includingSimulated: false where simulated data must not be sent.
    public func factsPending(
        now: Int64, limit: Int, includingSimulated: Bool = true
    ) async throws(StoreError) -> [PendingFacts] {
        try await read { tx in
            try [.preliminary, .final].flatMap {
                try tx.factsPending($0, now: now, limit: max(0, limit), includingSimulated: includingSimulated)
            }
        }
    }

    /// To be called before a bundle leaves: keeps its key for retries. From now on, its documents never change.
    public func beginFacts(_ documents: [UUID], state: FactsState, key: UUID) async throws(StoreError) {
        try await write { tx in
            for id in documents {
                _ = try tx.document(id)
                try tx.db.cachedStatement(
                    sql: """
                        UPDATE outgoing SET facts_key = ?, facts_key_state = ?,
                            facts_begun_at = COALESCE(facts_begun_at, ?)
                        WHERE document = ?
                        """
                ).execute(arguments: [key.text, state.rawValue, tx.now, id.text])
            }
        }
    }

    /// The server has taken the bundle.
    public func markFactsSent(_ documents: [UUID], state: FactsState) async throws(StoreError) {
        try await write { tx in
            for id in documents {
                _ = try tx.document(id)
                try tx.db.cachedStatement(
                    sql: """
                        UPDATE outgoing SET facts = ?, facts_key = NULL, facts_key_state = NULL,
                            facts_begun_at = COALESCE(facts_begun_at, ?)
                        WHERE document = ?
                        """
                ).execute(arguments: [state.rawValue, tx.now, id.text])
                try tx.progressed(id)
            }
        }
    }
}

extension Transaction {
    fileprivate func factsPending(
        _ state: FactsState, now: Int64, limit: Int, includingSimulated: Bool
    ) throws -> [PendingFacts] {
        let condition =
            state == .preliminary ? "o.facts = 'none'" : "o.facts = 'preliminary' AND o.received_at IS NOT NULL"
        let rows = try Row.fetchAll(
            db.cachedStatement(
                sql: """
                    SELECT d.*, o.facts_key, o.facts_key_state, r.visit AS visit
                    FROM outgoing o
                    JOIN document d ON d.id = o.document
                    JOIN attempt a ON a.document = d.id
                    JOIN recording r ON r.uuid = d.recording
                    WHERE \(condition) AND o.is_superseded = 0 AND o.is_quarantined = 0 AND a.not_before <= ?
                    AND r.visit IS NOT NULL AND (? OR o.origin <> 'simulated')
                    ORDER BY o.urgency, o.begun, o.document LIMIT ?
                    """), arguments: [now, includingSimulated, limit])
        var order: [String] = []
        var byVisit: [String: [Row]] = [:]
        for row in rows {
            let visit: String = try row["visit"]
            if byVisit[visit] == nil { order.append(visit) }
            byVisit[visit, default: []].append(row)
        }
        return try order.map { id in
            guard let visit = try visit(id) else { throw StoreError.corrupt("a binding's visit") }
            let rows = byVisit[id] ?? []
            for uuid in Set(try rows.map { try $0["recording"] as String }) {
                guard try bindings(uuid, try dataKey(try recordingRow(uuid))).last?.visit == id else {
                    throw StoreError.corrupt("the visit of recording \(uuid)")
                }
            }
            return PendingFacts(
                visit: visit, state: state, documents: try rows.map(document), key: try reusableKey(rows, state))
        }
    }

    /// An idempotency key stands for one content: only when the very same documents were tried under it.
    private func reusableKey(_ rows: [Row], _ state: FactsState) throws -> UUID? {
        guard let text = try rows.first?["facts_key"] as String?, let key = UUID(uuidString: text) else { return nil }
        guard
            try rows.allSatisfy({
                try ($0["facts_key"] as String?) == text && ($0["facts_key_state"] as String?) == state.rawValue
            })
        else { return nil }
        let tried = try Int.fetchOne(
            db, sql: "SELECT COUNT(*) FROM outgoing WHERE facts_key = ?", arguments: [text])
        return tried == rows.count ? key : nil
    }
}
