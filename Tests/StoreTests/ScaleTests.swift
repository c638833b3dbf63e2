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
        let first = Recording.sample()
        try await store.begin(first, binding: binding)
        try await store.append(first.id, blocks: [.sample(0)])
        try await store.seal(first.id, reason: .finished)
        // Straight into the tables, many to a transaction: the same rows as the calls would make.
        for start in stride(from: 0, to: count, by: 1000) {
            try await store.write { tx in
                for n in start..<min(count, start + 1000) {
                    let recording = Recording.sample(modality: n % 5 == 0 ? .ecg : .oximetry, source: "s\(n)")
                    let uuid = recording.id.description
                    _ = try tx.begin(recording, n % 100 == 0 ? nil : binding)
                    try tx.append(uuid, [.sample(n)])
                    try tx.seal(uuid, reason: .finished, at: tx.now)
                    guard n % 50 != 0 else { continue }
                    for role in Document.Role.allCases {
                        let id = DocumentHasher.identity(of: role, in: recording.id).text
                        try tx.db.execute(
                            sql: "INSERT INTO document VALUES (?, ?, ?, 'application/edf', 3, '', '', 0)",
                            arguments: [id, uuid, role.rawValue])
                        try tx.db.execute(
                            sql:
                                "INSERT INTO outgoing (document, urgency, begun, received_at, facts) VALUES (?, ?, ?, ?, ?)",
                            arguments: [
                                id, n % 5 == 0 ? 0 : 2, n, n % 10 == 9 ? nil : 5, n % 10 == 9 ? "none" : "final",
                            ])
                        try tx.db.execute(sql: "INSERT INTO attempt (document) VALUES (?)", arguments: [id])
                    }
                    try tx.db.execute(sql: "UPDATE recording SET is_frozen = 1 WHERE uuid = ?", arguments: [uuid])
                }
            }
        }
        func measure(_ what: String, _ body: () async throws -> Void) async throws {
            var times: [Duration] = []
            for _ in 0..<5 { times.append(try await ContinuousClock().measure { try await body() }) }
            print("\(what): first \(times[0]), then \(times.dropFirst().min() ?? .zero)")
        }
        print("file: \((Files.size(bench.scratch.database) ?? 0) / 1_000_000) MB")
        try await measure("outbox(limit: 1)") { _ = try await store.outbox(now: .max, limit: 1) }
        try await measure("outbox(limit: 50)") { _ = try await store.outbox(now: .max, limit: 50) }
        try await measure("pendingCount") { _ = try await store.pendingCount() }
        try await measure("nextWake") { _ = try await store.nextWake(after: 0) }
        try await measure("statusCounts") { _ = try await store.statusCounts() }
        try await measure("recordingCounts") { _ = try await store.recordingCounts() }
        try await measure("recordings(limit: 50)") { _ = try await store.recordings(limit: 50) }
        try await measure("awaitingFreeze") { _ = try await store.awaitingFreeze() }
        try await measure("factsPending (all)") { _ = try await store.factsPending(now: .max) }
        try await measure("factsPending(limit: 50)") { _ = try await store.factsPending(now: .max, limit: 50) }
        try await measure("purgeable") { _ = try await store.purgeable(now: .max) }
        print("\(try await store.statusCounts())")
        try await store.close()
        let start = ContinuousClock.now
        let again = try await Store.open(
            directory: bench.scratch.path, key: try testKey(), environment: bench.world.environment)
        let report = try await again.recover()
        print("open and recover: \(ContinuousClock.now - start), checked: \(report.isChecked)")
        let rotation = ContinuousClock.now
        try await again.rotateKey(to: try testKey(9), by: "admin")
        print("rotateKey: \(ContinuousClock.now - rotation)")
    }
}
