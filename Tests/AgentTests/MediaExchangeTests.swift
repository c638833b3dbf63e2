import Clinical
import Devices
import Foundation
import Logging
import Ports
import Store
import Synchronization
import Testing
import Wire

@testable import Agent

/// Does something just before a file is decoded.
private struct HookedImporter: Importer {
    let importer: any Importer
    let hook: @Sendable () -> Void

    var name: String { importer.name }
    var title: String { importer.title }
    var support: SupportLevel { importer.support }

    func find(in tree: any Tree) throws(TreeError) -> [ImportItem] { try importer.find(in: tree) }

    func original(of item: ImportItem, from tree: any Tree) throws(ImportError) -> [UInt8]? {
        hook()
        return try importer.original(of: item, from: tree)
    }

    func take(_ item: ImportItem, original: [UInt8]?, from tree: any Tree) throws(ImportError) -> Imported {
        try importer.take(item, original: original, from: tree)
    }

    func decode(_ bytes: [UInt8]) throws(ImportError) -> ImportedRecording { try importer.decode(bytes) }
}

@Suite("A card that is exchanged in a reader that stays plugged in", .timeLimit(.minutes(2)))
struct MediaExchangeTests {
    /// A reader: its place, what the kernel numbers the medium with, and the note of whoever mounted it. Out of the cache the old one's
    /// files can still be read when the number is another one already.
    private final class Reader: Sendable {
        let root = FileManager.default.temporaryDirectory.appending(path: "ess-reader-\(UUID().uuidString)")
        let store: Store
        var media: URL { root.appending(path: "media") }
        var place: String { media.appending(path: "sda1").path }
        private var counter: URL { root.appending(path: "diskseq") }

        init() async throws {
            store = try await Store.scratch(in: root.appending(path: "store"))
            try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
        }

        deinit { try? FileManager.default.removeItem(at: root) }

        /// The kernel has seen another medium.
        func put(_ number: Int) throws { try Data("\(number)\n".utf8).write(to: counter) }

        func mount(_ number: Int, files: [String]) throws {
            for name in try FileManager.default.contentsOfDirectory(atPath: place) {
                try FileManager.default.removeItem(atPath: "\(place)/\(name)")
            }
            try Data("\(counter.path)\n\(number)\n".utf8).write(to: media.appending(path: "sda1.medium"))
            let fixture = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
                .deletingLastPathComponent().appending(path: "fixtures/formats/oximetry.edf")
            // The same night with other bytes at its end is another one.
            for (index, name) in files.enumerated() {
                var bytes = [UInt8](try Data(contentsOf: fixture))
                bytes[bytes.count - 1] ^= UInt8(truncatingIfNeeded: number * 16 + index + 1)
                try Data(bytes).write(to: URL(filePath: "\(place)/\(name)"))
            }
        }

        func hub(_ hook: @escaping @Sendable () -> Void = {}) -> MediaHub {
            MediaHub(
                store: store, clock: HostClock(), importers: [HookedImporter(importer: SignalFiles(), hook: hook)],
                logger: Logger(label: "test"), changed: {})
        }
    }

    /// The one medium, once it is as it should be.
    private func medium(_ hub: MediaHub, _ isRight: (MediumView) -> Bool) async throws -> MediumView {
        while true {
            if let view = await hub.views().first, isRight(view) { return view }
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    @Test("gives nothing of the old one, and the new one is shown before anything of it is copied")
    func exchanged() async throws {
        let reader = try await Reader()
        let hub = reader.hub()
        try reader.put(7)
        try reader.mount(7, files: ["a.edf", "b.edf"])
        let watching = Task { await hub.watch(reader.media.path) }
        defer { watching.cancel() }
        let old = try await medium(hub) { $0.state == "ready" && $0.found?.recordings == 2 }
        // Its files are still there to be read.
        try reader.put(8)
        await #expect(throws: Problem.mediumExchanged) { try await hub.start(old.id, by: "nurse") }
        #expect(try await reader.store.recordings().isEmpty)
        try reader.mount(8, files: ["a.edf"])
        let new = try await medium(hub) { $0.state == "ready" && $0.found?.recordings == 1 }
        _ = try await hub.start(new.id, by: "nurse")
        _ = try await medium(hub) { $0.state == "done" }
        #expect(try await reader.store.recordings().count == 1)
    }

    @Test("in the middle of a copy: what is whole is the old one's, and nothing else comes")
    func underway() async throws {
        let reader = try await Reader()
        let count = Mutex(0)
        let hub = reader.hub {
            // Before the second file is read.
            if count.withLock({ count in
                count += 1
                return count == 2
            }) {
                try? reader.put(8)
            }
        }
        try reader.put(7)
        try reader.mount(7, files: ["a.edf", "b.edf", "c.edf"])
        let watching = Task { await hub.watch(reader.media.path) }
        defer { watching.cancel() }
        let old = try await medium(hub) { $0.state == "ready" }
        _ = try await hub.start(old.id, by: "nurse")
        let cut = try await medium(hub) { $0.state == "interrupted" }
        #expect(cut.problem == .mediumGone && cut.imported.count == 1 && cut.failed.isEmpty)
        #expect(try await reader.store.recordings().count == 1)
        // Continued it isn't, with another one in its place: that one is looked at like any that comes.
        try reader.mount(8, files: ["x.edf"])
        _ = try await medium(hub) { $0.state == "ready" && $0.found?.recordings == 1 }
        #expect(try await reader.store.recordings().count == 1)
    }
}
