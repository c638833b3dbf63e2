import Clinical
import Foundation
import GRDB
import Store
import Testing

@Suite struct Backups {
    private func filled() async throws -> (Bench, RecordingID) {
        let bench = try await Bench()
        let id = try await bench.sealed(.sample(), try await bench.openVisit())
        try await bench.store.closeVisit("v1", by: "nurse", at: bench.world.time)
        return (bench, id)
    }

    private func restore(_ path: String, to directory: String, key: UInt8 = 0, force: Bool = false) async throws
        -> RestoreReport
    {
        try await Store.restore(
            from: path, to: directory, key: try testKey(key), environment: World().environment, force: force,
            by: "admin")
    }

    @Test func thereAndBack() async throws {
        let (bench, id) = try await filled()
        let path = "\(bench.scratch.path)/copy.backup"
        // While it is written to.
        let store = bench.store
        let running = Recording.sample()
        try await store.begin(running, binding: nil)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { for n in 0..<50 { try await store.append(running.id, blocks: [.sample(n)]) } }
            group.addTask { try await store.backup(to: path, by: "admin") }
            try await group.waitForAll()
        }
        #expect(try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int == 0o600)
        #expect(try await store.auditEntries().contains { $0.action == "store.backup" })
        #expect(await isRefused { try await store.backup(to: path, by: "admin") }, "never over a file")
        let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        for word in ["Tartempionne", "Jeanne", "238047512345622"] { #expect(bytes.range(of: Data(word.utf8)) == nil) }
        let there = try Scratch()
        let report = try await restore(path, to: "\(there.path)/new")
        #expect(report.recordings == 2 && report.replaced == nil)
        let restored = try await Store.open(
            directory: "\(there.path)/new", key: try testKey(), environment: World().environment)
        #expect(try await restored.original(id) == (0..<2).flatMap { Block.sample($0).raw })
        #expect(try await restored.visit("v1")?.patient == .jeanne)
        #expect(try await restored.recover().sealed == [running.id])
        #expect(try await restored.salvage().isSound)
        #expect(try await restored.auditEntries().contains { $0.action == "store.restore" && $0.actor == "admin" })
        let names = try FileManager.default.contentsOfDirectory(atPath: bench.scratch.path)
        #expect(!names.contains { $0.contains("partial") })
    }

    @Test func notOverWhatWasNotSent() async throws {
        let (bench, id) = try await filled()
        let path = "\(bench.scratch.path)/copy.backup"
        try await bench.store.backup(to: path, by: "admin")
        let late = try await bench.sealed(.sample(), nil)
        #expect(await failure { try await restore(path, to: bench.scratch.path) } == .inUse(getpid()))
        try await bench.store.close()
        #expect(await isRefused { try await restore(path, to: bench.scratch.path) })
        let report = try await restore(path, to: bench.scratch.path, force: true)
        #expect(report.recordings == 1)
        let old = try #require(report.replaced)
        let store = try await Store.open(
            directory: bench.scratch.path, key: try testKey(), environment: bench.world.environment)
        #expect(try await store.recordings().map(\.id) == [id])
        try await store.close()
        // What was put aside is whole.
        let aside = try Scratch()
        try FileManager.default.copyItem(atPath: old, toPath: aside.database)
        let before = try await Store.open(
            directory: aside.path, key: try testKey(), environment: bench.world.environment)
        #expect(try await before.original(late).count == 6)
    }

    @Test func overWhatWasSent() async throws {
        let bench = try await Bench()
        let id = try await bench.delivered()
        let path = "\(bench.scratch.path)/copy.backup"
        try await bench.store.backup(to: path, by: "admin")
        try await bench.store.close()
        let report = try await restore(path, to: bench.scratch.path)
        #expect(report.recordings == 1 && report.replaced != nil)
        let store = try await Store.open(
            directory: bench.scratch.path, key: try testKey(), environment: bench.world.environment)
        #expect(try await store.original(id).count == 6)
    }

    @Test func whatIsNoBackup() async throws {
        let (bench, _) = try await filled()
        let path = "\(bench.scratch.path)/copy.backup"
        try await bench.store.backup(to: path, by: "admin")
        let there = try Scratch()
        #expect(await failure { try await restore(path, to: there.path, key: 9) } == .wrongKey)
        let whole = try Data(contentsOf: URL(fileURLWithPath: path))
        let bad = "\(there.path)/bad"
        for bytes in [whole.prefix(whole.count / 2), Data(count: 10_000), Data("no database".utf8), Data()] {
            try bytes.write(to: URL(fileURLWithPath: bad))
            let error = await failure { try await restore(bad, to: there.path) }
            guard case .corrupt = error else {
                Issue.record("\(String(describing: error))")
                continue
            }
        }
        guard case .notFound = await failure({ try await restore("\(there.path)/none", to: there.path) }) else {
            Issue.record("found")
            return
        }
        #expect(!FileManager.default.fileExists(atPath: there.database), "nothing was put in place")
    }

    @Test func aDamagedStoreIsPutAside() async throws {
        let (bench, id) = try await filled()
        let path = "\(bench.scratch.path)/copy.backup"
        try await bench.store.backup(to: path, by: "admin")
        try await bench.store.close()
        try Data((0..<9000).map { UInt8(truncatingIfNeeded: $0 &* 31) }).write(
            to: URL(fileURLWithPath: bench.scratch.database))
        #expect(await isRefused { try await restore(path, to: bench.scratch.path) })
        #expect(try await restore(path, to: bench.scratch.path, force: true).recordings == 1)
        let store = try await Store.open(
            directory: bench.scratch.path, key: try testKey(), environment: bench.world.environment)
        #expect(try await store.original(id).count == 6)
    }
}
