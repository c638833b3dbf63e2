import Clinical
import Testing
import Wire

@testable import Devices

/// Values from the notes (devices.md 5.7): SYS - 25, DIA - 25, pulse, month, day, hour, minute, year.
@Suite("Beurer with a serial cable")
struct BeurerSerialTests {
    static let records: [[UInt8]?] = [[103, 54, 66, 11, 18, 8, 15, 26], nil, [100, 52, 64, 11, 19, 20, 5, 26]]

    static func bench(_ goal: SessionGoal = .download(known: []), dies: Int? = nil, deaf: Int = 0) -> Bench {
        var device = BeurerSerialSimulator(text: "Blood Pressure Meter SIM0001")
        device.records = records
        device.diesAfter = dies
        device.deafFor = deaf
        var bench = Bench(BeurerSerialProtocol(goal: goal), device)
        bench.run(until: 60)
        return bench
    }

    @Test("downloads what is there, says what is not", arguments: [0, 2])
    func download(_ deaf: Int) throws {
        let bench = Self.bench(deaf: deaf)
        #expect(bench.finish == .done && bench.violations.isEmpty)
        #expect(bench.identities.map(\.model) == ["Blood Pressure Meter"] && bench.identities[0].serial == "SIM0001")
        #expect(bench.recordings.map { $0.readings.map(\.value.numerator) } == [[128, 79, 66, 125, 77, 64]])
        let readings = try #require(bench.recordings.first).readings
        #expect(readings[0].at == LocalTime(year: 2026, month: 11, day: 18, hour: 8, minute: 15, second: 0))
        #expect(readings.allSatisfy { $0.bank == nil } && readings[3].rawTime == "26-11-19-20-05")
        #expect(bench.surprises == ["a record that was counted is not there"])
        // Two of three came: said, not hidden.
        #expect(bench.recordings[0].end == .deviceEnded && bench.recordings[0].notes.map(\.kind) == [.gap])
        #expect(Set(bench.sent.flatMap { $0 }.prefix(1)) == [0xAA])
    }

    @Test("two marks are two people, and nobody's until a person says so")
    func users() {
        var device = BeurerSerialSimulator(text: "Blood Pressure Meter SIM0001")
        device.records = [[103, 54, 66, 11, 18, 8, 15, 26], [100, 52, 64, 11, 0x93, 20, 5, 26]]
        var bench = Bench(BeurerSerialProtocol(goal: .download(known: [])), device)
        bench.run(until: 60)
        #expect(bench.recordings.map { $0.readings.map(\.value.numerator) } == [[128, 79, 66], [125, 77, 64]])
        #expect(bench.recordings.map { $0.readings.first?.bank } == [1, 2])
        #expect(bench.recordings.allSatisfy { $0.start.item?.isShared == true && $0.end == .finished })
    }

    @Test("a probe asks two things")
    func identify() {
        let bench = Self.bench(.identify)
        #expect(bench.finish == .done && bench.recordings.isEmpty && bench.sent == [[0xAA], [0xA4]])
        #expect(bench.elapsed < 1)
    }

    @Test("a monitor that dies leaves what came", arguments: 0..<6)
    func dies(_ after: Int) {
        let bench = Self.bench(dies: after)
        #expect(bench.finish != nil && bench.violations.isEmpty)
        #expect(bench.recordings.allSatisfy { $0.end == .deviceEnded })
        if after < 3 { #expect(bench.recordings.isEmpty) }
    }

    @Test("a foreign client's session, and the monitor's side of it alone")
    func listening() throws {
        let lines = [
            "> 01  AA", "< 81  55", "> 01  A4", "< 81  42 4D 35 38 20", "< 81  53 49 4D 31", "> 01  A2", "< 81  02",
            "> 01  A3 01", "< 81  AC 67 36 42 0B 12 08 0F 1A", "> 01  A3", "> 01  02", "< 81  AC 64 34 40",
            "< 81  0B 13 14 05 1A",
        ]
        for form in [lines, lines.filter { $0.hasPrefix("<") }] {
            let report = try CaptureToleranceTests.report("beurer-serial", form)
            #expect(CaptureToleranceTests.pressures(report) == [[128, 79, 66, 125, 77, 64]])
            #expect(report.surprises.isEmpty)
        }
        #expect(try CaptureToleranceTests.report("beurer-serial", lines).identity?.model == "BM58")
    }

    @Test("the fixtures are up to date", arguments: ["download", "died"])
    func fixtures(_ name: String) throws {
        let bench = Self.bench(dies: name == "died" ? 4 : nil)
        try Fixtures.check(name, of: BeurerSerial.profile, text: bench.transcript.rendered())
    }
}
