import Clinical
import Wire

/// The older Beurer BM58 with a serial cable (devices.md 5.7): the commands of its HID sister, a byte at a time.
public enum BeurerSerial {
    static let name = "beurer-serial"

    public static let profile = DialogueProfile(
        name: name,
        title: "Beurer BM58 blood pressure monitor (serial cable)",
        support: .verified,
        models: ["BM58 with a serial cable"],
        reads: ["pressures and pulse with date and time, of the user that is chosen on the monitor"],
        leaves: ["the other user: chosen on the monitor"],
        matches: [],
        // The bridge is in the cable, and its identity is that of any cable.
        choices: [
            UdevMatch(subsystem: "tty", vendorID: "067b", productID: "2303"),
            UdevMatch(subsystem: "tty", vendorID: "10c4", productID: "ea60"),
        ],
        transport: .serial(SerialLine(speed: 4800)),
        // No destructive command is known; the driver can only express the reading ones.
        forbidden: [],
        goals: [.download],
        simulation: simulation,
        makeDialogue: { BeurerSerialProtocol(goal: $0) },
        makeListener: { BeurerSerialListener() }
    )

    private static let simulation = DeviceSimulation(
        variants: ["BM58"],
        faults: [
            .init("deaf", "the first two commands meet silence"), .init("dies", "silent after 4 answers"),
            .init("missing-record", "the second record is not there"),
        ],
        usb: .serialBridge
    ) { order in
        var device = BeurerSerialSimulator(text: "Blood Pressure Meter \(order.serial)")
        device.records = (0..<4).map { index in
            // SYS - 25, DIA - 25, pulse, month, day, hour, minute, year.
            let step = UInt8(index)
            return [103 + 2 * step, 54 + step, 66 + step, 11, 17 + step, 8 + step, 15, 26]
        }
        if order.faults.contains("missing-record") { device.records[1] = nil }
        if order.faults.contains("deaf") { device.deafFor = 2 }
        if order.faults.contains("dies") { device.diesAfter = 4 }
        return device
    }
}

enum BeurerSerialCommand: Equatable, Sendable {
    case attention
    case identification
    case count
    /// From 1.
    case record(UInt8)

    var wire: [UInt8] {
        switch self {
        case .attention: [0xAA]
        case .identification: [0xA4]
        case .count: [0xA2]
        case .record(let index): [0xA3, index]
        }
    }
}

/// What the monitor says, in the order of what was asked.
enum BeurerSerialAnswer: Equatable, Sendable {
    static let attentionMark: UInt8 = 0x55
    static let recordMark: UInt8 = 0xAC
    static let noRecordMark: UInt8 = 0xA9
    /// Bytes of a record behind its mark.
    static let recordSize = 8
    /// No name is longer.
    static let longestName = 128

    case present
    case count(UInt8)
    case record([UInt8])
    case noRecord

    /// Takes the answer to a command off the front; nil as long as it isn't whole. A name ends by silence, not here. What
    /// can't be its beginning is dropped.
    static func take(_ command: BeurerSerialCommand, from buffer: inout [UInt8]) -> BeurerSerialAnswer? {
        switch command {
        case .attention:
            guard let at = buffer.firstIndex(of: attentionMark) else {
                buffer = []
                return nil
            }
            buffer.removeFirst(at + 1)
            return .present
        case .identification: return nil
        case .count:
            guard let first = buffer.first else { return nil }
            buffer.removeFirst()
            return .count(first)
        case .record:
            guard let at = buffer.firstIndex(where: { $0 == recordMark || $0 == noRecordMark }) else {
                buffer = []
                return nil
            }
            buffer.removeFirst(at)
            if buffer[0] == noRecordMark {
                buffer.removeFirst()
                return .noRecord
            }
            guard buffer.count > recordSize else { return nil }
            defer { buffer.removeFirst(1 + recordSize) }
            return .record(Array(buffer[1...recordSize]))
        }
    }
}

/// What was read of the user that is chosen on the monitor.
struct BeurerSerialReadout: Sendable {
    var name: [UInt8] = []
    /// Whether this one puts its HID sister's mark on a record is not known (its clients don't look), and with one mark alone only the
    /// monitor knows which user it is.
    private var memory = BeurerMemory()
    var announced: Int?

    var hasRecords: Bool { !memory.isEmpty }

    mutating func keep(_ bytes: [UInt8]) { memory.keep(bytes) }

    mutating func take(_ record: [UInt8]) { memory.take(record) }

    var text: String { ContecOximeterNameplate.text(name) }

    /// Enough of a text to be a name: the one answer that a babbling line doesn't give.
    var isIdentified: Bool {
        name.count >= 4 && name.allSatisfy { 0x20..<0x7F ~= $0 || $0 == 0 || $0 == 0x0D || $0 == 0x0A }
            && text.count { $0.isLetter || $0.isNumber } >= 3
    }

    var identity: DeviceIdentity {
        BeurerMemory.identity(text, driver: BeurerSerial.name, otherwise: "BM58")
    }

    mutating func recording(known: KnownItems, reason: Recording.EndReason, at now: UInt64) -> [DialogueAction] {
        let isShared = memory.isOfBoth
        let isShort = announced.map { memory.count < $0 } ?? false
        return memory.recordings(
            of: identity, known: known, hasUsers: isShared, announced: isShared ? nil : announced, isShared: isShared,
            reason: isShared && isShort && reason.state == .complete ? .deviceEnded : reason, at: now)
    }
}
