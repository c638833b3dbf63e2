import Clinical
import Wire

/// The Contec ECG90A electrocardiograph, live over HID (devices.md 7.1; one public source).
public enum ContecEcg90a {
    static let name = "contec-ecg90a"

    public static let profile = DialogueProfile(
        name: name,
        title: "Contec ECG90A electrocardiograph, live",
        support: .singleSource,
        models: ["ECG90A"],
        reads: ["8 leads live at 800 Hz, 4 derived"],
        leaves: ["reply to command 93"],
        // STMicroelectronics' example id: the Contec 08A has it, too (devices.md 2.1).
        matches: [UdevMatch(subsystem: "usb", vendorID: "0483", productID: "5750")],
        // Interrupt IN 81 and OUT 02 (devices.md 7.1).
        transport: .usb(USBShape(interface: .reports, endpoints: .interrupt(outputReport: 8, needsOutput: true))),
        forbidden: [
            ForbiddenBytes([0x41], reason: "suspected to clear the memory of the Contec 08A, which has the same id")
        ],
        goals: [.live],
        simulation: simulation,
        makeDialogue: { ContecEcg90aProtocol(goal: $0) },
        makeListener: { ContecEcg90aListener() }
    )

    private static let simulation = DeviceSimulation(
        variants: ["ECG90A"],
        faults: [
            .init("defective", "answers the stop command with FF 06"), .init("loses-reports", "every 40th is lost"),
            .init("stalls", "silent after 400 reports"), .init("electrode-off", "lead II off for a second"),
        ],
        usb: USBPersona(
            kind: .hid(outputReport: 8, hasOutput: true), vendorID: 0x0483, productID: 0x5750,
            manufacturer: "STMicroelectronics", product: "ECG90A", inputPacket: 64)
    ) { order in
        var device = ContecEcg90aSimulator.Configuration()
        device.name = "ECG90A \(order.serial)"
        device.isDefective = order.faults.contains("defective")
        device.losesEvery = order.faults.contains("loses-reports") ? 40 : 0
        device.stallsAfter = order.faults.contains("stalls") ? 400 : nil
        if order.faults.contains("electrode-off") { device.electrodeOff = 320..<480 }
        return ContecEcg90aSimulator(device)
    }

    static let rate = 800

    /// 5 µV a step, II and III first; agrees with the stored files' format (devices.md 6.1).
    static let leads = LiveEcgLeads(
        limbs: .twoAndThree, rate: Ratio(rate), scale: Ratio(5), steps: 2048, calibration: .singleSource)
}

/// Output reports: a command and a parameter, zero-filled to eight bytes.
enum ContecEcg90aCommand: Equatable, Sendable {
    case stop, identify, query, prepare, start

    private var bytes: [UInt8] {
        switch self {
        case .stop: [0x91]
        case .identify: [0x82]
        case .query: [0x93]
        case .prepare: [0xA1, 0x01]
        case .start: [0x90, 0x00]
        }
    }

    var report: [UInt8] { bytes + Array(repeating: 0, count: 8 - bytes.count) }

    init?(report: [UInt8]) {
        switch report.first {
        case 0x91: self = .stop
        case 0x82: self = .identify
        case 0x93: self = .query
        case 0xA1: self = .prepare
        case 0x90: self = .start
        default: return nil
        }
    }
}

/// Input reports of 64 bytes.
enum ContecEcg90aReport: Equatable, Sendable {
    static let size = 64

    /// Five frames of eight raw values.
    case samples([[Int]])
    /// The printable part behind the third byte.
    case name(String)
    case status(UInt8)
    /// An answer whose meaning is not known.
    case other(UInt8)

    init?(_ report: ArraySlice<UInt8>) {
        guard let first = report.first else { return nil }
        switch first {
        case 0xE0:
            guard report.count >= 61 else { return nil }
            let body = Array(report.dropFirst().prefix(60))
            self = .samples(stride(from: 0, to: 60, by: 12).map { Self.frame(Array(body[$0..<$0 + 12])) })
        case 0x82:
            let text = report.dropFirst(3).prefix { $0 != 0 }
            self = .name(ContecOximeterNameplate.text(Array(text)))
        case 0xFF: self = .status(report.dropFirst().first ?? 0)
        default: self = .other(first)
        }
    }

    /// Four groups of three bytes: the high half-bytes (the low one is the first channel's), then both low bytes.
    static func frame(_ bytes: [UInt8]) -> [Int] {
        stride(from: 0, to: 12, by: 3).flatMap { start -> [Int] in
            let high = Int(bytes[start])
            return [(high & 0x0F) << 8 | Int(bytes[start + 1]), (high >> 4) << 8 | Int(bytes[start + 2])]
        }
    }

    static func wire(frames: [[Int]]) -> [UInt8] {
        var bytes: [UInt8] = [0xE0]
        for frame in frames {
            for pair in stride(from: 0, to: 8, by: 2) {
                let (first, second) = (frame[pair] >> 8 & 0x0F, frame[pair + 1] >> 8 & 0x0F)
                bytes.append(UInt8(second << 4 | first))
                bytes.append(UInt8(truncatingIfNeeded: frame[pair]))
                bytes.append(UInt8(truncatingIfNeeded: frame[pair + 1]))
            }
        }
        return bytes + Array(repeating: 0, count: size - bytes.count)
    }
}

/// What a stream of input reports becomes; shared by the driver and the listener.
struct ContecEcg90aStream: Sendable {
    private var builder: LiveEcgBuilder?

    var isOpen: Bool { builder != nil }

    mutating func take(_ report: ContecEcg90aReport?, raw: ArraySlice<UInt8>, at now: UInt64) -> [DialogueAction] {
        var actions: [DialogueAction] = []
        if case .samples = report, builder == nil {
            builder = LiveEcgBuilder(ContecEcg90a.leads, rate: ContecEcg90a.rate)
            actions.append(
                .begin(RecordingStart(kind: .live, modality: .ecg, channels: ContecEcg90a.leads.channels)))
        }
        guard var open = builder else { return actions }
        builder = nil
        open.append(raw: raw)
        switch report {
        case .samples(let frames):
            for frame in frames { actions += open.append(frame.map(LiveEcgLeads.sample)) }
            actions += open.watch(at: now)
        case .status(let code): actions.append(.note(Note(kind: .device, text: "status \(code)")))
        case nil:
            open.interrupt("a cut report was left out")
            actions.append(.surprise("a cut report"))
        case .name, .other: break
        }
        if open.isFull, let block = open.take(at: now) { actions.append(.append(block)) }
        builder = open
        return actions
    }

    mutating func end(_ reason: Recording.EndReason, at now: UInt64) -> [DialogueAction] {
        guard var open = builder.take() else { return [] }
        let rest = open.take(at: now).map { [DialogueAction.append($0)] } ?? []
        return rest + open.close() + [.end(reason)]
    }

    static func split(_ bytes: [UInt8]) -> [ArraySlice<UInt8>] {
        stride(from: 0, to: bytes.count, by: ContecEcg90aReport.size).map {
            bytes[$0..<min($0 + ContecEcg90aReport.size, bytes.count)]
        }
    }
}

/// Understands a conversation that somebody else leads.
struct ContecEcg90aListener: Listener {
    private var stream = ContecEcg90aStream()
    private var isIdentified = false

    mutating func sent(_ bytes: [UInt8], at now: UInt64) -> [DialogueAction] {
        // A hidraw client writes a leading report number 0.
        let report = bytes.count == 9 && bytes[0] == 0 ? Array(bytes[1...]) : bytes
        return ContecEcg90aCommand(report: report) == .stop ? stream.end(.stopped, at: now) : []
    }

    mutating func received(_ bytes: [UInt8], at now: UInt64) -> [DialogueAction] {
        ContecEcg90aStream.split(bytes).flatMap { raw -> [DialogueAction] in
            let report = ContecEcg90aReport(raw)
            if case .name(let text) = report, let name = LiveEcgName(text), !isIdentified, !stream.isOpen {
                isIdentified = true
                return [.identify(ContecEcg90aProtocol.identity(name))]
            }
            return stream.take(report, raw: raw, at: now)
        }
    }

    mutating func ended(at now: UInt64) -> [DialogueAction] { stream.end(.stopped, at: now) }
}
