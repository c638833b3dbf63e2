import Clinical
import Testing
import Wire

@testable import Devices

/// Captures come as other programs write them: requests on the control endpoint, one side only, from the middle, other
/// portions.
@Suite("What a capture may look like")
struct CaptureToleranceTests {
    static func report(_ name: String, _ lines: [String]) throws -> ReplayReport {
        let profile = try #require(Registry.dialogues.first { $0.name == name })
        return try replay(Transcript(parsing: lines.joined(separator: "\n")), through: profile)
    }

    /// Start, four parts of the name, two records: 2026-11-18 08:15 128/79/66, and user 2's of 19 November.
    static let beurer: [(String, String)] = [
        ("AA F4 F4 F4 F4 F4 F4 F4", "55 F4 F4 F4 F4 F4 F4 F4"),
        ("A4 F4 F4 F4 F4 F4 F4 F4", "41 6E 64 6F 6E 20 42 4C"), ("A5 F4 F4 F4 F4 F4 F4 F4", "4F 4F 44 20 50 52 45 53"),
        ("A6 F4 F4 F4 F4 F4 F4 F4", "53 55 52 45 20 4D 45 54"), ("A7 F4 F4 F4 F4 F4 F4 F4", "45 52 20 20 20 20 20 20"),
        ("A2 F4 F4 F4 F4 F4 F4 F4", "02 F4 F4 F4 F4 F4 F4 F4"),
        ("A3 01 F4 F4 F4 F4 F4 F4", "67 36 42 0B 12 08 0F 1A"), ("A3 02 F4 F4 F4 F4 F4 F4", "64 34 40 8B 93 14 05 9A"),
    ]

    static func pressures(_ report: ReplayReport) -> [[Double]] {
        report.recordings.map { $0.readings.map(\.value) }
    }

    @Test("reports by SET_REPORT: with the setup packet, alone, in two lines")
    func setReport() throws {
        let setup = "21 09 00 02 00 00 08 00"
        let forms: [[String]] = [
            Self.beurer.flatMap { ["> 00  \(setup) \($0)", "< 81  \($1)"] },
            Self.beurer.flatMap { ["> 00  \($0)", "< 81  \($1)"] },
            Self.beurer.flatMap { ["> 00  \(setup)", "> 00  \($0)", "< 81  \($1)"] },
            // Single spaces: nothing but the columns says that there are endpoints.
            ["> 00 80 06 00 01 00 00 12 00", "< 80 12 01 00 02 00 00 00 40 45 0C 06 74 00 01 01 02 00 01"]
                + Self.beurer.flatMap { ["> 00 \(setup) \($0)", "< 81 \($1)"] },
            Self.beurer.flatMap { ["> 01  00 \($0)", "< 81  \($1)"] },
        ]
        for form in forms {
            let report = try Self.report("beurer-pressure", form)
            #expect(Self.pressures(report) == [[128, 79, 66], [125, 77, 64]])
            #expect(report.identity?.model == "Andon BLOOD PRESSURE METER")
            #expect(report.recordings.map { $0.readings[0].bank } == [1, 2])
            #expect(report.recordings.map(\.start) == ["2026-11-18 08:15:00", "2026-11-19 20:05:00"])
            #expect(report.recordings[1].readings[0].flags == ["movement", "irregular pulse"])
            #expect(report.surprises.isEmpty)
        }
    }

    @Test("a bus from the middle: whoever is understood is meant, not whoever moves the most")
    func busFromTheMiddle() throws {
        var time = 1000
        func line(_ event: Character, _ address: String, _ text: String) -> String {
            time += 500
            let bytes = text.filter { $0 != " " }
            return "ffff8801a2b3c4d0 \(time) \(event) \(address) 0 \(bytes.count / 2) = \(bytes)"
        }
        let stick = { line("C", "Bi:1:004:1", String(repeating: "55 AA 13 80 ", count: 100)) }
        let mouse = { line("C", "Ii:1:002:1", "00 01 FF 00") }
        var lines = (0..<20).flatMap { _ in [stick(), mouse()] }
        for (sent, received) in Self.beurer {
            lines += [line("S", "Io:1:007:2", sent), mouse(), line("C", "Ii:1:007:1", received), stick()]
        }
        let text = Array(lines.joined(separator: "\n").utf8)
        let report = try replay(captured: text, through: BeurerPressure.profile)
        #expect(Self.pressures(report) == [[128, 79, 66], [125, 77, 64]])
        #expect(report.surprises.isEmpty)
    }

    @Test("a Beurer monitor's side only, and from the middle")
    func beurerAlone() throws {
        let alone = try Self.report("beurer-pressure", Self.beurer.dropFirst().map { "< 81  \($1)" })
        #expect(Self.pressures(alone) == [[128, 79, 66], [125, 77, 64]])
        #expect(alone.identity?.model == "Andon BLOOD PRESSURE METER" && alone.surprises.isEmpty)
        let middle = try Self.report(
            "beurer-pressure",
            ["< 81  67 36 42 0B 12 08 0F 1A", "> 02  A3 02 F4 F4 F4 F4 F4 F4", "< 81  64 34 40 8B 93 14 05 9A"])
        #expect(Self.pressures(middle) == [[128, 79, 66], [125, 77, 64]])
    }

    /// The published exchange: set-up, version, a count of 1, a measurement of 2007-01-03 00:06:51, 112/75, 71.
    static let omron: [String] = [
        "> 00 21 09 00 03 00 00 02 00 01 01", "> 02 07 00 00 00 00 00 00 00", "> 02 07 00 00 00 00 00 00 00",
        "> 02 07 00 00 00 00 00 00 00", "> 02 07 00 00 00 00 00 00 00", "> 02 02 00 00 00 00 00 00 00",
        // A stale byte behind the count, as in the real captures.
        "> 02 05 56 45 52 30 30 00 A4", "< 81 07 4F 4B 00 4D 37 30 38", "< 81 07 30 49 54 20 32 30 37",
        "< 81 01 4A 54 20 32 30 37 00",
        "> 02 07 47 4D 45 00 00 00 00", "> 02 01 00 00 00 00 00 00 00", "< 81 07 4F 4B 00 07 01 03 00",
        "< 81 07 06 33 00 00 70 4B 47", "< 81 03 00 00 4C 00 70 4B 47",
    ]

    @Test("an Omron capture with single spaces and requests on endpoint 0")
    func omronColumns() throws {
        let report = try Self.report("omron-pressure", Self.omron)
        #expect(Self.pressures(report) == [[112, 75, 71]])
        #expect(report.recordings[0].start == "2007-01-03 00:06:51")
        #expect(report.identity?.model == "M7080IT" && report.identity?.firmware == "207")
        #expect(report.surprises.isEmpty)
    }

    @Test("the Omron monitor's side only")
    func omronAlone() throws {
        let report = try Self.report("omron-pressure", Self.omron.filter { $0.hasPrefix("<") })
        #expect(Self.pressures(report) == [[112, 75, 71]])
    }

    /// devices.md 7.1: ADC 2029, 2061, 2050 to 2055.
    static let ecgFrame = "87 ED 0D 88 02 03 88 04 05 88 06 07"

    @Test("a live ECG90A from the middle, in lines of a packet or of several")
    func ecg90a() throws {
        let packet = "E0 " + Array(repeating: Self.ecgFrame, count: 5).joined(separator: " ") + " 00 00 00"
        for lines in [
            Array(repeating: "< 81  \(packet)", count: 40),
            (0..<10).map { _ in "< 81  " + Array(repeating: packet, count: 4).joined(separator: " ") },
        ] {
            let report = try Self.report("contec-ecg90a", lines)
            #expect(report.recordings.map(\.samples) == [200])
            #expect(
                report.recordings[0].channels.map(\.name) == [
                    "I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6",
                ])
            #expect(report.recordings[0].readings.map(\.value).prefix(3) == [-160, -95, 65])
            #expect(report.surprises.isEmpty)
        }
    }

    @Test("an 8000G in packets of 64 bytes, with the 24 bytes between two markers")
    func contec8000() throws {
        // ADC 2048 to 2055 (devices.md 7.2).
        let record = "A0 49 04 08 00 01 08 02 03 08 04 05 08 06 07"
        var stream = "EE 10 " + Array(repeating: record, count: 200).joined(separator: " ")
        stream += " 11 11 11 11 11 11 11 11 11 " + Array(repeating: record, count: 200).joined(separator: " ")
        let all = stream.split(separator: " ").map(String.init)
        let packets = stride(from: 0, to: all.count, by: 64).map {
            "< 82 " + all[$0..<min($0 + 64, all.count)].joined(separator: " ")
        }
        let report = try Self.report("contec-8000", packets)
        #expect(report.recordings.map(\.samples) == [200])
        #expect(report.recordings[0].readings.map(\.value).prefix(3) == [0, 2.5, 2.5])
        #expect(report.recordings[0].readings.last?.value == 17.5)
    }

    @Test("standard requests on endpoint 0 are no reports")
    func setups() {
        let interrupt = Transport.usb(
            USBShape(interface: .reports, endpoints: .interrupt(outputReport: 8, needsOutput: true)))
        for setup in [
            "80 06 00 01 00 00 12 00", "00 09 01 00 00 00 00 00", "21 0A 00 00 00 00 00 00",
            "21 09 00 03 00 00 02 00 01 01",
        ] {
            #expect(outputReport(bytes(setup), on: interrupt) == nil)
        }
        #expect(outputReport(bytes("21 09 00 02 00 00 02 00 82 00"), on: interrupt) == bytes("82 00"))
        #expect(outputReport(bytes("82 00 00 00 00 00 00 00"), on: .serial(SerialLine(speed: 9600))) == nil)
    }

    // MARK: Cut and damaged files

    /// A pcap file of what Linux' usbmon shows (link type 189) of a transcript's lines: its head, then each record.
    static func pcap(_ lines: [String]) -> [[UInt8]] {
        let zeros = [UInt8](repeating: 0, count: 16)
        var head: [UInt8] = [0xD4, 0xC3, 0xB2, 0xA1]
        head += zeros + [189, 0, 0, 0]
        var records = [head]
        for line in lines {
            let words = bytes(String(line.dropFirst(2)))
            let count = UInt8(words.count - 1)
            let event = line.hasPrefix("<") ? UInt8(ascii: "C") : UInt8(ascii: "S")
            // Event, interrupt transfer, endpoint, device 5 of bus 1, no setup packet, the length twice.
            var packet = [UInt8](repeating: 1, count: 8)
            packet += [event, 1, words[0], 5, 1, 0, 0x2D, 0] + zeros
            packet += [count, 0, 0, 0, count, 0, 0, 0]
            packet += zeros.prefix(8)
            packet += words.dropFirst()
            let length: [UInt8] = [UInt8(packet.count), 0, 0, 0]
            records.append(Array(zeros.prefix(8)) + length + length + packet)
        }
        return records
    }

    static func replayed(_ records: [[UInt8]], less cut: Int = 0) throws -> ReplayReport {
        let profile = try #require(Registry.dialogues.first { $0.name == "omron-pressure" })
        return try replay(captured: Array(records.flatMap(\.self).dropLast(cut)), through: profile)
    }

    @Test("a capture that was cut within its only measurement says so; a whole one that has only a name doesn't")
    func cutMeasurement() throws {
        let records = Self.pcap(Array(Self.omron.dropFirst()))
        let whole = try Self.replayed(records)
        #expect(Self.pressures(whole) == [[112, 75, 71]] && whole.hasValues && whole.surprises.isEmpty)
        let cut = try Self.replayed(records, less: 3)
        #expect(cut.identity?.model == "M7080IT" && !cut.hasValues)
        let place = records.dropLast().map(\.count).reduce(0, +)
        let text = try #require(cut.surprises.first).text
        #expect(text.contains("cut within a record at byte \(place)") && cut.surprises.count == 1)
        #expect(text.contains("the last \((records.last?.count ?? 0) - 3) bytes were not read"))
        let name = try Self.replayed(Array(records.dropLast(5)))
        #expect(name.identity?.model == "M7080IT" && !name.hasValues && name.surprises.isEmpty)
    }

    @Test("a damaged capture keeps what was read before, and says what was not")
    func damagedFile() throws {
        // Two exchanges; the second one's beginning has a length that no record has.
        let once = Array(Self.omron.dropFirst())
        var records = Self.pcap(once + once)
        let at = 1 + once.count
        records[at].replaceSubrange(8..<12, with: [0xFF, 0xFF, 0xFF, 0xFF])
        let report = try Self.replayed(records)
        #expect(Self.pressures(report) == [[112, 75, 71]])
        let place = records[..<at].map(\.count).reduce(0, +)
        #expect(report.surprises.first?.text.hasPrefix("the capture is damaged at byte \(place): the last ") == true)
        // Nothing but its head.
        let nothing = try Self.replayed(Array(records.prefix(1)) + [[1, 2, 3]])
        #expect(nothing.isEmpty && nothing.surprises.map(\.count) == [1])
    }
}
