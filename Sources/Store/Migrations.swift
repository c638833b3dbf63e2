internal import GRDB

/// The schema, forward only. A migration that was released is never changed; each has a test from the file before it
/// (`fixtures/store`).
enum Migrations {
    /// - Parameter vault: needed where a migration seals what was in the clear, or marks what was not.
    static func migrator(_ vault: Vault) -> DatabaseMigrator {
        var migrator = DatabaseMigrator()
        migrator.registerMigration("v1") { db in try db.execute(sql: v1) }
        migrator.registerMigration("v2") { db in
            try db.execute(sql: v2Tables)
            try markAll(vault, db)
            try db.execute(sql: v2Rules)
        }
        migrator.registerMigration("answers") { db in try db.execute(sql: answers) }
        migrator.registerMigration("entries") { db in try db.execute(sql: entries) }
        migrator.registerMigration("media") { db in try db.execute(sql: media) }
        migrator.registerMigration("objects") { db in try db.execute(sql: objects) }
        migrator.registerMigration("measurements") { db in
            try db.execute(sql: measurements)
            try nameMeasurements(vault, db)
        }
        migrator.registerMigration("openings") { db in try db.execute(sql: openings) }
        migrator.registerMigration("clocks") { db in try db.execute(sql: clocks) }
        return migrator
    }

    /// Columns called `sealed`, `claim`, `why`, `raw`, `decoded`, `bytes`, `location`, `last_error`, `quarantine` and
    /// `details` are AES-GCM; everything in the clear is an identifier, a time, a count or a hash.
    private static let v1 = """
        CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;

        -- Small values of others (cursors, the server's last discovery).
        CREATE TABLE setting (key TEXT PRIMARY KEY, sealed BLOB NOT NULL) STRICT;

        CREATE TABLE visit (
            id TEXT PRIMARY KEY,
            version TEXT NOT NULL,
            status TEXT NOT NULL CHECK (status IN ('planned', 'open', 'closed', 'cancelled')),
            opened_at INTEGER,
            closed_at INTEGER,
            sealed BLOB NOT NULL
        ) STRICT;
        CREATE UNIQUE INDEX visit_one_open ON visit (status) WHERE status = 'open';

        CREATE TABLE recording (
            uuid TEXT PRIMARY KEY,
            state TEXT NOT NULL CHECK (state IN ('open', 'complete', 'interrupted')),
            kind TEXT NOT NULL,
            modality TEXT NOT NULL,
            origin TEXT NOT NULL,
            source TEXT,
            device TEXT NOT NULL,
            channels TEXT NOT NULL,
            clock TEXT NOT NULL,
            start_known INTEGER NOT NULL,
            said_start TEXT,
            begun_at INTEGER NOT NULL,
            ended_at INTEGER,
            end_reason TEXT,
            chunks INTEGER NOT NULL DEFAULT 0,
            bytes INTEGER NOT NULL DEFAULT 0,
            counts TEXT NOT NULL,
            revision INTEGER NOT NULL DEFAULT 0,
            superseded_by TEXT REFERENCES recording (uuid),
            data_key BLOB NOT NULL,
            claim BLOB
        ) STRICT;
        CREATE INDEX recording_state ON recording (state);
        CREATE INDEX recording_by_source ON recording (source) WHERE source IS NOT NULL;
        CREATE UNIQUE INDEX recording_one_of_source ON recording (source)
            WHERE source IS NOT NULL AND state = 'complete' AND superseded_by IS NULL;
        CREATE TRIGGER recording_stays_sealed BEFORE UPDATE OF state ON recording
            WHEN OLD.state <> 'open' AND NEW.state <> OLD.state
            BEGIN SELECT RAISE(ABORT, 'a sealed recording stays sealed'); END;
        CREATE TRIGGER recording_facts_stay BEFORE UPDATE OF uuid, kind, modality, origin, source, device, channels,
            clock, begun_at, data_key, claim ON recording
            BEGIN SELECT RAISE(ABORT, 'what a recording is does not change'); END;
        CREATE TRIGGER recording_is_kept BEFORE DELETE ON recording
            BEGIN SELECT RAISE(ABORT, 'recordings are not deleted'); END;

        CREATE TABLE chunk (
            recording TEXT NOT NULL REFERENCES recording (uuid),
            n INTEGER NOT NULL,
            first TEXT NOT NULL,
            arrived INTEGER NOT NULL,
            created INTEGER NOT NULL,
            decoder TEXT NOT NULL,
            raw BLOB NOT NULL,
            decoded BLOB NOT NULL,
            PRIMARY KEY (recording, n)
        ) STRICT;
        CREATE TRIGGER chunk_only_while_open BEFORE INSERT ON chunk
            WHEN (SELECT state FROM recording WHERE uuid = NEW.recording) <> 'open'
            BEGIN SELECT RAISE(ABORT, 'a sealed recording takes no samples'); END;

        CREATE TABLE note (
            id INTEGER PRIMARY KEY,
            recording TEXT NOT NULL REFERENCES recording (uuid),
            n INTEGER NOT NULL,
            sealed BLOB NOT NULL,
            UNIQUE (recording, n)
        ) STRICT;

        CREATE TABLE binding (
            recording TEXT NOT NULL REFERENCES recording (uuid),
            n INTEGER NOT NULL,
            visit TEXT NOT NULL REFERENCES visit (id),
            reason TEXT NOT NULL,
            by TEXT NOT NULL,
            at INTEGER NOT NULL,
            why BLOB,
            PRIMARY KEY (recording, n)
        ) STRICT;
        CREATE INDEX binding_visit ON binding (visit);

        CREATE TABLE held (
            recording TEXT PRIMARY KEY REFERENCES recording (uuid),
            at INTEGER NOT NULL,
            sealed BLOB NOT NULL
        ) STRICT;

        CREATE TABLE document (
            id TEXT PRIMARY KEY,
            recording TEXT NOT NULL REFERENCES recording (uuid),
            role TEXT NOT NULL,
            media_type TEXT NOT NULL,
            size INTEGER NOT NULL,
            sha256 TEXT NOT NULL,
            sha1 TEXT NOT NULL,
            frozen_at INTEGER NOT NULL,
            UNIQUE (recording, role)
        ) STRICT;
        CREATE TABLE document_part (
            document TEXT NOT NULL REFERENCES document (id),
            n INTEGER NOT NULL,
            bytes BLOB NOT NULL,
            PRIMARY KEY (document, n)
        ) STRICT;

        CREATE TABLE outgoing (
            document TEXT PRIMARY KEY REFERENCES document (id),
            state TEXT NOT NULL DEFAULT 'none' CHECK (state IN ('none', 'creating', 'created')),
            location BLOB,
            confirmed INTEGER NOT NULL DEFAULT 0,
            restarts INTEGER NOT NULL DEFAULT 0,
            begun_at INTEGER,
            facts TEXT NOT NULL DEFAULT 'none' CHECK (facts IN ('none', 'preliminary', 'final')),
            facts_key TEXT,
            facts_key_state TEXT,
            facts_begun_at INTEGER
        ) STRICT;
        CREATE TABLE attempt (
            document TEXT PRIMARY KEY REFERENCES document (id),
            count INTEGER NOT NULL DEFAULT 0,
            not_before INTEGER NOT NULL DEFAULT 0,
            last_error BLOB,
            quarantined_at INTEGER,
            quarantine BLOB
        ) STRICT;

        CREATE TABLE receipt (
            id INTEGER PRIMARY KEY,
            document TEXT NOT NULL REFERENCES document (id),
            sha256 TEXT NOT NULL,
            size INTEGER NOT NULL,
            stored_at TEXT NOT NULL,
            durability TEXT NOT NULL,
            store_epoch TEXT NOT NULL,
            received_at INTEGER NOT NULL
        ) STRICT;
        CREATE INDEX receipt_document ON receipt (document);

        CREATE TABLE audit (
            id INTEGER PRIMARY KEY,
            at INTEGER NOT NULL,
            actor TEXT NOT NULL,
            action TEXT NOT NULL,
            subject TEXT NOT NULL,
            details BLOB NOT NULL,
            hash BLOB NOT NULL
        ) STRICT;

        CREATE TABLE device (
            driver TEXT NOT NULL,
            model TEXT NOT NULL,
            serial TEXT NOT NULL,
            identity TEXT NOT NULL,
            last_seen INTEGER NOT NULL,
            surprises TEXT NOT NULL DEFAULT '[]',
            PRIMARY KEY (driver, model, serial)
        ) STRICT;

        -- Nothing that was tried to be sent changes or goes away under its identity.
        CREATE TRIGGER outgoing_stays BEFORE DELETE ON outgoing
            WHEN OLD.begun_at IS NOT NULL OR OLD.facts_begun_at IS NOT NULL
            BEGIN SELECT RAISE(ABORT, 'sending has begun: the documents stay as they are'); END;
        CREATE TRIGGER outgoing_stays_begun BEFORE UPDATE OF begun_at, facts_begun_at ON outgoing
            WHEN (OLD.begun_at IS NOT NULL AND NEW.begun_at IS NOT OLD.begun_at)
              OR (OLD.facts_begun_at IS NOT NULL AND NEW.facts_begun_at IS NOT OLD.facts_begun_at)
            BEGIN SELECT RAISE(ABORT, 'a first attempt stays the first'); END;
        CREATE TRIGGER document_part_stays BEFORE DELETE ON document_part
            WHEN EXISTS (SELECT 1 FROM outgoing WHERE document = OLD.document
                AND (begun_at IS NOT NULL OR facts_begun_at IS NOT NULL))
            BEGIN SELECT RAISE(ABORT, 'sending has begun: the documents stay as they are'); END;
        """
        + ["chunk", "note", "binding", "held", "receipt", "audit"].map { table in
            """

            CREATE TRIGGER \(table)_no_delete BEFORE DELETE ON \(table)
                BEGIN SELECT RAISE(ABORT, '\(table) rows are not deleted'); END;
            """
        }.joined()
        + ["chunk", "note", "binding", "held", "receipt", "audit", "document", "document_part"].map { table in
            """

            CREATE TRIGGER \(table)_no_update BEFORE UPDATE ON \(table)
                BEGIN SELECT RAISE(ABORT, '\(table) rows are not changed'); END;
            """
        }.joined()
}
