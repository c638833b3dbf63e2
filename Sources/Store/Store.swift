public import Clinical
internal import FoundationEssentials
internal import GRDB
internal import Synchronization

/// The agent's memory: one SQLite file, one writer, everything of a patient sealed. What a call has returned from is on
/// the disk (WAL, `synchronous=FULL`). Calls never block the cooperative pool, and are carried out even when the calling
/// task is cancelled: an ending session still seals.
public final class Store: Sendable {
    /// What the store gets from outside instead of reading it itself.
    public struct Environment: Sendable {
        /// Unix time in milliseconds.
        public var now: @Sendable () -> Int64
        /// Bytes that may still be written; nil when nobody knows.
        public var freeSpace: @Sendable () -> Int64?
        public var disk: DiskPolicy
        /// Name and version of what decodes, kept beside each chunk: `ess-agent 0.1.0`.
        public var decoder: String
        /// Where the laptop is: what the clocks on the wall show.
        public var zone: ZoneRule
        /// How payloads are made smaller before they are sealed.
        public var coding: PayloadCoding
        /// All clocks of the laptop at one moment; nil when nobody reads them.
        public var clocks: @Sendable () -> HostReading?

        public init(
            now: @escaping @Sendable () -> Int64, freeSpace: @escaping @Sendable () -> Int64?,
            disk: DiskPolicy = DiskPolicy(), decoder: String, zone: ZoneRule = .paris, coding: PayloadCoding = .none,
            clocks: @escaping @Sendable () -> HostReading? = { nil }
        ) {
            self.now = now
            self.freeSpace = freeSpace
            self.disk = disk
            self.decoder = decoder
            self.zone = zone
            self.coding = coding
            self.clocks = clocks
        }
    }

    public static let fileName = "ess-agent.sqlite"

    let environment: Environment
    let directory: String
    /// Changes when the master key does, while nobody reads or writes.
    let vault: Mutex<Vault>
    let pool: DatabasePool
    private let lock: DirectoryLock
    /// What was found so far.
    let damage = Mutex(KnownDamage())
    let growing = Mutex(GrowingRecordings())
    let appends = Mutex(WaitingAppends())

    private init(
        environment: Environment, directory: String, vault: Vault, pool: DatabasePool, lock: DirectoryLock
    ) {
        self.environment = environment
        self.directory = directory
        self.vault = Mutex(vault)
        self.pool = pool
        self.lock = lock
    }

    /// Opens, creates or migrates the store in a directory of its own.
    /// - Throws: `.inUse` when another process has it, `.wrongKey`, `.corrupt`, `.readOnly`, `.refused` when a newer
    ///   version wrote it.
    public static func open(
        directory: String, key: MasterKey, environment: Environment
    ) async throws(StoreError) -> Store {
        let result: Result<Store, StoreError> = await withCheckedContinuation { continuation in
            // A thread of its own, once: opening migrates and replays the WAL, which may take long.
            DispatchGate.run {
                continuation.resume(
                    returning: Result { () throws(StoreError) in
                        try openBlocking(directory: directory, key: key, environment: environment)
                    })
            }
        }
        return try result.get()
    }

    private static func openBlocking(
        directory: String, key: MasterKey, environment: Environment
    ) throws(StoreError) -> Store {
        let lock = try DirectoryLock(directory: directory)
        let path = "\(directory)/\(fileName)"
        try DirectoryLock.prepareFile(path)
        let vault = Vault(key)
        let configuration = configuration()
        do {
            // SQLite takes a file that is shorter than any header for an empty one, and would begin anew.
            if let size = Files.size(path), (1..<512).contains(size) { throw StoreError.corrupt("the file is cut") }
            let pool = try DatabasePool(path: path, configuration: configuration)
            let migrator = Migrations.migrator(vault)
            guard try !pool.read(migrator.hasBeenSuperseded) else {
                throw StoreError.refused("this store was written by a newer version")
            }
            // GRDB sets NORMAL for WAL, which may lose the last commits at a power cut.
            try pool.writeWithoutTransaction { try $0.execute(sql: "PRAGMA synchronous = FULL") }
            // Before migrating: a wrong key must not change anything.
            if try pool.read({ try $0.tableExists("meta") }) { _ = try pool.read { try check(vault, $0) } }
            try migrator.migrate(pool)
            try pool.write { if try !check(vault, $0) { try writeCheck(vault, $0) } }
            return Store(environment: environment, directory: directory, vault: vault, pool: pool, lock: lock)
        } catch {
            lock.release()
            throw StoreError(error)
        }
    }

    static func configuration(readOnly: Bool = false) -> Configuration {
        var configuration = Configuration()
        configuration.readonly = readOnly
        configuration.foreignKeysEnabled = true
        // Only somebody with a shell can be in the way, and not for long.
        configuration.busyMode = .timeout(5)
        configuration.prepareDatabase { db in
            // Only takes effect on an empty file, and must come before WAL.
            if !db.configuration.readonly { try db.execute(sql: "PRAGMA auto_vacuum = INCREMENTAL") }
            try db.execute(sql: "PRAGMA secure_delete = ON")
            try db.execute(sql: "PRAGMA temp_store = MEMORY")
            try db.execute(sql: "PRAGMA trusted_schema = OFF")
            // Looks at each page before believing it; see `Transaction.forgetPages`.
            try db.execute(sql: "PRAGMA cell_size_check = ON")
            if !db.configuration.readonly { WriterSteps.count(on: db) }
        }
        return configuration
    }

    private static let checkText = "ess-agent store"

    static func writeCheck(_ vault: Vault, _ db: Database) throws {
        let check = try vault.identity.seal(text: checkText, at: "meta|check")
        try db.execute(
            sql: "INSERT INTO meta (key, value) VALUES ('check', ?) "
                + "ON CONFLICT (key) DO UPDATE SET value = excluded.value", arguments: [check])
    }

    /// False when there is nothing to check the key against yet.
    @discardableResult
    static func check(_ vault: Vault, _ db: Database) throws -> Bool {
        guard let check = try Data.fetchOne(db, sql: "SELECT value FROM meta WHERE key = 'check'") else {
            // Killed between the schema and the check of the very first start: nothing is sealed yet.
            guard try Int.fetchOne(db, sql: "SELECT COUNT(*) FROM recording") == 0,
                try Int.fetchOne(db, sql: "SELECT COUNT(*) FROM visit") == 0
            else { throw StoreError.corrupt("the key check is gone") }
            return false
        }
        do { _ = try vault.identity.open(check, at: "meta|check") } catch { throw StoreError.wrongKey }
        return true
    }

    /// Writes the WAL back into the file, closes it and lets the next process in. Nothing works afterwards.
    public func close() async throws(StoreError) {
        try await outside { [self] in
            // On a full disk the log stays beside the file, and is read at the next start. Let go all the same.
            defer { lock.release() }
            let written = Result { try pool.writeWithoutTransaction(Self.emptyLog) }
            try pool.close()
            try written.get()
        }
    }

    /// A trivial write that has to reach the disk.
    public func healthCheck() async throws(StoreError) {
        try await write { tx in
            try tx.db.execute(
                sql: "INSERT INTO meta (key, value) VALUES ('heartbeat', ?) "
                    + "ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                arguments: [Data("\(tx.now)".utf8)])
        }
    }

    /// What the disk allows at this moment.
    public func diskVerdict() -> DiskPolicy.Verdict { environment.disk.verdict(free: environment.freeSpace()) }

    /// A small value that was kept under a name, or nil.
    public func value(forKey key: String) async throws(StoreError) -> String? {
        try await read { tx in try tx.setting(key) }
    }

    /// Keeps a small value under a name (a cursor, the server's last discovery); nil removes it. The name holds no
    /// identity.
    public func setValue(_ value: String?, forKey key: String) async throws(StoreError) {
        try await write { tx in try tx.set(value, forKey: key) }
    }

    // MARK: - Access

    /// One transaction on the writer's queue; all or nothing. Not cancellable, on purpose.
    func write<T: Sendable>(_ body: @escaping @Sendable (Transaction) throws -> T) async throws(StoreError) -> T {
        let result: Result<T, StoreError> = await withCheckedContinuation { continuation in
            pool.asyncWrite(
                { [self] db in try transaction(db).run(body) },
                completion: { _, result in continuation.resume(returning: result.mapError { StoreError($0) }) })
        }
        return try result.get()
    }

    /// A consistent snapshot on a reader's queue.
    func read<T: Sendable>(_ body: @escaping @Sendable (Transaction) throws -> T) async throws(StoreError) -> T {
        let result: Result<T, StoreError> = await withCheckedContinuation { continuation in
            pool.asyncRead { [self] access in
                let result = Result { try transaction(try access.get()).run(body) }
                continuation.resume(returning: result.mapError { StoreError($0) })
            }
        }
        return try result.get()
    }

    /// The key is asked for inside: while it is replaced, nobody is here.
    func transaction(_ db: Database) -> Transaction {
        Transaction(db: db, vault: vault.withLock { $0 }, environment: environment)
    }

    /// Work that is no transaction and blocks (a checkpoint, a copy of the file), on a thread of its own.
    func outside<T: Sendable>(_ body: @escaping @Sendable () throws -> T) async throws(StoreError) -> T {
        let result: Result<T, StoreError> = await withCheckedContinuation { continuation in
            DispatchGate.run {
                let result = Result { try body() }
                continuation.resume(returning: result.mapError { StoreError($0) })
            }
        }
        return try result.get()
    }

    /// As SQL: the C function for it ends the process when the connection is closed.
    private static func emptyLog(_ db: Database) throws {
        let busy = try Int.fetchOne(db, sql: "PRAGMA wal_checkpoint(TRUNCATE)")
        if busy != 0 { throw StoreError.system("the log is still being read") }
    }

    /// Writes the log back into the file and empties it: what was overwritten or deleted is in neither any more.
    func emptyLog() async throws(StoreError) {
        try await outside { [self] in
            try pool.writeWithoutTransaction(Self.emptyLog)
        }
    }
}

/// What the bodies of `Store.write` and `Store.read` work with.
struct Transaction {
    let db: Database
    let vault: Vault
    let environment: Store.Environment

    var now: Int64 { environment.now() }

    fileprivate func run<T>(_ body: (Transaction) throws -> T) throws -> T {
        do {
            return try body(self)
        } catch {
            if case .corrupt = StoreError(error) { forgetPages() }
            throw error
        }
    }

    /// A damaged page fails only the first look at it: SQLite (btree.c, btreeInitPage) marks it as looked at before it checks its cells,
    /// and believes it as long as it is in the connection's cache. What is said of a recording beside the damage must not depend on
    /// who looked before, so such pages are read anew.
    func forgetPages() { try? db.execute(sql: "PRAGMA shrink_memory") }
}
