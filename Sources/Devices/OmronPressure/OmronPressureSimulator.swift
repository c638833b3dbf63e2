public import Clinical
public import Wire

/// Plays an Omron monitor (devices.md 5.5). It understands everything that a client may send, also the command that clears
/// the memory, so that a test can prove that it never comes.
public struct OmronPressureSimulator: DeviceSimulator {
    public enum Dialect: Sendable { case m10, elitePlus }

    /// One measurement as the device keeps it.
    public struct Measurement: Sendable, Equatable {
        public var time: LocalTime
        public var systolic: UInt8
        public var diastolic: UInt8
        public var pulse: UInt8
        /// 0: single; 1 to 3: of an automatic series.
        public var place: UInt8

        public init(time: LocalTime, systolic: UInt8, diastolic: UInt8, pulse: UInt8, place: UInt8 = 0) {
            self.time = time
            self.systolic = systolic
            self.diastolic = diastolic
            self.pulse = pulse
            self.place = place
        }

        var payload: [UInt8] {
            [
                UInt8(clamping: time.year - 2000), UInt8(time.month), UInt8(time.day), UInt8(time.hour),
                UInt8(time.minute), UInt8(time.second), 0, 0, systolic, diastolic, pulse, 0, place << 4,
            ]
        }
    }

    /// What the device computed of the mornings of a week.
    public struct Average: Sendable, Equatable {
        public var bank: UInt8
        /// 0 is this week.
        public var week: UInt8
        public var sunday: LocalTime
        public var systolic: UInt8
        public var diastolic: UInt8
        public var pulse: UInt8

        public init(bank: UInt8, week: UInt8, sunday: LocalTime, systolic: UInt8, diastolic: UInt8, pulse: UInt8) {
            self.bank = bank
            self.week = week
            self.sunday = sunday
            self.systolic = systolic
            self.diastolic = diastolic
            self.pulse = pulse
        }

        /// A counter with its top bit set, the date, SYS - 25, DIA, PULSE (devices.md 5.3).
        var payload: [UInt8] {
            [
                0x80, week, UInt8(clamping: sunday.year - 2000), UInt8(sunday.month), UInt8(sunday.day),
                systolic &- 25, diastolic, pulse,
            ]
        }
    }

    public struct Configuration: Sendable {
        public var dialect = Dialect.m10
        /// The answer to VER; nil: none.
        public var version: String? = "M7080IT 207"
        /// Seven characters; always begins with SIM.
        public var serial = "SIM0001" {
            didSet { if !serial.hasPrefix("SIM") { serial = "SIM" + serial.prefix(4) } }
        }
        /// What an Elite Plus' clock shows; it stands still.
        public var clock = LocalTime(civilSeconds: 1_795_388_400)
        /// An M10 that answers about the second bank as about the first.
        public var ignoresBanks = false
        /// Newest first, as the device numbers them.
        public var banks: [[Measurement]] = [[], []]
        /// Weekly averages of the mornings: bank and week, with the week's Sunday. The evenings have none.
        public var averages: [Average] = []
        /// Every so-many-th GME is answered NO first; 0: none.
        public var refusesEvery = 3
        /// Answers the first clearing block after a mode change with `08 60 …`.
        public var sendsGarbage = true
        /// The first so many clearing blocks meet silence.
        public var deafFor = 1
        /// The checksum of every so-many-th answer is wrong; 0: never.
        public var garblesEvery = 0
        /// After so many answers nothing comes any more.
        public var diesAfter: Int?

        public init() {}
    }

    private let configuration: Configuration
    private var banks: [[Measurement]]
    private var isAwake = false
    private var queue: [(at: UInt64, report: [UInt8])] = []
    private var partial: [UInt8] = []
    private var zeros = 0
    private var clearings = 0
    private var modeChanged = false
    private var asked = 0
    private var answers = 0
    private var wasRefused = false
    /// Commands that were carried out, by their letters.
    public private(set) var log: [String] = []
    /// How often the host asked to clear the memory. Our driver never does.
    public private(set) var clearCommands = 0

    public init(_ configuration: Configuration) {
        self.configuration = configuration
        banks = configuration.banks
    }

    public mutating func controlled(_ request: ControlRequest, at now: UInt64) -> [[UInt8]] {
        guard request.type == 0x21, request.request == 0x09, request.value == 0x0300, request.data.count == 2 else {
            return []
        }
        isAwake = true
        modeChanged = true
        return tick(at: now)
    }

    public mutating func received(_ bytes: [UInt8], at now: UInt64) -> [[UInt8]] {
        let due = tick(at: now)
        guard isAwake, bytes.count == OmronPressureReport.size,
            let content = OmronPressureReport.content(bytes[...])
        else { return due }
        if partial.isEmpty, content.allSatisfy({ $0 == 0 }) {
            zeros += content.count
            cleared(content.count, at: now)
            return due
        }
        zeros = 0
        partial += content
        let length = OmronPressureCommand.length(of: partial[...])
        if length.map({ partial.count >= $0 }) ?? (content.count < 7) {
            let command = OmronPressureCommand(message: Array(partial.prefix(length ?? partial.count)))
            partial = []
            if let command { execute(command, at: now) }
        }
        return due
    }

    public mutating func tick(at now: UInt64) -> [[UInt8]] {
        let due = queue.prefix { $0.at <= now }.map(\.report)
        queue.removeFirst(due.count)
        return due
    }

    public func nextTick(after now: UInt64) -> UInt64? { queue.first.map { max($0.at, now + 1) } }

    private mutating func cleared(_ count: Int, at now: UInt64) {
        if configuration.dialect == .elitePlus {
            if zeros.isMultiple(of: 14) { say(.acknowledged, after: 60, at: now) }
            return
        }
        // Not the first contact: it answers the first report at once with an empty one.
        if zeros == 7, clearings > configuration.deafFor { queue.append((now + 1_000_000, [0, 0, 0, 0, 0, 0, 0, 0])) }
        guard count < 7 else { return }
        zeros = 0
        clearings += 1
        guard clearings > configuration.deafFor else { return }
        if modeChanged, clearings > configuration.deafFor + 1, configuration.sendsGarbage {
            modeChanged = false
            queue.append((now + 130_000_000, [8, 0x60, 0, 0, 0, 0, 0, 0]))
            return
        }
        modeChanged = false
        say(.acknowledged, after: 190, at: now)
    }

    private mutating func execute(_ command: OmronPressureCommand, at now: UInt64) {
        log.append(command.letters)
        if command.letters == "MCL" {
            clearCommands += 1
            banks = banks.map { _ in [] }
            return say(.acknowledged, after: 100, at: now)
        }
        if let reply = reply(to: command) { say(reply, after: 80, at: now) }
        if command.letters == "END" {
            say(.off, after: 140, at: now)
            isAwake = false
        }
    }

    private mutating func reply(to command: OmronPressureCommand) -> OmronPressureReply? {
        let bank = command.data.count > 1 && !configuration.ignoresBanks ? Int(command.data[1]) : 0
        switch (configuration.dialect, command.letters) {
        case (_, "VER"): return configuration.version.map { .data(Array($0.utf8)) }
        case (_, "SRL"): return .data(Array(configuration.serial.utf8.prefix(7)))
        case (_, "END"): return .acknowledged
        case (.m10, "PRF"): return .data(Array("0010100000".utf8))
        case (.m10, "GDC"):
            let count = UInt8(clamping: banks.indices.contains(bank) ? banks[bank].count : 0)
            return .data([0, count &+ 2, 0, count])
        case (.m10, "GME"):
            asked += 1
            if configuration.refusesEvery > 0, asked.isMultiple(of: configuration.refusesEvery), !wasRefused {
                wasRefused = true
                return .notReady
            }
            wasRefused = false
            return measurement(bank, Int(command.data.last ?? 0))
        case (.m10, "GMA"), (.m10, "GEA"):
            let week = command.data.count > 2 ? command.data[2] : 0
            let average = configuration.averages.first { Int($0.bank) == bank && $0.week == week }
            guard command.letters == "GMA", let average else { return .data([0x80, week, 0, 0, 0, 0, 0, 0]) }
            return .data(average.payload)
        case (.elitePlus, "CNT"): return .data([0, UInt8(clamping: banks.first?.count ?? 0)])
        case (.elitePlus, "GCL"):
            return configuration.clock.map { clock in
                let fields = [clock.year - 2000, clock.month, clock.day, clock.hour, clock.minute, clock.second]
                return .data(fields.map { UInt8(clamping: $0) })
            }
        case (.elitePlus, "MES"): return measurement(0, Int(command.data.last ?? 0))
        default: return .notReady
        }
    }

    private func measurement(_ bank: Int, _ index: Int) -> OmronPressureReply {
        guard banks.indices.contains(bank), banks[bank].indices.contains(index) else { return .notReady }
        return .data(banks[bank][index].payload)
    }

    private mutating func say(_ reply: OmronPressureReply, after milliseconds: UInt64, at now: UInt64) {
        answers += 1
        if let last = configuration.diesAfter, answers > last { return }
        var message = reply.message
        if configuration.garblesEvery > 0, answers.isMultiple(of: configuration.garblesEvery), message.count > 4 {
            message[message.count - 1] ^= 0x55
        }
        var at = max(now + milliseconds * 1_000_000, queue.last?.at ?? 0)
        for var report in OmronPressureReport.wire(message) {
            // What stands behind the count is stale.
            for index in 0..<(7 - Int(report[0])) { report[7 - index] = UInt8(truncatingIfNeeded: 0xA4 + index) }
            queue.append((at, report))
            at += 20_000_000
        }
    }
}
