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
        // Made from another description, with another layout: unknown rather than wrongly read.
        #expect(throws: ImportError.notRecognised) { try OximeterFiles().decode(bytes) }
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

    @Test func damageIsSaid() {
        for bytes in [
            OximeterFileMaker.contec(start: start, seconds: 100, damage: .cut),
            OximeterFileMaker.choiceMMed(start: start, seconds: 100, damage: .cut),
            OximeterFileMaker.choiceMMed(start: start, seconds: 100, damage: .impossibleDate),
        ] {
            let error = #expect(throws: ImportError.self) { try OximeterFiles().decode(bytes) }
            guard case .damaged? = error else {
                return #expect(Bool(false), "not called damaged: \(String(describing: error))")
            }
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
