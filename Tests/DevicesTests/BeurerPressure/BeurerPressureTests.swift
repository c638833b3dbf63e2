import Clinical
import Foundation
import Testing
import Wire

@testable import Devices

@Suite("Beurer monitor")
struct BeurerPressureTests {
    typealias Configuration = BeurerPressureSimulator.Configuration
    typealias Record = BeurerPressureSimulator.Record

    static func time(_ day: Int, _ hour: Int) -> LocalTime {
        LocalTime(year: 2026, month: 11, day: day, hour: hour, minute: 20, second: 0)!
    }

    static let records = [
        Record(time: time(18, 8), systolic: 141, diastolic: 88, pulse: 74),
        Record(time: time(19, 8), systolic: 138, diastolic: 84, pulse: 70, isIrregular: true),
        Record(time: time(19, 20), systolic: 119, diastolic: 71, pulse: 60, user: 2, moved: true),
        Record(time: time(20, 8), systolic: 262, diastolic: 90, pulse: 72),
    ]

    static func configured(_ change: (inout Configuration) -> Void = { _ in }) -> BeurerPressureSimulator {
        var configuration = Configuration()
        configuration.records = records
        change(&configuration)
        return BeurerPressureSimulator(configuration)
    }

    static func bench(
        _ goal: SessionGoal = .download(known: []), _ change: (inout Configuration) -> Void = { _ in }
    ) -> Bench {
        var bench = Bench(BeurerPressureProtocol(goal: goal), configured(change))
        bench.run(until: 60)
        return bench
    }

    @Test("downloads both users")
    func download() throws {
        let bench = Self.bench()
        #expect(bench.finish == .done)
        #expect(
            bench.identities == [
                DeviceIdentity(
                    driver: "beurer-pressure", vendor: "Beurer", model: "BM58", serial: "SIM0001", support: .verified)
            ])
        #expect(bench.recordings.map(\.start.item?.start) == [Self.time(18, 8), Self.time(19, 20)])
        #expect(
            bench.recordings[0].readings.map(\.value.numerator) == [141, 88, 74, 138, 84, 70, 262, 90, 72])
        #expect(bench.recordings[1].readings.map(\.value.numerator) == [119, 71, 60])
        #expect(bench.recordings.map { $0.readings.first?.bank } == [1, 2])
        // Two people's: whose each is, a person says.
        #expect(bench.recordings.allSatisfy { $0.start.item?.isShared == true })
        let alone = Self.bench { device in device.records.removeAll { $0.user == 2 } }
        #expect(alone.recordings.map(\.start.item?.isShared) == [false])
        #expect(bench.recordings[0].readings[3].flags == ["irregular pulse"])
        #expect(bench.recordings[1].readings[0].flags == ["movement"])
        #expect(bench.recordings.allSatisfy { $0.end == .finished })
        #expect(
            (bench.device as? BeurerPressureSimulator)?.log == [
                0xAA, 0xA4, 0xA5, 0xA6, 0xA7, 0xA2, 0xA3, 0xA3, 0xA3, 0xA3, 0xF7, 0xF6,
            ])
        #expect(bench.sent.allSatisfy { $0.count == 8 })
        #expect(bench.sent[0] == bytes("AA F4 F4 F4 F4 F4 F4 F4"))
        #expect(bench.sent[7] == bytes("A3 02 F4 F4 F4 F4 F4 F4"))
        #expect(bench.violations.isEmpty)
    }

    /// One answer comes after the question was sent again; what follows waits behind it.
    struct Late: DeviceSimulator {
        var device: BeurerPressureSimulator
        /// The question whose answer is late, from 0.
        let question: Int
        private var asked = 0
        private var due: UInt64?

        init(_ device: BeurerPressureSimulator, _ question: Int) {
            self.device = device
            self.question = question
        }

        mutating func received(_ bytes: [UInt8], at now: UInt64) -> [[UInt8]] {
            if asked == question { due = now + 1_050_000_000 }
            asked += 1
            return device.received(bytes, at: due == nil ? now : 0)
        }

        mutating func tick(at now: UInt64) -> [[UInt8]] {
            guard due ?? 0 <= now else { return [] }
            due = nil
            return device.tick(at: now)
        }

        func nextTick(after now: UInt64) -> UInt64? { due ?? device.nextTick(after: now) }
    }

    @Test("an answer that is late is not taken for the next one's", arguments: 0..<10)
    func late(_ question: Int) {
        var bench = Bench(BeurerPressureProtocol(goal: .download(known: [])), Late(Self.configured(), question))
        bench.run(until: 60)
        #expect(bench.finish == .done && bench.violations.isEmpty)
        #expect(bench.recordings.map { $0.readings.count } == [9, 3])
        #expect(bench.recordings.allSatisfy { $0.end == .finished })
    }

    @Test("deafness is overcome, death is marked")
    func troubles() {
        let deaf = Self.bench { $0.deafFor = 2 }
        #expect(deaf.finish == .done && deaf.recordings.count == 2)
        let dead = Self.bench { $0.diesAfter = 8 }
        #expect(dead.finish == .deviceEnded("the monitor fell silent"))
        #expect(dead.recordings.map(\.readings.count) == [6])
        #expect(dead.recordings[0].end == .deviceEnded && dead.recordings[0].start.item?.isShared == true)
    }

    @Test("something that answers without a name is not this device")
    func nameless() {
        #expect(Self.bench(.identify) { $0.text = "" }.finish == .notThisDevice)
    }

    @Test("every report gives a measurement in range, or none")
    func robustness() {
        var random = Seeded(state: 11)
        for _ in 0..<20_000 {
            let count = Int.random(in: 0...9, using: &random)
            let report = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
            guard let measurement = BloodPressureMeasurement(beurer: report) else { continue }
            #expect(25...280 ~= (measurement.systolic ?? 25) && 25...280 ~= (measurement.diastolic ?? 25))
        }
        #expect(BloodPressureMeasurement(beurer: bytes("F4 F4 F4 F4 F4 F4 F4 F4")) == nil)
    }

    @Test("the session reads the same from outside")
    func listening() throws {
        let bench = Self.bench()
        let report = replay(try Transcript(parsing: bench.transcript.rendered()), through: BeurerPressure.profile)
        #expect(report.identity == bench.identities.first)
        #expect(
            report.recordings.map { $0.readings.map(\.value) }
                == bench.recordings.map { $0.readings.map(\.value.value) })
        #expect(report.recordings.map(\.source) == bench.recordings.map { $0.start.item?.source })
        #expect(report.surprises.isEmpty)
    }

    /// The transcripts in `fixtures/beurer-pressure` come from here (see the oximeter's).
    @Test("the fixtures are up to date", arguments: ["download", "died"])
    func fixtures(_ name: String) throws {
        let bench = Self.bench { if name == "died" { $0.diesAfter = 8 } }
        try Fixtures.check(name, of: BeurerPressure.profile, text: bench.transcript.rendered())
    }
}
