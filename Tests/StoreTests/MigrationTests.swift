import Clinical
import Foundation
import GRDB
import Store
import Testing

/// Files that earlier versions left on laptops; each is opened by today's version. A new schema version adds a file
/// (`ESS_WRITE_FIXTURES=1`), and never changes an old one.
@Suite struct PastFiles {
    private static let newest = "\(fixtures)/v2.sqlite"
    private static let id = RecordingID("01a0c5f2-2c00-7000-8000-000000000001")

    @Test(
        .enabled(
            if: ["v1", "v2"].allSatisfy { FileManager.default.fileExists(atPath: "\(fixtures)/\($0).sqlite") },
            "a file in fixtures/store is missing"), arguments: ["v1", "v2"])
    func opens(_ version: String) async throws {
        let scratch = try Scratch()
        try FileManager.default.copyItem(atPath: "\(fixtures)/\(version).sqlite", toPath: scratch.database)
        let world = World()
        let store = try await Store.open(directory: scratch.path, key: try testKey(), environment: world.environment)
        #expect(try await store.recover().problems == [])
        #expect(try await store.verifyAudit() == .intact(entries: version == "v1" ? 6 : 7))
        #expect(try await store.salvage().isSound)
        #expect(try await store.loans().map(\.serial) == (version == "v1" ? [] : ["S1"]))
        #expect(try await store.visit("v1")?.patient == .jeanne)
        #expect(try await store.currentVisit()?.id == "v1")
        let id = try #require(Self.id)
        let detail = try #require(try await store.recording(id))
        #expect(detail.summary.state == .complete)
        #expect(detail.bindings.map(\.visit) == ["v1"])
        #expect(detail.notes == [Note(kind: .sensor, at: 1, text: "finger out")])
        #expect(detail.summary.documents.map(\.stage) == [.received, .sending])
        #expect(try await store.waveform(id).samples[0] == [90, 91, 92])
        #expect(try await store.original(id) == (0..<3).flatMap { Block.sample($0).raw })
        let original = try #require(detail.summary.documents.last?.document)
        #expect(
            DocumentHasher.sha256(try await store.documentBytes(original.id, offset: 0, count: original.size))
                == original.sha256)
        #expect(try await store.value(forKey: "cursor") == "2026-11-22T08:00:00Z")
        // The columns that order the outbox and the counts.
        #expect(try await store.outbox(now: .max, limit: 9).map(\.document) == [original])
        let counts = try await store.statusCounts()
        #expect(counts.recordings == 1 && counts.received == 1 && counts.sending == 1 && counts.unattributed == 0)
        #expect(try await store.recordingCounts() == ["v1": 1])
        #expect(try await store.factsPending(now: .max).map(\.documents.count) == [2])
        // And it goes on from there.
        try await store.begin(.sample(), binding: nil)
        try await store.closeVisit("v1", by: "nurse", at: 1)
    }

    @Test(.enabled(if: ProcessInfo.processInfo.environment["ESS_WRITE_FIXTURES"] == "1", "writes the fixture"))
    func writeNewest() async throws {
        let bench = try await Bench()
        var recording = Recording.sample(source: "s1")
        recording.id = try #require(Self.id)
        let id = try await bench.sealed(recording, try await bench.openVisit(), chunks: 3)
        try await bench.store.add(Note(kind: .sensor, at: 1, text: "finger out"), to: id)
        let documents = try await bench.freeze(id)
        try await bench.store.beginUpload(documents.artefact.id)
        try await bench.store.record(
            Receipt(
                rid: documents.artefact.id, sha256: documents.artefact.sha256, size: documents.artefact.size,
                storedAt: "2026-11-22T10:00:00Z", durability: "fsync", storeEpoch: "e1"))
        try await bench.store.beginUpload(documents.original.id)
        try await bench.store.uploadCreated(documents.original.id, location: "https://ess.test/files/1")
        try await bench.store.quarantine(documents.original.id, reason: "other bytes")
        try await bench.store.requeue(documents.original.id, by: "nurse")
        try await bench.store.audit(by: "nurse", action: "export", subject: id.description)
        try await bench.store.lend(
            driver: "test-device", serial: "S1", to: "v1", from: try #require(LocalTime("2026-11-22 17:00:00")),
            by: "nurse", at: bench.world.time)
        try await bench.store.setValue("2026-11-22T08:00:00Z", forKey: "cursor")
        try await bench.store.close()
        try FileManager.default.createDirectory(atPath: fixtures, withIntermediateDirectories: true)
        try? FileManager.default.removeItem(atPath: Self.newest)
        try FileManager.default.copyItem(atPath: bench.scratch.database, toPath: Self.newest)
    }
}
