internal import Crypto
internal import FoundationEssentials
internal import GRDB

/// One line of the audit trail.
public struct AuditEntry: Sendable, Equatable, Codable, Identifiable {
    public var id: Int64
    /// Unix time in milliseconds.
    public var at: Int64
    public var actor: String
    /// `visit.open`, `recording.attribute`, …
    public var action: String
    /// The id of what it was done to.
    public var subject: String
    /// Without any identity.
    public var details: String

    public init(id: Int64, at: Int64, actor: String, action: String, subject: String, details: String) {
        self.id = id
        self.at = at
        self.actor = actor
        self.action = action
        self.subject = subject
        self.details = details
    }
}

/// What became of the audit trail.
public enum AuditVerdict: Sendable, Equatable, Codable {
    case intact(entries: Int)
    /// The first entry that isn't what was written, or the first that is missing.
    case broken(at: Int64)
}

extension Store {
    /// Adds a line; for what the store doesn't see (who exported, who looked). Details hold no identity.
    public func audit(
        by actor: String, action: String, subject: String, details: String = ""
    ) async throws(StoreError) {
        try await write { tx in try tx.audit(by: actor, action, subject, details) }
    }

    /// The newest lines first.
    public func auditEntries(limit: Int = 1000) async throws(StoreError) -> [AuditEntry] {
        try await read { tx in
            try Row.fetchAll(tx.db, sql: "SELECT * FROM audit ORDER BY id DESC LIMIT ?", arguments: [limit])
                .map { try tx.auditEntry($0) }
        }
    }

    /// Recomputes the whole chain, and compares its end with the one that is kept apart: notices changed, removed,
    /// added and cut entries.
    public func verifyAudit() async throws(StoreError) -> AuditVerdict {
        try await read { tx in try tx.auditVerdict() }
    }
}

extension Transaction {
    struct AuditHead: Codable, Equatable {
        var count: Int64
        var hash: Data
    }

    func auditVerdict() throws -> AuditVerdict {
        var hash = Data()
        var count: Int64 = 0
        let rows = try Row.fetchCursor(db, sql: "SELECT * FROM audit ORDER BY id")
        while let row = try rows.next() {
            count += 1
            let id: Int64 = try row["id"]
            hash = auditHash(
                after: hash, id: id, at: try row["at"], actor: try row["actor"], action: try row["action"],
                subject: try row["subject"], details: try row["details"])
            guard id == count, try hash == row["hash"] as Data else { return .broken(at: count) }
        }
        // A head that doesn't open was put there by somebody without the key.
        let kept: AuditHead?
        do { kept = try auditHead() } catch let error as DatabaseError { throw error } catch { kept = nil }
        guard let kept, kept == AuditHead(count: count, hash: hash) else {
            return .broken(at: count + 1)
        }
        return .intact(entries: Int(count))
    }

    func audit(by actor: String, _ action: String, _ subject: String, _ details: String = "") throws {
        var head = try auditHead()
        head.count += 1
        let at = now
        let sealed = try vault.identity.seal(text: details, at: "audit|\(head.count)")
        head.hash = auditHash(
            after: head.hash, id: head.count, at: at, actor: actor, action: action, subject: subject, details: sealed)
        try db.cachedStatement(
            sql: "INSERT INTO audit (id, at, actor, action, subject, details, hash) VALUES (?, ?, ?, ?, ?, ?, ?)"
        ).execute(arguments: [head.count, at, actor, action, subject, sealed, head.hash])
        try write(head)
    }

    /// The end of the chain, kept apart and sealed: who cuts entries off would have to cut it too.
    func write(_ head: AuditHead) throws {
        try db.cachedStatement(
            sql: "INSERT INTO meta (key, value) VALUES ('audit', ?) "
                + "ON CONFLICT (key) DO UPDATE SET value = excluded.value"
        ).execute(arguments: [try vault.identity.seal(json: head, at: "meta|audit")])
    }

    func auditEntry(_ row: Row) throws -> AuditEntry {
        let id: Int64 = try row["id"]
        return AuditEntry(
            id: id, at: try row["at"], actor: try row["actor"], action: try row["action"], subject: try row["subject"],
            details: try vault.identity.openText(row["details"], at: "audit|\(id)"))
    }

    func auditHead() throws -> AuditHead {
        guard let sealed = try Data.fetchOne(db.cachedStatement(sql: "SELECT value FROM meta WHERE key = 'audit'"))
        else {
            return AuditHead(count: 0, hash: Data())
        }
        return try vault.identity.open(json: AuditHead.self, sealed, at: "meta|audit")
    }

    /// Keyed: who can write the file but has no key can't make a chain that holds.
    func auditHash(
        after previous: Data, id: Int64, at: Int64, actor: String, action: String, subject: String, details: Data
    ) -> Data {
        var mac = HMAC<SHA256>(key: vault.chain)
        for part in [
            previous, Data("\(id)".utf8), Data("\(at)".utf8), Data(actor.utf8), Data(action.utf8), Data(subject.utf8),
            details,
        ] {
            // Lengths first, so that a letter can't move from one field into the next.
            mac.update(data: Data("\(part.count):".utf8))
            mac.update(data: part)
        }
        return Data(mac.finalize())
    }
}
