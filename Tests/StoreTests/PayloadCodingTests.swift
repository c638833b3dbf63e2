import Clinical
import Foundation
import GRDB
import Testing

@testable import Store

/// A coding that shows its hand: samples as differences in text, bytes as runs.
private let plainSight = PayloadCoding(
    packSamples: { _, samples in
        guard samples.contains(where: { $0.count > 3 }) else { return nil }
        return Array("samples:".utf8)
            + (try! JSONEncoder().encode(samples.map { $0.enumerated().map { $1 &- Sample($0) } }))
    },
    unpackSamples: { bytes, _ in
        (try? JSONDecoder().decode([[Sample]].self, from: Data(bytes.dropFirst(8))))?
            .map { $0.enumerated().map { $1 &+ Sample($0) } }
    },
    pack: { bytes in
        guard let first = bytes.first, bytes.count > 16, bytes.allSatisfy({ $0 == first }) else { return nil }
        return [first] + Array("\(bytes.count)".utf8)
    },
    unpack: { bytes in
        guard let first = bytes.first, let count = Int(String(decoding: bytes.dropFirst(), as: UTF8.self)) else {
            return nil
        }
        return Array(repeating: first, count: count)
    })

@Suite struct PayloadCodingTests {
    private func open(_ scratch: Scratch, _ coding: PayloadCoding) async throws -> Store {
        var environment = World().environment
        environment.coding = coding
        return try await Store.open(directory: scratch.path, key: try testKey(), environment: environment)
    }

    private func block(_ n: Int) -> Block {
        Block(
            samples: [(0..<400).map { Sample(n * 7 + $0) }, (0..<800).map { $0 % 9 == 0 ? .absent : Sample($0) }],
            raw: Array(repeating: UInt8(n), count: n == 1 ? 5 : 5000), at: UInt64(n))
    }

    /// 6 chunks of 400 s.
    private func fill(_ store: Store) async throws -> RecordingID {
        let recording = Recording.sample()
        try await store.begin(recording, binding: nil)
        for n in 0..<6 { try await store.append(recording.id, blocks: [block(n)]) }
        try await store.seal(recording.id, reason: .finished)
        return recording.id
    }

    private func sizes(_ scratch: Scratch) throws -> (raw: Int, decoded: Int) {
        try DatabaseQueue(path: scratch.database).read { db in
            func sum(_ column: String) throws -> Int {
                try Int.fetchOne(db, sql: "SELECT SUM(LENGTH(\(column))) FROM chunk") ?? 0
            }
            return (try sum("raw"), try sum("decoded"))
        }
    }

    @Test func everyPayloadComesBackAndIsSmaller() async throws {
        let scratch = try Scratch()
        let store = try await open(scratch, plainSight)
        let id = try await fill(store)
        let wave = try await store.waveform(id)
        #expect(wave.samples[0] == (0..<6).flatMap { block($0).samples[0] })
        #expect(wave.samples[1] == (0..<6).flatMap { block($0).samples[1] })
        #expect(try await store.original(id) == (0..<6).flatMap { block($0).raw })
        #expect(try await store.salvage().isSound)
        try await store.close()
        #expect(try sizes(scratch).raw < 6 * 60, "raw bytes were packed")
    }

    @Test func whatWasWrittenWithoutACodingIsReadWithOne() async throws {
        let scratch = try Scratch()
        let before = try await open(scratch, .none)
        let old = try await fill(before)
        try await before.close()
        let store = try await open(scratch, plainSight)
        let new = try await fill(store)
        #expect(try await store.waveform(old).samples == store.waveform(new).samples)
        #expect(try await store.original(old) == store.original(new))
        #expect(try await store.salvage().isSound)
    }

    @Test func documentsArePackedToo() async throws {
        let bench = try await Bench()
        try await bench.store.close()
        let store = try await open(bench.scratch, plainSight)
        try await store.merge(visits: [.sample()])
        try await store.openVisit("v1", by: "nurse", at: 1)
        let recording = Recording.sample()
        try await store.begin(
            recording, binding: Binding(visit: "v1", reason: .openVisit, by: "nurse", at: 1))
        try await store.append(recording.id, blocks: [block(2)])
        try await store.seal(recording.id, reason: .finished)
        let bytes = [UInt8](repeating: 0xA1, count: (1 << 20) + 777)
        let document = DocumentHasher.document(of: recording.id, role: .artefact, mediaType: "x/y", bytes: bytes)
        let revision = try #require(try await store.recording(recording.id)).summary.revision
        try await store.freeze(recording.id, documents: [(document, bytes)], boundTo: "v1", revision: revision)
        #expect(try await store.documentBytes(document.id, offset: 0, count: .max) == bytes)
        #expect(try await store.documentBytes(document.id, offset: (1 << 20) - 3, count: 9) == Array(bytes[..<9]))
        #expect(try await store.salvage().isSound)
        try await store.close()
        let sealed = try await DatabaseQueue(path: bench.scratch.database).read {
            try Int.fetchOne($0, sql: "SELECT SUM(LENGTH(bytes)) FROM document_part")
        }
        #expect(try #require(sealed) < 200)
    }

    private func damage(_ scratch: Scratch, _ sql: String) throws {
        try DatabaseQueue(path: scratch.database).write { db in
            for name in try String.fetchAll(
                db, sql: "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'chunk'")
            {
                try db.execute(sql: "DROP TRIGGER \(name)")
            }
            try db.execute(sql: sql)
        }
    }

    @Test(arguments: [PayloadCoding.none, plainSight].indices) func aDamagedChunkCostsOnlyItself(which: Int)
        async throws
    {
        let coding = [PayloadCoding.none, plainSight][which]
        let scratch = try Scratch()
        let first = try await open(scratch, coding)
        let id = try await fill(first)
        try await first.close()
        try damage(scratch, "UPDATE chunk SET decoded = zeroblob(LENGTH(decoded)) WHERE n IN (2, 5)")
        try damage(scratch, "UPDATE chunk SET raw = zeroblob(LENGTH(raw)) WHERE n = 3")
        try damage(scratch, "DELETE FROM chunk WHERE n = 0")
        let store = try await open(scratch, coding)
        guard case .corrupt = await failure({ try await store.waveform(id) }) else {
            Issue.record("a damaged recording must say so")
            return
        }
        let salvaged = try await store.salvaged(id)
        for channel in 0..<2 {
            let expected = (0..<6).flatMap { n in
                [0, 2, 5].contains(n)
                    ? Array(repeating: .absent, count: block(n).samples[channel].count) : block(n).samples[channel]
            }
            #expect(salvaged.waveform.samples[channel] == expected)
        }
        #expect(salvaged.original == [1, 2, 4, 5].flatMap { block($0).raw })
        #expect(salvaged.damage.filter { $0.at != nil }.map(\.at) == [0, 800, 2000])
        #expect(salvaged.damage.filter { $0.at != nil }.allSatisfy { $0.duration == 400 })
        #expect(salvaged.damage.contains { $0.text.hasPrefix("10000 bytes") })
    }

    @Test func anIntactRecordingIsSalvagedWhole() async throws {
        let scratch = try Scratch()
        let store = try await open(scratch, plainSight)
        let id = try await fill(store)
        let salvaged = try await store.salvaged(id)
        #expect(try await store.waveform(id) == salvaged.waveform)
        #expect(try await store.original(id) == salvaged.original)
        #expect(salvaged.damage.isEmpty)
    }

    /// Whoever can write to the file can't pass packed bytes for plain ones, or the other way round.
    @Test func packedBytesAreNotTakenForPlainOnes() throws {
        let key = Vault(try testKey()).identity
        let packed = try key.seal(packing: Array(repeating: UInt8(7), count: 100), plainSight, at: "a")
        #expect(try key.open(packed: packed, plainSight, at: "a").count == 100)
        #expect(throws: StoreError.self) { try key.open(packed, at: "a") }
        #expect(throws: StoreError.self) { try key.open(packed: packed, plainSight, at: "b") }
        #expect(throws: StoreError.self) { try key.open(packed: packed, .none, at: "a") }
    }
}
