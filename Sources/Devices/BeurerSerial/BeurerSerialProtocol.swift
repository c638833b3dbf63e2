import Clinical

/// The driver's state machine: attention, name, count, records. Nothing ends a session: the monitor switches itself off.
struct BeurerSerialProtocol: Dialogue {
    private static let patience: UInt64 = 1_000_000_000
    /// A name has no end but silence; at 4800 baud a byte takes 2 ms.
    private static let silence: UInt64 = 300_000_000
    private static let mostTries = 3

    private let known: KnownItems
    private let isDownload: Bool
    private var readout = BeurerSerialReadout()
    private var asked: BeurerSerialCommand?
    private var buffer: [UInt8] = []
    private var tries = 0
    private var deadline: UInt64 = 0
    private var isIdentified = false
    private var isFinished = false

    init(goal: SessionGoal) {
        if case .download(let known) = goal {
            isDownload = true
            self.known = known
        } else {
            isDownload = false
            known = []
        }
    }

    mutating func start(at now: UInt64) -> [DialogueAction] { asked == nil ? ask(.attention, at: now) : [] }

    mutating func received(_ bytes: [UInt8], at now: UInt64) -> [DialogueAction] {
        guard !isFinished, let asked else { return [] }
        readout.keep(bytes)
        buffer += bytes
        if asked == .identification {
            guard buffer.count > BeurerSerialAnswer.longestName else { return wait(Self.silence, at: now) }
            return named(at: now)
        }
        var actions: [DialogueAction] = []
        while !isFinished, let command = self.asked, command != .identification,
            let answer = BeurerSerialAnswer.take(command, from: &buffer)
        {
            actions += answered(answer, at: now)
            // What is left came before the next question, so it can't answer it.
            buffer = []
        }
        return actions
    }

    mutating func timerFired(at now: UInt64) -> [DialogueAction] {
        guard !isFinished, let asked else { return [] }
        guard now >= deadline else { return wait(deadline - now, at: now) }
        if asked == .identification, !buffer.isEmpty { return named(at: now) }
        guard tries < Self.mostTries else {
            guard isIdentified else { return finish(.notThisDevice) }
            return readout.recording(known: known, reason: .deviceEnded, at: now)
                + finish(.deviceEnded("the monitor fell silent"))
        }
        return send(asked, at: now)
    }

    mutating func stop(at now: UInt64) -> [DialogueAction] {
        guard !isFinished else { return [] }
        return readout.recording(known: known, reason: .agentStopped, at: now) + finish(.done)
    }

    mutating func gone(at now: UInt64) -> [DialogueAction] {
        guard !isFinished else { return [] }
        return readout.recording(known: known, reason: .deviceGone, at: now)
            + finish(.deviceEnded("the cable is gone"))
    }

    private mutating func named(at now: UInt64) -> [DialogueAction] {
        readout.name = Array(buffer.prefix(BeurerSerialAnswer.longestName))
        buffer = []
        guard readout.isIdentified else { return finish(.notThisDevice) }
        isIdentified = true
        let actions: [DialogueAction] = [.identify(readout.identity)]
        return actions + (isDownload ? ask(.count, at: now) : finish(.done))
    }

    private mutating func answered(_ answer: BeurerSerialAnswer, at now: UInt64) -> [DialogueAction] {
        switch (answer, asked) {
        case (.present, _): return ask(.identification, at: now)
        case (.count(let count), _):
            readout.announced = Int(count)
            return count > 0 ? ask(.record(1), at: now) : finish(.done)
        case (.record(let bytes), .record(let index)):
            readout.take(bytes)
            return next(after: index, at: now)
        case (.noRecord, .record(let index)):
            return [.surprise("a record that was counted is not there")] + next(after: index, at: now)
        default: return []
        }
    }

    private mutating func next(after index: UInt8, at now: UInt64) -> [DialogueAction] {
        if let count = readout.announced, Int(index) < count { return ask(.record(index + 1), at: now) }
        return readout.recording(known: known, reason: .finished, at: now) + finish(.done)
    }

    private mutating func ask(_ command: BeurerSerialCommand, at now: UInt64) -> [DialogueAction] {
        asked = command
        tries = 0
        return send(command, at: now)
    }

    private mutating func send(_ command: BeurerSerialCommand, at now: UInt64) -> [DialogueAction] {
        tries += 1
        buffer = []
        return [.send(command.wire)] + wait(Self.patience, at: now)
    }

    private mutating func wait(_ nanoseconds: UInt64, at now: UInt64) -> [DialogueAction] {
        deadline = now + nanoseconds
        return [.ask(.nanoseconds(Int64(nanoseconds)))]
    }

    private mutating func finish(_ end: SessionEnd) -> [DialogueAction] {
        isFinished = true
        return [.finish(end)]
    }
}

/// Understands a conversation that somebody else leads, or only the monitor: a record is unmistakable by its mark and date.
struct BeurerSerialListener: Listener {
    private var readout = BeurerSerialReadout()
    private var asked: BeurerSerialCommand?
    private var buffer: [UInt8] = []
    private var hasHost = false

    mutating func sent(_ bytes: [UInt8], at now: UInt64) -> [DialogueAction] {
        let actions = settle()
        hasHost = true
        switch bytes.first {
        case 0xAA: asked = .attention
        case 0xA4: asked = .identification
        case 0xA2: asked = .count
        // The index may come in a write of its own.
        case 0xA3: asked = .record(bytes.count > 1 ? bytes[1] : 0)
        default:
            if case .record = asked, bytes.count == 1 { break }
            asked = nil
            return actions + [.surprise("bytes from the host that are no command")]
        }
        return actions
    }

    mutating func received(_ bytes: [UInt8], at now: UInt64) -> [DialogueAction] {
        readout.keep(bytes)
        buffer += bytes
        guard let asked else { return hasHost ? [] : alone() }
        guard asked != .identification else {
            if buffer.count > BeurerSerialAnswer.longestName { buffer.removeLast(bytes.count) }
            return []
        }
        var actions: [DialogueAction] = []
        while let answer = BeurerSerialAnswer.take(asked, from: &buffer) {
            switch answer {
            case .present: break
            case .count(let count): readout.announced = Int(count)
            case .record(let record): readout.take(record)
            case .noRecord: actions.append(.surprise("a record that was counted is not there"))
            }
            if answer == .noRecord || asked == .count { break }
        }
        return actions
    }

    mutating func ended(at now: UInt64) -> [DialogueAction] {
        let actions = settle()
        guard readout.isIdentified || readout.hasRecords else { return actions }
        return actions + [.identify(readout.identity)] + readout.recording(known: [], reason: .finished, at: now)
    }

    /// The name is over when something else is asked.
    private mutating func settle() -> [DialogueAction] {
        defer { buffer = [] }
        if asked == .identification, !buffer.isEmpty { readout.name = buffer }
        return []
    }

    /// Nobody heard the host: records by their mark and a real date.
    private mutating func alone() -> [DialogueAction] {
        while let at = buffer.firstIndex(of: BeurerSerialAnswer.recordMark) {
            guard buffer.count - at > BeurerSerialAnswer.recordSize else { break }
            let record = Array(buffer[(at + 1)...(at + BeurerSerialAnswer.recordSize)])
            let measurement = BloodPressureMeasurement(beurer: record)
            if measurement?.at != nil, measurement?.pulse != nil {
                readout.take(record)
                buffer.removeFirst(at + 1 + BeurerSerialAnswer.recordSize)
            } else {
                buffer.removeFirst(at + 1)
            }
        }
        if buffer.count > 4096 { buffer.removeFirst(buffer.count - 16) }
        return []
    }
}

/// Plays the monitor on the driver's own codec.
public struct BeurerSerialSimulator: DeviceSimulator {
    private let text: String
    /// Eight bytes each; nil: counted, but not there.
    public var records: [[UInt8]?] = []
    /// The first so many commands meet silence.
    public var deafFor = 0
    /// After so many answers nothing comes any more.
    public var diesAfter: Int?
    private var partial: [UInt8] = []
    private var queue: [(at: UInt64, bytes: [UInt8])] = []
    private var heard = 0
    private var answers = 0
    /// The first byte of every command, in order.
    public private(set) var log: [UInt8] = []

    /// - Parameter text: what it says it is; a word of it is the simulator's serial number.
    public init(text: String) { self.text = text }

    public mutating func received(_ bytes: [UInt8], at now: UInt64) -> [[UInt8]] {
        let due = tick(at: now)
        partial += bytes
        while let first = partial.first {
            let length = first == 0xA3 ? 2 : 1
            guard partial.count >= length else { break }
            let command = Array(partial.prefix(length))
            partial.removeFirst(length)
            log.append(first)
            heard += 1
            guard heard > deafFor, let answer = answer(command) else { continue }
            answers += 1
            if diesAfter.map({ answers > $0 }) ?? false { continue }
            queue.append((now + 30_000_000, answer))
        }
        return due
    }

    public mutating func tick(at now: UInt64) -> [[UInt8]] {
        let due = queue.prefix { $0.at <= now }.map(\.bytes)
        queue.removeFirst(due.count)
        return due
    }

    public func nextTick(after now: UInt64) -> UInt64? { queue.first.map { max($0.at, now + 1) } }

    private func answer(_ command: [UInt8]) -> [UInt8]? {
        switch command[0] {
        case 0xAA: return [BeurerSerialAnswer.attentionMark]
        case 0xA4: return Array(text.utf8)
        case 0xA2: return [UInt8(clamping: records.count)]
        case 0xA3:
            let place = Int(command[1]) - 1
            guard records.indices.contains(place), let record = records[place] else {
                return [BeurerSerialAnswer.noRecordMark]
            }
            return [BeurerSerialAnswer.recordMark] + record
        default: return nil
        }
    }
}
