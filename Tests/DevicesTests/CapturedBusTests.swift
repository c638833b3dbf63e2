import Clinical
import Testing
import Wire

@testable import Devices

/// Several devices in one capture, and transfers of which it shows a part: values are never those of two devices, nor of two
/// halves.
@Suite("What a capture of a bus may hold")
struct CapturedBusTests {
    /// usbmon's text.
    struct Bus {
        var lines: [String] = []
        var time = 1_000_000

        mutating func line(_ event: Character, _ address: String, _ text: String, length: Int? = nil) {
            time += 500
            let bytes = text.filter { $0 != " " }
            let count = length ?? bytes.count / 2
            lines.append("ffff8801a2b3c4d0 \(time) \(event) \(address) 0 \(count) = \(bytes.prefix(64))")
        }

        mutating func introduce(_ address: String) {
            line("C", "Ci:1:\(address):0", "12 01 00 02 00 00 00 08 90 05 28 00 00 01 01 02 03 01")
        }

        /// The published exchange of an Omron monitor, with these last reports of a measurement.
        mutating func omron(_ address: String, _ measurement: [String]) {
            for text in CaptureToleranceTests.omron.dropLast(2).dropFirst() { said(text, address) }
            for text in measurement { said("< 81 \(text)", address) }
        }

        mutating func said(_ text: String, _ address: String) {
            let isInput = text.hasPrefix("<")
            line(
                isInput ? "C" : "S", (isInput ? "Ii" : "Io") + ":1:\(address):" + (isInput ? "1" : "2"),
                String(text.dropFirst(5)))
        }

        var bytes: [UInt8] { Array(lines.joined(separator: "\n").utf8) }
    }

    static let first = ["07 06 33 00 00 70 4B 47", "03 00 00 4C 00 70 4B 47"]

    static func report(_ bus: Bus) throws -> ReplayReport {
        let profile = try #require(Registry.dialogues.first { $0.name == "omron-pressure" })
        return try replay(captured: bus.bytes, through: profile)
    }

    @Test("two monitors one after the other: one report each", arguments: [true, false])
    func oneAfterTheOther(introduced: Bool) throws {
        var bus = Bus()
        for address in ["005", "006"] {
            if introduced { bus.introduce(address) }
            bus.omron(address, Self.first)
        }
        let report = try Self.report(bus)
        #expect(CaptureToleranceTests.pressures(report) == [[112, 75, 71]])
        #expect(report.from == "bus 1, address 5" + (introduced ? " (0590:0028)" : ""))
        #expect(report.others?.map(CaptureToleranceTests.pressures) == [[[112, 75, 71]]])
        #expect(report.others?.map(\.from) == ["bus 1, address 6" + (introduced ? " (0590:0028)" : "")])
    }

    @Test("two monitors at once: one report each", arguments: [true, false])
    func atOnce(introduced: Bool) throws {
        var one = Bus()
        var other = Bus()
        if introduced { one.introduce("005") }
        one.omron("005", Self.first)
        if introduced { other.introduce("006") }
        other.omron("006", Self.first)
        var bus = Bus()
        bus.lines = zip(one.lines, other.lines).flatMap { [$0, $1] }
        let report = try Self.report(bus)
        #expect(CaptureToleranceTests.pressures(report) == [[112, 75, 71]])
        #expect(report.others?.map(CaptureToleranceTests.pressures) == [[[112, 75, 71]]])
    }

    @Test("a device that said who it is and was plugged in again before its values is one, and the report says so")
    func replugged() throws {
        var bus = Bus()
        bus.introduce("005")
        for text in CaptureToleranceTests.omron.prefix(10).dropFirst() { bus.said(text, "005") }
        bus.introduce("006")
        for text in CaptureToleranceTests.omron.dropFirst(10) { bus.said(text, "006") }
        let report = try Self.report(bus)
        #expect(CaptureToleranceTests.pressures(report) == [[112, 75, 71]])
        #expect(report.identity?.model == "M7080IT" && report.others == nil)
        #expect(report.surprises.map(\.text).contains { $0.contains("addresses 5, 6") })
    }

    @Test("halves of transfers that the capture cut are never joined")
    func cut() throws {
        // Two values, then frames in transfers of 64 bytes of which 32 are shown.
        let frame = ForeignCaptureTests.frame
        let seven = Array(repeating: frame, count: 7).joined(separator: " ")
        var bus = Bus()
        for _ in 0..<3 { bus.line("C", "Bi:1:005:1", Array(repeating: frame, count: 3).joined(separator: " ")) }
        for _ in 0..<5 { bus.line("C", "Bi:1:005:1", seven + " 01") }
        for _ in 0..<3 { bus.line("C", "Bi:1:005:1", Array(repeating: frame, count: 3).joined(separator: " ")) }
        let report = try replay(captured: bus.bytes, through: ContecOximeter.profile)
        #expect(report.recordings.map(\.samples) == [9, 9])
        #expect(report.surprises.map(\.count) == [5])
        #expect(report.surprises.first?.text.contains("at 32 bytes") == true)
        // None is whole: nothing is said of it, but why.
        var all = Bus()
        for _ in 0..<5 { all.line("C", "Bi:1:005:1", seven + " 01") }
        let nothing = try replay(captured: all.bytes, through: ContecOximeter.profile)
        #expect(nothing.isEmpty && nothing.surprises.map(\.count) == [5])
    }

    @Test("what is missing in the middle of a frame joins no two frames", arguments: 1..<9)
    func missingMiddle(_ lost: Int) throws {
        let words = ForeignCaptureTests.frame.split(separator: " ").map(String.init)
        var bus = Bus()
        for _ in 0..<20 { bus.line("C", "Bi:1:005:1", words.joined(separator: " ")) }
        // The beginning of a frame, a cut transfer, the end of another frame.
        bus.line("C", "Bi:1:005:1", words.prefix(lost).joined(separator: " "))
        bus.line("C", "Bi:1:005:1", "80", length: 40)
        bus.line("C", "Bi:1:005:1", words.dropFirst(lost).joined(separator: " "))
        for _ in 0..<20 { bus.line("C", "Bi:1:005:1", words.joined(separator: " ")) }
        let report = try replay(captured: bus.bytes, through: ContecOximeter.profile)
        #expect(report.recordings.map(\.samples) == [20, 20])
    }

    @Test func whoIsThere() {
        var bus = Bus()
        bus.introduce("005")
        bus.line("C", "Ii:1:009:1", "01 02")
        #expect(
            Capture.devices(bus.bytes).map(\.introduction) == [
                "a device without descriptors at bus 1, address 9", "0590:0028 (omron-pressure)",
            ])
    }
}
