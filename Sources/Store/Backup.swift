internal import Clinical
internal import FoundationEssentials
internal import GRDB

/// What a restore did.
public struct RestoreReport: Sendable, Equatable, Codable {
    /// Recordings in the restored store.
    public var recordings: Int
    /// Where the store that was there before is kept now; nil when there was none.
    public var replaced: String?
}

extension Store {
    /// A consistent copy of the store as it is at this moment, sealed as the store is, while everything goes on. Useless
    /// without the master key, which is not in it.
    /// - Parameter path: a file that doesn't exist yet; it appears, private, when the copy is complete and checked.
    /// - Throws: `.refused` when there is such a file; `.diskFull`.
    public func backup(to path: String, by actor: String) async throws(StoreError) {
        guard !Files.exists(path) else { throw .refused("there is a file of that name already") }
        try await audit(by: actor, action: AuditAction.backUp, subject: "store")
        let partial = "\(path).partial"
        try await outside { [self] in
            try Files.create(partial, [])
            defer { Self.removeDatabase(partial) }
            try Self.copy(pool, to: partial)
            // Never over a file that somebody made meanwhile.
            try Files.link(partial, as: path)
        }
    }

    private static func copy(_ pool: DatabasePool, to path: String) throws {
        var configuration = Configuration()
        configuration.foreignKeysEnabled = false
        let copy = try DatabaseQueue(path: path, configuration: configuration)
        try pool.backup(to: copy)
        try copy.writeWithoutTransaction { db in
            // One file, without a log beside it.
            _ = try String.fetchOne(db, sql: "PRAGMA journal_mode = DELETE")
            let problems = try String.fetchAll(db, sql: "PRAGMA quick_check(10)").filter { $0 != "ok" }
            if let first = problems.first { throw StoreError.corrupt(first) }
        }
        try copy.close()
        try Files.sync(path)
    }

    /// Puts a backup in the store's place, while no agent runs. The store that was there is kept under another name in
    /// the same directory.
    /// - Parameter force: also when the present store holds what was not sent, or can't be read.
    /// - Throws: `.inUse`, `.wrongKey` (the backup is sealed with another key), `.corrupt` (the backup is damaged),
    ///   `.notFound`, `.refused` when the present store holds recordings that no receipt covers.
    public static func restore(
        from path: String, to directory: String, key: MasterKey, environment: Environment, force: Bool = false,
        by actor: String
    ) async throws(StoreError) -> RestoreReport {
        let file = "\(directory)/\(fileName)"
        let incoming = "\(file).incoming"
        let result: Result<String?, StoreError> = await withCheckedContinuation { continuation in
            DispatchGate.run {
                let result = Result {
                    let lock = try DirectoryLock(directory: directory)
                    defer { lock.release() }
                    removeDatabase(incoming)
                    defer { removeDatabase(incoming) }
                    try Files.copy(path, to: incoming)
                    try inspect(incoming, Vault(key))
                    guard Files.exists(file) else {
                        try Files.rename(incoming, to: file)
                        return String?.none
                    }
                    let unsent = Result { try settleAndCountUnsent(file) }
                    switch unsent {
                    case .success(0): break
                    case .success(let count) where !force:
                        throw StoreError.refused(
                            "the present store holds \(count) recordings that no receipt covers: they would be put aside"
                        )
                    case .failure where !force:
                        throw StoreError.refused(
                            "the present store can't be read to see what was not sent: it would be put aside")
                    default: break
                    }
                    let old = "\(file).replaced-\(environment.now())"
                    // The old one keeps a name at every moment, and its place is never empty: an agent that starts in
                    // between finds the one or the other.
                    try Files.link(file, as: old)
                    for end in ["-wal", "-shm"] where Files.exists(file + end) {
                        try Files.rename(file + end, to: old + end)
                    }
                    try Files.rename(incoming, to: file)
                    return old
                }
                continuation.resume(returning: result.mapError { StoreError($0) })
            }
        }
        let replaced = try result.get()
        let store = try await open(directory: directory, key: key, environment: environment)
        try await store.audit(by: actor, action: AuditAction.restore, subject: "store")
        let recordings = try await store.statusCounts().recordings
        try await store.close()
        return RestoreReport(recordings: recordings, replaced: replaced)
    }

    /// Whether a backup is whole, of a known version, and sealed with this key.
    private static func inspect(_ path: String, _ vault: Vault) throws {
        let queue = try DatabaseQueue(path: path, configuration: configuration(readOnly: true))
        defer { try? queue.close() }
        try queue.read { db in
            let problems = try String.fetchAll(db, sql: "PRAGMA quick_check(10)").filter { $0 != "ok" }
            if let first = problems.first { throw StoreError.corrupt("the backup: \(first)") }
            guard try db.tableExists("recording"), try db.tableExists("meta") else {
                throw StoreError.corrupt("the file is not a backup of a store")
            }
            guard try !Migrations.migrator(vault).hasBeenSuperseded(db) else {
                throw StoreError.refused("the backup was written by a newer version")
            }
            guard try check(vault, db) else { throw StoreError.corrupt("the key check is gone") }
        }
    }

    /// Writes the present store's log back, so that it is one file, and counts what only it has.
    private static func settleAndCountUnsent(_ file: String) throws -> Int {
        let queue = try DatabaseQueue(path: file, configuration: configuration())
        defer { try? queue.close() }
        return try queue.writeWithoutTransaction { db in
            _ = try Row.fetchOne(db, sql: "PRAGMA wal_checkpoint(TRUNCATE)")
            guard try db.tableExists("recording") else { return 0 }
            // Also for stores that an older version left: only columns of the first schema, which had no values.
            let isSomething = try db.tableExists("reading") ? Transaction.isSomething : "chunks > 0"
            return try Int.fetchOne(
                db,
                sql: """
                    SELECT COUNT(*) FROM recording WHERE \(isSomething) AND superseded_by IS NULL AND (
                        NOT EXISTS (SELECT 1 FROM document WHERE recording = uuid)
                        OR EXISTS (SELECT 1 FROM document d WHERE d.recording = uuid
                            AND NOT EXISTS (SELECT 1 FROM receipt WHERE receipt.document = d.id)))
                    """) ?? 0
        }
    }

    static func removeDatabase(_ path: String) {
        // Leftovers of an attempt that failed; the next one tries again.
        for end in ["", "-wal", "-shm", "-journal"] { try? Files.remove(path + end) }
    }
}
