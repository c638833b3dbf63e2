/// Files that are carried as they are (images, loops, bundles), and what was done with each file of a medium.
extension Migrations {
    /// `sealed` is AES-GCM; `size`, `sha256` and `sha1` are NULL until the whole file is here.
    static let media = """
        CREATE TABLE carried (
            recording TEXT PRIMARY KEY REFERENCES recording (uuid),
            media_type TEXT NOT NULL,
            size INTEGER,
            sha256 TEXT,
            sha1 TEXT,
            sealed BLOB NOT NULL
        ) STRICT;
        CREATE INDEX carried_content ON carried (sha256) WHERE sha256 IS NOT NULL;
        CREATE INDEX carried_size ON carried (size) WHERE size IS NOT NULL;
        CREATE TRIGGER carried_stays BEFORE UPDATE ON carried WHEN OLD.sha256 IS NOT NULL
            AND (SELECT purged_at FROM recording WHERE uuid = OLD.recording) IS NULL
            BEGIN SELECT RAISE(ABORT, 'what a file is does not change'); END;

        -- A file of a medium, known by a hash of its place and of what was read of it, and the recording that holds it.
        CREATE TABLE medium_file (
            mark TEXT PRIMARY KEY,
            recording TEXT NOT NULL REFERENCES recording (uuid),
            at INTEGER NOT NULL
        ) STRICT;

        -- A document whose bytes are the recording's chunks: not kept a second time.
        ALTER TABLE document ADD COLUMN is_carried INTEGER NOT NULL DEFAULT 0;
        """
}
