import Clinical
import Foundation
import Store
import Testing

/// A file system in memory of a size that a test chooses.
private final class SmallDisk: Sendable {
    let path: String
    private let scratch: Scratch

    /// Nil where mounting is not allowed.
    init?(kilobytes: Int) throws {
        scratch = try Scratch()
        path = "\(scratch.path)/disk"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        guard Self.mount(["-t", "tmpfs", "-o", "size=\(kilobytes)k,mode=0700", "tmpfs", path]) else { return nil }
    }

    func grow(kilobytes: Int) -> Bool { Self.mount(["-o", "remount,size=\(kilobytes)k", path]) }
    func makeReadOnly() -> Bool { Self.mount(["-o", "remount,ro", path]) }
    func makeWritable() -> Bool { Self.mount(["-o", "remount,rw", path]) }

    deinit { _ = Self.run("/bin/umount", ["-l", path]) }

    private static func mount(_ arguments: [String]) -> Bool { run("/bin/mount", arguments) }

    private static func run(_ program: String, _ arguments: [String]) -> Bool {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        process.standardError = nil
        guard (try? process.run()) != nil else { return false }
        process.waitUntilExit()
        return process.terminationStatus == 0
    }

    static let isPossible: Bool = (try? SmallDisk(kilobytes: 64)) != nil
}

@Suite(.enabled(if: SmallDisk.isPossible, "needs the right to mount a tmpfs (root)"), .serialized)
struct FullDisk {
    /// The disk is full at another statement each time: at opening, beginning, appending, sealing, freezing, sending.
    @Test func atEveryStage() async throws {
        var reached: Set<String> = []
        for kilobytes in [
            32, 64, 200, 330, 400, 500, 600, 800, 1000, 1300, 1700, 2100, 2500, 2800, 3100, 3300, 3500, 3700, 3900,
            4100, 4500, 5000,
        ] {
            let disk = try #require(try SmallDisk(kilobytes: kilobytes))
            let world = World()
            world.setFree(nil)
            var acknowledged = 0
            var sealed = false
            var frozen: Document?
            let recording = Recording.sample()
            var begun = false
            var stage = "open"
            var opened: Store?
            do {
                let store = try await Store.open(
                    directory: disk.path, key: try testKey(), environment: world.environment)
                opened = store
                stage = "visit"
                try await store.merge(visits: [.sample("v1")])
                try await store.openVisit("v1", by: "n", at: world.time)
                stage = "begin"
                try await store.begin(
                    recording, binding: Binding(visit: "v1", reason: .openVisit, by: "n", at: world.time))
                begun = true
                stage = "append"
                for n in 0..<60 {
                    var block = Block.sample(n)
                    block.raw += [UInt8](repeating: 1, count: 4000)
                    try await store.append(recording.id, blocks: [block])
                    acknowledged += 1
                }
                stage = "seal"
                try await store.seal(recording.id, reason: .finished)
                sealed = true
                stage = "freeze"
                // Nothing that packs: it needs its room.
                var random = UInt64(1)
                let bytes = (0..<600_000).map { _ in
                    random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                    return UInt8(truncatingIfNeeded: random >> 56)
                }
                let document = DocumentHasher.document(
                    of: recording.id, role: .artefact, mediaType: "application/edf", bytes: bytes)
                let revision = try #require(try await store.recording(recording.id)).summary.revision
                try await store.freeze(
                    recording.id, documents: [(document, bytes)], boundTo: "v1", revision: revision)
                frozen = document
                stage = "done"
                try await store.close()
            } catch {
                #expect(error as? StoreError == .diskFull, "\(stage): \(error)")
            }
            reached.insert(stage)
            try? await opened?.close()
            // Room is made; everything that was acknowledged is there, and it goes on.
            try #require(disk.grow(kilobytes: 20_000))
            let store = try await Store.open(directory: disk.path, key: try testKey(), environment: world.environment)
            #expect(try await store.recover().problems == [])
            if begun {
                let samples = try await store.waveform(recording.id).samples[0]
                #expect(samples.count >= acknowledged && samples.count <= acknowledged + 1)
                let state = try await store.recording(recording.id)?.summary.state
                #expect(sealed ? state == .complete : state != .open)
                let documents = try await store.documents(of: recording.id).map(\.document)
                if let frozen { #expect(documents == [frozen]) }
            }
            #expect(try await store.salvage().isSound)
            try await store.begin(.sample(), binding: nil)
            try await store.close()
        }
        #expect(reached.isSuperset(of: ["open", "append", "freeze", "done"]), "\(reached)")
    }

    @Test func mountedReadOnly() async throws {
        let disk = try #require(try SmallDisk(kilobytes: 20_000))
        let world = World()
        let store = try await Store.open(directory: disk.path, key: try testKey(), environment: world.environment)
        let recording = Recording.sample()
        try await store.begin(recording, binding: nil)
        try await store.append(recording.id, blocks: [.sample(0)])
        // Files that are open for writing keep the kernel from doing what it does by itself after a disk error.
        try await store.close()
        try #require(disk.makeReadOnly())
        let error = await failure {
            try await Store.open(directory: disk.path, key: try testKey(), environment: world.environment)
        }
        #expect(error == .readOnly)
        try #require(disk.makeWritable())
        let again = try await Store.open(directory: disk.path, key: try testKey(), environment: world.environment)
        #expect(try await again.recover().sealed == [recording.id])
        #expect(try await again.waveform(recording.id).samples[0].count == 1)
        try await again.close()
    }

    @Test func aBackupThatDoesNotFit() async throws {
        let bench = try await Bench()
        let recording = Recording.sample(kind: .file, start: .device)
        _ = try await bench.store.importRecording(
            recording, waveform: Waveform(channels: recording.channels, samples: [[1], [2]]),
            original: [UInt8](repeating: 3, count: 3_000_000), binding: nil)
        let disk = try #require(try SmallDisk(kilobytes: 500))
        #expect(await failure { try await bench.store.backup(to: "\(disk.path)/b", by: "n") } == .diskFull)
        #expect(try FileManager.default.contentsOfDirectory(atPath: disk.path) == [], "no half of one")
        #expect(try await bench.store.original(recording.id).count == 3_000_000)
    }

    @Test func aRotationThatDoesNotFit() async throws {
        let disk = try #require(try SmallDisk(kilobytes: 16_000))
        let key = "\(disk.path)/master.key"
        let world = World()
        world.setFree(nil)
        let (store, _) = try await Store.open(
            directory: "\(disk.path)/store", keyFile: key, createIfMissing: true, environment: world.environment)
        let recording = Recording.sample()
        try await store.begin(recording, binding: nil)
        try await store.append(recording.id, blocks: [.sample(0)])
        for n in 0..<300 { try await store.setValue(String(repeating: "x", count: 3000), forKey: "k\(n)") }
        // Without a log that is long enough already.
        try await store.close()
        let (reopened, _) = try await Store.open(
            directory: "\(disk.path)/store", keyFile: key, createIfMissing: false, environment: world.environment)
        let free = try #require(FileManager.default.attributesOfFileSystem(forPath: disk.path)[.systemFreeSize] as? Int)
        _ = FileManager.default.createFile(
            atPath: "\(disk.path)/ballast", contents: Data(count: max(0, free - 200_000)))
        #expect(await failure { try await reopened.rotateKeyFile(key, by: "n") } == .diskFull)
        #expect(try await reopened.waveform(recording.id).samples[0].count == 1)
        try FileManager.default.removeItem(atPath: "\(disk.path)/ballast")
        try await reopened.close()
        let (again, _) = try await Store.open(
            directory: "\(disk.path)/store", keyFile: key, createIfMissing: false, environment: world.environment)
        #expect(try await again.waveform(recording.id).samples[0].count == 1)
        try await again.close()
    }
}
