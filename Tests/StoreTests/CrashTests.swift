import Clinical
import Foundation
import GRDB
import Store
import Synchronization
import Testing

@Suite struct Crashes {
    /// A process of its own is killed while it writes; what it was told is stored must be there.
    @Test func killedWhileWriting() async throws {
        let scratch = try Scratch()
        let path = scratch.path
        await #expect(processExitsWith: .signal(SIGKILL)) { [path = path as String] in
            try await writeUntilKilled(in: path)
        }
        let world = World()
        let store = try await Store.open(directory: path, key: try testKey(), environment: world.environment)
        let report = try await store.recover()
        #expect(report.problems == [])
        let id = try #require(report.sealed.first)
        // One byte per acknowledged second.
        let acknowledged = try Data(contentsOf: URL(fileURLWithPath: "\(path)/acknowledged")).count
        #expect(acknowledged >= 40)
        try await expectPrefix(of: id, in: store, atLeast: acknowledged)
        #expect(try await store.verifyAudit() == .intact(entries: 1))
    }

    /// The files as a power cut would leave them, at arbitrary moments.
    @Test func copiedWhileWriting() async throws {
        let bench = try await Bench()
        let recording = Recording.sample()
        try await bench.store.begin(recording, binding: nil)
        let store = bench.store
        let progress = Progress()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                var n = 0
                while !progress.isOver.load(ordering: .relaxed) {
                    // Long enough for checkpoints to happen in between.
                    var block = Block.sample(n)
                    block.raw += [UInt8](repeating: UInt8(truncatingIfNeeded: n), count: 30_000)
                    try await store.append(recording.id, blocks: [block])
                    n += 1
                    progress.acknowledged.store(n, ordering: .releasing)
                }
            }
            var copies = 0
            while copies < 8 {
                let copy = try Scratch()
                let before = progress.acknowledged.load(ordering: .acquiring)
                guard before > copies * 5, try Self.snapshot(of: bench.scratch, to: copy) else {
                    await Task.yield()
                    continue
                }
                copies += 1
                let opened = try await Store.open(
                    directory: copy.path, key: try testKey(), environment: World().environment)
                #expect(try await opened.recover().problems == [])
                let samples = try await opened.waveform(recording.id).samples[0]
                #expect(samples.count >= before)
                #expect(samples == pattern(samples.count))
                try await opened.close()
            }
            progress.isOver.store(true, ordering: .relaxed)
            try await group.waitForAll()
        }
    }

    /// Copies database and WAL. False when the WAL began anew meanwhile: such a pair never existed at one moment.
    private static func snapshot(of source: Scratch, to copy: Scratch) throws -> Bool {
        func bytes(_ path: String) throws -> Data { try Data(contentsOf: URL(fileURLWithPath: path)) }
        func salt() throws -> Data { try bytes("\(source.database)-wal").prefix(32) }
        let before = try salt()
        try bytes(source.database).write(to: URL(fileURLWithPath: copy.database))
        let wal = try bytes("\(source.database)-wal")
        guard !before.isEmpty, wal.prefix(32) == before, try salt() == before else { return false }
        try wal.write(to: URL(fileURLWithPath: "\(copy.database)-wal"))
        return true
    }
}

private final class Progress: Sendable {
    let acknowledged = Atomic<Int>(0)
    let isOver = Atomic<Bool>(false)
}

/// What `Block.sample` writes second by second.
private func pattern(_ count: Int) -> [Sample] { (0..<count).map { Sample(90 + $0 % 10) } }

private func expectPrefix(of id: RecordingID, in store: Store, atLeast count: Int) async throws {
    let samples = try await store.waveform(id).samples[0]
    #expect(samples.count >= count)
    #expect(samples == pattern(samples.count))
    let raw: [UInt8] = (0..<samples.count).flatMap { Block.sample($0).raw }
    #expect(try await store.original(id) == raw)
}

/// Runs in the process that dies.
private func writeUntilKilled(in path: String) async throws {
    let store = try await Store.open(directory: path, key: try testKey(), environment: World().environment)
    let recording = Recording.sample()
    try await store.begin(recording, binding: nil)
    _ = FileManager.default.createFile(atPath: "\(path)/acknowledged", contents: nil)
    let log = try FileHandle(forWritingTo: URL(fileURLWithPath: "\(path)/acknowledged"))
    let progress = Progress()
    try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask {
            for n in 0... {
                try await store.append(recording.id, blocks: [.sample(n)])
                try log.write(contentsOf: [0])
                progress.acknowledged.store(n + 1, ordering: .releasing)
            }
        }
        group.addTask {
            // Somewhere in the middle of whatever is going on then.
            while progress.acknowledged.load(ordering: .acquiring) < 40 { await Task.yield() }
            kill(getpid(), SIGKILL)
        }
        try await group.waitForAll()
    }
}
