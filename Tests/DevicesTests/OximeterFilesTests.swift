import Clinical
import Formats
import Foundation
import Testing
import Wire

@testable import Devices

@Suite("Oximeter files")
struct OximeterFilesTests {
    private let start = LocalTime(year: 2026, month: 11, day: 22, hour: 23, minute: 59, second: 50)!

    @Test func readsAContecNight() throws {
        let bytes = OximeterFileMaker.contec(start: start, seconds: 1000)
        let recording = try OximeterFiles().decode(bytes)
        #expect(recording.device.vendor == "Contec" && recording.device.serial == "SIM00001")
        #expect(recording.modality == .oximetry && recording.start == start && recording.original == bytes)
        #expect(recording.waveform.channels.map(\.name) == ["SpO2", "Pulse rate"])
        #expect(recording.waveform.summaries.map(\.absent) == [10, 10] && recording.waveform.seconds == 1000)
        let clockless = try OximeterFiles().decode(OximeterFileMaker.contec(start: nil, seconds: 10))
        #expect(clockless.start == nil && clockless.device.isSimulated)
    }

    @Test(.enabled(if: Reference.has("data/sleep/synthetic_contec.spo2"), "needs ../shared/data/sleep"))
    func theReferenceFile() throws {
        let bytes = try Reference.bytes("data/sleep/synthetic_contec.spo2")
        // Made from another description, with another layout: read, and said to be unverified.
        let recording = try OximeterFiles().decode(bytes)
        #expect(recording.waveform.channels.allSatisfy { $0.calibration == .unverified })
        #expect(recording.waveform.samples[0].count == 3600 && recording.waveform.summaries.map(\.absent) == [30, 30])
        #expect(recording.start != nil && recording.notes.contains { $0.text.contains("nobody has verified") })
    }

    @Test func readsAChoiceMMedNight() throws {
        let bytes = OximeterFileMaker.choiceMMed(start: start, seconds: 1000)
        let recording = try OximeterFiles().decode(bytes)
        #expect(recording.device.vendor == "ChoiceMMed" && recording.device.serial == "SIM00001")
        #expect(recording.start == start && recording.rawStart == "2026-11-22 23:59:50" && recording.notes.isEmpty)
        #expect(recording.waveform.samples[0].prefix(161).last == 87 && recording.waveform.samples[1][0] == 62)
        #expect(recording.waveform.summaries.map(\.absent) == [10, 10])
        #expect(recording.waveform.channels.allSatisfy { $0.calibration == .singleSource && $0.rate == Ratio(1) })
    }

    @Test func aPauseHasNoValues() throws {
        let recording = try OximeterFiles().decode(
            OximeterFileMaker.choiceMMed(start: start, seconds: 100, pause: 3600))
        #expect(recording.waveform.seconds == 3700)
        #expect(recording.notes == [Note(kind: .gap, at: 50, duration: 3600, text: "nothing recorded")])
        #expect(recording.waveform.samples[0][50..<3650].allSatisfy { $0 == .absent })
        // Longer than anything is filled up, or backwards: said, not shown.
        let far = try OximeterFiles().decode(
            OximeterFileMaker.choiceMMed(start: start, seconds: 100, pause: 40 * 86_400))
        #expect(far.waveform.seconds == 100 && far.notes.map(\.text) == ["a pause of 3456000 s is not shown"])
        let back = try OximeterFiles().decode(
            OximeterFileMaker.choiceMMed(start: start, seconds: 100, pause: -3600))
        #expect(back.waveform.seconds == 100 && back.notes.map(\.text) == ["the clock steps back by 3600 s"])
    }

    @Test func aDamagedDateCostsItsSecond() throws {
        let bytes = OximeterFileMaker.choiceMMed(start: start, seconds: 100, damage: .impossibleDate)
        let whole = try OximeterFiles().decode(OximeterFileMaker.choiceMMed(start: start, seconds: 100))
        let recording = try OximeterFiles().decode(bytes)
        #expect(recording.waveform.seconds == 100 && recording.waveform.samples[0][75] == .absent)
        for second in 0..<100 where second != 75 {
            #expect(recording.waveform.samples.map { $0[second] } == whole.waveform.samples.map { $0[second] })
        }
        #expect(
            recording.notes.map(\.text) == [
                "nothing recorded", "1 of 100 records have no date and time: their values were not taken",
            ])
        // Also one of those that it is recognised by.
        var early = OximeterFileMaker.choiceMMed(start: start, seconds: 100)
        early[3 + 5 * 11 + 4] = 13
        #expect(try OximeterFiles().decode(early).waveform.samples[0][5] == .absent)
    }

    @Test func anImpossibleSaturationCostsItsSecond() throws {
        let seconds = 100
        var pairs = OximeterFileMaker.contec(start: start, seconds: seconds)
        pairs[1084 + 2 * 10] = 101
        let two = try OximeterFiles().decode(pairs)
        #expect(two.waveform.samples[0].count == seconds && two.waveform.samples[0][10] == .absent)
        #expect(two.waveform.samples[1][10] == 62 && two.waveform.samples[0][11] == 96)
        #expect(two.waveform.channels.allSatisfy { $0.calibration == .verified })
        #expect(two.notes.map(\.text) == ["1 saturations above 100 %: taken as no value"])
        // Four bytes a sample, and few of them.
        for count in [5, seconds] {
            let short = OximeterFileMaker.contec(start: start, seconds: count)
            var quads = Array(short[..<1084])
            for index in 0..<count { quads += [0x39, 0x30] + short[(1084 + 2 * index)..<(1086 + 2 * index)] }
            quads[1084 + 4 * 2 + 2] = 101
            let four = try OximeterFiles().decode(quads)
            #expect(four.waveform.samples[0].count == count && four.waveform.samples[0][2] == .absent)
            #expect(four.waveform.samples[0][3] == 96 && four.waveform.samples[1][2] == 62)
            #expect(four.waveform.channels.allSatisfy { $0.calibration == .unverified })
        }
    }

    @Test func damageIsSaid() {
        var bytes = OximeterFileMaker.choiceMMed(start: start, seconds: 100)
        for record in 20..<60 { bytes[3 + 11 * record + 4] = 13 }
        let error = #expect(throws: ImportError.self) { try OximeterFiles().decode(bytes) }
        guard case .damaged? = error else {
            return #expect(Bool(false), "not called damaged: \(String(describing: error))")
        }
    }

    @Test func aNightThatIsCutShortGivesWhatIsThere() throws {
        let contec = try OximeterFiles().decode(
            OximeterFileMaker.contec(start: start, seconds: 100, damage: .cut))
        #expect(contec.waveform.samples.map(\.count) == [97, 97])
        #expect(
            contec.notes.map(\.text) == [
                "100 samples announced, 97 in the file", "1 bytes after the last sample were not read",
            ])
        let choice = try OximeterFiles().decode(
            OximeterFileMaker.choiceMMed(start: start, seconds: 100, damage: .cut))
        #expect(choice.waveform.samples.map(\.count) == [99, 99])
        #expect(choice.notes.map(\.text) == ["100 samples announced, 99 in the file"])
    }

    /// The header as the one public reader has it.
    private func viatom(_ records: [[UInt8]], announced: Int? = nil, duration: Int) -> [UInt8] {
        func little(_ value: Int) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }
        return [3, 0] + little(2026).prefix(2) + [11, 22, 23, 59, 50] + little(40 + 5 * (announced ?? records.count))
            + little(duration) + [UInt8](repeating: 0, count: 23) + records.flatMap { $0 }
    }

    @Test func readsAViatomNight() throws {
        let records: [[UInt8]] = [[97, 61, 0, 3, 0], [0xFF, 0xFF, 0xFF, 0, 0], [88, 255, 0, 9, 0x80]]
        let file = try OximeterFiles().decode(viatom(records, duration: 12))
        #expect(file.device.vendor == "Viatom" && file.start == start && file.notes.isEmpty)
        #expect(file.waveform.samples == [[97, .absent, 88], [61, .absent, .absent], [3, 0, 9]])
        #expect(file.waveform.channels.allSatisfy { $0.rate == Ratio(1, 4) && $0.calibration == .singleSource })
        let doubled = viatom(records.flatMap { [$0, $0] }, announced: 3, duration: 12)
        #expect(try OximeterFiles().decode(doubled).waveform.channels[0].rate == Ratio(1, 2))
        let cut = try OximeterFiles().decode(viatom(records, duration: 12).dropLast(3))
        #expect(cut.waveform.samples[0].count == 2)
        #expect(cut.notes.map(\.text) == ["3 samples announced, 2 in the file"])
        // One that ended between two records; and one whose duration has nothing to do with them.
        let between = try OximeterFiles().decode(viatom(records, duration: 13))
        #expect(between.waveform.samples == file.waveform.samples)
        #expect(between.waveform.channels[0].rate == Ratio(1, 4))
        #expect(between.notes.map(\.text) == ["the duration is no whole number of samples: one every 4 s is assumed"])
        #expect(throws: ImportError.notRecognised) { try OximeterFiles().decode(viatom(records, duration: 1300)) }
        // Each record twice, and cut: as long as it goes, at its own pace.
        let half = try OximeterFiles().decode(doubled.dropLast(8))
        #expect(half.waveform.samples[0] == [97, 97, .absent, .absent])
        #expect(half.waveform.channels[0].rate == Ratio(1, 2))
        #expect(half.notes.map(\.text) == ["6 samples announced, 4 in the file"])
        let surplus = try OximeterFiles().decode(viatom(records + [records[0]], announced: 3, duration: 12))
        #expect(surplus.waveform.channels[0].rate == Ratio(1, 4) && surplus.waveform.samples[0].count == 3)
        #expect(surplus.notes.map(\.text) == ["1 samples after the announced ones were not read"])
        tortureFile(viatom(records, duration: 12), whole: 55, stride: 1, seed: 7) {
            _ = try? OximeterFiles().decode($0).waveform.summaries
        }
    }

    @Test func findsByContent() throws {
        let tree = MemoryTree([
            (["a.dat"], OximeterFileMaker.choiceMMed(start: start, seconds: 60)),
            (["b", "night.SpO2"], OximeterFileMaker.contec(start: start, seconds: 60)),
            (["c.dat"], Array(repeating: 0, count: 4000)), (["d.dat"], Array("0\u{1}\u{0}hello, nothing to see".utf8)),
        ])
        let items = try OximeterFiles().find(in: tree)
        #expect(items.map(\.path) == [["a.dat"], ["b", "night.SpO2"]])
        for item in items { #expect(throws: Never.self) { try OximeterFiles().read(item, from: tree) } }
    }

    @Test func fixturesAreWhatTheGeneratorMakes() throws {
        try expectFixture(
            "oximeter-files",
            [
                (["night.SpO2"], OximeterFileMaker.contec(start: start, seconds: 300)),
                (["night.dat"], OximeterFileMaker.choiceMMed(start: start, seconds: 300, pause: 60)),
            ])
    }

    @Test func survivesAnything() {
        let contec = OximeterFileMaker.contec(start: start, seconds: 100)
        tortureFile(contec, whole: contec.count, stride: 1, seed: 5) {
            _ = try? OximeterFiles().decode($0).waveform.summaries
        }
        let choice = OximeterFileMaker.choiceMMed(start: start, seconds: 100)
        tortureFile(choice, whole: choice.count, stride: 1, seed: 6) {
            _ = try? OximeterFiles().decode($0).waveform.summaries
        }
    }
}
