/// The identity that a file gives itself, so that another file with the same one is noticed.
extension Migrations {
    static let objects = """
        ALTER TABLE recording ADD COLUMN object TEXT;
        CREATE INDEX recording_object ON recording (object) WHERE object IS NOT NULL;
        DROP TRIGGER recording_facts_stay;
        CREATE TRIGGER recording_facts_stay BEFORE UPDATE OF uuid, kind, modality, origin, source, device, channels,
            clock, begun_at, mark, object ON recording
            BEGIN SELECT RAISE(ABORT, 'what a recording is does not change'); END;
        """
}
