public import Clinical

/// The driver's state machine (devices.md 5.7): start, four identification reads, count, records, end.
struct BeurerPressureProtocol: Dialogue {
    private static let patience: UInt64 = 1_000_000_000
    private static let mostTries = 3

    private let known: KnownItems
    private let isDownload: Bool
    private var readout = BeurerPressureReadout()
    /// Waits for its answer.
    private var asked: BeurerPressureCommand?
    private var tries = 0
    private var deadline: UInt64 = 0
    private var isIdentified = false
    private var isFinished = false
    /// The answer that was taken last.
    private var last: [UInt8] = []
    /// Questions that were sent again: the answer to the first time may still come.
    private var owed = 0
    /// Says the same as the answer before, while one is owed: that one once more, or this question's.
    private var doubtful: [UInt8]?

    init(goal: SessionGoal) {
        if case .download(let known) = goal {
            isDownload = true
            self.known = known
        } else {
            isDownload = false
            known = []
        }
    }

    mutating func start(at now: UInt64) -> [DialogueAction] { asked == nil ? ask(.start, at: now) : [] }

    mutating func received(_ bytes: [UInt8], at now: UInt64) -> [DialogueAction] {
        var actions: [DialogueAction] = []
        for report in OmronPressureReport.split(bytes) {
            guard !isFinished, let asked else { return actions }
            readout.keep(report)
            // Without a checksum a cut report is all that can be seen to be wrong.
            guard report.count == 8 else { continue }
            if owed > 0, report.elementsEqual(last) {
                // Nothing in an answer says which question it is to: taken for this one's, all that follow would be one too early, the last
                // record would never be read, and the count would be a blood pressure.
                owed -= 1
                doubtful = last
                continue
            }
            actions += took(Array(report), for: asked, at: now)
        }
        return actions
    }

    private mutating func took(
        _ report: [UInt8], for command: BeurerPressureCommand, at now: UInt64
    ) -> [DialogueAction] {
        last = report
        doubtful = nil
        return answered(command, report, at: now)
    }

    mutating func timerFired(at now: UInt64) -> [DialogueAction] {
        guard !isFinished, let asked else { return [] }
        guard now >= deadline else { return wait(deadline - now) }
        // Nothing else came: it was this question's.
        if let doubtful { return took(doubtful, for: asked, at: now) }
        guard tries < Self.mostTries else {
            guard isIdentified else { return finish(.notThisDevice) }
            return readout.recordings(known: known, reason: .deviceEnded, at: now)
                + finish(.deviceEnded("the monitor fell silent"))
        }
        return send(asked, at: now)
    }

    mutating func stop(at now: UInt64) -> [DialogueAction] {
        guard !isFinished else { return [] }
        let goodbye: [DialogueAction] = isIdentified ? farewell : []
        return readout.recordings(known: known, reason: .agentStopped, at: now) + goodbye + finish(.done)
    }

    mutating func gone(at now: UInt64) -> [DialogueAction] {
        guard !isFinished else { return [] }
        return readout.recordings(known: known, reason: .deviceGone, at: now)
            + finish(.deviceEnded("the cable is gone"))
    }

    private mutating func answered(
        _ command: BeurerPressureCommand, _ report: [UInt8], at now: UInt64
    ) -> [DialogueAction] {
        switch command {
        case .start: return ask(.identification(0), at: now)
        case .identification(let which):
            readout.take(identification: which, report)
            if which < BeurerPressureCommand.identifications.upperBound {
                return ask(.identification(which + 1), at: now)
            }
            guard readout.isIdentified else { return finish(.notThisDevice) }
            isIdentified = true
            let actions: [DialogueAction] = [.identify(readout.identity)]
            return actions + (isDownload ? ask(.count, at: now) : farewell + finish(.done))
        case .count:
            readout.announced = Int(report[0])
            return report[0] > 0 ? ask(.record(1), at: now) : farewell + finish(.done)
        case .record(let index):
            readout.take(record: report)
            if let count = readout.announced, Int(index) < count { return ask(.record(index + 1), at: now) }
            return readout.recordings(known: known, reason: .finished, at: now) + farewell + finish(.done)
        case .end, .endAgain: return []
        }
    }

    /// One client sends both, others one of them; nobody waits for an answer.
    private var farewell: [DialogueAction] {
        [.send(BeurerPressureCommand.end.report), .send(BeurerPressureCommand.endAgain.report)]
    }

    private mutating func ask(_ command: BeurerPressureCommand, at now: UInt64) -> [DialogueAction] {
        asked = command
        tries = 0
        return send(command, at: now)
    }

    private mutating func send(_ command: BeurerPressureCommand, at now: UInt64) -> [DialogueAction] {
        tries += 1
        if tries > 1 { owed += 1 }
        deadline = now + Self.patience
        return [.send(command.report)] + wait(Self.patience)
    }

    private func wait(_ nanoseconds: UInt64) -> [DialogueAction] { [.ask(.nanoseconds(Int64(nanoseconds)))] }

    private mutating func finish(_ end: SessionEnd) -> [DialogueAction] {
        isFinished = true
        return [.finish(end)]
    }
}

/// Plays a Beurer monitor on the driver's own codec.
public struct BeurerPressureSimulator: DeviceSimulator {
    /// One record as the device keeps it.
    public struct Record: Sendable, Equatable {
        /// The year from 2000 to 2099.
        public var time: LocalTime
        /// 25 to 280 mmHg.
        public var systolic: Int
        public var diastolic: Int
        public var pulse: UInt8
        public var user: Int
        public var moved: Bool
        public var isIrregular: Bool

        public init(
            time: LocalTime, systolic: Int, diastolic: Int, pulse: UInt8, user: Int = 1, moved: Bool = false,
            isIrregular: Bool = false
        ) {
            self.time = time
            self.systolic = systolic
            self.diastolic = diastolic
            self.pulse = pulse
            self.user = user
            self.moved = moved
            self.isIrregular = isIrregular
        }

        var report: [UInt8] {
            [
                UInt8(clamping: systolic - 25), UInt8(clamping: diastolic - 25), pulse,
                UInt8(time.month) | (moved ? 0x80 : 0), UInt8(time.day) | (user == 2 ? 0x80 : 0), UInt8(time.hour),
                UInt8(time.minute), UInt8(clamping: time.year - 2000) | (isIrregular ? 0x80 : 0),
            ]
        }
    }

    public struct Configuration: Sendable {
        /// At most 32 characters; a word of it is the simulator's serial number.
        public var text = "BM58 SIM0001"
        public var records: [Record] = []
        /// The first so many commands meet silence.
        public var deafFor = 0
        /// After so many answers nothing comes any more.
        public var diesAfter: Int?

        public init() {}
    }

    private let configuration: Configuration
    private var queue: [(at: UInt64, report: [UInt8])] = []
    private var heard = 0
    private var answers = 0
    /// The first byte of every command, in order.
    public private(set) var log: [UInt8] = []

    public init(_ configuration: Configuration) { self.configuration = configuration }

    public mutating func received(_ bytes: [UInt8], at now: UInt64) -> [[UInt8]] {
        let due = tick(at: now)
        guard bytes.count == 8, let command = BeurerPressureCommand(report: bytes) else { return due }
        heard += 1
        log.append(bytes[0])
        guard heard > configuration.deafFor, let report = answer(command) else { return due }
        answers += 1
        if configuration.diesAfter.map({ answers > $0 }) ?? false { return due }
        queue.append((now + 30_000_000, report))
        return due
    }

    public mutating func tick(at now: UInt64) -> [[UInt8]] {
        let due = queue.prefix { $0.at <= now }.map(\.report)
        queue.removeFirst(due.count)
        return due
    }

    public func nextTick(after now: UInt64) -> UInt64? { queue.first.map { max($0.at, now + 1) } }

    private func answer(_ command: BeurerPressureCommand) -> [UInt8]? {
        let filler = Array(repeating: BeurerPressureCommand.padding, count: 8)
        switch command {
        case .start: return filler
        case .identification(let which):
            return Array(
                (Array(configuration.text.utf8) + Array(repeating: 0x20, count: 32))[(8 * Int(which))...].prefix(8))
        case .count: return [UInt8(clamping: configuration.records.count)] + filler.dropFirst()
        case .record(let index):
            let place = Int(index) - 1
            return configuration.records.indices.contains(place) ? configuration.records[place].report : filler
        case .end, .endAgain: return nil
        }
    }
}
