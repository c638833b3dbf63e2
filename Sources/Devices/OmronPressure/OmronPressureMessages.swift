import Clinical

/// Reports of eight bytes: a count (0 to 7) and as many valid bytes; the rest is stale (devices.md 5.1).
enum OmronPressureReport {
    static let size = 8

    /// A message in as many reports as it needs.
    static func wire(_ message: [UInt8]) -> [[UInt8]] {
        stride(from: 0, to: message.count, by: 7).map { start in
            let part = message[start..<min(start + 7, message.count)]
            return [UInt8(part.count)] + part + Array(repeating: 0, count: 7 - part.count)
        }
    }

    /// The clearing block: 30 zero bytes in all (devices.md 5.2).
    static let clearingBlock = wire(Array(repeating: 0, count: 30))

    /// Cuts what came in one go into reports. A hidraw client's leading report number 0 is dropped.
    static func split(_ bytes: [UInt8]) -> [ArraySlice<UInt8>] {
        if bytes.count == size + 1, bytes[0] == 0 { return [bytes[1...]] }
        return stride(from: 0, to: bytes.count, by: size).map { bytes[$0..<min($0 + size, bytes.count)] }
    }

    /// The valid bytes; nil for a report that can't be one (the device sends counts of 8 now and then).
    static func content(_ report: ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
        guard let count = report.first, count <= 7, report.count > count else { return nil }
        return report.dropFirst().prefix(Int(count))
    }

    static func xor(_ bytes: some Sequence<UInt8>) -> UInt8 { bytes.reduce(0, ^) }
}

/// Three letters, data, and the XOR of the data (devices.md 5.3). MCL (clears the memory) is not among the makers: this
/// driver cannot say it.
struct OmronPressureCommand: Equatable, Sendable {
    let letters: String
    let data: [UInt8]

    private init(_ letters: String, _ data: UInt8...) {
        self.letters = letters
        self.data = data
    }

    static let version = Self("VER", 0x30)
    static let profile = Self("PRF", 0x30)
    static let serial = Self("SRL", 0x30)
    static func count(bank: UInt8) -> Self { Self("GDC", 0, bank, 0, 0) }
    static func measurement(bank: UInt8, index: UInt8) -> Self { Self("GME", 0, bank, 0, index) }
    /// Of the mornings or evenings of a week; week 0 is this one, 7 the oldest.
    static func average(bank: UInt8, week: UInt8, isMorning: Bool) -> Self {
        Self(isMorning ? "GMA" : "GEA", 0, bank, week, 0, 0)
    }
    static let end = Self("END", 0xFF)
    /// MIT Elite Plus.
    static let eliteCount = Self("CNT", 0x30)
    static let eliteClock = Self("GCL", 0x30)
    static func eliteMeasurement(index: UInt8) -> Self { Self("MES", 0, 0, index) }
    static let eliteEnd = Self("END", 0x30)

    var message: [UInt8] { Array(letters.utf8) + data + [OmronPressureReport.xor(data)] }

    /// As somebody sent it; nil when it is no command.
    init?(message: [UInt8]) {
        guard message.count >= 4, message[..<3].allSatisfy({ 0x41...0x5A ~= $0 }) else { return nil }
        letters = String(decoding: message[..<3], as: UTF8.self)
        data = Array(message[3..<(message.count - 1)])
    }

    /// Bytes of the whole message of a command that is known.
    static func length(of letters: ArraySlice<UInt8>) -> Int? {
        switch String(decoding: letters.prefix(3), as: UTF8.self) {
        case "VER", "PRF", "SRL", "END", "CNT", "GCL", "MCL": 5
        case "MES": 7
        case "GDC", "GME": 8
        case "GMA", "GEA": 9
        default: nil
        }
    }

    /// Bytes of the reply when there is one and it is known.
    var replyLength: Int? {
        switch letters {
        case "PRF": 14
        case "SRL": 11
        case "GDC": 8
        case "GME": 17
        case "GMA", "GEA": 12
        default: nil
        }
    }
}

/// What the device says (devices.md 5.3).
enum OmronPressureReply: Equatable, Sendable {
    /// `OK` alone.
    case acknowledged
    /// `NO`: ask again.
    case notReady
    /// It switches off.
    case off
    /// What stands between the 00 and the checksum.
    case data([UInt8])
    /// Not a reply, or its checksum is wrong: ask again.
    case garbled

    init(_ message: [UInt8]) {
        switch message {
        case [0x4F, 0x4B]: self = .acknowledged
        case [0x4E, 0x4F]: self = .notReady
        case _ where message.starts(with: Self.farewell): self = .off
        case _
        where message.count >= 5 && message.starts(with: Self.answer)
            && OmronPressureReport.xor(message[2...]) == 0:
            self = .data(Array(message[3..<(message.count - 1)]))
        default: self = .garbled
        }
    }

    /// `OK` and 0: data follow.
    static let answer: [UInt8] = [0x4F, 0x4B, 0]
    /// `OFF`, carriage return, line feed; no checksum.
    static let farewell: [UInt8] = [0x4F, 0x46, 0x46, 0x0D, 0x0A]

    var message: [UInt8] {
        switch self {
        case .acknowledged: [0x4F, 0x4B]
        case .notReady: [0x4E, 0x4F]
        case .off: Self.farewell
        case .data(let bytes): [0x4F, 0x4B, 0] + bytes + [OmronPressureReport.xor(bytes)]
        case .garbled: []
        }
    }
}

/// Puts the device's reports together.
struct OmronPressureReplies: Sendable {
    /// No reply is longer.
    private static let longest = 70

    private var partial: [UInt8] = []
    /// Of the command that was sent last.
    var replyLength: Int?

    /// Something has begun and isn't whole.
    var isWaiting: Bool { !partial.isEmpty }

    mutating func forget() { partial = [] }

    /// None as long as the message isn't whole, and for an empty report.
    ///
    /// The end of a reply whose length isn't known is a report that isn't full. Where all are full, it is the next reply's beginning, or
    /// silence (`conclude`): a right checksum on the way is nothing, since one message in 256 has one by chance.
    mutating func take(_ report: ArraySlice<UInt8>) -> [OmronPressureReply] {
        guard let content = OmronPressureReport.content(report) else {
            partial = []
            return [.garbled]
        }
        if content.isEmpty, partial.isEmpty { return [] }
        var whole: [OmronPressureReply] = []
        if replyLength == nil, Self.beginnings.contains(where: { content.starts(with: $0) }), let reply = conclude() {
            whole.append(reply)
        }
        partial += content
        guard isWhole(endsShort: content.count < 7) || partial.count >= Self.longest else { return whole }
        defer { partial = [] }
        let reply = OmronPressureReply(partial)
        // A wrong count adds stale bytes, which may be zero and leave the checksum right.
        if case .data = reply, let replyLength, partial.count != replyLength { return whole + [.garbled] }
        return whole + [reply]
    }

    /// - Parameter endsShort: the newest report isn't full. Nothing says that only a message's last one is (devices.md 5.1): an answer goes
    ///   on to the length that it must have, or until its checksum is right.
    private func isWhole(endsShort: Bool) -> Bool {
        if partial.starts(with: OmronPressureReply.farewell) { return true }
        if let replyLength, partial.count >= replyLength { return true }
        guard endsShort, partial.starts(with: OmronPressureReply.answer) else { return endsShort }
        return replyLength == nil && OmronPressureReply(partial) != .garbled
    }

    /// After a silence: what came of a reply, when it is sound as it is. Otherwise it goes on waiting.
    mutating func conclude() -> OmronPressureReply? {
        let reply = OmronPressureReply(partial)
        guard reply != .garbled else { return nil }
        partial = []
        return reply
    }

    private static let beginnings = [OmronPressureReply.acknowledged, .notReady, .off].map(\.message)
}

extension LocalTime {
    /// The first six bytes of a measurement, and the payload of GCL: `yy mm dd hh mi ss`, binary. Nil for no date.
    init?(omron payload: [UInt8]) {
        guard payload.count >= 6 else { return nil }
        self.init(
            year: 2000 + Int(payload[0]), month: Int(payload[1]), day: Int(payload[2]), hour: Int(payload[3]),
            minute: Int(payload[4]), second: Int(payload[5]))
    }
}

extension BloodPressureMeasurement {
    /// The payload of GME and MES: `yy mm dd hh mi ss ?? ?? SYS DIA PULSE ?? FL`, binary (devices.md 5.3, 5.6).
    init?(omron payload: [UInt8]) {
        guard payload.count >= 11 else { return nil }
        self.init(
            systolic: Self.value(payload[8]), diastolic: Self.value(payload[9]), pulse: Self.value(payload[10]),
            at: LocalTime(omron: payload), rawTime: BloodPressureMemory.decimal(payload[..<6]))
        if payload.count > 12 {
            let place = payload[12] >> 4
            if 1...3 ~= place { flags.append("\(place) of an automatic series of 3") }
        }
        // Their meaning is not known (devices.md 10.4); worth keeping beside the value.
        for index in [6, 7, 11] where index < payload.count && payload[index] != 0 {
            flags.append("byte \(index) is \(payload[index])")
        }
    }

    /// The payload of GMA and GEA: week, date of its Sunday, SYS - 25, DIA, PULSE. Nil when the week is empty.
    init?(omronAverage payload: [UInt8], isMorning: Bool) {
        guard payload.count >= 8, payload[6] != 0, payload[2] != 0 || payload[3] != 0 || payload[4] != 0 else {
            return nil
        }
        let name = isMorning ? "morning" : "evening"
        self.init(
            systolic: Int(payload[5]) + 25, diastolic: Self.value(payload[6]), pulse: Self.value(payload[7]),
            at: LocalTime(
                year: 2000 + Int(payload[2]), month: Int(payload[3]), day: Int(payload[4]), hour: 0, minute: 0,
                second: 0),
            rawTime: BloodPressureMemory.decimal(payload[2..<5]) + " \(name)",
            flags: ["average of a week's \(name)s, computed by the device"])
    }

    /// Zero is no blood pressure and no pulse.
    static func value(_ byte: UInt8) -> Int? { byte == 0 ? nil : Int(byte) }
}

/// What the device has said about itself.
struct OmronPressureNameplate: Equatable, Sendable {
    /// The answer to VER: `M7080IT 207`.
    var version: String?
    /// The answer to SRL when it is text; the monitors that were seen answer 06 and six zeros, which is no number.
    var serial: String?
    /// It answered the dialect's commands.
    var isElite = false

    mutating func take(version payload: [UInt8]) {
        let text = ContecOximeterNameplate.text(payload)
        guard !text.isEmpty else { return }
        version = text
        if text.contains("7301") { isElite = true }
    }

    mutating func take(serial payload: [UInt8]) {
        guard payload.count >= 4, payload.allSatisfy({ 0x20..<0x7F ~= $0 }) else { return }
        serial = ContecOximeterNameplate.text(payload)
    }

    /// M7 and M10-IT both say `M7080IT`.
    var isClassic: Bool { version?.hasPrefix("M7080IT") ?? false }

    var identity: DeviceIdentity {
        let words = version?.split(separator: " ").map(String.init) ?? []
        return DeviceIdentity(
            driver: OmronPressure.name, vendor: "Omron",
            model: words.first ?? (isElite ? "HEM-7301-ITKE7" : "blood pressure monitor"),
            serial: serial, firmware: words.count > 1 ? words[1] : nil, support: isElite ? .singleSource : .verified)
    }
}
