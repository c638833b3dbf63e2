import Clinical
import Foundation
import GRDB
import Testing

@testable import Store

/// Files that earlier versions left on laptops; each is opened by today's version. A new migration adds a file of its name
/// (`ESS_WRITE_FIXTURES=1`), and never changes an old one.
@Suite struct PastFiles {
    /// Named by the last migration in it.
    private static let newest = "clocks"
    private static let versions = ["v1", "v2", "objects", "measurements", "openings", newest]
    private static let id = RecordingID("01a0c5f2-2c00-7000-8000-000000000001")
    private static let stickID = RecordingID("01a0c5f2-2c00-7000-8000-000000000002")
    private static let pressureID = RecordingID("01a0c5f2-2c00-7000-8000-000000000003")
    private static let loop = (0..<CarriedWriter.partSize / 4 + 5).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    private static let study = StudyObject(study: "1.2.3", modality: "US", studyDescription: "Tartempionne", frames: 3)
    private static let answer = Answer(
        id: "Communication/1", kind: .question, version: "1", patient: "p1", text: "Depuis quand ?")
    private static let pressure = Reading(
        kind: .systolic, value: Ratio(120), unit: "mm[Hg]", at: nil, rawTime: nil, sequence: 0)

    private static let named = Reading(
        kind: .diastolic, value: Ratio(80), unit: "mm[Hg]", at: nil, rawTime: nil, sequence: 0, source: "bp/1/t")

    private static func path(_ version: String) -> String { "\(fixtures)/\(version).sqlite" }

    private static func open(_ version: String, in scratch: Scratch) async throws -> (store: Store, world: World) {
        try FileManager.default.copyItem(atPath: path(version), toPath: scratch.database)
        let world = World()
        return (
            try await Store.open(directory: scratch.path, key: try testKey(), environment: world.environment), world
        )
    }

    @Test(
        .enabled(
            if: versions.allSatisfy { FileManager.default.fileExists(atPath: path($0)) },
            "a file in fixtures/store is missing"), arguments: versions)
    func opens(_ version: String) async throws {
        let scratch = try Scratch()
        let (store, _) = try await Self.open(version, in: scratch)
        #expect(try await store.recover().problems == [])
        guard case .intact(let entries) = try await store.verifyAudit() else {
            Issue.record("the audit trail is broken")
            return
        }
        #expect(entries >= (version == "v1" ? 6 : 7))
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
        #expect(try await store.outbox(now: .max, limit: 9).map(\.document).contains(original))
        let counts = try await store.statusCounts()
        let more = ["v1", "v2"].contains(version) ? 0 : 2
        #expect(counts.recordings == 1 + more && counts.received == 1 && counts.sending == 1)
        #expect(counts.unattributed == 0)
        #expect(try await store.recordingCounts() == ["v1": 1 + more])
        // The visit's only opening so far.
        let openings = try await store.read { try String.fetchAll($0.db, sql: "SELECT visit FROM opening") }
        #expect(openings == ["v1"])
        // And it goes on from there.
        try await store.begin(.sample(), binding: nil)
        try await store.closeVisit("v1", by: "nurse", at: 1)
    }

    @Test(
        "what came with media, forms, answers and measurements",
        arguments: ["objects", "measurements", "openings", newest])
    func opensWhatIsNewer(_ version: String) async throws {
        let scratch = try Scratch()
        let (store, _) = try await Self.open(version, in: scratch)
        let stick = try #require(Self.stickID)
        #expect(try await store.original(stick) == Self.loop)
        #expect(try await store.study(of: stick) == Self.study)
        #expect(try await store.recording(ofMark: "m1") == stick)
        #expect(try await store.carried(sha256: DocumentHasher.sha256(Self.loop)) == stick)
        #expect(try await store.recording(stick)?.recording.objectID == "1.2.826.0.1.3680043.2.1143.1")
        #expect(try await store.recording(stick)?.summary.documents.map(\.stage) == [.waiting])
        let named = version == "objects" ? [] : [Self.named]
        #expect(try await store.readings(try #require(Self.pressureID)) == [Self.pressure] + named)
        #expect(try await store.knownItems().contains(Self.named) == !named.isEmpty)
        #expect(try await store.entries(visit: "v1").map(\.entry.block) == ["treatments"])
        #expect(try await store.answers().map(\.answer.text) == [Self.answer.text])
        #expect(try await store.unsentReplies().map(\.reply?.text) == ["Bien reçu"])
    }

    @Test("there is a file of today's schema: the next migration has something to start from")
    func newestIsToday() throws {
        let scratch = try Scratch()
        try FileManager.default.copyItem(atPath: Self.path(Self.newest), toPath: scratch.database)
        let database = try DatabaseQueue(path: scratch.database)
        let applied = try database.read { try String.fetchAll($0, sql: "SELECT identifier FROM grdb_migrations") }
        let today = Migrations.migrator(Vault(try testKey())).migrations
        #expect(Set(applied) == Set(today), "a migration without a file: ESS_WRITE_FIXTURES=1 and a new name")
    }

    @Test(.enabled(if: ProcessInfo.processInfo.environment["ESS_WRITE_FIXTURES"] == "1", "writes the fixture"))
    func writeNewest() async throws {
        let bench = try await Bench()
        var recording = Recording.sample(source: "s1")
        recording.id = try #require(Self.id)
        let binding = try await bench.openVisit()
        let id = try await bench.sealed(recording, binding, chunks: 3)
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
        try await writeNewer(bench.store, binding)
        try await bench.store.close()
        try FileManager.default.createDirectory(atPath: fixtures, withIntermediateDirectories: true)
        try? FileManager.default.removeItem(atPath: Self.path(Self.newest))
        try FileManager.default.copyItem(atPath: bench.scratch.database, toPath: Self.path(Self.newest))
    }

    private func writeNewer(_ store: Store, _ binding: Binding) async throws {
        var stick = Recording.sample(kind: .file, modality: .imaging, source: "dicom-media/m1")
        stick.id = try #require(Self.stickID)
        stick.channels = []
        stick.objectID = "1.2.826.0.1.3680043.2.1143.1"
        let writer = try await store.beginCarried(
            stick, mediaType: "application/dicom", study: Self.study, size: Self.loop.count, notes: [],
            binding: binding)
        try await store.append([try writer.seal(Self.loop, n: 0)], to: writer)
        var digest = CarriedDigest()
        digest.add(Self.loop)
        let content = digest.content(mediaType: "application/dicom")
        try await store.finish(writer, content, marks: ["m1"])
        let revision = try #require(try await store.recording(stick.id)).summary.revision
        try await store.freezeCarried(stick.id, content, boundTo: "v1", revision: revision)

        var pressure = Recording.sample(kind: .stored, modality: .bloodPressure, source: "bp/1")
        pressure.id = try #require(Self.pressureID)
        pressure.channels = []
        try await store.begin(pressure, binding: binding)
        try await store.add([Self.pressure, Self.named], to: pressure.id)
        try await store.seal(pressure.id, reason: .finished)
        try await store.add(
            Entry(
                id: UUID(), visit: "v1", block: "treatments", title: "Traitements",
                form: Form(fields: [.init(key: "t", label: "T", type: .text)], target: .questionnaire),
                values: ["t": .text("Apixaban 5 mg")], by: "nurse", at: 1))
        _ = try await store.merge(answers: [Self.answer])
        try await store.reply(to: Self.answer.id, .init(text: "Bien reçu", by: "nurse", at: 2))
    }
}
