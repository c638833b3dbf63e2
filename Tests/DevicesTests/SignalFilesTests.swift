import Clinical
import Formats
import Foundation
import Testing
import Wire

@testable import Devices

@Suite("Standard signal files")
struct SignalFilesTests {
    private func fixture(_ name: String) throws -> [UInt8] {
        [UInt8](try Data(contentsOf: Reference.root.appending(path: "fixtures/formats/\(name)")))
    }

    /// A stick with one of each kind, under names that say nothing.
    private func stick() throws -> MemoryTree {
        MemoryTree([
            (["A", "1"], try fixture("ecg.dcm")), (["A", "2"], try fixture("ecg-deflated.dcm")),
            (["B", "x.bin"], try fixture("ecg.scp")), (["B", "y"], try fixture("aecg.xml")),
            (["night.txt"], try fixture("oximetry.edf")), (["W", "TINY.HEA"], try fixture("tiny.hea")),
            (["W", "Tiny.dat"], try fixture("tiny.dat")), (["W", "tiny.atr"], [0, 0]), (["W", "other.dat"], [1, 2]),
            (["readme.txt"], Array("EDF 16\n".utf8)), (["voice"], voice), (["easy.SCP"], easy),
        ])
    }

    private let easy = EasyEcgCard.pc80b(
        .init(number: 3, start: LocalTime(year: 2026, month: 11, day: 22, hour: 9, minute: 5, second: 7)!))

    private var voice: [UInt8] {
        let uid = Array("1.2.840.10008.5.1.4.1.1.9.4.1".utf8) + [0]
        return [UInt8](repeating: 0, count: 128) + Array("DICM".utf8) + [2, 0, 2, 0, 0x55, 0x49, UInt8(uid.count), 0]
            + uid
    }

    @Test("are found by their content; a WFDB record is all its files")
    func found() throws {
        let items = try SignalFiles().find(in: stick())
        #expect(
            items.map { $0.path.joined(separator: "/") } == ["A/1", "A/2", "B/x.bin", "B/y", "W/TINY.HEA", "night.txt"])
        let record = try #require(items.first { $0.path.last == "TINY.HEA" })
        #expect(record.parts.map(\.last) == ["TINY.HEA", "Tiny.dat", "tiny.atr"])
        #expect(record.size == (try fixture("tiny.hea").count + fixture("tiny.dat").count + 2))
    }

    @Test("become recordings with the decoder's very channels, the file byte for byte beside them")
    func read() throws {
        let tree = try stick()
        for item in try SignalFiles().find(in: tree) {
            let recording = try SignalFiles().read(item, from: tree)
            #expect(try SignalFiles().take(item, from: tree) == .decoded(recording))
            #expect(!recording.waveform.channels.isEmpty && recording.device.driver == "signal-files")
            #expect(recording.modality == (item.path == ["night.txt"] ? .oximetry : .ecg))
            // What an export gives is decoded to the same.
            #expect(try SignalFiles().decode(recording.original) == recording)
            let decoded = try decodeAnyFile(recording.original)
            #expect(decoded.waveform.channels.starts(with: recording.waveform.channels))
            #expect(decoded.start == recording.start)
            guard item.parts.count == 1 else { continue }
            #expect(recording.original == tree.files[item.path])
        }
    }

    @Test("a DICOM ECG brings its identity, its maker, and who its patient is; without a number it names nobody")
    func dicom() throws {
        let recording = try SignalFiles().decode(fixture("ecg.dcm"))
        let header = try DicomHeader(fixture("ecg.dcm"))
        #expect(recording.objectID == header.objectID && recording.objectID != nil)
        #expect(recording.claim == header.claim && recording.claim?.patientID?.isEmpty == false)
        #expect(recording.device.isSimulated == header.isSimulated && recording.start == header.start)
        var nameless = try fixture("ecg.dcm")
        let tag: [UInt8] = [0x10, 0, 0x20, 0, 0x4C, 0x4F]
        let place = try #require(nameless.firstRange(of: tag)).upperBound
        for index in 0..<Int(nameless[place]) { nameless[place + 2 + index] = 0x20 }
        #expect(try SignalFiles().decode(nameless).claim?.patientID == "")
    }

    /// A surprise is told with the device, in the report for support: no place for a name.
    @Test("an annotation that begins like a note of ours stays the file's own words")
    func annotations() throws {
        let wave = try EDFFile(decoding: fixture("oximetry.edf")).waveform
        let header = EDFHeader(
            patientCode: "1", sex: .female, birthDate: nil, name: nil, start: nil, administrationCode: nil,
            equipment: "Other", simulated: false)
        let note = Note(kind: .surprise, at: 1, text: "Mme DUPONT Jeanne")
        let recording = try SignalFiles().decode(EDFWriter.write(wave, header: header, notes: [note]))
        #expect(!recording.notes.contains { $0.kind == .surprise && $0.text.contains("DUPONT") })
        #expect(
            recording.notes.contains(Note(kind: .device, at: 1, text: "surprise: Mme DUPONT Jeanne")))
    }

    @Test("a record in segments is one; one whose file is missing is none, and stays what it is")
    func wfdbRecords() throws {
        let signal = [UInt8](repeating: 1, count: 24)
        let segment = { (name: String) in Array("\(name) 1 250 12\n\(name).dat 16 200 16 0 257 0 0 II\n".utf8) }
        let tree = MemoryTree([
            (["m.hea"], Array("m/3 1 250 34\ns1 12\n~ 10\ns2 12\n".utf8)), (["s1.hea"], segment("s1")),
            (["S2.HEA"], segment("s2")), (["s1.dat"], signal), (["s2.dat"], signal),
            (["gone.hea"], Array("gone 1 250 12\ngone.dat 16 200 16 0 0 0 0 II\n".utf8)),
            (["out", "bad.hea"], Array("bad 1 250 12\n../s1.dat 16 200 16 0 0 0 0 II\n".utf8)),
        ])
        let items = try SignalFiles().find(in: tree)
        #expect(items.map(\.path) == [["m.hea"]])
        let recording = try SignalFiles().read(items[0], from: tree)
        #expect(recording.waveform.samples[0].count == 34 && recording.waveform.samples[0][12] == .absent)
        #expect(recording.waveform.samples[0][33] == 257)
        let names = try Ustar(decoding: recording.original).entries.map(\.name)
        #expect(names == ["m.hea", "s1.hea", "S2.HEA", "s1.dat", "s2.dat"])
    }

    @Test("what is recorded at another time, or calculated, stays in the original")
    func groups() throws {
        let recording = try SignalFiles().decode(fixture("ecg.scp"))
        #expect(Set(recording.waveform.samples.map(\.count)).count == 1)
    }

    @Test("what is no waveform, or of a kind that isn't decoded, is carried and blamed on nobody")
    func unsupported() throws {
        let empty = Array("<AnnotatedECG xmlns=\"urn:hl7-org:v3\"></AnnotatedECG>".utf8)
        let error = #expect(throws: ImportError.self) { try SignalFiles().decode(empty) }
        #expect(error == .unsupported("it has no waveforms; only waveforms are decoded"))
        #expect(throws: ImportError.notRecognised) { try SignalFiles().decode(Array("hello".utf8)) }
        // A DICOM waveform whose samples can't be read is still carried as the object that it is.
        var strange = try fixture("ecg.dcm")
        let kind = try #require(strange.lastRange(of: [0x00, 0x54, 0x06, 0x10, 0x43, 0x53, 2, 0])).upperBound
        strange.replaceSubrange(kind..<kind + 2, with: Array("MB".utf8))
        let tree = MemoryTree([(["a"], strange)])
        let item = try #require(try SignalFiles().find(in: tree).first)
        guard case .carried(let carried) = try SignalFiles().take(item, from: tree) else {
            Issue.record("it was decoded")
            return
        }
        #expect(carried.device.driver == "dicom-media" && carried.mediaType == "application/dicom")
    }

    @Test("damaged files are refused or read in part, and never crash")
    func torture() throws {
        for name in ["ecg.dcm", "ecg.scp", "aecg.xml", "oximetry.edf"] {
            let bytes = try fixture(name)
            tortureFile(bytes, whole: 300, stride: 997, seed: 9) { _ = try? SignalFiles().decode($0) }
        }
    }

    @Test(
        "real files of others", .enabled(if: Reference.has("data/ecg/wfdb"), "needs ../shared/data"),
        arguments: [
            ("data/ecg/wfdb", 5), ("data/ecg/wfdb12", 14), ("data/ecg/holter2", 6), ("data/scp", 5), ("data/aecg", 3),
            ("data/sleep", 5), ("data/ecg/dicom", 2),
        ])
    func real(_ folder: String, _ count: Int) throws {
        let root = Reference.url(folder)
        let names = try #require(FileManager.default.enumerator(atPath: root.path)?.allObjects as? [String])
        var files: [(path: [String], bytes: [UInt8])] = []
        for name in names.sorted() {
            guard let data = try? Data(contentsOf: root.appending(path: name)) else { continue }
            files.append((name.split(separator: "/").map(String.init), [UInt8](data)))
        }
        let tree = MemoryTree(files)
        let items = try SignalFiles().find(in: tree)
        #expect(items.count == count, "\(items.map(\.path))")
        for item in items {
            do throws(ImportError) {
                let recording = try SignalFiles().read(item, from: tree)
                let isMixed = ["edfplus_D_gap.edf", "mixedsignals.hea"].contains(item.path.last)
                #expect(isMixed || recording.modality == (folder == "data/sleep" ? .sleep : .ecg))
                #expect(recording.waveform.samples.contains { !$0.isEmpty } || item.path.last!.contains("Hypnogram"))
            } catch {
                Issue.record("\(item.path): \(error)")
            }
        }
    }
}
