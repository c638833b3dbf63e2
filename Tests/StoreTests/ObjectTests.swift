import Clinical
import Foundation
import Store
import Testing

/// Two files that give themselves one identity: a device that counts anew, an export that was changed afterwards.
@Suite struct SameObject {
    private let object = "1.2.826.0.1.3680043.2.1143.1"

    private func file(_ source: String, _ claim: IdentityClaim? = nil) -> Recording {
        var recording = Recording.sample(kind: .file, source: source, claim: claim)
        recording.objectID = object
        return recording
    }

    private func bring(_ recording: Recording, _ binding: Binding?, to bench: Bench) async throws -> ImportOutcome {
        try await bench.store.importRecording(
            recording, waveform: Waveform(channels: recording.channels, samples: [[90], [60, 61]]),
            original: Array((recording.source ?? "").utf8), binding: binding)
    }

    @Test func otherBytesAreKeptAndHeld() async throws {
        let bench = try await Bench()
        let open = try await bench.openVisit()
        let (first, again, second) = (file("a"), file("a"), file("b"))
        #expect(try await bring(first, open, to: bench) == .stored(.attributed(visit: "v1")))
        #expect(try await bring(again, open, to: bench) == .alreadyStored(first.id))
        let expected = Contradiction(
            kind: .objectIdentity, claimed: object, expected: first.id.description)
        #expect(try await bring(second, open, to: bench) == .stored(.held([expected])))
        let detail = try #require(try await bench.store.recording(second.id))
        #expect(detail.summary.isHeld && detail.summary.unattributed == .contradiction)
        #expect(detail.recording.objectID == object)
        #expect(detail.notes.map(\.text) == ["recording \(first.id) has the same object identity and other bytes"])
        #expect(try await bench.store.original(first.id) == Array("a".utf8))
        #expect(try await bench.store.original(second.id) == Array("b".utf8))
        // The first one is as it was; a person decides about the second.
        #expect(try await bench.store.recording(first.id)?.summary.isHeld == false)
        try await bench.store.attribute(second.id, to: "v1", by: "nurse", why: "nouvel export", at: 3)
        #expect(try await bench.store.recording(second.id)?.summary.isHeld == false)
        #expect(try await bench.reopened().salvage().isSound)
    }

    @Test func flaggedAlsoWithoutAVisit() async throws {
        let bench = try await Bench()
        let second = file("b")
        #expect(try await bring(file("a"), nil, to: bench) == .stored(.unattributed))
        #expect(try await bring(second, nil, to: bench) == .stored(.unattributed))
        let detail = try #require(try await bench.store.recording(second.id))
        #expect(detail.summary.unattributed == .objectIdentity)
        #expect(detail.notes.count == 1)
        #expect(try await bench.store.auditEntries().contains { $0.details == "objectIdentity" })
    }

    @Test func anIdentityDoesNotChange() async throws {
        let bench = try await Bench()
        let recording = file("a")
        _ = try await bring(recording, nil, to: bench)
        try await bench.store.close()
        try await bench.tamper("UPDATE recording SET object = '1.2.3'")
        let store = try await Store.open(
            directory: bench.scratch.path, key: try testKey(), environment: bench.world.environment)
        #expect(try await store.salvage().damaged.map(\.recording) == [recording.id])
    }
}
