import Clinical
import GRDB
import Testing

@testable import Store

@Suite struct Durability {
    @Test func theWriterSyncsEveryCommit() async throws {
        let bench = try await Bench()
        let settings = try await bench.store.write { tx in
            try ["synchronous", "auto_vacuum", "foreign_keys"].map {
                try Int.fetchOne(tx.db, sql: "PRAGMA \($0)")
            }
        }
        #expect(settings == [2, 2, 1])
        let mode = try await bench.store.read { tx in try String.fetchOne(tx.db, sql: "PRAGMA journal_mode") }
        #expect(mode == "wal")
    }

    /// SQLite says "full", as it does when the disk is.
    @Test func aFullDiskLosesNothingThatWasAcknowledged() async throws {
        let bench = try await Bench()
        let recording = Recording.sample()
        let store = bench.store
        try await store.begin(recording, binding: nil)
        try await store.append(recording.id, blocks: [.sample(0)])
        // Not in a transaction's way: the limit holds for the connection.
        try await store.write { tx in
            let pages = try Int.fetchOne(tx.db, sql: "PRAGMA page_count") ?? 0
            try tx.db.execute(sql: "PRAGMA max_page_count = \(pages + 4)")
        }
        var stored = 1
        var error: StoreError?
        while error == nil, stored < 1000 {
            var block = Block.sample(stored)
            block.raw += [UInt8](repeating: 7, count: 5000)
            let next = block
            error = await failure { try await store.append(recording.id, blocks: [next]) }
            if error == nil { stored += 1 }
        }
        #expect(error == .diskFull)
        try await store.write { tx in try tx.db.execute(sql: "PRAGMA max_page_count = 1000000") }
        try await store.seal(recording.id, reason: .storageFailed)
        let samples = try await store.waveform(recording.id).samples[0]
        #expect(samples.count == stored)
        #expect(try await store.recording(recording.id)?.summary.samples.first == stored)
    }
}
