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

/// Counts what is read of a tree, some of whose files can't be read.
private final class CountedTree: Tree {
    private let tree: any Tree
    private let unreadable: Set<[String]>
    private let count = Mutex(0)

    init(_ tree: any Tree, unreadable: Set<[String]>) {
        self.tree = tree
        self.unreadable = unreadable
    }

    var bytes: Int { count.withLock { $0 } }

    func list(_ path: [String]) throws(TreeError) -> [TreeEntry] { try tree.list(path) }

    func read(_ path: [String], limit: Int) throws(TreeError) -> [UInt8] {
        guard !unreadable.contains(path) else { throw .unreadable("file", 5) }
        return counted(try tree.read(path, limit: limit))
    }

    func read(_ path: [String], offset: Int, count: Int) throws(TreeError) -> [UInt8] {
        guard !unreadable.contains(path) else { throw .unreadable("file", 5) }
        return counted(try tree.read(path, offset: offset, count: count))
    }

    private func counted(_ bytes: [UInt8]) -> [UInt8] {
        count.withLock { $0 += bytes.count }
        return bytes
    }
}

/// Counts what an importer decodes.
private final class CountedImporter: Importer {
    private let importer: any Importer
    private let count = Mutex(0)

    init(_ importer: any Importer) { self.importer = importer }

    var decoded: Int { count.withLock { $0 } }
    var name: String { importer.name }
    var title: String { importer.title }
    var support: SupportLevel { importer.support }

    func find(in tree: any Tree) throws(TreeError) -> [ImportItem] { try importer.find(in: tree) }

    func look(in tree: any Tree) throws(TreeError) -> (items: [ImportItem], memories: [CardMemory]) {
        try importer.look(in: tree)
    }

    func identity(of original: [UInt8]) -> [UInt8] { importer.identity(of: original) }

    func original(of item: ImportItem, from tree: any Tree) throws(ImportError) -> [UInt8]? {
        try importer.original(of: item, from: tree)
    }

    func take(_ item: ImportItem, original: [UInt8]?, from tree: any Tree) throws(ImportError) -> Imported {
        if original != nil { count.withLock { $0 += 1 } }
        return try importer.take(item, original: original, from: tree)
    }

    func decode(_ bytes: [UInt8]) throws(ImportError) -> ImportedRecording {
        count.withLock { $0 += 1 }
        return try importer.decode(bytes)
    }
}

@Suite("A card that comes again", .timeLimit(.minutes(2)))
struct MediaImportTests {
    /// A store, and a card in a directory.
    private final class Bench {
        let root = FileManager.default.temporaryDirectory.appending(path: "ess-media-\(UUID().uuidString)")
        let store: Store
        var card: URL { root.appending(path: "card") }

        init() async throws {
            store = try await Store.scratch(in: root.appending(path: "store"))
            try FileManager.default.createDirectory(at: card, withIntermediateDirectories: true)
        }

        deinit { try? FileManager.default.removeItem(at: root) }

        func write(_ files: [(path: [String], bytes: [UInt8])]) throws {
            for (path, bytes) in files {
                let url = card.appending(path: path.joined(separator: "/"))
                try FileManager.default.createDirectory(
                    at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
                try Data(bytes).write(to: url)
            }
        }

        /// As a program that copies with the times of what it copies.
        func overwrite(_ path: String, keepingTime: Bool, _ change: (inout [UInt8]) -> Void) throws {
            let file = card.appending(path: path).path
            let time = try FileManager.default.attributesOfItem(atPath: file)[.modificationDate]
            var bytes = [UInt8](try Data(contentsOf: URL(filePath: file)))
            change(&bytes)
            try Data(bytes).write(to: URL(filePath: file))
            guard keepingTime, let time else { return }
            try FileManager.default.setAttributes([.modificationDate: time], ofItemAtPath: file)
        }

        func date(_ date: Date) throws {
            for case let url as URL in FileManager.default.enumerator(at: card, includingPropertiesForKeys: nil)! {
                try FileManager.default.setAttributes([.modificationDate: date], ofItemAtPath: url.path)
            }
        }

        func run(
            _ importer: any Importer, unreadable: Set<[String]> = []
        ) async throws -> (imported: Int, known: Int, failed: Int, read: Int, decoded: Int) {
            let tree = CountedTree(try MountedTree(card.path), unreadable: unreadable)
            let importer = CountedImporter(importer)
            let survey = try MediaSurvey.take(of: tree, only: nil, importers: [importer])
            let tally = MediaTally()
            let run = MediaRun(
                store: store, clock: HostClock(), logger: Logger(label: "test"), tree: tree, path: card.path,
                survey: survey, visit: nil, person: "nurse", tally: tally)
            try await run.run()
            let counts = tally.now
            return (counts.imported.count, counts.known.count, counts.failed.count, tree.bytes, importer.decoded)
        }
    }

    private static func session(_ day: Int, minutes: Int = 240) throws -> ResmedSimulatedCard.Session {
        ResmedSimulatedCard.Session(
            start: try #require(LocalTime(year: 2026, month: 11, day: day, hour: 22, minute: 31, second: 5)),
            minutes: minutes, apnoeas: 9, oximeter: true)
    }

    private static func nights(_ count: Int) throws -> [(path: [String], bytes: [UInt8])] {
        ResmedSimulatedCard(model: .airSense10, sessions: try (1...count).map { try session($0) }).files()
    }

    @Test("is known without decoding, and without reading much of it")
    func unchanged() async throws {
        let bench = try await Bench()
        let files = try Self.nights(4)
        try bench.write(files)
        let first = try await bench.run(ResmedCard())
        #expect(first.failed == 0 && first.decoded == 4)
        let again = try await bench.run(ResmedCard())
        #expect(again.imported == 0 && again.failed == 0 && again.known == first.imported && again.decoded == 0)
        // Heads and tails of some ten files a night, where a night has megabytes.
        let size = files.reduce(0) { $0 + $1.bytes.count }
        #expect(again.read < size / 8 && again.read < first.read / 8, "\(again.read) of \(size) bytes")
    }

    @Test("gives each session of a night one recording, and nothing of it to other readers")
    func sessions() async throws {
        let bench = try await Bench()
        let times = [(22, 22), (23, 3), (23, 5)]
        let sessions = try times.map { day, hour in
            ResmedSimulatedCard.Session(
                start: try #require(LocalTime(year: 2026, month: 11, day: day, hour: hour, minute: 30, second: 5)),
                minutes: 3, apnoeas: 1)
        }
        try bench.write(ResmedSimulatedCard(model: .airSense11, sessions: sessions).files())
        let survey = try MediaSurvey.take(
            of: try MountedTree(bench.card.path), only: nil, importers: [ResmedCard(), SignalFiles()])
        #expect(survey.candidates.map(\.importer.name) == Array(repeating: "resmed-card", count: 3))
        #expect(survey.opaque.map(\.path) == [["JOURNAL.JNL"]] && survey.leftOut == 0)
        #expect(try await bench.run(ResmedCard()).imported == 4)
        #expect(try await bench.run(ResmedCard()).known == 4)
    }

    @Test("is known without decoding under other dates, and in another place")
    func elsewhere() async throws {
        let bench = try await Bench()
        try bench.write(try Self.nights(2))
        #expect(try await bench.run(ResmedCard()).decoded == 2)
        try bench.date(Date(timeIntervalSince1970: 1_795_000_000))
        var again = try await bench.run(ResmedCard())
        #expect(again.decoded == 0 && again.imported == 0)
        // And the next time it is known by its new dates.
        let read = again.read
        again = try await bench.run(ResmedCard())
        #expect(again.decoded == 0 && again.imported == 0 && again.read < read / 8)
    }

    @Test("brings the night that is new, and nothing else is decoded")
    func grown() async throws {
        let bench = try await Bench()
        try bench.write(try Self.nights(2))
        _ = try await bench.run(ResmedCard())
        try bench.write(try Self.nights(3))
        let again = try await bench.run(ResmedCard())
        // The statistics have grown as well, and are no session's. The journal, written again, is known by its content.
        #expect(again.decoded == 1 && again.known == 3 && again.failed == 0)
    }

    @Test(
        "is never taken for known where a file is longer, or has other bytes of the same length",
        arguments: [false, true],
        [Date(timeIntervalSince1970: 1_795_000_000), Date(timeIntervalSince1970: 315_532_800)])
    func changed(keepingTime: Bool, date: Date) async throws {
        let bench = try await Bench()
        // A night in EDF: its records again and again, until neither end is anywhere near the middle.
        let text = [UInt8](try Data(contentsOf: Self.fixtures.appending(path: "oximetry.edf")))
        let channels = Int(String(decoding: text[252..<256], as: UTF8.self).filter { $0 != " " }) ?? 0
        let header = 256 * (channels + 1)
        let whole = Array(text[header...])
        var night = Array(text[..<header])
        for _ in 0..<20_000 / whole.count + 1 { night += whole }
        // As many records as it is long: -1.
        night.replaceSubrange(236..<244, with: Array("-1      ".utf8))
        try bench.write([(["A", "1.edf"], night), (["A", "2.edf"], night + whole)])
        // The second date is what a recorder without a clock writes on everything, 1980-01-01.
        try bench.date(date)
        let first = try await bench.run(SignalFiles())
        #expect(first.imported == 2 && first.decoded == 2 && first.failed == 0)

        // In the middle, where neither end shows it: other bytes, the same length.
        try bench.overwrite("A/1.edf", keepingTime: keepingTime) {
            $0[header + ($0.count - header) / whole.count / 2 * whole.count + 4] ^= 0x01
        }
        var again = try await bench.run(SignalFiles())
        #expect(again.imported == 1 && again.known == 1 && again.failed == 0)
        // Longer: a copy that was cut is whole now.
        try bench.overwrite("A/2.edf", keepingTime: keepingTime) { $0 += whole + whole }
        again = try await bench.run(SignalFiles())
        #expect(again.imported == 1 && again.known == 1 && again.failed == 0)
        again = try await bench.run(SignalFiles())
        #expect(again.imported == 0 && again.known == 2 && again.decoded == 0)
    }

    @Test("keeps a signal that can't be decoded as it is, once")
    func undecoded() async throws {
        let bench = try await Bench()
        var strange = [UInt8](try Data(contentsOf: Self.fixtures.appending(path: "ecg.dcm")))
        let kind = try #require(strange.lastRange(of: [0x00, 0x54, 0x06, 0x10, 0x43, 0x53, 2, 0])).upperBound
        strange.replaceSubrange(kind..<kind + 2, with: Array("MB".utf8))
        try bench.write([(["a"], strange)])
        let first = try await bench.run(SignalFiles())
        #expect(first.imported == 1 && first.failed == 0)
        let again = try await bench.run(SignalFiles())
        #expect(again.imported == 0 && again.known == 1 && again.decoded == 0)
    }

    @Test("tells of a file that can't be read, also where nobody understands it and the others are kept")
    func unreadable() async throws {
        let bench = try await Bench()
        try bench.write([(["A.BIN"], [UInt8](repeating: 1, count: 9000)), (["B.BIN"], [2, 3])])
        let first = try await bench.run(SignalFiles(), unreadable: [["A.BIN"]])
        #expect(first.imported == 1 && first.known == 0 && first.failed == 1)
        // It is tried again, the others are known.
        let again = try await bench.run(SignalFiles())
        #expect(again.imported == 1 && again.known == 1 && again.failed == 0)
    }

    @Test("is to be kept while a part of it can't be read, and a file that is asked for alone is all of it")
    func partly() async throws {
        let bench = try await Bench()
        let night = [UInt8](try Data(contentsOf: Self.fixtures.appending(path: "oximetry.edf")))
        // Deeper than any card.
        try bench.write([(Array(repeating: "d", count: 20) + ["a.edf"], night)])
        let hub = MediaHub(
            store: bench.store, clock: HostClock(), importers: [SignalFiles()], logger: Logger(label: "test"),
            changed: {})
        let card = bench.card.path
        let view = try await hub.look(at: card)
        #expect(view.sentence == MediumSentence.unread && view.hint == nil && view.found?.isAll == false)
        await #expect(throws: Problem.mediumUnread) { try await hub.importAll(card, by: "nurse") }

        try bench.write([(["b.edf"], night)])
        let alone = try await hub.importAll("\(card)/b.edf", by: "nurse")
        #expect(alone.imported.count == 1 && alone.isAll && alone.hint == nil)
        let all = try await hub.importAll(card, by: "nurse")
        #expect(all.known.count == 1 && !all.isAll && all.hint == MediumSentence.partly)
        #expect(await hub.views().map(\.sentence) == [MediumSentence.done, MediumSentence.partlyDone])
    }

    private static let fixtures = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "fixtures/formats")
}
