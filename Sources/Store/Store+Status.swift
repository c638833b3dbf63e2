public import Clinical
internal import GRDB

extension Store {
    /// How many of each there are; read from indexes, so that it takes no longer when there are many recordings.
    public func statusCounts() async throws(StoreError) -> StatusCounts {
        try await read { tx in
            var counts = StatusCounts()
            counts.recordings = try tx.count("SELECT COUNT(*) FROM recording")
            counts.open = try tx.count("SELECT COUNT(*) FROM recording WHERE state = 'open'")
            // An empty one (nothing was recorded before it ended) is nobody's matter.
            let isSomething = "(state = 'open' OR \(Transaction.isSomething))"
            counts.unattributed = try tx.count(
                """
                SELECT COUNT(*) FROM recording WHERE visit IS NULL AND superseded_by IS NULL AND \(isSomething)
                """)
            counts.held = try tx.count(
                """
                SELECT COUNT(*) FROM recording WHERE visit IS NULL AND superseded_by IS NULL AND \(isSomething)
                AND doubt = 'contradiction'
                """)
            counts.needingStart = try tx.count(
                """
                SELECT COUNT(*) FROM recording WHERE start_known = 0 AND superseded_by IS NULL AND state <> 'open'
                AND is_frozen = 0 AND \(Transaction.isSomething)
                """)
            // As a difference, because either is read from an index alone; as one question each row is looked up (20 times as long).
            counts.received =
                try tx.count("SELECT COUNT(*) FROM outgoing WHERE received_at IS NOT NULL")
                - tx.count("SELECT COUNT(*) FROM outgoing WHERE is_quarantined = 1 AND received_at IS NOT NULL")
            counts.quarantined = try tx.count(
                "SELECT COUNT(*) FROM outgoing WHERE is_quarantined = 1 AND is_superseded = 0")
            let pending = "SELECT COUNT(*) FROM outgoing WHERE \(Transaction.isPending)"
            counts.waiting = try tx.count("\(pending) AND begun_at IS NULL")
            counts.sending = try tx.count("\(pending) AND begun_at IS NOT NULL")
            counts.toFreeze = try tx.awaitingFreeze().count
            return counts
        }
    }

    /// How many recordings each visit has, by `Visit.id`.
    public func recordingCounts() async throws(StoreError) -> [String: Int] {
        try await read { tx in
            let rows = try Row.fetchAll(
                tx.db, sql: "SELECT visit, COUNT(*) AS n FROM recording WHERE visit IS NOT NULL GROUP BY visit")
            return Dictionary(try rows.map { try ($0["visit"] as String, $0["n"] as Int) }) { one, _ in one }
        }
    }

    /// Whether everything of this source is here already; the same as asking `knownItems` for it.
    public func knowsSource(_ source: String) async throws(StoreError) -> Bool {
        try await read { tx in
            try Bool.fetchOne(
                tx.db, sql: "SELECT EXISTS (SELECT 1 FROM recording WHERE source = ? AND state = 'complete')",
                arguments: [source]) ?? false
        }
    }
}

extension Transaction {
    /// What the index of the outbox holds; word for word, or SQLite doesn't use it.
    static let isPending = "received_at IS NULL AND is_superseded = 0 AND is_quarantined = 0"

    fileprivate func count(_ sql: String) throws -> Int { try Int.fetchOne(db, sql: sql) ?? 0 }
}

extension Store {
    /// What a recording's samples and original bytes take in the file, sealed.
    public func storedBytes(_ id: RecordingID) async throws(StoreError) -> Int {
        try await read { tx in
            try Int.fetchOne(
                tx.db, sql: "SELECT SUM(LENGTH(raw) + LENGTH(decoded)) FROM chunk WHERE recording = ?",
                arguments: [id.description]) ?? 0
        }
    }
}
