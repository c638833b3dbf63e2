import Clinical
import Foundation
import GRDB
import Testing

@testable import Store

/// A monitor's memory still holds the last patient's measurements when it is read in the next one's visit.
@Suite struct Measurements {
    private static func reading(_ value: Int, at minute: Int = 0) -> Reading {
        Reading(
            kind: .systolic, value: Ratio(value), unit: "mm[Hg]", at: LocalTime("2026-11-20 08:00:00"),
            rawTime: "t\(minute)",
            sequence: minute, source: "monitor/S1/\(minute)")
    }

    private func fetched(
        _ readings: [Reading], _ store: Store, source: String, reason: Recording.EndReason? = .finished
    ) async throws -> RecordingID {
        let recording = Recording.sample(kind: .stored, source: source)
        try await store.begin(recording, binding: nil)
        try await store.add(readings, to: recording.id)
        try await store.append(recording.id, blocks: [.sample(0)])
        if let reason { try await store.seal(recording.id, reason: reason) }
        return recording.id
    }

    @Test func areKnownAgainByNameAndValue() async throws {
        let bench = try await Bench()
        #expect(!(try await bench.store.knownItems()).contains(Self.reading(120)))
        _ = try await fetched([Self.reading(120)], bench.store, source: "a")
        let known = try await bench.store.knownItems()
        #expect(known.contains(Self.reading(120)) && known.contains("a"))
        #expect(!known.contains(Self.reading(121)), "a clock that began anew")
        #expect(!known.contains(Self.reading(120, at: 1)))
        var nameless = Self.reading(120)
        nameless.source = nil
        #expect(!known.contains(nameless))
    }

    @Test func anInterruptedDownloadIsReplacedByItsOwnSourceOnly() async throws {
        let bench = try await Bench()
        _ = try await fetched([Self.reading(120)], bench.store, source: "a", reason: .deviceGone)
        let open = try await fetched([Self.reading(90, at: 9)], bench.store, source: "b", reason: nil)
        var known = try await bench.store.knownItems()
        #expect(known.contains(Self.reading(120)) && known.contains(Self.reading(120), outside: "b"))
        #expect(!known.contains(Self.reading(120), outside: "a") && !known.contains("a"))
        #expect(!known.contains(Self.reading(90, at: 9)), "not sealed yet")
        try await bench.store.seal(open, reason: .finished)
        _ = try await fetched([Self.reading(120)], bench.store, source: "c")
        known = try await bench.store.knownItems()
        #expect(known.contains(Self.reading(120), outside: "a"), "it is in a whole one as well")
    }

    @Test func outliveANewMasterKeyAndAreNotInTheClear() async throws {
        let bench = try await Bench()
        _ = try await fetched([Self.reading(120)], bench.store, source: "a")
        try await bench.store.rotateKey(to: try testKey(7), by: "nurse")
        #expect(try await bench.store.knownItems().contains(Self.reading(120)))
        try await bench.store.close()
        let queue = try DatabaseQueue(path: bench.scratch.database)
        let names = try await queue.read { try Data.fetchAll($0, sql: "SELECT name FROM measurement") }
        let mark = try #require(Self.reading(120).mark)
        #expect(names.count == 1 && names[0].count == 32)
        #expect(!names.contains(Data(DocumentHasher.sha256(Array(mark.utf8)).utf8)))
        let file = try Data(contentsOf: URL(fileURLWithPath: bench.scratch.database))
        #expect(file.range(of: Data("|systolic|".utf8)) == nil)
    }

    @Test func ofAnOlderFileAreNamedWhenItIsOpened() async throws {
        let bench = try await Bench()
        _ = try await fetched([Self.reading(120), Self.reading(130, at: 1)], bench.store, source: "a")
        try await bench.store.close()
        let queue = try DatabaseQueue(path: bench.scratch.database)
        try await queue.write { db in
            try db.execute(
                sql: """
                    DROP TABLE measurement;
                    DELETE FROM setting WHERE key = 'measurement-key';
                    DELETE FROM grdb_migrations WHERE identifier = 'measurements';
                    """)
        }
        try queue.close()
        let store = try await Store.open(
            directory: bench.scratch.path, key: try testKey(), environment: bench.world.environment)
        let known = try await store.knownItems()
        #expect(known.contains(Self.reading(120)) && known.contains(Self.reading(130, at: 1)))
    }
}

/// Values without the bytes that they came in: less than there should be, and still somebody's measurement.
@Suite struct ValuesWithoutBytes {
    @Test func areNotEmptyAndAreSent() async throws {
        let bench = try await Bench()
        let store = bench.store
        let binding = try await bench.openVisit()
        func session(_ hasValue: Bool) async throws -> RecordingID {
            var recording = Recording.sample()
            recording.channels = []
            try await store.begin(recording, binding: binding)
            let reading = Reading(
                kind: .weight, value: Ratio(624, 10), unit: "kg", at: nil, rawTime: nil, sequence: 0)
            if hasValue { try await store.add([reading], to: recording.id) }
            try await store.seal(recording.id, reason: .finished)
            return recording.id
        }
        let (empty, full) = (try await session(false), try await session(true))
        #expect(try await store.awaitingFreeze() == [full])
        #expect(try await store.statusCounts().toFreeze == 1)
        #expect(try await store.unfinishedVisits() == ["v1"])
        #expect(try await store.recording(empty)?.summary.isEmpty == true)
        #expect(try await store.recording(full)?.summary.isEmpty == false)
    }
}
