import Clinical
import Dispatch
import Synchronization
import Testing

@testable import Store

/// What several devices append while the writer is busy goes in one transaction.
@Suite struct AppendingTogetherTests {
    /// Keeps the writer busy until all of them wait, so that they are one group.
    private func together(
        _ store: Store, _ appends: [(RecordingID, [Block])]
    ) async -> [Result<Void, StoreError>] {
        let free = DispatchSemaphore(value: 0)
        let (busy, isBusy) = AsyncStream.makeStream(of: Void.self)
        async let busyWriter: Void? = try? store.write { _ in
            isBusy.yield()
            free.wait()
        }
        for await _ in busy { break }
        let results = await withTaskGroup(of: (Int, Result<Void, StoreError>).self) { group in
            for (n, (id, blocks)) in appends.enumerated() {
                group.addTask {
                    do throws(StoreError) { return (n, .success(try await store.append(id, blocks: blocks))) } catch {
                        return (n, .failure(error))
                    }
                }
            }
            group.addTask {
                while store.appends.withLock({ $0.count }) < appends.count, !Task.isCancelled { await Task.yield() }
                free.signal()
                return (-1, .success(()))
            }
            var results = [Result<Void, StoreError>](repeating: .success(()), count: appends.count)
            for await (n, result) in group where n >= 0 { results[n] = result }
            return results
        }
        _ = await busyWriter
        return results
    }

    @Test func eachHasItsOwn() async throws {
        let bench = try await Bench()
        let recordings = (0..<8).map { _ in Recording.sample() }
        for recording in recordings { try await bench.store.begin(recording, binding: nil) }
        for round in 0..<3 {
            for result in await together(bench.store, recordings.map { ($0.id, [.sample(round)]) }) { try result.get() }
        }
        let store = try await bench.reopened()
        for recording in recordings {
            #expect(try await store.waveform(recording.id).samples[0] == [90, 91, 92])
        }
    }

    @Test func whatIsRefusedIsNobodyElsesMatter() async throws {
        let bench = try await Bench()
        let recordings = (0..<4).map { _ in Recording.sample() }
        for recording in recordings { try await bench.store.begin(recording, binding: nil) }
        try await bench.store.seal(recordings[1].id, reason: .finished)
        let unknown = Recording.sample().id
        let results = await together(
            bench.store, recordings.map { ($0.id, [.sample(0)]) } + [(unknown, [.sample(0)])])
        #expect(throws: StoreError.self) { try results[1].get() }
        #expect(throws: StoreError.notFound("recording \(unknown)")) { try results[4].get() }
        for n in [0, 2, 3] {
            try results[n].get()
            #expect(try await bench.store.waveform(recordings[n].id).samples[0] == [90])
        }
        #expect(try await bench.store.waveform(recordings[1].id).samples[0].isEmpty)
    }

    @Test func twoOfOneRecordingComeInTheirOrder() async throws {
        let bench = try await Bench()
        let recording = Recording.sample()
        try await bench.store.begin(recording, binding: nil)
        try await bench.store.append(recording.id, blocks: [.sample(0)])
        for result in await together(
            bench.store, [(recording.id, [.sample(1)]), (recording.id, [.sample(1)])])
        {
            try result.get()
        }
        #expect(try await bench.store.waveform(recording.id).samples[0] == [90, 91, 91])
    }
}
