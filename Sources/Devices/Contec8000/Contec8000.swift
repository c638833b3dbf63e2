import Clinical
import Wire

/// The Contec 8000G and 8100G PC electrocardiographs, live over a serial bridge (devices.md 7.2; one public source).
public enum Contec8000 {
    static let name = "contec-8000"

    public static let profile = DialogueProfile(
        name: name,
        title: "Contec 8000G, 8100G electrocardiograph, live (once a person has said so)",
        support: .singleSource,
        models: ["8000G", "8100G", "8000GW and 8100GW by cable"],
        reads: ["8 leads live at 500 Hz, 4 derived"],
        leaves: ["stored cases"],
        // None: the bridge's id is the oximeter cable's, and trying blindly is not safe (devices.md 7.2).
        matches: [],
        choices: [UdevMatch(subsystem: "tty", vendorID: "10c4", productID: "ea60")],
        transport: .serial(SerialLine(speed: 230_400)),
        forbidden: [
            ForbiddenBytes([0x8B], reason: "erases stored cases"),
            ForbiddenBytes([0x8C], reason: "erases stored cases"),
            ForbiddenBytes([0x8D], reason: "erases stored cases"),
        ],
        goals: [.live],
        simulation: simulation,
        makeDialogue: { Contec8000Protocol(goal: $0) },
        makeListener: { Contec8000Listener() }
    )

    private static let simulation = DeviceSimulation(
        variants: ["8000G"],
        faults: [
            .init("no-model", "the question for its model meets silence"),
            .init("regular", "without the 24 bytes between two markers of the real capture"),
            .init("stalls", "silent after 3000 records"),
        ],
        usb: .serialBridge
    ) { order in
        var device = Contec8000Simulator.Configuration()
        device.answersModel = !order.faults.contains("no-model")
        if order.faults.contains("regular") { device.anomalyAt = nil }
        if order.faults.contains("stalls") { device.stallsAfter = 3000 }
        return Contec8000Simulator(device)
    }

    /// Pairs of the device's 1000 records a second, as the vendor's files have them.
    static let rate = 500

    /// The sum of a pair at 2.5 µV a step is the mean at 1.25 µV: exact.
    static let leads = LiveEcgLeads(
        limbs: .oneAndTwo, rate: Ratio(rate), scale: Ratio(5, 4), steps: 4096, calibration: .singleSource)
}

/// What the device sends (devices.md 7.2).
enum Contec8000Record: Equatable, Sendable {
    /// Start or stop of a stream.
    case boundary
    /// Eight raw values: I, II, V1 to V6.
    case samples([Int])
    case status
    /// Model code and firmware date (year from 2000, month, day).
    case model(UInt8, [UInt8])
    /// So many bytes that fit nowhere.
    case lost(Int)

    /// Two mask bytes, then twelve of seven bits: bit 7 of byte i is bit i mod 7 of mask i / 7.
    static func values(_ body: ArraySlice<UInt8>) -> [Int] {
        let bytes = Array(body)
        let payload = (0..<12).map { index -> UInt8 in
            let mask: UInt8 = bytes[index / 7] >> UInt8(index % 7)
            return (bytes[2 + index] & 0x7F) | (mask & 1) << 7
        }
        // Here the upper half-byte is the first channel's.
        return stride(from: 0, to: 12, by: 3).flatMap { start -> [Int] in
            let high = Int(payload[start])
            return [(high >> 4) << 8 | Int(payload[start + 1]), (high & 0x0F) << 8 | Int(payload[start + 2])]
        }
    }

    static func wire(_ values: [Int]) -> [UInt8] {
        var payload: [UInt8] = []
        for pair in stride(from: 0, to: 8, by: 2) {
            let (first, second) = (values[pair] >> 8 & 0x0F, values[pair + 1] >> 8 & 0x0F)
            payload.append(UInt8(first << 4 | second))
            payload.append(UInt8(truncatingIfNeeded: values[pair]))
            payload.append(UInt8(truncatingIfNeeded: values[pair + 1]))
        }
        var masks: [UInt8] = [0, 0]
        for (index, byte) in payload.enumerated() where byte & 0x80 != 0 {
            let bit: UInt8 = 1 << UInt8(index % 7)
            masks[index / 7] |= bit
        }
        return [0xA0] + masks + payload.map { $0 & 0x7F }
    }
}

/// Finds the records in the stream. Only the markers have bit 7 set, so a broken record ends at the next one.
struct Contec8000Decoder: Sendable {
    private var partial: [UInt8] = []
    private var lost = 0

    mutating func take(_ bytes: [UInt8]) -> [Contec8000Record] {
        var records: [Contec8000Record] = []
        for byte in bytes {
            if byte & 0x80 != 0 {
                lost += partial.count
                partial = []
                if Self.length(byte) == nil { lost += 1 } else { partial = [byte] }
            } else if partial.isEmpty {
                lost += 1
            } else {
                partial.append(byte)
            }
            guard let marker = partial.first, partial.count == Self.length(marker) else { continue }
            if lost > 0 { records.append(.lost(lost)) }
            lost = 0
            records.append(Self.record(partial))
            partial = []
        }
        return records
    }

    private static func length(_ marker: UInt8) -> Int? {
        switch marker {
        case 0xEE: 2
        case 0xA0: 15
        case 0xB0: 6
        case 0xF0: 7
        default: nil
        }
    }

    private static func record(_ bytes: [UInt8]) -> Contec8000Record {
        switch bytes[0] {
        case 0xEE: bytes[1] == 0x10 ? .boundary : .lost(2)
        case 0xA0: .samples(Contec8000Record.values(bytes[1...]))
        case 0xF0: .model(bytes[1], Array(bytes[4...6]))
        default: .status
        }
    }
}

/// What the records become; shared by the driver and the listener.
struct Contec8000Stream: Sendable {
    private var builder: LiveEcgBuilder?
    /// The first record of a pair.
    private var first: [Sample]?

    var isOpen: Bool { builder != nil }

    mutating func begin() -> [DialogueAction] {
        guard builder == nil else { return [] }
        builder = LiveEcgBuilder(Contec8000.leads, rate: Contec8000.rate)
        first = nil
        return [.begin(RecordingStart(kind: .live, modality: .ecg, channels: Contec8000.leads.channels))]
    }

    /// The bytes of one arrival and the records in them.
    mutating func take(_ records: [Contec8000Record], raw: [UInt8], at now: UInt64) -> [DialogueAction] {
        guard var open = builder else { return [] }
        builder = nil
        var actions: [DialogueAction] = []
        for record in records {
            switch record {
            case .samples(let values):
                let samples = values.map(LiveEcgLeads.sample)
                guard let before = first else {
                    first = samples
                    continue
                }
                first = nil
                actions += open.append(
                    zip(before, samples).map { $0 == .absent || $1 == .absent ? .absent : $0 + $1 })
            case .boundary: first = nil
            case .lost(let count):
                first = nil
                if let block = open.take(at: now) { actions.append(.append(block)) }
                open.interrupt("\(count) bytes were lost or damaged")
            case .status, .model: break
            }
        }
        open.append(raw: raw)
        actions += open.watch(at: now)
        if open.isFull, let block = open.take(at: now) { actions.append(.append(block)) }
        builder = open
        return actions
    }

    mutating func end(_ reason: Recording.EndReason, at now: UInt64) -> [DialogueAction] {
        guard var open = builder.take() else { return [] }
        let rest = open.take(at: now).map { [DialogueAction.append($0)] } ?? []
        return rest + open.close() + [.end(reason)]
    }
}

/// The model codes of the vendor's program, and the simulators' own.
enum Contec8000Model {
    static let simulated: UInt8 = 0x7F

    static func identity(_ code: UInt8?, firmware: [UInt8]) -> DeviceIdentity {
        let model =
            switch code {
            case 0x03: "8000G"
            case 0x06: "8000GW"
            case 0x07: "8100G"
            case 0x08: "8100GW"
            default: "8000G/8100G"
            }
        return DeviceIdentity(
            driver: Contec8000.name, vendor: "Contec", model: model, serial: code == simulated ? "SIM8000" : nil,
            firmware: firmware.count == 3 ? firmware.map { $0 < 10 ? "0\($0)" : "\($0)" }.joined(separator: "-") : nil,
            support: .singleSource)
    }
}

/// Understands a conversation that somebody else leads.
struct Contec8000Listener: Listener {
    private var decoder = Contec8000Decoder()
    private var stream = Contec8000Stream()
    private var isIdentified = false

    mutating func sent(_ bytes: [UInt8], at now: UInt64) -> [DialogueAction] {
        // 90 00 also comes before the start, when nothing is open.
        bytes.starts(with: [0x90, 0x00]) ? stream.end(.stopped, at: now) : []
    }

    mutating func received(_ bytes: [UInt8], at now: UInt64) -> [DialogueAction] {
        let records = decoder.take(bytes)
        var actions: [DialogueAction] = []
        for record in records where !isIdentified && !stream.isOpen {
            switch record {
            case .model(let code, let firmware):
                isIdentified = true
                actions.append(.identify(Contec8000Model.identity(code, firmware: firmware)))
            case .samples:
                isIdentified = true
                actions.append(.identify(Contec8000Model.identity(nil, firmware: [])))
            case .boundary, .status, .lost: break
            }
        }
        let hasSamples = records.contains { if case .samples = $0 { true } else { false } }
        if hasSamples { actions += stream.begin() }
        return actions + stream.take(records, raw: bytes, at: now)
    }

    mutating func ended(at now: UInt64) -> [DialogueAction] { stream.end(.stopped, at: now) }
}
