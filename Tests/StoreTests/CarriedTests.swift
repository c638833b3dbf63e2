import Clinical
import Foundation
import Store
import Testing

@Suite struct CarriedFiles {
    private static func bytes(_ count: Int, _ seed: Int = 0) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 7 &+ seed) }
    }

    private static func recording(_ source: String = "dicom-media/m1", claim: IdentityClaim? = nil) -> Recording {
        var recording = Recording.sample(kind: .file, modality: .imaging, source: source, claim: claim)
        recording.channels = []
        return recording
    }

    private static let study = StudyObject(study: "1.2.3", modality: "US", studyDescription: "Tartempionne", frames: 3)

    /// - Parameter cut: parts after which it ends; nil for all of it.
    @discardableResult
    private static func carry(
        _ recording: Recording, _ bytes: [UInt8], _ bench: Bench, _ binding: Binding?, mark: String = "m1",
        cut: Int? = nil
    ) async throws -> CarriedWriter {
        let writer = try await bench.store.beginCarried(
            recording, mediaType: "application/dicom", study: study, size: bytes.count,
            notes: [Note(kind: .device, text: "as it is")], binding: binding)
        var digest = CarriedDigest()
        for (n, start) in stride(from: 0, to: bytes.count, by: CarriedWriter.partSize).enumerated() {
            if n == cut { return writer }
            let part = Array(bytes[start..<min(bytes.count, start + CarriedWriter.partSize)])
            digest.add(part)
            try await bench.store.append([try writer.seal(part, n: n)], to: writer)
        }
        try await bench.store.finish(writer, digest.content(mediaType: "application/dicom"), marks: [mark])
        return writer
    }

    @Test("is kept once, sent from where it is, and known again")
    func wholeWay() async throws {
        let bench = try await Bench()
        let store = bench.store
        let binding = try await bench.openVisit()
        let bytes = Self.bytes(2 * CarriedWriter.partSize + 77)
        let recording = Self.recording()
        try await Self.carry(recording, bytes, bench, binding)
        let id = recording.id
        #expect(try await store.original(id) == bytes)
        #expect(try await store.study(of: id) == Self.study)
        #expect(try await store.recording(ofMark: "m1") == id)
        #expect(try await store.recording(ofMark: "m2") == nil)
        #expect(try await store.hasCarried(size: bytes.count))
        #expect(try await !store.hasCarried(size: 5))
        #expect(try await store.carried(sha256: DocumentHasher.sha256(bytes)) == id)
        #expect(try await store.awaitingFreeze() == [id])
        let content = try #require(try await store.carriedContent(id))
        let revision = try #require(try await store.recording(id)).summary.revision
        try await store.freezeCarried(id, content, boundTo: "v1", revision: revision)
        let document = try #require(try await store.documents(of: id).first?.document)
        #expect(
            document == DocumentHasher.document(of: id, role: .original, mediaType: "application/dicom", bytes: bytes))
        #expect(try await store.documentBytes(document.id, offset: 0, count: bytes.count) == bytes)
        #expect(
            try await store.documentBytes(document.id, offset: 1_048_570, count: 20)
                == Array(bytes[1_048_570..<1_048_590]))
        #expect(try await store.outbox(now: .max, limit: 9).map(\.document) == [document])
        #expect(try await store.salvage().isSound)
        // Not a second time on the disk, and nothing of it in the clear.
        let size = try #require(
            try FileManager.default.attributesOfItem(atPath: bench.scratch.database + "-wal")[.size] as? Int)
        #expect(size < bytes.count * 3 / 2)
        try await store.close()
        #expect(try Data(contentsOf: URL(filePath: bench.scratch.database)).range(of: Data("Tartempionne".utf8)) == nil)
    }

    @Test("a cut copy waits for the rest while its visit is open, and is replaced by the whole one")
    func cut() async throws {
        let bench = try await Bench()
        let store = bench.store
        let binding = try await bench.openVisit()
        let bytes = Self.bytes(2 * CarriedWriter.partSize + 77)
        let half = Self.recording()
        try await Self.carry(half, bytes, bench, binding, cut: 2)
        try await store.seal(half.id, reason: .deviceGone)
        #expect(try await store.awaitingFreeze() == [])
        #expect(try await store.recording(ofMark: "m1") == nil)
        // What there is of it can be sent, if nothing better comes.
        let part = Array(bytes.prefix(2 * CarriedWriter.partSize))
        #expect(try await store.carriedContent(half.id)?.sha256 == DocumentHasher.sha256(part))
        let whole = Self.recording()
        try await Self.carry(whole, bytes, bench, binding)
        #expect(try await store.recording(half.id)?.summary.supersededBy == whole.id)
        #expect(try await store.awaitingFreeze() == [whole.id])

        let other = Self.recording("dicom-media/m9")
        try await Self.carry(other, bytes, bench, binding, mark: "m9", cut: 1)
        try await store.seal(other.id, reason: .deviceGone)
        try await store.closeVisit("v1", by: "nurse", at: bench.world.time)
        #expect(Set(try await store.awaitingFreeze()) == [whole.id, other.id])
    }

    @Test("a copy that was cut is its patient's: the whole one is not the next one's")
    func cutAndNext() async throws {
        let bench = try await Bench()
        let store = bench.store
        let binding = try await bench.openVisit()
        let bytes = Self.bytes(2 * CarriedWriter.partSize)
        func object(_ source: String) -> Recording {
            var recording = Self.recording(source)
            recording.objectID = "1.2.3.4"
            return recording
        }
        let half = object("dicom-media/m1")
        try await Self.carry(half, bytes, bench, binding, cut: 1)
        try await store.seal(half.id, reason: .deviceGone)
        let again = try await Self.carry(object("dicom-media/m2"), bytes, bench, binding, mark: "m2", cut: 1)
        #expect(again.attribution == .attributed(visit: "v1"), "the same patient's")
        try await store.seal(again.id, reason: .deviceGone)
        try await store.closeVisit("v1", by: "nurse", at: bench.world.time)
        let next = try await bench.openVisit("v2", patient: .paul)
        let whole = try await Self.carry(object("dicom-media/m3"), bytes, bench, next, mark: "m3")
        guard case .held(let why) = whole.attribution else {
            Issue.record("\(whole.attribution)")
            return
        }
        #expect(why.map(\.kind) == [.objectIdentity])
    }

    @Test("a copy that was cut is found by its mark, and stays the one whose it was said first")
    func begunMarks() async throws {
        let bench = try await Bench()
        let store = bench.store
        let binding = try await bench.openVisit()
        func begin(_ source: String, _ binding: Binding?) async throws -> RecordingID {
            let recording = Self.recording(source)
            let writer = try await store.beginCarried(
                recording, mediaType: "application/x-tar", study: nil, size: 1, notes: [], binding: binding,
                company: source == "c" ? .besideOthers : .alone, marks: ["begun/m"])
            #expect(writer.attribution == (source == "b" ? .attributed(visit: "v1") : .unattributed))
            try await store.seal(recording.id, reason: .deviceGone)
            return recording.id
        }
        let unbound = try await begin("a", nil)
        #expect(try await store.recording(ofMark: "begun/m") == unbound)
        let bound = try await begin("b", binding)
        #expect(try await store.recording(ofMark: "begun/m") == bound)
        let beside = try await begin("c", binding)
        #expect(try await store.recording(ofMark: "begun/m") == bound)
        #expect(try await store.recording(beside)?.summary.unattributed == .sharedMemory)
        #expect(try await store.hasMark(beginning: "begun/"))
        #expect(try await !store.hasMark(beginning: "begun/m/"))
    }

    @Test("whose it is is asked of every file; no identity at all is not the visit's")
    func identity() async throws {
        let bench = try await Bench()
        let binding = try await bench.openVisit()
        let claims: [(IdentityClaim, Bool)] = [
            (IdentityClaim(name: "TARTEMPIONNE Jeanne", birthDate: "1938-04-12", patientID: "77"), true),
            (IdentityClaim(name: "TARTEMPIONNE Jeanne", birthDate: "1938-04-12", patientID: ""), false),
            (IdentityClaim(name: "DURANDAL Paul", patientID: "78"), false),
            (IdentityClaim(name: "TARTEMPIONNE Jeanne", birthDate: "1939-04-12", patientID: "77"), false),
        ]
        for (n, (claim, isBound)) in claims.enumerated() {
            let writer = try await Self.carry(
                Self.recording("dicom-media/\(n)", claim: claim), Self.bytes(100, n), bench, binding, mark: "\(n)")
            if isBound {
                #expect(writer.attribution == .attributed(visit: "v1"))
            } else {
                guard case .held = writer.attribution else {
                    Issue.record("\(n): \(writer.attribution)")
                    continue
                }
            }
        }
    }

    @Test("a disk without room for it is said before the first byte; parts come in order")
    func refusals() async throws {
        let bench = try await Bench()
        let store = bench.store
        bench.world.setFree(3_000_000_000)
        await #expect(throws: StoreError.self) {
            try await store.beginCarried(
                Self.recording(), mediaType: "application/dicom", study: nil, size: 3_000_000_000, notes: [],
                binding: nil)
        }
        #expect(try await store.recordings().isEmpty)
        let writer = try await store.beginCarried(
            Self.recording(), mediaType: "application/dicom", study: nil, size: 100, notes: [], binding: nil)
        await #expect(throws: StoreError.self) { try await store.append([try writer.seal([1], n: 1)], to: writer) }
        await #expect(throws: StoreError.self) {
            try await store.finish(writer, CarriedDigest().content(mediaType: "a/b"), marks: ["m"])
            try await store.append([try writer.seal([1], n: 0)], to: writer)
        }
    }
}
