internal import Crypto
internal import FoundationEssentials
internal import GRDB
internal import Synchronization

/// What opening found of a rotation that was cut short.
public enum KeyFileRepair: String, Sendable, Codable {
    /// The store was sealed anew already: the new key was given its name.
    case finished
    /// The store still has the old key: the new one was thrown away.
    case abandoned
}

/// Where a rotation can be cut; tests cut it there.
enum RotationStep: String, Sendable, CaseIterable { case keyWritten, resealed, committed, named }

extension Store {
    /// Opens the store with the key in a file, and brings a rotation that was cut short to an end.
    /// - Parameter createIfMissing: makes a key for a store that doesn't exist yet; never for one that does.
    /// - Throws: as `open(directory:key:environment:)`; `.notFound` without a key file.
    public static func open(
        directory: String, keyFile path: String, createIfMissing: Bool, environment: Environment
    ) async throws(StoreError) -> (store: Store, repair: KeyFileRepair?) {
        let next = nextKeyFile(path)
        let isNew = !Files.exists("\(directory)/\(fileName)")
        let key = try MasterKey.load(from: path, createIfMissing: createIfMissing && isNew)
        do throws(StoreError) {
            let store = try await open(directory: directory, key: key, environment: environment)
            guard Files.exists(next) else { return (store, nil) }
            try Files.remove(next)
            return (store, .abandoned)
        } catch .wrongKey where Files.exists(next) {
            let store = try await open(
                directory: directory, key: try MasterKey.load(from: next, createIfMissing: false),
                environment: environment)
            try Files.rename(next, to: path)
            return (store, .finished)
        }
    }

    /// Seals everything under a new random key and puts it into the key file. Killed at any point, one of two keys opens
    /// the store, and `open(directory:keyFile:…)` knows which: the new key is on the disk beside the old one before
    /// anything is sealed with it, everything is sealed in one transaction, and only then it takes the old one's name.
    /// Backups made before need the old key: make a new one.
    /// - Throws: as `rotateKey(to:by:)`. When only the last step failed (`.system`, `.readOnly`, `.diskFull`), the store
    ///   is sealed with the new key already, which is kept; the next start finishes it.
    public func rotateKeyFile(
        _ path: String, by actor: String, acceptingBrokenTrail: Bool = false
    ) async throws(StoreError) {
        try await rotateKeyFile(path, by: actor, acceptingBrokenTrail: acceptingBrokenTrail) { _ in }
    }

    func rotateKeyFile(
        _ path: String, by actor: String, acceptingBrokenTrail: Bool = false,
        reached: @escaping @Sendable (RotationStep) -> Void
    ) async throws(StoreError) {
        let next = Self.nextKeyFile(path)
        // The file must be the store's own key: else a store would be lost to a key that nobody looks for.
        let current = Vault(try MasterKey.load(from: path, createIfMissing: false))
        _ = try await read { tx in try Self.check(current, tx.db) }
        try await outside {
            try Files.remove(next)
            try Files.create(next, unsafe SymmetricKey(size: .bits256).withUnsafeBytes { unsafe Array($0) })
        }
        let new = try MasterKey.load(from: next, createIfMissing: false)
        reached(.keyWritten)
        do throws(StoreError) {
            try await rotateKey(
                to: new, by: actor, acceptingBrokenTrail: acceptingBrokenTrail, resealed: { reached(.resealed) })
        } catch {
            // Thrown away only when the store is seen to be sealed with the old key. Otherwise the next start looks.
            if await isSealed(under: current) { try? await outside { try Files.remove(next) } }
            throw error
        }
        reached(.committed)
        try await outside { try Files.rename(next, to: path) }
        reached(.named)
    }

    /// Seals everything under another master key, in one transaction, while nobody reads or writes.
    /// - Throws: `.refused` when the audit trail doesn't hold, because a new chain over it would hide that; unless a
    ///   person insists, which the new chain tells.
    public func rotateKey(
        to new: MasterKey, by actor: String, acceptingBrokenTrail: Bool = false
    ) async throws(StoreError) {
        try await rotateKey(to: new, by: actor, acceptingBrokenTrail: acceptingBrokenTrail, resealed: {})
    }

    private func rotateKey(
        to new: MasterKey, by actor: String, acceptingBrokenTrail: Bool, resealed: @escaping @Sendable () -> Void
    ) async throws(StoreError) {
        let other = Vault(new)
        try await outside { [self] in
            try pool.barrierWriteWithoutTransaction { db in
                try db.inTransaction(.immediate) {
                    try transaction(db).reseal(under: other, by: actor, acceptingBrokenTrail: acceptingBrokenTrail)
                    resealed()
                    return .commit
                }
                vault.withLock { $0 = other }
            }
        }
        // What the old key opens goes out of the log too; when that fails, with the next checkpoint. It is no reason to
        // say that the store is not sealed anew: it is.
        try? await emptyLog()
    }

    private func isSealed(under vault: Vault) async -> Bool {
        (try? await read { tx in try Self.check(vault, tx.db) }) == true
    }

    private static func nextKeyFile(_ path: String) -> String { "\(path).next" }
}

extension Transaction {
    fileprivate func reseal(under other: Vault, by actor: String, acceptingBrokenTrail: Bool) throws {
        var broken: Int64?
        if case .broken(let entry) = try auditVerdict() { broken = entry }
        guard broken == nil || acceptingBrokenTrail else {
            throw StoreError.refused("the audit trail does not hold: a new key would hide that")
        }
        try without(triggers: ["recording_key_stays", "audit_no_update"]) {
            for uuid in try String.fetchAll(db, sql: "SELECT uuid FROM recording WHERE purged_at IS NULL") {
                let wrapped = try Data.fetchOne(
                    db, sql: "SELECT data_key FROM recording WHERE uuid = ?", arguments: [uuid])
                guard let wrapped else { continue }
                WriterSteps.step()
                try db.execute(
                    sql: "UPDATE recording SET data_key = ? WHERE uuid = ?",
                    arguments: [try vault.rewrap(wrapped, for: uuid, into: other), uuid])
            }
            try reseal("setting", id: "key", column: "sealed", into: other) { "setting|\($0)" }
            try reseal("visit", id: "id", column: "sealed", into: other) { "visit|\($0)" }
            try reseal("answer", id: "id", column: "sealed", into: other) { "answer|\($0)" }
            try reseal("entry", id: "id", column: "sealed", into: other) { "entry|\($0)" }
            try reseal("loan", id: "id", column: "sealed", into: other) { "loan|\($0)" }
            try reseal("audit", id: "id", column: "details", into: other) { "audit|\($0)" }
            let new = Transaction(db: db, vault: other, environment: environment)
            try new.chainAgain()
            try Store.writeCheck(other, db)
            if let broken { try new.audit(by: actor, AuditAction.brokenTrail, "entry \(broken)") }
            try new.audit(by: actor, AuditAction.rotateKey, "store")
        }
    }

    private func reseal(
        _ table: String, id column: String, column sealed: String, into other: Vault, place: (String) -> String
    ) throws {
        let ids = try Row.fetchAll(db, sql: "SELECT \(column) AS id FROM \(table)").map {
            try $0["id"] as DatabaseValue
        }
        for id in ids {
            let old = try Data.fetchOne(
                db, sql: "SELECT \(sealed) FROM \(table) WHERE \(column) = ?", arguments: [id])
            guard let old, let name = String.fromDatabaseValue(id) ?? Int64.fromDatabaseValue(id).map(String.init)
            else { continue }
            WriterSteps.step()
            let text = try vault.identity.open(old, at: place(name))
            try db.execute(
                sql: "UPDATE \(table) SET \(sealed) = ? WHERE \(column) = ?",
                arguments: [try other.identity.seal(text, at: place(name)), id])
        }
    }

    /// The chain over the same entries under this vault's key.
    private func chainAgain() throws {
        var head = AuditHead(count: 0, hash: Data())
        for id in try Int64.fetchAll(db, sql: "SELECT id FROM audit ORDER BY id") {
            guard let row = try Row.fetchOne(db, sql: "SELECT * FROM audit WHERE id = ?", arguments: [id]) else {
                continue
            }
            WriterSteps.step()
            head.count = id
            head.hash = auditHash(
                after: head.hash, id: id, at: try row["at"], actor: try row["actor"], action: try row["action"],
                subject: try row["subject"], details: try row["details"])
            try db.execute(sql: "UPDATE audit SET hash = ? WHERE id = ?", arguments: [head.hash, id])
        }
        try write(head)
    }

    /// Does what triggers are there to prevent; part of the transaction, like their removal and return.
    func without(triggers: [String], _ body: () throws -> Void) throws {
        var definitions: [String] = []
        for name in triggers {
            let sql = try String.fetchOne(
                db, sql: "SELECT sql FROM sqlite_master WHERE type = 'trigger' AND name = ?", arguments: [name])
            guard let sql else { throw StoreError.corrupt("the rule \(name) is gone") }
            definitions.append(sql)
            try db.execute(sql: "DROP TRIGGER \(name)")
        }
        try body()
        for sql in definitions { try db.execute(sql: sql) }
    }
}
