import Clinical
import Testing
import Wire

@testable import Devices

/// Published exchanges, heard passively: what they mean is written in the reference (phdc.md 14).
@Suite("PHDC: listening")
struct PhdcListenerTests {
    static let hostFrames: Set<String> = [
        "A2", "A4", "A5", "A8", "A9", "A12", "B2", "B4", "D5", "E1", "E3", "E5", "E8", "E10", "G1",
    ]

    /// Vectors by name, in the direction that they have.
    static func transcript(_ names: String...) -> Transcript { transcript(names) }

    static func transcript(_ names: [String]) -> Transcript {
        Transcript(
            header: TranscriptHeader(model: "published example", date: "2026-11-22"),
            events: names.map { name in
                hostFrames.contains(name)
                    ? .sent(PhdcVectors.bytes(name), after: 0.01) : .received(PhdcVectors.bytes(name), after: 0.05)
            })
    }

    static func report(_ names: String...) -> ReplayReport { replay(transcript(names), through: Phdc.profile) }

    /// `name value unit at`
    static func texts(_ recorded: ReplayReport.Recorded) -> [String] {
        recorded.readings.map { "\($0.name) \($0.value) \($0.unit)" + ($0.at.map { " at " + $0 } ?? "") }
    }

    @Test("the scale: identity, mass and fat, once by itself and once asked for")
    func scale() throws {
        let report = Self.report("A1", "A2", "A3", "A4", "A5", "A6", "A7", "A8", "A9", "A10", "A11", "A12")
        let identity = try #require(report.identity)
        #expect(identity.vendor == "TheCompany" && identity.model == "TheScaleABC" && identity.serial == "DE124567")
        #expect(report.recordings.count == 1)
        let recorded = report.recordings[0]
        #expect(recorded.end == .finished && recorded.modality == .vitals)
        let expected = ["weight 62.4 kg at 2007-02-01 12:10:00", "other 25.6 % at 2007-02-01 12:10:00"]
        #expect(Self.texts(recorded) == expected + expected)
        #expect(recorded.readings.map(\.code) == ["MDC 2:57664", "MDC 2:57676", "MDC 2:57664", "MDC 2:57676"])
        #expect(recorded.readings.map(\.sequence) == [0, 0, 1, 1])
        #expect(recorded.readings[0].rawTime == "20 07 02 01 12 10 00 00")
        #expect(recorded.notes.contains { $0.text == "system-id 8877665544332211" })
        #expect(recorded.notes.contains { $0.text.hasPrefix("configuration 4000 as sent: 4000000200580006") })
        #expect(report.surprises.isEmpty)
        // Every byte of the device is kept.
        #expect(
            recorded.bytes == ["A1", "A3", "A6", "A7", "A10", "A11"].reduce(0) { $0 + PhdcVectors.bytes($1).count })
    }

    /// The oximeter of 10404's annex with an episodic and a periodic scanner. A scanner's fixed report is laid out by the
    /// objects' own maps, its grouped one by the scanner's.
    @Test("an oximeter's scanners: each form of report by the map that fits")
    func scanners() throws {
        let fixed = Self.report("K1", "K2", "K3")
        #expect(
            Self.texts(fixed.recordings[0]) == [
                "spo2 98.0 % at 2007-12-06 12:10:00", "pulseRate 72.0 /min at 2007-12-06 12:10:00",
            ])
        #expect(fixed.surprises.isEmpty)
        let grouped = Self.report("K1", "K2", "K4")
        #expect(
            Self.texts(grouped.recordings[0]) == [
                "spo2 98.0 % at 2008-07-03 12:10:00", "pulseRate 73.0 /min", "spo2 98.0 %",
            ])
        #expect(grouped.recordings[0].readings.last?.flags == ["fast"] && grouped.surprises.isEmpty)
    }

    @Test("only the device's side, and only the end of it")
    func partial() {
        let deviceOnly = Self.report("A1", "A3", "A6", "A7")
        #expect(Self.texts(deviceOnly.recordings[0]).count == 2)
        #expect(deviceOnly.identity?.serial == "DE124567")
        // Nobody heard what handles 1 and 2 are: the numbers are kept, nothing is claimed.
        let end = Self.report("A7")
        #expect(
            Self.texts(end.recordings[0]) == [
                "other 62.4 {unknown} at 2007-02-01 12:10:00", "other 25.6 {unknown} at 2007-02-01 12:10:00",
            ])
        #expect(end.recordings[0].readings.allSatisfy { $0.code == nil && $0.flags == ["configuration not heard"] })
        #expect(end.surprises.count == 2)
        // These fit one standard configuration only.
        let pressure = Self.report("C1")
        #expect(Self.texts(pressure.recordings[0]).count == 4)
        #expect(pressure.recordings[0].modality == .bloodPressure)
        // Identity by the association alone: the system-id.
        #expect(Self.report("B1", "B3").identity?.serial == "3132333435363738")
    }

    @Test("the thermometer needs no configuration")
    func thermometer() {
        let report = Self.report("B1", "B2", "B3", "B4", "A11", "A12")
        #expect(Self.texts(report.recordings[0]) == ["temperature 37.2 Cel at 2026-03-14 09:41:30"])
        #expect(report.recordings[0].readings[0].code == "MDC 2:19292")
        #expect(report.surprises.isEmpty)
    }

    @Test("blood pressure: three values and a pulse of one measurement")
    func pressure() {
        let recorded = Self.report("C1").recordings[0]
        #expect(
            Self.texts(recorded) == [
                "systolic 132.0 mm[Hg] at 2026-03-14 09:45:02", "diastolic 84.0 mm[Hg] at 2026-03-14 09:45:02",
                "meanArterial 100.0 mm[Hg] at 2026-03-14 09:45:02", "pulseRate 71.5 /min at 2026-03-14 09:45:02",
            ])
        #expect(recorded.readings.map(\.code) == ["MDC 2:18949", "MDC 2:18950", "MDC 2:18951", "MDC 2:18474"])
        #expect(Set(recorded.readings.map(\.sequence)) == [0])
    }

    @Test("ECG: lead I in µV, heart rate, a lead that fell off")
    func ecg() throws {
        let report = Self.report("D1", "D2", "D3", "D8")
        let recorded = try #require(report.recordings.first)
        #expect(recorded.modality == .ecg && recorded.kind == .live)
        let lead = try #require(recorded.channels.first)
        #expect(lead.name == "I" && lead.unit == "uV" && lead.rate == 250 && lead.samples == 5)
        #expect(
            lead.first == -20 && lead.minimum == -20 && lead.maximum == 1005 && lead.sum == 2225 && lead.absent == 0)
        #expect(recorded.readings.first?.value == 72 && recorded.readings.first?.name == "pulseRate")
        #expect(recorded.readings.first?.rawTime == "63840/8000 s")
        #expect(recorded.notes.contains { $0.text.contains("ECG device status (MDC 128:21976) = 8000: lead wire off") })
        #expect(report.surprises.isEmpty)
    }

    @Test("ECG through a periodic scanner, grouped")
    func grouped() throws {
        let report = Self.report("D1", "D4", "D5", "D6", "D7")
        let recorded = try #require(report.recordings.first)
        #expect(recorded.channels.map(\.name) == ["I", "II"])
        #expect(recorded.channels.map(\.samples) == [10, 10])
        // 5 µV a step: -4 12 86 201 150 32 -20 -31 -18 -6, and -6 20 140 330 240 51 -33 -50 -29 -10.
        #expect(recorded.channels.map(\.sum) == [2010, 3265])
        #expect(recorded.readings.first?.value == 72)
        #expect(report.surprises.isEmpty)
    }

    @Test("a stored episode, from the store's description to the last entry")
    func stored() throws {
        let report = Self.report("D1", "D2", "E1", "E2", "E3", "E4", "E5", "E6", "E7", "E8", "E9", "E10")
        let recorded = try #require(report.recordings.first)
        #expect(recorded.kind == .stored && recorded.end == .finished && recorded.announced == 15)
        #expect(recorded.start == "2026-03-14 08:30:00" && recorded.rawStart == "20 26 03 14 08 30 00 00")
        #expect(recorded.source == "phdc:0A1B2CFFFE000406:4:0:2026031408300000:3")
        #expect(recorded.channels[0].samples == 15)
        // 1 3 9 2 | -1 0 4 40 180 | 90 20 -30 -12 -3, with a 0 in front.
        #expect(recorded.channels[0].sum == Double((1 + 3 + 9 + 2 - 1 + 4 + 40 + 180 + 90 + 20 - 30 - 12 - 3) * 5))
        // Cut before its last portion, it is not complete.
        let cut = Self.report("D1", "D2", "E4", "E6", "E7").recordings[0]
        #expect(cut.end == .deviceEnded && cut.channels[0].samples == 10)
        // Without its description there are bytes, and nothing is made up.
        let blind = Self.report("E7", "E9").recordings[0]
        #expect(blind.channels.isEmpty && blind.readings.isEmpty && blind.bytes == 108)
    }

    @Test("therapy data: values that both code lists agree on, the mode in words")
    func therapy() throws {
        let recorded = try #require(Self.report("F1", "F2").recordings.first)
        #expect(
            Self.texts(recorded) == ["other 4.3 /h at 2026-03-14 06:58:00", "other 412.0 min at 2026-03-14 06:58:00"])
        #expect(recorded.readings.map(\.code) == ["MDC 128:22180", "MDC 128:22104"])
        #expect(recorded.notes.contains { $0.text.contains("therapy mode (MDC 128:22280) = 22282: CPAP") })
        #expect(recorded.notes.contains { $0.text == "object 1: AHI, MDC 128:22180, /h" })
    }

    @Test("a value that is not there is a note, never a number")
    func absent() throws {
        let recorded = try #require(Self.report("J1", "J2").recordings.first)
        #expect(Self.texts(recorded) == ["spo2 96.5 %"])
        #expect(recorded.notes.contains { $0.text == "object 10, pulse rate: no value (NaN)" })
    }

    @Test("quirks: surplus bytes, a forgotten stamp, the clock's attribute instead of the stamp's, an unknown handle")
    func quirks() throws {
        let stamp: [UInt8] = [0x20, 0x26, 0x03, 0x14, 0x09, 0x41, 0x30, 0x00]
        func heard(_ items: [PhdcScanReport.Item], _ objects: [PhdcObject], surplus: [UInt8] = []) -> ReplayReport {
            let configuration = PhdcConfigurationReport(id: 0x4000, objects: objects)
            let events = [
                PhdcEvent(handle: 0, time: 0, type: 0x0D1C, info: configuration.wire),
                PhdcEvent(
                    handle: 0, time: 0, type: 0x0D1D, info: PhdcScanReport(number: 0, items: items).wire + surplus),
            ]
            return replay(
                Transcript(
                    events: events.map {
                        .received(PhdcApdu.presentation(PhdcData(1, .event($0, confirmed: true))).wire)
                    }), through: Phdc.profile)
        }
        typealias ID = PhdcAttributeID
        let pulse = PhdcConfiguration.numeric(10, 0x481A, 0x4040, unit: 0x0AA0, map: [(ID.basicValue, 2)])
        let clocked = PhdcConfiguration.numeric(
            10, 0x481A, 0x4040, unit: 0x0AA0, map: [(ID.basicValue, 2), (ID.dateAndTime, 8)])
        let item = PhdcSimulator.Configuration.fixed(10, [0, 72] + stamp)
        for object in [pulse, clocked] {
            #expect(Self.texts(heard([item], [object]).recordings[0]) == ["pulseRate 72.0 /min at 2026-03-14 09:41:30"])
        }
        let odd = heard([item, PhdcSimulator.Configuration.fixed(3, [1, 2, 3])], [clocked], surplus: [0, 0])
        #expect(odd.recordings[0].readings.count == 1)
        #expect(odd.surprises.map(\.text).contains("object 3 was never announced: 01 02 03"))
        #expect(odd.surprises.map(\.text).contains("2 bytes behind a report's list"))
        let wrong = heard([PhdcSimulator.Configuration.fixed(10, [0, 72, 0x20, 0x0C, 3, 0x0E, 9, 5, 0, 0])], [clocked])
        #expect(wrong.recordings[0].readings[0].at == nil)
        #expect(wrong.recordings[0].readings[0].flags == ["invalid time"])
        #expect(wrong.recordings[0].readings[0].rawTime == "20 0C 03 0E 09 05 00 00")
        let short = heard([PhdcSimulator.Configuration.fixed(10, [0, 72, 1])], [clocked])
        #expect(Self.texts(short.recordings[0]) == ["pulseRate 72.0 /min"])
    }

    @Test("any order, any cut, any flipped bit of the published frames is survived", arguments: 0..<20 as Range<UInt64>)
    func fuzz(_ seed: UInt64) {
        var random = Seeded(state: seed)
        for _ in 0..<40 {
            var listener = Phdc.profile.makeListener()
            var check = ListenerCheck()
            for step in 0..<30 as Range<UInt64> {
                var bytes = PhdcVectors.bytes(PhdcVectors.names.randomElement(using: &random)!)
                if Bool.random(using: &random) {
                    bytes[Int.random(in: 0..<bytes.count, using: &random)] ^=
                        1 << UInt8.random(in: 0...7, using: &random)
                }
                if UInt8.random(in: 0...7, using: &random) == 0 {
                    bytes = Array(bytes[..<Int.random(in: 0...bytes.count, using: &random)])
                }
                let now = step * 400_000_000
                check.take(
                    step % 5 == 4 ? listener.sent(bytes, at: now) : listener.received(bytes, at: now))
            }
            check.take(listener.ended(at: 100_000_000_000))
            #expect(!check.isOpen && check.isValid)
        }
    }
}

/// What every listener keeps.
struct ListenerCheck {
    var isOpen = false
    var isValid = true
    private var channels: [Channel] = []

    mutating func take(_ actions: [DialogueAction]) {
        for action in actions {
            switch action {
            case .begin(let start):
                isValid = isValid && !isOpen
                isOpen = true
                channels = start.channels
            case .end:
                isValid = isValid && isOpen
                isOpen = false
            case .append(let block):
                isValid = isValid && isOpen && block.samples.count == channels.count
                for (channel, samples) in zip(channels, block.samples) {
                    isValid = isValid && samples.allSatisfy { $0 == .absent || channel.range.contains($0) }
                }
            case .reading, .note: isValid = isValid && isOpen
            case .send, .control, .ask, .finish, .skipped: isValid = false
            default: break
            }
        }
    }
}
