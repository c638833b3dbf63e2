import GRDB
import Testing

@testable import Store

@Suite struct WriterStepsTests {
    /// What the watchdog goes by while a transaction takes long. (Other suites count, too: this one says that ten thousand rows are many
    /// steps, seen from inside of the transaction.)
    @Test func aLongTransactionIsSeenToGoOn() async throws {
        let bench = try await Bench()
        let (before, during) = try await bench.store.write { tx in
            let before = Store.writerSteps
            let rows = "WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 10000)"
            _ = try Int.fetchOne(tx.db, sql: "\(rows) SELECT COUNT(*) FROM c")
            return (before, Store.writerSteps)
        }
        #expect(during >= before + 50)
    }
}
