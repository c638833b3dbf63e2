internal import FoundationEssentials
internal import GRDB

/// What became of a damaged store at start.
public struct RescueReport: Sendable, Equatable, Codable {
    /// Rows that are in the new file.
    public var copied: Int
    /// Rows that are known to be lost, by table; a table whose damage hides how many has at least one.
    public var lost: [String: Int]
    /// The damaged file's new name; nothing of it was changed.
    public var kept: String
}

extension Store {
    /// Copies every row that can still be read into a new file, which takes the damaged one's place; that one is kept
    /// beside it. To be called when nobody has the store open.
    ///
    /// Only when nothing that keeps recordings apart is missing: with the list of recordings, the visits or the key check
    /// gone, the same night would be fetched and sent again under another identity, so such a file is left alone for a
    /// backup or a specialist.
    /// - Throws: `.corrupt` for a file that is beyond this, `.wrongKey`, `.inUse`, `.diskFull`; nothing has changed then.
    public static func rescue(
        directory: String, key: MasterKey, environment: Environment
    ) async throws(StoreError) -> RescueReport {
        let result: Result<RescueReport, StoreError> = await withCheckedContinuation { continuation in
            DispatchGate.run {
                let result = Result { try rescueBlocking(directory, Vault(key), environment) }
                continuation.resume(returning: result.mapError { StoreError($0) })
            }
        }
        return try result.get()
    }

    private static func rescueBlocking(
        _ directory: String, _ vault: Vault, _ environment: Environment
    ) throws -> RescueReport {
        let lock = try DirectoryLock(directory: directory)
        defer { lock.release() }
        let file = "\(directory)/\(fileName)"
        let rescued = "\(file).rescued"
        removeDatabase(rescued)
        defer { removeDatabase(rescued) }
        let kept = "\(file).damaged-\(environment.now())"
        let salvage = try copy(from: file, to: rescued, vault, environment)
        try Files.sync(rescued)
        // As in `restore`: the old one keeps a name at every moment, and its place is never empty.
        try Files.link(file, as: kept)
        for end in ["-wal", "-shm"] where Files.exists(file + end) { try Files.rename(file + end, to: kept + end) }
        try Files.rename(rescued, to: file)
        return RescueReport(copied: salvage.copied, lost: salvage.lost, kept: kept)
    }

    private static func copy(
        from file: String, to rescued: String, _ vault: Vault, _ environment: Environment
    ) throws -> Rescue {
        // Read-only: closing it must not write the log back into the damaged file.
        let old = try DatabaseQueue(path: file, configuration: configuration(readOnly: true))
        defer { try? old.close() }
        try DirectoryLock.prepareFile(rescued)
        var configuration = configuration()
        configuration.foreignKeysEnabled = false
        let new = try DatabaseQueue(path: rescued, configuration: configuration)
        let migrator = Migrations.migrator(vault)
        let applied = try old.read { db in
            guard try check(vault, db) else { throw StoreError.corrupt("the key check is gone") }
            return try migrator.appliedIdentifiers(db)
        }
        // A file of an older version is migrated when it is opened, as it would have been.
        guard let last = migrator.migrations.last(where: applied.contains) else {
            throw StoreError.corrupt("its version can't be read")
        }
        try migrator.migrate(new, upTo: last)
        var rescue = Rescue()
        // Without a transaction: the end of one in which a page could not be read fails as well. Nobody else is here.
        try old.unsafeRead { source in
            try new.write { db in
                let triggers = try Row.fetchAll(db, sql: "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
                for trigger in triggers { try db.execute(sql: "DROP TRIGGER \(try trigger["name"] as String)") }
                let tables = try String.fetchAll(
                    db,
                    sql: """
                        SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'
                        AND name <> 'grdb_migrations' ORDER BY name
                        """)
                for table in tables { try rescue.copy(table, from: source, to: db) }
                if let gone = ["meta", "recording", "visit"].first(where: { rescue.lost[$0] != nil }) {
                    throw StoreError.corrupt("part of the table `\(gone)` is gone")
                }
                try Rescue.makeConsistent(db, at: environment.now())
                for trigger in triggers { try db.execute(sql: try trigger["sql"] as String) }
                let tx = Transaction(db: db, vault: vault, environment: environment)
                try tx.takeUpTrail()
                try tx.audit(
                    by: "agent", AuditAction.repair, "store",
                    rescue.lost.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", "))
            }
        }
        let problems = try new.read { try String.fetchAll($0, sql: "PRAGMA quick_check(10)").filter { $0 != "ok" } }
        if let first = problems.first { throw StoreError.corrupt(first) }
        try new.close()
        return rescue
    }
}

/// Copies tables row by row around what can't be read.
private struct Rescue {
    private(set) var copied = 0
    private(set) var lost: [String: Int] = [:]

    mutating func copy(_ table: String, from source: Database, to db: Database) throws {
        // What the old file's schema lacks has its default.
        let known = Set(try source.columns(in: table).map(\.name))
        let columns = try db.columns(in: table).map(\.name).filter(known.contains)
        let list = columns.joined(separator: ", ")
        let insert = try db.makeStatement(
            sql: "INSERT OR IGNORE INTO \(table) (\(list)) VALUES (\(columns.map { _ in "?" }.joined(separator: ", ")))"
        )
        var seen: Set<Int64> = []

        func take(_ row: Row) throws {
            let values = try columns.map { try row[$0] as DatabaseValue }
            do {
                try insert.execute(arguments: StatementArguments(values))
                seen.insert(try row["found_at"])
                copied += 1
            } catch let error as DatabaseError where error.resultCode == .SQLITE_CONSTRAINT {
                // A page of some other table's: not a row of this one.
                lost[table, default: 0] += 1
            }
        }

        /// - Returns: whether it came to the end.
        func scan(_ order: String) throws -> Bool {
            do {
                let rows = try Row.fetchCursor(
                    source, sql: "SELECT rowid AS found_at, \(list) FROM \(table) NOT INDEXED ORDER BY rowid \(order)")
                while let row = try rows.next() {
                    if try seen.contains(row["found_at"]) { return false }
                    try take(row)
                }
                return true
            } catch let error as DatabaseError where error.isDamage {
                return false
            }
        }

        guard try !scan("ASC") else { return }
        // Up to the damage from the other end; then what indexes know of its middle, one by one.
        _ = try scan("DESC")
        let indexed = Self.rowids(of: table, in: source)
        for rowid in indexed.rowids.subtracting(seen) {
            let row = try? Row.fetchOne(
                source, sql: "SELECT rowid AS found_at, \(list) FROM \(table) NOT INDEXED WHERE rowid = ?",
                arguments: [rowid])
            if let row { try take(row) } else { lost[table, default: 0] += 1 }
        }
        if !indexed.isComplete { lost[table, default: 0] += 1 }
    }

    /// What the table's whole indexes say that there is.
    private static func rowids(of table: String, in source: Database) -> (rowids: Set<Int64>, isComplete: Bool) {
        let names = try? Row.fetchAll(source, sql: "PRAGMA index_list(\(table))").compactMap { row -> String? in
            try (row["partial"] as Int) == 0 ? row["name"] : nil
        }
        var found: Set<Int64> = []
        var isComplete = false
        for name in names ?? [] {
            do {
                let rows = try Int64.fetchCursor(source, sql: "SELECT rowid FROM \(table) INDEXED BY \(name)")
                while let rowid = try rows.next() { found.insert(rowid) }
                isComplete = true
            } catch {
                // What came before the damage counts.
            }
        }
        return (found, isComplete)
    }

    /// Whatever belongs together and came through only in part is put into the state that can do no harm.
    static func makeConsistent(_ db: Database, at now: Int64) throws {
        try db.execute(
            sql: """
                -- A history with a hole says nothing: nobody's, until a person decides again.
                DELETE FROM binding WHERE recording IN
                    (SELECT recording FROM binding GROUP BY recording HAVING COUNT(*) <> MAX(n) + 1);
                UPDATE recording SET visit = (SELECT visit FROM binding WHERE recording = uuid ORDER BY n DESC LIMIT 1)
                    WHERE purged_at IS NULL;
                -- Sending may have begun: never again under another content.
                INSERT OR IGNORE INTO outgoing (document, begun_at, facts_begun_at, urgency, begun, origin, received_at,
                        is_superseded)
                    SELECT d.id, \(now), \(now), (r.modality <> 'ecg') * 2 + (d.role <> 'artefact'), r.begun_at, r.origin,
                        (SELECT MAX(received_at) FROM receipt WHERE document = d.id), r.superseded_by IS NOT NULL
                    FROM document d JOIN recording r ON r.uuid = d.recording;
                INSERT OR IGNORE INTO attempt (document) SELECT id FROM document;
                """)
    }
}

extension Transaction {
    /// Entries that are lost stay missed (`verifyAudit` says where); new ones go on after the last.
    fileprivate func takeUpTrail() throws {
        if (try? auditHead()) != nil, try Data.fetchOne(db, sql: "SELECT value FROM meta WHERE key = 'audit'") != nil {
            return
        }
        let last = try Row.fetchOne(db, sql: "SELECT id, hash FROM audit ORDER BY id DESC LIMIT 1")
        guard let last else { return }
        try write(AuditHead(count: last["id"], hash: last["hash"]))
    }
}

extension DatabaseError {
    /// The file isn't what was written, or the disk doesn't give it back.
    fileprivate var isDamage: Bool { [.SQLITE_CORRUPT, .SQLITE_NOTADB, .SQLITE_IOERR].contains(resultCode) }
}
