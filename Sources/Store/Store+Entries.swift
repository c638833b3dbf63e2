public import Clinical
public import FoundationEssentials
internal import GRDB

/// An entry, and how far it has come.
public struct KeptEntry: Sendable, Equatable {
    public enum Stage: String, Sendable { case waiting, received, quarantined }

    public var entry: Entry
    /// Unix time in milliseconds.
    public var withdrawnAt: Int64?
    public var stage: Stage

    public var isWithdrawn: Bool { withdrawnAt != nil }
}

/// How many entries of a visit are how far.
public struct EntryCounts: Sendable, Equatable {
    public var visit: String
    public var waiting: Int
    public var received: Int
    public var quarantined: Int

    public init(visit: String, waiting: Int, received: Int, quarantined: Int) {
        self.visit = visit
        self.waiting = waiting
        self.received = received
        self.quarantined = quarantined
    }
}

/// What the server doesn't know yet of the entries of one visit.
public struct PendingEntries: Sendable, Equatable {
    public var visit: Visit
    public var entries: [KeptEntry]
    /// Something of the visit is simulated.
    public var isSimulated: Bool
}

extension Store {
    /// Keeps what the nurse typed; durable when it returns. Sealed like everything that says something of a person.
    /// - Throws: `.notFound` for an unknown visit; `.refused` when it was cancelled or its identity destroyed.
    public func add(_ entry: Entry) async throws(StoreError) {
        try await write { tx in
            try tx.requireSpace(.stopRunning)
            guard let visit = try tx.visit(entry.visit) else { throw StoreError.notFound("visit \(entry.visit)") }
            guard visit.status != .cancelled else { throw StoreError.refused("visit \(entry.visit) was cancelled") }
            try tx.requireIdentity(of: visit.id)
            let id = entry.id.text
            try tx.db.execute(
                sql: "INSERT INTO entry (id, visit, block, at, sealed) VALUES (?, ?, ?, ?, ?)",
                arguments: [
                    id, entry.visit, entry.block, entry.at,
                    try tx.vault.identity.seal(json: entry, at: "entry|\(id)"),
                ])
            try tx.audit(by: entry.by, "entry.add", id, entry.block)
        }
    }

    /// It was wrong: what the server has of it is marked as entered in error. Again changes nothing.
    public func withdrawEntry(_ id: UUID, visit: String, by actor: String, at time: Int64) async throws(StoreError) {
        try await write { tx in
            let row = try Row.fetchOne(
                tx.db, sql: "SELECT withdrawn_at FROM entry WHERE id = ? AND visit = ?", arguments: [id.text, visit])
            guard let row else { throw StoreError.notFound("entry \(id.text)") }
            guard try (row["withdrawn_at"] as Int64?) == nil else { return }
            try tx.db.execute(sql: "UPDATE entry SET withdrawn_at = ? WHERE id = ?", arguments: [time, id.text])
            try tx.audit(by: actor, "entry.withdraw", id.text)
        }
    }

    /// Of a visit, in the order in which they were typed, withdrawn ones included.
    public func entries(visit: String) async throws(StoreError) -> [KeptEntry] {
        try await read { tx in try tx.entries("visit = ?", [visit]) }
    }

    /// The first visit with entries that the server doesn't have, by when they were typed; or those of one visit.
    public func entriesPending(visit: String? = nil) async throws(StoreError) -> [PendingEntries] {
        try await read { tx in
            let visits = try String.fetchAll(
                tx.db,
                sql: """
                    SELECT visit FROM entry WHERE \(Transaction.isPendingEntry) AND (:visit IS NULL OR visit = :visit)
                    GROUP BY visit ORDER BY MIN(at), visit
                    """, arguments: ["visit": visit])
            return try visits.compactMap { id in
                guard let visit = try tx.visit(id) else { return nil }
                let isSimulated = try Bool.fetchOne(
                    tx.db, sql: "SELECT EXISTS (SELECT 1 FROM recording WHERE visit = ? AND origin = 'simulated')",
                    arguments: [id])
                return PendingEntries(
                    visit: visit, entries: try tx.entries("visit = ? AND \(Transaction.isPendingEntry)", [id]),
                    isSimulated: isSimulated ?? false)
            }
        }
    }

    /// By visit; those that were withdrawn before they were sent count nowhere.
    public func entryCounts() async throws(StoreError) -> [EntryCounts] {
        try await read { tx in
            try Row.fetchAll(
                tx.db,
                sql: """
                    SELECT visit, SUM(\(Transaction.isPendingEntry)) AS waiting,
                        SUM(sent IN ('final', 'withdrawn') AND NOT \(Transaction.isPendingEntry)) AS received,
                        SUM(sent = 'refused') AS quarantined
                    FROM entry GROUP BY visit ORDER BY MIN(at), visit
                    """
            ).map {
                try EntryCounts(
                    visit: $0["visit"], waiting: $0["waiting"], received: $0["received"], quarantined: $0["quarantined"]
                )
            }
        }
    }

    /// The server has them as they were sent.
    public func entriesSent(_ entries: [KeptEntry]) async throws(StoreError) {
        try await write { tx in
            for kept in entries {
                // What was withdrawn meanwhile is pending again.
                try tx.db.execute(
                    sql: "UPDATE entry SET sent = ? WHERE id = ?",
                    arguments: [kept.isWithdrawn ? "withdrawn" : "final", kept.entry.id.text])
            }
        }
    }

    /// The server refuses them for good: set aside, told loudly.
    public func entriesRefused(_ entries: [KeptEntry]) async throws(StoreError) {
        try await write { tx in
            for kept in entries {
                try tx.db.execute(
                    sql: "UPDATE entry SET sent = 'refused' WHERE id = ?", arguments: [kept.entry.id.text])
                try tx.audit(by: "server", "entry.refuse", kept.entry.id.text)
            }
        }
    }
}

extension Transaction {
    /// Typed and not sent, or sent and withdrawn.
    static let isPendingEntry = """
        ((sent = 'none' AND withdrawn_at IS NULL) OR (sent = 'final' AND withdrawn_at IS NOT NULL))
        """

    fileprivate func entries(_ condition: String, _ arguments: StatementArguments) throws -> [KeptEntry] {
        try Row.fetchAll(db, sql: "SELECT * FROM entry WHERE \(condition) ORDER BY at, rowid", arguments: arguments)
            .map { row in
                let id: String = try row["id"]
                let entry = try vault.identity.open(json: Entry.self, row["sealed"], at: "entry|\(id)")
                // Whose it is stands inside what is sealed: a row that says somebody else is no row of ours.
                guard try entry.visit == row["visit"] as String, entry.id.text == id,
                    try entry.block == row["block"] as String
                else { throw StoreError.corrupt("entry \(id)") }
                let sent: String = try row["sent"]
                return KeptEntry(
                    entry: entry, withdrawnAt: try row["withdrawn_at"],
                    stage: sent == "refused" ? .quarantined : sent == "none" ? .waiting : .received)
            }
    }
}

extension Migrations {
    /// What the nurse types. Rows are never changed but for how far they have come.
    static let entries = """
        CREATE TABLE entry (
            id TEXT PRIMARY KEY,
            visit TEXT NOT NULL REFERENCES visit (id),
            block TEXT NOT NULL,
            at INTEGER NOT NULL,
            withdrawn_at INTEGER,
            sent TEXT NOT NULL DEFAULT 'none' CHECK (sent IN ('none', 'final', 'withdrawn', 'refused')),
            sealed BLOB NOT NULL
        ) STRICT;
        CREATE INDEX entry_visit ON entry (visit);
        CREATE INDEX entry_pending ON entry (sent) WHERE sent IN ('none', 'final');
        CREATE TRIGGER entry_no_change BEFORE UPDATE OF id, visit, block, at ON entry
            BEGIN SELECT RAISE(ABORT, 'entries are not changed'); END;
        CREATE TRIGGER entry_no_delete BEFORE DELETE ON entry
            WHEN (SELECT purged_at FROM visit WHERE id = OLD.visit) IS NULL
            BEGIN SELECT RAISE(ABORT, 'entries are not deleted'); END;
        """
}
