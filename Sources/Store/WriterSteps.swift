internal import GRDB
internal import GRDBSQLite
internal import Synchronization

/// Counts what is done by connections that write, also inside of a transaction that takes long: so that a watchdog can tell work from
/// standing still. One count for the process, which has one store.
enum WriterSteps {
    private static let steps = Atomic<UInt64>(0)
    /// Instructions of SQLite's machine between two steps: some milliseconds of work at most.
    private static let instructions: Int32 = 1000

    static var now: UInt64 { steps.load(ordering: .relaxed) }

    /// For loops of short statements, which never come to that many instructions each.
    static func step() { steps.wrappingAdd(1, ordering: .relaxed) }

    static func count(on db: Database) {
        // The connection is open, and the function holds nothing.
        unsafe sqlite3_progress_handler(
            db.sqliteConnection, instructions,
            { _ in
                WriterSteps.step()
                return 0
            }, nil)
    }
}

extension Store {
    /// Goes up while the writer works; stands still while it waits, or hangs.
    public static var writerSteps: UInt64 { WriterSteps.now }
}
