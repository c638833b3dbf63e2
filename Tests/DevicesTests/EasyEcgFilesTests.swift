import Clinical
import Formats
import Foundation
import Testing
import Wire

@testable import Devices

@Suite("PC-80B and PC-180D memory")
struct EasyEcgFilesTests {
    private let start = LocalTime(year: 2026, month: 11, day: 22, hour: 9, minute: 5, second: 7)!

    private func pc80b(_ damage: EasyEcgCard.Damage = .none) -> [UInt8] {
        EasyEcgCard.pc80b(.init(number: 3, start: start, damage: damage))
    }

    private func pc180d(_ damage: EasyEcgCard.Damage = .none) -> [UInt8] {
        EasyEcgCard.pc180d(.init(number: 62, start: start, damage: damage))
    }

    @Test func readsAPC80B() throws {
        let bytes = pc80b()
        #expect(bytes.count == 9796)
        let recording = try EasyEcgFiles().decode(bytes)
        #expect(recording.device.model == "PC-80B" && recording.device.serial == "SIM003")
        #expect(recording.start == start && recording.rawStart == "2026-11-22 09:05:07" && recording.modality == .ecg)
        let channel = try #require(recording.waveform.channels.first)
        #expect(channel.name == "I" && channel.rate == Ratio(150) && channel.unit == "1")
        #expect(channel.calibration == .unverified && recording.waveform.channels.count == 1)
        // Beat marks in the upper bits are no part of the samples.
        let samples = recording.waveform.samples[0]
        #expect(samples.count == 4500 && samples.max() == 150 && samples[75] == 150 && samples[0] == 0)
        #expect(recording.original == bytes && recording.claim == nil)
        #expect(recording.notes.map(\.kind) == [.device])
    }

    @Test func readsAPC180D() throws {
        let bytes = pc180d()
        #expect(bytes.count == 32768)
        let recording = try EasyEcgFiles().decode(bytes)
        #expect(recording.device.model == "PC-180D" && recording.device.serial == "SIM00062" && recording.claim == nil)
        #expect(recording.start == start && recording.waveform.samples.map(\.count) == [4500, 4500, 4500])
        let samples = recording.waveform.samples
        #expect((0..<4500).allSatisfy { samples[1][$0] == samples[0][$0] + samples[2][$0] })
        #expect(samples[1][75] == 150 && recording.waveform.channels[1].physical(150) == 1428.6)
        #expect(recording.waveform.channels.allSatisfy { $0.signal == .other && $0.calibration == .unverified })
    }

    @Test(.enabled(if: Reference.has("data/scp/healforce_62.scp"), "needs ../shared/data/scp"))
    func readsARealPC180D() throws {
        let recording = try EasyEcgFiles().decode(Reference.bytes("data/scp/healforce_62.scp"))
        #expect(recording.device.serial == nil && recording.claim == nil)
        #expect(recording.start == LocalTime(year: 2019, month: 8, day: 8, hour: 0, minute: 4, second: 10))
        #expect(recording.notes.map(\.kind) == [.device], "every checksum holds")
        // Worked out with another program.
        let samples = recording.waveform.samples
        #expect(samples.map(\.count) == [4500, 4500, 4500])
        #expect(samples.map { $0.min() } == [-80, -13, -25] && samples.map { $0.max() } == [56, 114, 156])
        #expect(samples.map { $0.reduce(0) { $0 + Int($1) } } == [17539, 28036, 18449])
        #expect(samples[0].prefix(12) == [1, 1, 1, 1, 1, 1, 0, -1, -2, -2, -1, 0])
    }

    @Test(
        .enabled(if: Reference.has("data/scp/Example.scp"), "needs ../shared/data/scp"),
        arguments: ["Example.scp", "Example_v3.scp", "made_raw_v13.scp", "welchallyn_1.scp", "welchallyn_2.scp"])
    func realSCPECGIsSomethingElse(_ name: String) throws {
        let bytes = try Reference.bytes("data/scp/\(name)")
        #expect(throws: ImportError.notRecognised) { try EasyEcgFiles().decode(bytes) }
    }

    @Test func damageIsFound() throws {
        for bytes in [pc80b(.flippedSample), pc180d(.flippedSample)] {
            #expect(throws: ImportError.damaged("the checksum is wrong; copy the file again")) {
                try EasyEcgFiles().decode(bytes)
            }
        }
        for bytes in [pc80b(.cut), pc180d(.cut)] {
            let error = #expect(throws: ImportError.self) { try EasyEcgFiles().decode(bytes) }
            guard case .damaged(let text)? = error else { return #expect(Bool(false), "not called damaged") }
            #expect(text.contains("bytes announced"))
        }
        for bytes in [pc80b(.sectionChecksum), pc180d(.sectionChecksum)] {
            #expect(try EasyEcgFiles().decode(bytes).notes.contains { $0.text == "the checksum of section 3 is wrong" })
        }
    }

    @Test func aClockThatWasNeverSetIsNoStart() throws {
        let unset = LocalTime(year: 2000, month: 1, day: 13, hour: 0, minute: 2, second: 11)!
        for bytes in [
            EasyEcgCard.pc80b(.init(number: 1, start: unset)), EasyEcgCard.pc180d(.init(number: 1, start: unset)),
        ] {
            let recording = try EasyEcgFiles().decode(bytes)
            #expect(recording.start == nil && recording.rawStart == "2000-01-13 00:02:11")
            #expect(recording.notes.contains { $0.text.hasPrefix("the device's clock was not set (year 2000)") })
        }
    }

    @Test func findsByContent() throws {
        let tree = MemoryTree([
            (["ECG_0", "1.SCP"], pc80b()), (["ECG_0", "2.SCP"], pc180d()), (["README.TXT"], Array("1 .scp\n".utf8)),
            (["ECG_0", "3.SCP"], pc80b(.flippedSample)), (["ECG_1", "301.SCP"], Array(repeating: 7, count: 9796)),
        ])
        let items = try EasyEcgFiles().find(in: tree)
        #expect(items.map(\.path) == [["ECG_0", "1.SCP"], ["ECG_0", "2.SCP"], ["ECG_0", "3.SCP"]])
        #expect(items.map { (try? EasyEcgFiles().read($0, from: tree)) != nil } == [true, true, false])
    }

    @Test func becomesAnEDF() throws {
        for bytes in [pc80b(), pc180d()] {
            let recording = try EasyEcgFiles().decode(bytes)
            let header = EDFHeader(
                patientCode: nil, sex: .unknown, birthDate: nil, name: nil, start: start, administrationCode: nil,
                equipment: "Heal Force", simulated: true)
            let file = try EDFFile(decoding: EDFWriter.write(recording.waveform, header: header))
            #expect(file.waveform.summaries.map(\.sum) == recording.waveform.summaries.map(\.sum))
        }
    }

    @Test func fixturesAreWhatTheGeneratorMakes() throws {
        try expectFixture(
            "easy-ecg-files/card", [(["ECG_0", "3.SCP"], pc80b()), (["ECG_0", "4.SCP"], pc80b(.sectionChecksum))])
        try expectFixture("easy-ecg-files/pc-180d", [(["62.SCP"], pc180d())])
    }

    @Test func survivesAnything() {
        // With checksums set right again, so that what lies behind them is reached.
        func repaired(_ bytes: [UInt8], _ sum: ([UInt8]) -> [UInt8]) -> [UInt8] {
            bytes.count < 100 ? bytes : sum(bytes) + bytes.dropFirst(2)
        }
        tortureFile(pc80b(), whole: 300, stride: 61, seed: 3) { broken in
            _ = try? EasyEcgFiles().decode(broken)
            var fixed = broken
            if fixed.count > 6 {
                fixed.replaceSubrange(2..<6, with: (0..<4).map { UInt8(truncatingIfNeeded: broken.count >> (8 * $0)) })
            }
            fixed = repaired(fixed) { bytes in
                let sum = CRC16.ccittFalse(bytes[2...])
                return [UInt8(truncatingIfNeeded: sum), UInt8(sum >> 8)]
            }
            _ = try? EasyEcgFiles().decode(fixed).waveform.summaries
        }
        tortureFile(pc180d(), whole: 300, stride: 211, seed: 4) { broken in
            _ = try? EasyEcgFiles().decode(broken)
            var fixed = broken
            if fixed.count > 6 {
                let count = broken.count
                fixed.replaceSubrange(
                    2..<6, with: [0, 0, UInt8(truncatingIfNeeded: count), UInt8(truncatingIfNeeded: count >> 8)])
            }
            fixed = repaired(fixed) { bytes in
                let sum = CRC16.xmodem(bytes[2...])
                return [UInt8(sum >> 8), UInt8(truncatingIfNeeded: sum)]
            }
            _ = try? EasyEcgFiles().decode(fixed).waveform.summaries
        }
    }
}
