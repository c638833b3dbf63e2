import Clinical
import Foundation
import Store
import Testing

@Suite struct Capturing {
    @Test func whatWasAppendedComesBack() async throws {
        let bench = try await Bench()
        let binding = try await bench.openVisit()
        let recording = Recording.sample()
        #expect(try await bench.store.begin(recording, binding: binding) == .attributed(visit: "v1"))
        try await bench.store.append(recording.id, blocks: (0..<3).map(Block.sample))
        try await bench.store.append(recording.id, blocks: [.sample(3)])
        try await bench.store.add(Note(kind: .sensor, at: 1.5, text: "finger out"), to: recording.id)
        #expect(try await bench.store.waveform(recording.id).samples[0] == [90, 91, 92, 93], "while open")
        try await bench.store.seal(recording.id, reason: .stopped)
        let store = try await bench.reopened()
        let waveform = try await store.waveform(recording.id)
        #expect(waveform.samples == [[90, 91, 92, 93], [.absent, 90, .absent, 91, .absent, 92, .absent, 93]])
        #expect(waveform.channels == recording.channels)
        #expect(try await store.original(recording.id) == (0..<4).flatMap { Block.sample($0).raw })
        #expect(try await store.notes(recording.id) == [Note(kind: .sensor, at: 1.5, text: "finger out")])
        let detail = try #require(try await store.recording(recording.id))
        var expected = recording
        expected.state = .complete
        expected.endReason = .stopped
        #expect(detail.recording == expected)
        #expect(detail.bindings == [binding])
        #expect(detail.summary.samples == [4, 8])
        #expect(detail.summary.seconds == 4)
        #expect(detail.summary.bytes == 12)
        #expect(try await store.recordings() == [detail.summary])
    }

    @Test func gapsBecomeNotes() async throws {
        let bench = try await Bench()
        let recording = Recording.sample()
        try await bench.store.begin(recording, binding: nil)
        var late = Block.sample(2)
        late.gap = "2 frames lost"
        try await bench.store.append(recording.id, blocks: [.sample(0), .sample(1), late])
        #expect(try await bench.store.notes(recording.id) == [Note(kind: .gap, at: 2, text: "2 frames lost")])
        #expect(try await bench.store.waveform(recording.id).samples[0] == [90, 91, 92])
    }

    @Test func whatIsRefused() async throws {
        let bench = try await Bench()
        let recording = Recording.sample()
        try await bench.store.begin(recording, binding: nil)
        #expect(await isRefused { try await bench.store.begin(recording, binding: nil) })
        let wrong = Block(samples: [[1]], raw: [1], at: 0)
        #expect(await isRefused { try await bench.store.append(recording.id, blocks: [.sample(0), wrong]) })
        #expect(try await bench.store.waveform(recording.id).samples == [[], []], "nothing of it was kept")
        try await bench.store.seal(recording.id, reason: .finished)
        try await bench.store.seal(recording.id, reason: .finished)
        #expect(await isRefused { try await bench.store.seal(recording.id, reason: .deviceGone) })
        #expect(await isRefused { try await bench.store.append(recording.id, blocks: [.sample(0)]) })
        let unknown = Recording.sample().id
        let missing = StoreError.notFound("recording \(unknown)")
        #expect(await failure { try await bench.store.append(unknown, blocks: [.sample(0)]) } == missing)
        #expect(await failure { try await bench.store.seal(unknown, reason: .finished) } == missing)
        #expect(await failure { try await bench.store.waveform(unknown) } == missing)
        #expect(try await bench.store.recording(unknown) == nil)
    }

    @Test func simulatedNeverPassesForReal() async throws {
        let bench = try await Bench()
        let recording = Recording.sample(serial: "SIM0001")
        try await bench.store.begin(recording, binding: nil)
        #expect(try await bench.store.recording(recording.id)?.recording.origin == .simulated)
    }

    @Test func recoverySealsWhatWasCut() async throws {
        let bench = try await Bench()
        let recording = Recording.sample()
        try await bench.store.begin(recording, binding: try await bench.openVisit())
        try await bench.store.append(recording.id, blocks: [.sample(0)])
        let store = try await bench.reopened()
        let report = try await store.recover()
        #expect(report == RecoveryReport(sealed: [recording.id], uploadsInFlight: 0, problems: []))
        let summary = try #require(try await store.recording(recording.id)?.summary)
        #expect(summary.state == .interrupted)
        #expect(summary.endReason == .agentStopped)
        #expect(summary.samples == [1, 2])
        #expect(try await store.recover().sealed == [])
    }

    @Test func manyAtOnce() async throws {
        let bench = try await Bench()
        let recordings = (0..<4).map { _ in Recording.sample() }
        let store = bench.store
        try await withThrowingTaskGroup(of: Void.self) { group in
            for recording in recordings {
                group.addTask {
                    try await store.begin(recording, binding: nil)
                    for n in 0..<25 { try await store.append(recording.id, blocks: [.sample(n)]) }
                    try await store.seal(recording.id, reason: .finished)
                }
            }
            try await group.waitForAll()
        }
        for recording in recordings {
            #expect(try await store.original(recording.id) == (0..<25).flatMap { Block.sample($0).raw })
        }
    }
}

@Suite struct Importing {
    private func waveform(_ count: Int) -> Waveform {
        Waveform(
            channels: [.spo2, .pulse],
            samples: [(0..<count).map { Sample($0) }, (0..<2 * count).map { $0 % 7 == 0 ? .absent : Sample(-$0) }])
    }

    @Test(arguments: [0, 1, 10, 400_000])
    func allOfItComesBack(_ count: Int) async throws {
        let bench = try await Bench()
        let recording = Recording.sample(kind: .file, source: "f")
        let original = (0..<count * 3 + 1).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        let notes = [Note(kind: .device, text: "one"), Note(kind: .surprise, text: "two")]
        let outcome = try await bench.store.importRecording(
            recording, waveform: waveform(count), original: original, notes: notes, binding: nil)
        #expect(outcome == .stored(.unattributed))
        #expect(try await bench.store.waveform(recording.id) == waveform(count))
        #expect(try await bench.store.original(recording.id) == original)
        #expect(try await bench.store.notes(recording.id) == notes)
        #expect(try await bench.store.recording(recording.id)?.recording.state == .complete)
    }

    @Test func aKnownSourceIsNotStoredTwice() async throws {
        let bench = try await Bench()
        let first = Recording.sample(kind: .file, source: "f")
        let second = Recording.sample(kind: .file, source: "f")
        for (recording, outcome) in [
            (first, ImportOutcome.stored(.unattributed)), (second, .alreadyStored(first.id)),
        ] {
            #expect(
                try await bench.store.importRecording(
                    recording, waveform: waveform(3), original: [1], binding: nil) == outcome)
        }
        #expect(try await bench.store.recordings().map(\.id) == [first.id])
        #expect(try await bench.store.knownItems() == ["f"])
    }

    @Test func allOrNothing() async throws {
        let bench = try await Bench()
        let recording = Recording.sample(kind: .file, source: "f")
        let wrong = Waveform(channels: [.spo2], samples: [[1]])
        #expect(
            await isRefused {
                try await bench.store.importRecording(recording, waveform: wrong, original: [1], binding: nil)
            })
        #expect(try await bench.store.recordings().isEmpty)
    }
}

@Suite struct Sources {
    private func download(_ bench: Bench, _ reason: Recording.EndReason, _ chunks: Int) async throws -> RecordingID {
        try await bench.sealed(
            .sample(kind: .stored, source: "n1", start: .device), nil, reason: reason, chunks: chunks)
    }

    private func successor(_ bench: Bench, _ id: RecordingID) async throws -> RecordingID? {
        try await bench.store.recording(id)?.summary.supersededBy
    }

    @Test func aCompleteDownloadSupersedesItsCutForerunners() async throws {
        let bench = try await Bench()
        let short = try await download(bench, .deviceGone, 1)
        #expect(try await bench.store.knownItems() == [], "it is to be fetched again")
        let long = try await download(bench, .deviceGone, 3)
        #expect(try await successor(bench, short) == long)
        let middle = try await download(bench, .deviceGone, 2)
        #expect(try await successor(bench, middle) == long)
        let complete = try await download(bench, .finished, 4)
        #expect(try await successor(bench, long) == complete)
        #expect(try await successor(bench, complete) == nil)
        let again = try await download(bench, .finished, 4)
        #expect(try await successor(bench, again) == complete, "a complete one that came twice stays, unsent")
        #expect(try await bench.store.knownItems() == ["n1"])
        #expect(try await bench.store.recordings().count == 5, "nothing is deleted")
        #expect(try await bench.store.original(short) == Block.sample(0).raw)
    }

    @Test func whatWasTriedIsNotSuperseded() async throws {
        let bench = try await Bench()
        let binding = try await bench.openVisit()
        let cut = try await bench.sealed(
            .sample(kind: .stored, source: "n1", start: .device), binding, reason: .deviceGone)
        try await bench.store.closeVisit("v1", by: "nurse", at: bench.world.time)
        let documents = try await bench.freeze(cut)
        try await bench.store.beginUpload(documents.artefact.id)
        _ = try await download(bench, .finished, 4)
        #expect(try await successor(bench, cut) == nil)
        #expect(try await bench.store.outbox(now: .max).count == 2)
    }

    @Test func aSupersededOneIsNeverSent() async throws {
        let bench = try await Bench()
        let binding = try await bench.openVisit()
        let cut = try await bench.sealed(
            .sample(kind: .stored, source: "n1", start: .device), binding, reason: .deviceGone)
        try await bench.store.closeVisit("v1", by: "nurse", at: bench.world.time)
        #expect(try await bench.store.awaitingFreeze() == [cut])
        try await bench.freeze(cut)
        #expect(try await bench.store.outbox(now: .max).count == 2)
        _ = try await download(bench, .finished, 4)
        #expect(try await bench.store.outbox(now: .max).isEmpty)
        #expect(try await bench.store.factsPending(now: .max).isEmpty)
        #expect(
            await isRefused { try await bench.store.attribute(cut, to: "v1", by: "nurse", why: nil, at: 1) })
    }

    /// Unplugged at one patient's, plugged in again at the next one's.
    @Test func anotherPatientsNightIsHeld() async throws {
        let bench = try await Bench()
        _ = try await bench.sealed(
            .sample(kind: .stored, source: "n1"), try await bench.openVisit(), reason: .deviceGone)
        try await bench.store.closeVisit("v1", by: "nurse", at: bench.world.time)
        let second = try await bench.openVisit("v2", patient: .paul)
        let recording = Recording.sample(kind: .stored, source: "n1")
        let attribution = try await bench.store.begin(recording, binding: second)
        #expect(
            attribution
                == .held([Contradiction(kind: .earlierBinding, claimed: "p1", expected: "p2")]))
    }
}
