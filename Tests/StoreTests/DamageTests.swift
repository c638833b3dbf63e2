import Clinical
import Foundation
import GRDB
import Store
import Testing

@Suite struct Damage {
    private struct Expected {
        var recording: Recording
        var samples: [[Sample]]
        var original: [UInt8]
        var bindings: [Binding]
    }

    /// Twelve recordings of some pages each.
    private func filled() async throws -> (Bench, [RecordingID: Expected]) {
        let bench = try await Bench()
        let binding = try await bench.openVisit()
        var expected: [RecordingID: Expected] = [:]
        for n in 0..<12 {
            let recording = Recording.sample(source: "s\(n)")
            try await bench.store.begin(recording, binding: n % 3 == 0 ? nil : binding)
            for k in 0..<4 {
                var block = Block.sample(n + k)
                block.raw += (0..<3000).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ n) }
                try await bench.store.append(recording.id, blocks: [block])
            }
            try await bench.store.seal(recording.id, reason: .finished)
            if n % 3 == 1 { try await bench.freeze(recording.id, size: 5000) }
            let detail = try #require(try await bench.store.recording(recording.id))
            expected[recording.id] = Expected(
                recording: detail.recording, samples: try await bench.store.waveform(recording.id).samples,
                original: try await bench.store.original(recording.id), bindings: detail.bindings)
        }
        try await bench.store.close()
        return (bench, expected)
    }

    /// Whatever is said to be readable is exactly what was written; what is not readable is named.
    private func expectHonest(_ file: Data, _ expected: [RecordingID: Expected]) async throws -> Int {
        let scratch = try Scratch()
        try file.write(to: URL(fileURLWithPath: scratch.database))
        let store: Store
        do {
            store = try await Store.open(directory: scratch.path, key: try testKey(), environment: World().environment)
        } catch {
            // The file as a whole says no: a backup's matter.
            return 0
        }
        _ = try? await store.recover()
        let report = try await store.salvage()
        try await expectReadable(report.readable, store, expected)
        if report.readable.count < expected.count { #expect(!report.isSound) }
        for lost in Set(expected.keys).subtracting(report.readable) {
            // Named itself, or its row is gone and SQLite says so.
            #expect(report.damaged.contains { $0.recording == lost } || !report.problems.isEmpty)
        }
        _ = try? await store.recordings()
        _ = try? await store.statusCounts()
        _ = try? await store.outbox(now: .max)
        try? await store.close()
        // Another connection, which has seen no page yet, reads it too.
        let again = try await Store.open(
            directory: scratch.path, key: try testKey(), environment: World().environment)
        try await expectReadable(report.readable, again, expected)
        try? await again.close()
        return report.readable.count
    }

    private func expectReadable(
        _ ids: [RecordingID], _ store: Store, _ expected: [RecordingID: Expected]
    ) async throws {
        for id in ids {
            let written = try #require(expected[id])
            let detail = try await store.recording(id)
            #expect(detail?.recording == written.recording)
            #expect(detail?.bindings == written.bindings)
            #expect(try await store.waveform(id).samples == written.samples)
            #expect(try await store.original(id) == written.original)
        }
    }

    /// A cell that can't be where it is said to be, beside others that are sound: what is said of those is true of every
    /// connection, whichever pages it has looked at before.
    @Test func misplacedCells() async throws {
        let (bench, expected) = try await filled()
        let sound = try Data(contentsOf: URL(fileURLWithPath: bench.scratch.database))
        var tried = 0
        for page in 1..<sound.count / 4096 {
            let start = page * 4096
            let cells = Int(sound[start + 3]) << 8 | Int(sound[start + 4])
            // A table's or an index's leaf with some cells; its pointers begin behind a header of 8 bytes.
            guard [0x0D, 0x0A].contains(sound[start]), (2...40).contains(cells) else { continue }
            var file = sound
            let pointer = start + 8 + 2 * (cells / 2)
            file[pointer] = 0x0F
            file[pointer + 1] = 0xFE
            _ = try await expectHonest(file, expected)
            tried += 1
        }
        #expect(tried > 10)
    }

    @Test func soundMeansSound() async throws {
        let (bench, expected) = try await filled()
        #expect(try await expectHonest(Data(contentsOf: URL(fileURLWithPath: bench.scratch.database)), expected) == 12)
    }

    /// A page that the disk doesn't give back as it was: zeros, noise, another page.
    @Test(arguments: 0..<3)
    func badPages(_ kind: Int) async throws {
        let (bench, expected) = try await filled()
        let sound = try Data(contentsOf: URL(fileURLWithPath: bench.scratch.database))
        let pages = sound.count / 4096
        var random = Seeded(state: UInt64(kind) + 1)
        var most = 0
        for page in stride(from: 1, to: pages, by: max(1, pages / 24)) {
            var file = sound
            let range = page * 4096..<(page + 1) * 4096
            switch kind {
            case 0: file.replaceSubrange(range, with: Data(count: 4096))
            case 1:
                file.replaceSubrange(
                    range, with: Data((0..<4096).map { _ in UInt8(truncatingIfNeeded: random.next()) }))
            default:
                let other = Int(random.next() % UInt64(pages))
                file.replaceSubrange(range, with: sound[other * 4096..<(other + 1) * 4096])
            }
            most = max(most, try await expectHonest(file, expected))
        }
        #expect(most >= 11, "one bad page costs one recording at most, somewhere")
    }

    @Test("a recording that can't be read doesn't hide the others", arguments: ["channels", "state", "data_key"])
    func oneOfMany(_ column: String) async throws {
        let (bench, expected) = try await filled()
        let id = try #require(expected.keys.first)
        let value = column == "data_key" ? "x'00'" : "'?'"
        try await bench.tamper(
            "PRAGMA ignore_check_constraints = ON; UPDATE recording SET \(column) = \(value) WHERE uuid = '\(id)'")
        let store = try await Store.open(
            directory: bench.scratch.path, key: try testKey(), environment: bench.world.environment)
        let listed = try await store.recordings()
        #expect(Set(listed.map(\.id)) == Set(expected.keys).subtracting([id]))
        #expect(store.knownDamage.recordings == 1)
        #expect(try await store.salvage().damaged.map(\.recording) == [id])
    }

    @Test func flippedBytes() async throws {
        let (bench, expected) = try await filled()
        let sound = try Data(contentsOf: URL(fileURLWithPath: bench.scratch.database))
        var random = Seeded(state: 42)
        for _ in 0..<40 {
            var file = sound
            for _ in 0..<1 + Int(random.next() % 8) {
                file[Int(random.next() % UInt64(sound.count))] ^= UInt8(1 << (random.next() % 8))
            }
            _ = try await expectHonest(file, expected)
        }
    }

    @Test(arguments: [1, 100, 4095, 4096, 8192, 40_000])
    func cutFiles(_ length: Int) async throws {
        let (bench, expected) = try await filled()
        let sound = try Data(contentsOf: URL(fileURLWithPath: bench.scratch.database))
        _ = try await expectHonest(sound.prefix(length), expected)
    }

    /// Whose a recording is can't be changed in the file without being noticed.
    @Test(
        arguments: [
            "UPDATE binding SET visit = 'v2'", "UPDATE binding SET by = 'other'", "UPDATE binding SET n = n + 1",
            "UPDATE binding SET mark = NULL", "DELETE FROM binding",
            "UPDATE recording SET device = replace(device, 'S1', 'S2')",
            "UPDATE recording SET clock = replace(clock, '1790', '1690')", "UPDATE recording SET modality = 'ecg'",
            "UPDATE recording SET visit = 'v2'", "UPDATE recording SET origin = 'simulated'",
            "UPDATE recording SET counts = '[9,9]'",
        ])
    func quietChanges(_ sql: String) async throws {
        let bench = try await Bench()
        try await bench.store.merge(visits: [.sample("v2", patient: .paul)])
        let id = try await bench.sealed(.sample(), try await bench.openVisit())
        try await bench.freeze(id)
        try await bench.store.close()
        try await bench.tamper(sql)
        let store = try await Store.open(
            directory: bench.scratch.path, key: try testKey(), environment: bench.world.environment)
        let report = try await store.salvage()
        #expect(report.damaged.map(\.recording) == [id])
        if !sql.contains("counts") {
            #expect((try? await store.outbox(now: .max))?.contains { $0.visit.id != "v1" } != true)
        }
    }
}
