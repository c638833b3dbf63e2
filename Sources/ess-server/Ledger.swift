import Foundation
import GRDB

/// The server's database: resources, uploads, recordings, remembered answers.
struct Ledger: Sendable {
    let queue: DatabaseQueue
    /// Minted once per store; another one means that the store was restored or made anew.
    let storeEpoch: String

    /// Opens the database, making or migrating it.
    ///
    /// `synchronous = FULL` because a receipt is given as soon as its row is committed.
    init(_ home: Home) throws {
        var configuration = Configuration()
        configuration.journalMode = .wal
        configuration.busyMode = .timeout(10)
        configuration.prepareDatabase { db in
            try db.execute(sql: "PRAGMA synchronous = FULL")
        }
        queue = try DatabaseQueue(path: home.database.path, configuration: configuration)
        try Self.migrator.migrate(queue)
        storeEpoch = try queue.write { db in
            if let known = try String.fetchOne(db, sql: "SELECT value FROM fact WHERE name = 'storeEpoch'") {
                return known
            }
            let minted = UUID().uuidString.lowercased()
            try db.execute(sql: "INSERT INTO fact (name, value) VALUES ('storeEpoch', ?)", arguments: [minted])
            return minted
        }
    }

    /// Another epoch: what agents were given receipts for may not be here any more.
    func mintEpoch() throws -> String {
        let minted = UUID().uuidString.lowercased()
        try queue.write { db in
            try db.execute(sql: "UPDATE fact SET value = ? WHERE name = 'storeEpoch'", arguments: [minted])
        }
        return minted
    }

    private static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("1") { db in
            try db.execute(
                sql: """
                    CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;

                    -- FHIR: the current version of each resource, and every version.
                    CREATE TABLE resource (
                        type TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL,
                        updated INTEGER NOT NULL, body TEXT NOT NULL,
                        PRIMARY KEY (type, id)) STRICT;
                    CREATE INDEX resourceByTime ON resource (type, updated, id);
                    CREATE TABLE history (
                        type TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL,
                        updated INTEGER NOT NULL, body TEXT NOT NULL,
                        PRIMARY KEY (type, id, version)) STRICT;
                    -- One row per searchable value. A reference has its type in `system`.
                    CREATE TABLE term (
                        type TEXT NOT NULL, id TEXT NOT NULL, name TEXT NOT NULL,
                        system TEXT NOT NULL, value TEXT NOT NULL) STRICT;
                    CREATE INDEX termByValue ON term (type, name, value, system);
                    CREATE INDEX termByResource ON term (type, id);
                    CREATE TABLE answer (
                        key TEXT PRIMARY KEY, request TEXT NOT NULL, status INTEGER NOT NULL,
                        headers TEXT NOT NULL, body TEXT NOT NULL, at INTEGER NOT NULL) STRICT;

                    -- Bytes under way. `position` bytes are known to be on the disk.
                    -- state: receiving, checking, wrong, stored.
                    CREATE TABLE upload (
                        id TEXT PRIMARY KEY, rid TEXT NOT NULL UNIQUE, sha256 TEXT NOT NULL, length INTEGER NOT NULL,
                        position INTEGER NOT NULL, state TEXT NOT NULL, found TEXT, metadata TEXT NOT NULL,
                        created INTEGER NOT NULL) STRICT;
                    -- Bytes with a receipt.
                    CREATE TABLE recording (
                        rid TEXT PRIMARY KEY, sha256 TEXT NOT NULL, size INTEGER NOT NULL, stored INTEGER NOT NULL,
                        filename TEXT, filetype TEXT, visit TEXT) STRICT;
                    """)
        }
        return migrator
    }
}
