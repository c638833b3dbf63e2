import Clinical
import Wire

/// The Beurer upper-arm monitors BM55, BM58, BM65 with a HID connector (devices.md 5.7).
public enum BeurerPressure {
    static let name = "beurer-pressure"

    public static let profile = DialogueProfile(
        name: name,
        title: "Beurer BM55, BM58, BM65 blood pressure monitor (HID)",
        support: .verified,
        matches: [UdevMatch(subsystem: "usb", vendorID: "0c45", productID: "7406")],
        // Reports to the device go by SET_REPORT: the interface has no OUT endpoint.
        transport: .usb(USBShape(interface: .number(0), endpoints: .interrupt(outputReport: 8))),
        // No destructive command is known; the driver can only express the reading ones.
        forbidden: [],
        goals: [.download],
        makeDialogue: { BeurerPressureProtocol(goal: $0) },
        makeListener: { BeurerPressureListener() }
    )
}

/// A command: one byte, a parameter for A3, filled up with F4 to eight bytes.
enum BeurerPressureCommand: Equatable, Hashable, Sendable {
    case start
    /// A4 to A7.
    case identification(UInt8)
    case count
    /// From 1.
    case record(UInt8)
    case end
    case endAgain

    var report: [UInt8] {
        let bytes: [UInt8] =
            switch self {
            case .start: [0xAA]
            case .identification(let which): [0xA4 + min(which, 3)]
            case .count: [0xA2]
            case .record(let index): [0xA3, index]
            case .end: [0xF7]
            case .endAgain: [0xF6]
            }
        return bytes + Array(repeating: Self.padding, count: 8 - bytes.count)
    }

    /// As somebody sent it; nil when it is none of these.
    init?(report: [UInt8]) {
        switch report.first {
        case 0xAA: self = .start
        case 0xA4, 0xA5, 0xA6, 0xA7: self = .identification(report[0] - 0xA4)
        case 0xA2: self = .count
        case 0xA3 where report.count > 1: self = .record(report[1])
        case 0xF7: self = .end
        case 0xF6: self = .endAgain
        default: return nil
        }
    }

    static let padding: UInt8 = 0xF4
    static let identifications: ClosedRange<UInt8> = 0...3
}

extension BloodPressureMeasurement {
    /// `SYS-25, DIA-25, pulse, month, day, hour, minute, year`; the second user's have bit 7 of the day set. Nil for a
    /// report that is padding or empty.
    init?(beurer report: [UInt8]) {
        guard report.count >= 8, !report.allSatisfy({ $0 == BeurerPressureCommand.padding }),
            !report.allSatisfy({ $0 == 0 })
        else { return nil }
        let (month, day, year) = (report[3] & 0x0F, report[4] & 0x1F, report[7] & 0x7F)
        self.init(
            systolic: Int(report[0]) + 25, diastolic: Int(report[1]) + 25, pulse: Self.value(report[2]),
            at: LocalTime(
                year: 2000 + Int(year), month: Int(month), day: Int(day), hour: Int(report[5]), minute: Int(report[6]),
                second: 0),
            rawTime: BloodPressureMemory.decimal([year, month, day, report[5], report[6]]))
        if report[3] & 0x80 != 0 { flags.append("movement") }
        if report[7] & 0x80 != 0 { flags.append("irregular pulse") }
    }

    /// 1 or 2.
    static func user(beurer report: [UInt8]) -> Int { report.count > 4 && report[4] & 0x80 != 0 ? 2 : 1 }
}

/// What a Beurer monitor has told: who it is, and both users' measurements.
struct BeurerPressureReadout: Sendable {
    private var texts: [UInt8: [UInt8]] = [:]
    private var users: [Int: BloodPressureMemory] = [:]
    /// Everything that was heard, for the first recording.
    private var raw: [UInt8] = []
    /// Of both users together.
    var announced: Int?
    private(set) var records = 0

    mutating func keep(_ report: ArraySlice<UInt8>) {
        if raw.count + report.count <= BloodPressureMemory.mostBytes { raw += report }
    }

    mutating func take(identification which: UInt8, _ report: [UInt8]) { texts[which] = report }

    mutating func take(record report: [UInt8]) {
        records += 1
        guard let measurement = BloodPressureMeasurement(beurer: report) else { return }
        let user = BloodPressureMeasurement.user(beurer: report)
        users[user, default: BloodPressureMemory(bank: user)].add(measurement)
    }

    /// The printable characters of all four answers.
    var text: String { ContecOximeterNameplate.text(texts.sorted { $0.key < $1.key }.flatMap(\.value)) }

    /// Enough of a text to be a name.
    var isIdentified: Bool { text.count { $0.isLetter || $0.isNumber } >= 3 }

    var hasRecords: Bool { !users.isEmpty }

    var identity: DeviceIdentity {
        let words = text.split(separator: " ").map(String.init)
        // Only a simulator says a serial number.
        let serial = words.first { $0.hasPrefix("SIM") }
        let model = words.filter { $0 != serial }.joined(separator: " ")
        return DeviceIdentity(
            driver: BeurerPressure.name, vendor: "Beurer", model: model.isEmpty ? "BM55/58/65" : model, serial: serial,
            support: .verified)
    }

    /// One recording for each user; the bytes, which are not sorted by user, are with the first.
    mutating func recordings(known: Set<String>, reason: Recording.EndReason, at now: UInt64) -> [DialogueAction] {
        let name = identity.serial ?? identity.model
        let device = String(name.map { $0 == "/" || $0 == " " ? "_" : $0 })
        let isShort = announced.map { records < $0 } ?? false
        let reason = isShort && reason.state == .complete ? .deviceEnded : reason
        var actions: [DialogueAction] = []
        for user in users.keys.sorted() {
            guard var memory = users[user] else { continue }
            memory.precede(with: raw)
            raw = []
            actions += memory.recording(
                driver: BeurerPressure.name, device: device, known: known, reason: reason, at: now)
        }
        users = [:]
        return actions
    }
}

/// Understands a conversation that somebody else leads.
struct BeurerPressureListener: Listener {
    private var readout = BeurerPressureReadout()
    private var asked: BeurerPressureCommand?

    mutating func sent(_ bytes: [UInt8], at now: UInt64) -> [DialogueAction] {
        for report in OmronPressureReport.split(bytes) {
            guard let command = BeurerPressureCommand(report: Array(report)) else {
                return [.surprise("a report from the host that is no command")]
            }
            asked = command
        }
        return []
    }

    mutating func received(_ bytes: [UInt8], at now: UInt64) -> [DialogueAction] {
        var actions: [DialogueAction] = []
        for report in OmronPressureReport.split(bytes) {
            readout.keep(report)
            switch asked {
            case .identification(let which): readout.take(identification: which, Array(report))
            case .count: readout.announced = report.first.map(Int.init)
            case .record: readout.take(record: Array(report))
            case .start: break
            case .end, .endAgain, nil: actions.append(.surprise("a report that nobody asked for"))
            }
            asked = nil
        }
        return actions
    }

    mutating func ended(at now: UInt64) -> [DialogueAction] {
        guard readout.isIdentified || readout.hasRecords else { return [] }
        return [.identify(readout.identity)] + readout.recordings(known: [], reason: .finished, at: now)
    }
}
