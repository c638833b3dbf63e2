internal import FoundationEssentials
internal import GRDB

/// Loans, purging, marks that notice changed rows, readings, and columns from which the outbox and the counts are read
/// without looking at every recording.
extension Migrations {
    /// Columns called `mark` are AES-GCM tags of an empty text under the recording's data key; what they vouch for is
    /// their associated data (`Transaction.facts`).
    static let v2Tables = """
        CREATE TABLE loan (
            id INTEGER PRIMARY KEY,
            driver TEXT NOT NULL,
            serial TEXT,
            visit TEXT NOT NULL REFERENCES visit (id),
            sealed BLOB NOT NULL
        ) STRICT;
        CREATE INDEX loan_device ON loan (driver, serial);
        CREATE INDEX loan_visit ON loan (visit);

        CREATE TABLE reading (
            recording TEXT NOT NULL REFERENCES recording (uuid),
            n INTEGER NOT NULL,
            sealed BLOB NOT NULL,
            PRIMARY KEY (recording, n)
        ) STRICT;

        ALTER TABLE recording ADD COLUMN mark BLOB;
        ALTER TABLE binding ADD COLUMN mark BLOB;

        -- The binding that holds, or NULL; why there is none; whether documents exist; when the payload was destroyed.
        ALTER TABLE recording ADD COLUMN visit TEXT;
        ALTER TABLE recording ADD COLUMN doubt TEXT;
        ALTER TABLE recording ADD COLUMN is_frozen INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE recording ADD COLUMN purged_at INTEGER;

        -- NULL while the last whole worklist named it; when its identity was destroyed.
        ALTER TABLE visit ADD COLUMN left_at INTEGER;
        ALTER TABLE visit ADD COLUMN purged_at INTEGER;

        -- What orders the outbox. `received_at` is NULL again when the server lost what it had (`lost` is the last receipt
        -- that no longer counts).
        ALTER TABLE outgoing ADD COLUMN urgency INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE outgoing ADD COLUMN begun INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE outgoing ADD COLUMN origin TEXT NOT NULL DEFAULT 'device';
        ALTER TABLE outgoing ADD COLUMN received_at INTEGER;
        ALTER TABLE outgoing ADD COLUMN lost INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE outgoing ADD COLUMN is_quarantined INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE outgoing ADD COLUMN is_superseded INTEGER NOT NULL DEFAULT 0;

        UPDATE recording SET
            visit = (SELECT visit FROM binding WHERE recording = uuid ORDER BY n DESC LIMIT 1),
            is_frozen = EXISTS (SELECT 1 FROM document WHERE recording = uuid),
            doubt = CASE WHEN EXISTS (SELECT 1 FROM held WHERE recording = uuid) THEN 'contradiction' END;
        UPDATE outgoing SET
            urgency = (r.modality <> 'ecg') * 2 + (d.role <> 'artefact'),
            begun = r.begun_at,
            origin = r.origin,
            received_at = (SELECT MAX(received_at) FROM receipt WHERE document = d.id),
            is_quarantined = a.quarantined_at IS NOT NULL,
            is_superseded = r.superseded_by IS NOT NULL
            FROM document d JOIN recording r ON r.uuid = d.recording JOIN attempt a ON a.document = d.id
            WHERE outgoing.document = d.id;
        """

    static let v2Rules =
        """
        DROP INDEX recording_state;
        CREATE INDEX recording_open ON recording (uuid) WHERE state = 'open';
        CREATE INDEX recording_order ON recording (begun_at, uuid);
        CREATE INDEX recording_unbound ON recording (begun_at) WHERE visit IS NULL AND superseded_by IS NULL;
        CREATE INDEX recording_undated ON recording (begun_at) WHERE start_known = 0;
        CREATE INDEX recording_unfrozen ON recording (begun_at) WHERE is_frozen = 0 AND superseded_by IS NULL;
        CREATE INDEX recording_visit ON recording (visit) WHERE visit IS NOT NULL;
        CREATE INDEX recording_kept ON recording (begun_at) WHERE purged_at IS NULL;
        -- With every column that is asked for: SQLite then counts without looking at the table.
        CREATE INDEX outgoing_pending
            ON outgoing (urgency, begun, document, origin, begun_at, received_at, is_superseded, is_quarantined)
            WHERE received_at IS NULL AND is_superseded = 0 AND is_quarantined = 0;
        CREATE INDEX outgoing_quarantined ON outgoing (is_quarantined, received_at, is_superseded)
            WHERE is_quarantined = 1;
        CREATE INDEX outgoing_received ON outgoing (received_at) WHERE received_at IS NOT NULL;
        CREATE INDEX outgoing_unannounced ON outgoing (urgency, begun, document) WHERE facts = 'none';
        CREATE INDEX outgoing_unfinished ON outgoing (urgency, begun, document) WHERE facts = 'preliminary';
        CREATE INDEX outgoing_facts_key ON outgoing (facts_key) WHERE facts_key IS NOT NULL;
        CREATE INDEX attempt_waiting ON attempt (not_before) WHERE not_before > 0;

        DROP TRIGGER recording_facts_stay;
        CREATE TRIGGER recording_facts_stay BEFORE UPDATE OF uuid, kind, modality, origin, source, device, channels,
            clock, begun_at, mark ON recording
            BEGIN SELECT RAISE(ABORT, 'what a recording is does not change'); END;
        CREATE TRIGGER recording_key_stays BEFORE UPDATE OF data_key, claim ON recording WHEN NEW.purged_at IS NULL
            BEGIN SELECT RAISE(ABORT, 'a data key is only destroyed by purging'); END;
        CREATE TRIGGER recording_stays_purged BEFORE UPDATE OF purged_at ON recording
            WHEN OLD.purged_at IS NOT NULL AND NEW.purged_at IS NOT OLD.purged_at
            BEGIN SELECT RAISE(ABORT, 'what was purged is gone'); END;
        -- The last line of defence of "nothing is deleted before the server's receipt".
        CREATE TRIGGER recording_purge_needs_receipts BEFORE UPDATE OF purged_at ON recording
            WHEN NEW.purged_at IS NOT NULL AND (
                NEW.state = 'open' OR NEW.superseded_by IS NOT NULL
                OR NOT EXISTS (SELECT 1 FROM document WHERE recording = NEW.uuid)
                OR EXISTS (SELECT 1 FROM document d JOIN outgoing o ON o.document = d.id
                    WHERE d.recording = NEW.uuid AND (o.received_at IS NULL OR o.is_quarantined OR NOT EXISTS (
                        SELECT 1 FROM receipt x WHERE x.document = d.id AND x.sha256 = d.sha256 AND x.size = d.size
                        AND x.id > o.lost))))
            BEGIN SELECT RAISE(ABORT, 'nothing is deleted before the server''s receipt'); END;

        DROP TRIGGER document_part_stays;
        CREATE TRIGGER document_part_stays BEFORE DELETE ON document_part
            WHEN EXISTS (SELECT 1 FROM outgoing WHERE document = OLD.document
                AND (begun_at IS NOT NULL OR facts_begun_at IS NOT NULL))
            AND (SELECT r.purged_at FROM document d JOIN recording r ON r.uuid = d.recording
                WHERE d.id = OLD.document) IS NULL
            BEGIN SELECT RAISE(ABORT, 'sending has begun: the documents stay as they are'); END;
        CREATE TRIGGER loan_no_delete BEFORE DELETE ON loan
            BEGIN SELECT RAISE(ABORT, 'loan rows are not deleted'); END;
        CREATE TRIGGER loan_stays BEFORE UPDATE OF id, driver, serial, visit ON loan
            BEGIN SELECT RAISE(ABORT, 'whom a device was lent to does not change'); END;
        CREATE TRIGGER reading_no_update BEFORE UPDATE ON reading
            BEGIN SELECT RAISE(ABORT, 'reading rows are not changed'); END;
        """
        + ["chunk", "note", "held"].map { "\nDROP TRIGGER \($0)_no_delete;" }.joined()
        + ["chunk", "note", "held", "reading"].map { table in
            """

            CREATE TRIGGER \(table)_no_delete BEFORE DELETE ON \(table)
                WHEN (SELECT purged_at FROM recording WHERE uuid = OLD.recording) IS NULL
                BEGIN SELECT RAISE(ABORT, '\(table) rows are not deleted'); END;
            """
        }.joined()

    /// Vouches for what was written before there were marks.
    static func markAll(_ vault: Vault, _ db: Database) throws {
        try db.execute(sql: "DROP TRIGGER binding_no_update")
        for uuid in try String.fetchAll(db, sql: "SELECT uuid FROM recording") {
            guard let row = try Row.fetchOne(db, sql: "SELECT * FROM recording WHERE uuid = ?", arguments: [uuid])
            else { continue }
            let key = try vault.unwrap(row["data_key"], for: uuid)
            try db.execute(
                sql: "UPDATE recording SET mark = ? WHERE uuid = ?",
                arguments: [try key.seal([UInt8](), at: try Transaction.facts(of: row)), uuid])
            for binding in try Row.fetchAll(db, sql: "SELECT * FROM binding WHERE recording = ?", arguments: [uuid]) {
                try db.execute(
                    sql: "UPDATE binding SET mark = ? WHERE recording = ? AND n = ?",
                    arguments: [
                        try key.seal([UInt8](), at: try Transaction.facts(ofBinding: binding)), uuid,
                        binding["n"] as Int,
                    ])
            }
        }
        try db.execute(
            sql: """
                CREATE TRIGGER binding_no_update BEFORE UPDATE ON binding
                    BEGIN SELECT RAISE(ABORT, 'binding rows are not changed'); END;
                """)
    }
}

extension Transaction {
    /// Everything about a recording that is in the clear and never changes, as the text that its mark vouches for.
    static func facts(of row: Row) throws -> String {
        let columns = ["uuid", "kind", "modality", "origin", "source", "device", "channels", "clock"]
        var fields: [String?] = try columns.map { try row[$0] }
        fields.append("\(try row["begun_at"] as Int64)")
        // Recordings from before there was the column, and files without an identity, have a mark without it.
        if let object = try row["object"] as String? { fields.append(object) }
        return joined("recording", fields)
    }

    /// Whose a recording is, as the text that the binding's mark vouches for.
    static func facts(ofBinding row: Row) throws -> String {
        joined(
            "binding",
            [
                try row["recording"] as String?, "\(try row["n"] as Int)", try row["visit"], try row["reason"],
                try row["by"],
                "\(try row["at"] as Int64)",
            ])
    }

    /// Lengths first, so that a letter can't move from one field into the next.
    static func joined(_ what: String, _ fields: [String?]) -> String {
        what + fields.map { $0.map { "|\($0.utf8.count):\($0)" } ?? "|-" }.joined()
    }
}
