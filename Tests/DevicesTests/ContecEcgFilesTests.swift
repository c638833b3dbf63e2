import Clinical
import Devices
import Formats
import Foundation
import Testing
import Wire

/// A card in memory, with everything that a real stick can be: unreadable files, odd entries, loops of folders.
private struct Card: Tree {
    var files: [[String]: [UInt8]] = [:]
    var others: Set<[String]> = []
    var unreadable: Set<[String]> = []
    /// Sizes that the directory claims instead of the real ones.
    var claimed: [[String]: Int] = [:]

    func list(_ path: [String]) throws(TreeError) -> [TreeEntry] {
        guard !unreadable.contains(path) else { throw .unreadable("folder", 5) }
        var entries: [String: TreeEntry] = [:]
        for file in Set(files.keys).union(others) where file.starts(with: path) && file.count > path.count {
            let name = file[path.count]
            if file.count > path.count + 1 {
                entries[name] = TreeEntry(name: name, kind: .directory, size: 0)
            } else if others.contains(file) {
                entries[name] = TreeEntry(name: name, kind: .other, size: 0)
            } else {
                entries[name] = TreeEntry(name: name, kind: .file, size: claimed[file] ?? files[file]?.count ?? 0)
            }
        }
        return Array(entries.values)
    }

    func read(_ path: [String], limit: Int) throws(TreeError) -> [UInt8] {
        guard let bytes = files[path], !unreadable.contains(path) else { throw .unreadable("file", 5) }
        guard bytes.count <= limit else { throw .tooLarge("file", size: bytes.count, limit: limit) }
        return bytes
    }

    func read(_ path: [String], offset: Int, count: Int) throws(TreeError) -> [UInt8] {
        Array(try read(path, limit: .max).dropFirst(offset).prefix(count))
    }
}

/// A stick whose folders contain themselves.
private struct EndlessTree: Tree {
    func list(_ path: [String]) throws(TreeError) -> [TreeEntry] {
        (0..<50).map { TreeEntry(name: "d\($0)", kind: .directory, size: 0) }
    }
    func read(_ path: [String], limit: Int) throws(TreeError) -> [UInt8] { throw .notFound("") }
    func read(_ path: [String], offset: Int, count: Int) throws(TreeError) -> [UInt8] { throw .notFound("") }
}

@Suite struct ContecEcgFilesTests {
    private let start = LocalTime(year: 2026, month: 11, day: 22, hour: 9, minute: 5, second: 7)!

    private func simulated(_ number: Int, _ change: (inout ContecEcgCard.Case) -> Void = { _ in }) -> [UInt8] {
        var item = ContecEcgCard.Case(number: number, start: start, seconds: 2)
        change(&item)
        return ContecEcgCard.bytes(item)
    }

    @Test func findsByContentInAStableOrder() throws {
        var card = Card()
        card.files = [
            ["ECG", "0000002.ECG"]: simulated(2), ["ECG", "0000001.ECG"]: simulated(1), ["photo.jpg"]: simulated(3),
            ["fake.ECG"]: Array("not an ECG, only called so, and long enough to look".utf8), ["empty.ECG"]: [],
            ["ECG", "broken.ECG"]: simulated(4) { $0.damage = .oddSize }, ["big.ECG"]: simulated(5),
            ["locked.ECG"]: simulated(6),
        ]
        card.claimed = [["big.ECG"]: (64 << 20) + 1]
        card.unreadable = [["locked.ECG"]]
        card.others = [["pipe.ECG"], ["ECG", "link"]]
        let found = try ContecEcgFiles().find(in: card)
        #expect(
            found.map(\.path) == [
                ["ECG", "0000001.ECG"], ["ECG", "0000002.ECG"], ["ECG", "broken.ECG"], ["photo.jpg"],
            ])
        #expect(found[0].size == 80 + 16 * 1600)
    }

    @Test func looksNeitherTooDeepNorForEver() throws {
        var card = Card()
        let deep = (0..<16).map { "d\($0)" }
        card.files = [deep + ["a.ECG"]: simulated(1), deep + ["e", "b.ECG"]: simulated(2)]
        #expect(try ContecEcgFiles().find(in: card).map(\.path) == [deep + ["a.ECG"]])
        #expect(try ContecEcgFiles().find(in: EndlessTree()).isEmpty)
    }

    @Test func aCardThatCannotBeReadIsAnError() {
        var card = Card()
        card.unreadable = [[]]
        #expect(throws: TreeError.unreadable("folder", 5)) { try ContecEcgFiles().find(in: card) }
        #expect(throws: ImportError.tree(.unreadable("file", 5))) {
            try ContecEcgFiles().read(ImportItem(path: ["gone"], size: 100), from: card)
        }
    }

    @Test func aFolderThatCannotBeReadHidesNothingElse() throws {
        var card = Card()
        card.files = [["a", "x.ECG"]: simulated(1), ["b", "y.ECG"]: simulated(2)]
        card.unreadable = [["a"]]
        #expect(try ContecEcgFiles().find(in: card).map(\.path) == [["b", "y.ECG"]])
    }

    @Test func importsASimulatedCase() throws {
        let bytes = simulated(37)
        let recording = try ContecEcgFiles().decode(bytes)
        #expect(recording.device.serial == "SIM00037" && recording.device.isSimulated)
        #expect(recording.device.vendor == "Contec" && recording.device.model == "ECG90A")
        #expect(recording.device.driver == "contec-ecg-files" && recording.device.support == .verified)
        #expect(recording.modality == .ecg && recording.original == bytes && recording.start == start)
        #expect(recording.rawStart == "2026-11-22 09:05:07")
        #expect(recording.claim == IdentityClaim(sex: .female, age: 81))
        #expect(recording.waveform.channels.count == 12 && recording.waveform.seconds == 2 && recording.notes.isEmpty)
        let peaks = recording.waveform.summaries.map { $0.maximum ?? 0 }
        #expect(peaks[1] > 1000 && peaks[9] > 1000 && peaks.allSatisfy { $0 > 0 })
    }

    @Test func aRealCaseKeepsItsNameAndHasNoSerial() throws {
        for name in ["SIMON\0\0\0", "DUPONT\0\0"] {
            var bytes = simulated(1)
            bytes.replaceSubrange(32..<40, with: Array(name.utf8))
            let recording = try ContecEcgFiles().decode(bytes)
            #expect(recording.device.serial == nil && !recording.device.isSimulated)
            #expect(recording.claim?.name == String(name.prefix { $0 != "\0" }) && recording.claim?.nameLimit == 8)
        }
    }

    @Test(.enabled(if: SharedContec.exists, "needs ../shared/data/ecg/contec"))
    func importsTheRealCase() throws {
        let bytes = try SharedContec.bytes()
        let recording = try ContecEcgFiles().decode(bytes)
        #expect(recording.device.serial == nil && recording.waveform.seconds == 8375.0 / 800)
        #expect(recording.waveform.summaries.map(\.first).prefix(6) == [-105, -90, 15, 97.5, -60, -37.5])
    }

    @Test func theSimulatorsOptionsReachTheRecording() throws {
        let limbs = try ContecEcgFiles().decode(simulated(1) { $0.chestLeadsAbsent = true })
        #expect(limbs.waveform.summaries.map { $0.absent == $0.samples } == (0..<12).map { $0 >= 6 })
        let nobody = try ContecEcgFiles().decode(
            simulated(1) {
                $0.age = 0
                $0.sex = .unknown
                $0.nonASCIIName = true
            })
        #expect(nobody.claim == IdentityClaim() && nobody.device.isSimulated)
        #expect(nobody.notes.contains { $0.text.contains("above 7F") })
        #expect(simulated(1) == simulated(1) && simulated(1) != simulated(2))
        #expect(simulated(1) { $0.heartRate = 120 } != simulated(1))
        #expect(throws: Never.self) { try ContecEcgFiles().decode(simulated(123_456_789)) }
    }

    /// The miniature card of fixtures/contec-ecg-files: what the simulator makes today. ESS_WRITE_FIXTURES=1 writes it anew.
    @Test func theFixtureCardIsWhatTheSimulatorMakes() throws {
        var files: [[String]: [UInt8]] = [
            ["ECG", "0000001.ECG"]: simulated(1), ["ECG", "0000002.ECG"]: simulated(2) { $0.chestLeadsAbsent = true },
            ["ECG", "0000003.ECG"]: simulated(3) { $0.nonASCIIName = true }, ["README.TXT"]: Array("no ECG\n".utf8),
            ["ECG", "0000004.ECG"]: simulated(4) { $0.damage = .oddSize },
            ["ECG", "0000005.ECG"]: simulated(5) { $0.damage = .noSamples },
        ]
        let folder = projectRoot.appending(path: "fixtures/contec-ecg-files/card")
        for (path, bytes) in files {
            let url = folder.appending(path: path.joined(separator: "/"))
            if ProcessInfo.processInfo.environment["ESS_WRITE_FIXTURES"] == "1" {
                try FileManager.default.createDirectory(
                    at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
                try Data(bytes).write(to: url)
            }
            files[path] = [UInt8](try Data(contentsOf: url))
            #expect(files[path] == bytes, "\(path) differs; ESS_WRITE_FIXTURES=1 writes it anew")
        }
        let importer = ContecEcgFiles()
        let card = Card(files: files)
        let results = try importer.find(in: card).map { item in (try? importer.read(item, from: card)) != nil }
        #expect(results == [true, true, true, true, false])
    }

    @Test func aCutFileGivesWhatIsThere() throws {
        let whole = try ContecEcgFiles().decode(simulated(1))
        let cut = try ContecEcgFiles().decode(simulated(1) { $0.damage = .oddSize })
        #expect(cut.waveform.samples == whole.waveform.samples.map { Array($0.prefix(1599)) })
        #expect(cut.notes.contains { $0.kind == .gap && $0.text.contains("1599 samples of each lead are there") })
    }

    @Test func damageIsSaidInWords() {
        #expect(throws: ImportError.damaged("there are no samples in it; record the ECG again")) {
            try ContecEcgFiles().decode(simulated(1) { $0.damage = .noSamples })
        }
        #expect(throws: ImportError.notRecognised) { try ContecEcgFiles().decode([1, 2, 3]) }
    }
}

private let projectRoot = URL(filePath: #filePath).resolvingSymlinksInPath().deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()

private enum SharedContec {
    static let url = projectRoot.deletingLastPathComponent().appending(path: "shared/data/ecg/contec/0000037.ECG")
    static var exists: Bool { FileManager.default.fileExists(atPath: url.path) }
    static func bytes() throws -> [UInt8] { [UInt8](try Data(contentsOf: url)) }
}
