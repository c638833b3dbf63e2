import Clinical
import Wire

/// The Beurer upper-arm monitors BM55, BM58, BM65 with a HID connector (devices.md 5.7).
public enum BeurerPressure {
    static let name = "beurer-pressure"

    public static let profile = DialogueProfile(
        name: name,
        title: "Beurer BM55, BM58, BM65 blood pressure monitor (HID)",
        support: .verified,
        models: ["BM55", "BM58", "BM65"],
        reads: ["pressures and pulse with date, time and user", "movement and irregular pulse marks"],
        matches: [UdevMatch(subsystem: "usb", vendorID: "0c45", productID: "7406")],
        // Reports to the device go by SET_REPORT (devices.md 5.7): the interface has no OUT endpoint.
        transport: .usb(USBShape(interface: .reports, endpoints: .interrupt(outputReport: 8, needsOutput: false))),
        // No destructive command is known; the driver can only express the reading ones.
        forbidden: [],
        goals: [.download],
        simulation: simulation,
        makeDialogue: { BeurerPressureProtocol(goal: $0) },
        makeListener: { BeurerPressureListener() }
    )

    private static let simulation = DeviceSimulation(
        variants: ["BM58", "BM55", "BM65"],
        faults: [.init("deaf", "the first two commands meet silence"), .init("dies", "silent after 8 answers")],
        usb: USBPersona(
            kind: .hid(outputReport: 8, hasOutput: false), vendorID: 0x0C45, productID: 0x7406,
            manufacturer: "Beurer", product: "BPM Bridge", inputPacket: 8)
    ) { order in
        var device = BeurerPressureSimulator.Configuration()
        device.text = "\(order.variant ?? "BM58") \(order.serial)"
        device.records = (0..<4).compactMap { index in
            LocalTime(year: 2026, month: 11, day: 17 + index, hour: 8 + index, minute: 15, second: 0).map {
                BeurerPressureSimulator.Record(
                    time: $0, systolic: 128 + 2 * index, diastolic: 79 + index, pulse: UInt8(66 + index),
                    user: 1 + index % 2, moved: index == 1, isIrregular: index == 2)
            }
        }
        if order.faults.contains("deaf") { device.deafFor = 2 }
        if order.faults.contains("dies") { device.diesAfter = 8 }
        return BeurerPressureSimulator(device)
    }
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
    private var memory = BeurerMemory()
    /// Of both users together.
    var announced: Int?
    /// Different ones: the same record again is no other one.
    private var records: Set<[UInt8]> = []

    mutating func keep(_ report: ArraySlice<UInt8>) { memory.keep(report) }

    mutating func take(identification which: UInt8, _ report: [UInt8]) { texts[which] = report }

    mutating func take(record report: [UInt8]) {
        if records.count < BloodPressureMemory.mostMeasurements { records.insert(report) }
        memory.take(report)
    }

    /// The printable characters of all four answers.
    var text: String { ContecOximeterNameplate.text(texts.sorted { $0.key < $1.key }.flatMap(\.value)) }

    /// Enough of a text to be a name, and nothing in its first part that is none: nothing else tells this device from a
    /// babbling one.
    var isIdentified: Bool {
        let isText = texts[0]?.allSatisfy {
            0x20..<0x7F ~= $0 || [0x00, 0xFF, BeurerPressureCommand.padding].contains($0)
        }
        return isText ?? true && text.count { $0.isLetter || $0.isNumber } >= 3
    }

    var hasRecords: Bool { !memory.isEmpty }

    var identity: DeviceIdentity {
        BeurerMemory.identity(text, driver: BeurerPressure.name, otherwise: "BM55/58/65")
    }

    /// One recording for each user.
    mutating func recordings(known: KnownItems, reason: Recording.EndReason, at now: UInt64) -> [DialogueAction] {
        let isShort = announced.map { records.count < $0 } ?? false
        return memory.recordings(
            of: identity, known: known, hasUsers: true, announced: nil, isShared: isShort || memory.isOfBoth,
            reason: isShort && reason.state == .complete ? .deviceEnded : reason, at: now)
    }
}

/// Understands a conversation that somebody else leads.
struct BeurerPressureListener: Listener {
    private var readout = BeurerPressureReadout()
    private var asked: BeurerPressureCommand?
    /// Parts of the name that were guessed.
    private var names: UInt8 = 0

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
            case .end, .endAgain, nil: actions += guess(Array(report))
            }
            asked = nil
        }
        return actions
    }

    /// When only the device was heard, or the capture began in the middle: a record is unmistakable by its date, the name by
    /// its letters, and the count is what comes behind the name.
    private mutating func guess(_ report: [UInt8]) -> [DialogueAction] {
        if report.count == 8, let measurement = BloodPressureMeasurement(beurer: report), measurement.at != nil,
            measurement.pulse != nil, let systolic = measurement.systolic, let diastolic = measurement.diastolic,
            systolic > diastolic
        {
            readout.take(record: report)
            return []
        }
        if report.count == 8, names < 4, report.allSatisfy({ 0x20..<0x7F ~= $0 || $0 == 0 }),
            report.contains(where: { $0 > 0x20 })
        {
            readout.take(identification: names, report)
            names += 1
            return []
        }
        if names > 0, readout.announced == nil, !readout.hasRecords, let count = report.first,
            report.dropFirst().allSatisfy({ $0 == BeurerPressureCommand.padding || $0 == 0 })
        {
            readout.announced = Int(count)
            return []
        }
        return [.surprise("a report that nobody asked for")]
    }

    mutating func ended(at now: UInt64) -> [DialogueAction] {
        guard readout.isIdentified || readout.hasRecords else { return [] }
        return [.identify(readout.identity)] + readout.recordings(known: [], reason: .finished, at: now)
    }
}
