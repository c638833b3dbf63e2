/// Every time that a visit was open: one that was opened again was also open before, and what was made then is still its patient's.
extension Migrations {
    static let openings = """
        CREATE TABLE opening (
            n INTEGER PRIMARY KEY,
            visit TEXT NOT NULL REFERENCES visit (id),
            opened_at INTEGER NOT NULL,
            closed_at INTEGER
        ) STRICT;
        CREATE INDEX opening_visit ON opening (visit);
        -- What was before is in the trail; a visit that the server cancelled has no end there.
        INSERT INTO opening (visit, opened_at, closed_at)
            SELECT visit.id, begun.at, COALESCE(
                (SELECT MIN(ended.at) FROM audit ended
                    WHERE ended.action = 'visit.close' AND ended.subject = visit.id AND ended.id > begun.id),
                CASE WHEN status = 'open' THEN NULL ELSE closed_at END)
            FROM audit begun JOIN visit ON visit.id = begun.subject WHERE begun.action = 'visit.open'
            ORDER BY begun.id;
        INSERT INTO opening (visit, opened_at, closed_at)
            SELECT id, opened_at, CASE WHEN status = 'open' THEN NULL ELSE closed_at END FROM visit
            WHERE opened_at IS NOT NULL AND id NOT IN (SELECT visit FROM opening);
        -- Whoever opens or closes it.
        CREATE TRIGGER opening_begins AFTER UPDATE OF opened_at ON visit WHEN NEW.opened_at IS NOT NULL
            BEGIN INSERT INTO opening (visit, opened_at) VALUES (NEW.id, NEW.opened_at); END;
        CREATE TRIGGER opening_ends AFTER UPDATE OF closed_at ON visit WHEN NEW.closed_at IS NOT NULL
            BEGIN UPDATE opening SET closed_at = NEW.closed_at WHERE visit = NEW.id AND closed_at IS NULL; END;
        """

    /// `HostReading` as JSON: the wall clock may be set before the next visit.
    static let clocks = """
        ALTER TABLE opening ADD COLUMN opened_clocks TEXT;
        ALTER TABLE opening ADD COLUMN closed_clocks TEXT;
        """
}
