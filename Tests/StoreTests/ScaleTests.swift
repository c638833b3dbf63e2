import Clinical
import Foundation
import GRDB
import Testing

@testable import Store

/// Measured by hand, or by a bench: `ESS_MEASURE=100000 swift test --filter Scale`.
@Suite(
    .enabled(if: ProcessInfo.processInfo.environment["ESS_MEASURE"] != nil, "set ESS_MEASURE to a number of recordings")
)
struct Scale {
    @Test func manyRecordings() async throws {
        let count = ProcessInfo.processInfo.environment["ESS_MEASURE"].flatMap(Int.init) ?? 1000
        let bench = try await Bench()
        let store = bench.store
        let binding = try await bench.openVisit()
        let first = Recording.sample(modality: .ecg)
        try await store.begin(first, binding: binding)
        try await store.append(first.id, blocks: [.sample(0)])
        try await store.seal(first.id, reason: .finished)
        try await bench.freeze(first.id)
        try await store.close()
        // Straight into the file, in the shape of that one recording; what is sealed in them is never opened here.
        let queue = try DatabaseQueue(path: bench.scratch.database)
        try await queue.write { db in
            for trigger in try String.fetchAll(db, sql: "SELECT name FROM sqlite_master WHERE type = 'trigger'") {
                try db.execute(sql: "DROP TRIGGER \(trigger)")
            }
            try db.execute(
                sql: """
                    CREATE TEMP TABLE copy AS WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < :n)
                        SELECT n, lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-' || hex(randomblob(2)) || '-'
                            || hex(randomblob(2)) || '-' || hex(randomblob(6))) AS uuid FROM c;
                    """, arguments: ["n": count])
            try db.execute(
                sql: """
                    INSERT INTO recording (uuid, state, kind, modality, origin, source, device, channels, clock,
                        start_known, begun_at, ended_at, end_reason, chunks, bytes, counts, revision, data_key, mark,
                        visit, doubt, is_frozen)
                    SELECT copy.uuid, 'complete', kind, iif(n % 5, 'oximetry', 'ecg'), origin, 's' || n, device,
                        channels, clock, 1, begun_at + n, ended_at, end_reason, 1, bytes, counts, 1, data_key, mark,
                        iif(n % 100, visit, NULL), NULL, n % 50 <> 0 FROM copy, recording WHERE recording.uuid = :id;
                    INSERT INTO binding SELECT uuid, 0, 'v1', 'openVisit', 'nurse', 1, NULL, NULL FROM copy WHERE n % 100;
                    INSERT INTO chunk SELECT copy.uuid, chunk.n, first, arrived, created, decoder, randomblob(600),
                        decoded FROM copy, chunk WHERE recording = :id;
                    INSERT INTO document SELECT uuid || r, uuid, iif(r, 'original', 'artefact'), 'application/edf',
                        800, hex(randomblob(32)), hex(randomblob(10)), 1
                        FROM copy, (SELECT 0 AS r UNION SELECT 1) WHERE n % 50;
                    INSERT INTO document_part SELECT id, 0, randomblob(800) FROM document WHERE recording <> :id;
                    INSERT INTO attempt (document) SELECT id FROM document WHERE recording <> :id;
                    INSERT INTO outgoing (document, urgency, begun, begun_at, received_at, facts)
                        SELECT uuid || r, 2 + r, 9e12 + n, 1, iif(n % 10 = 9, NULL, 5), iif(n % 10 = 9, 'none', 'final')
                        FROM copy, (SELECT 0 AS r UNION SELECT 1) WHERE n % 50;
                    INSERT INTO receipt (document, sha256, size, stored_at, durability, store_epoch, received_at)
                        SELECT document, '', 0, '', 'fsync', 'e1', 5 FROM outgoing WHERE received_at IS NOT NULL;
                    """.replacingOccurrences(of: "9e12", with: "9000000000000"),
                arguments: ["id": first.id.description])
        }
        try queue.close()
        let start = ContinuousClock.now
        let again = try await Store.open(
            directory: bench.scratch.path, key: try testKey(), environment: bench.world.environment)
        let report = try await again.recover()
        print("open and recover: \(ContinuousClock.now - start), checked: \(report.isChecked)")
        func measure(_ what: String, _ body: () async throws -> Void) async throws {
            var times: [Duration] = []
            for _ in 0..<5 { times.append(try await ContinuousClock().measure { try await body() }) }
            print("\(what): first \(times[0]), then \(times.dropFirst().min() ?? .zero)")
        }
        print("file: \((Files.size(bench.scratch.database) ?? 0) / 1_000_000) MB")
        try await measure("outbox(limit: 1)") { _ = try await again.outbox(now: .max, limit: 1) }
        try await measure("outbox(limit: 2)") { _ = try await again.outbox(now: .max, limit: 2) }
        try await measure("pendingCount") { _ = try await again.pendingCount() }
        try await measure("nextWake") { _ = try await again.nextWake(after: 0) }
        try await measure("statusCounts") { _ = try await again.statusCounts() }
        try await measure("recordingCounts") { _ = try await again.recordingCounts() }
        try await measure("awaitingFreeze") { _ = try await again.awaitingFreeze() }
        try await measure("factsPending(limit: 2)") { _ = try await again.factsPending(now: .max, limit: 2) }
        print("\(try await again.statusCounts())")
        try await again.close()
    }
}
