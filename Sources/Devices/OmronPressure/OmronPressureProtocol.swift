import Clinical
import Wire

/// How long to wait (devices.md 5.2, 5.3), in nanoseconds.
enum OmronPressureTiming {
    static let answer: UInt64 = 1_000_000_000
    static let pause: UInt64 = 100_000_000
    static let elite: UInt64 = 500_000_000
    static let farewell: UInt64 = 400_000_000
}

/// The driver's state machine (devices.md 5.4, 5.6): set up, version, serial; then count and measurements of each bank.
/// It reads only: nothing is set, nothing is erased.
struct OmronPressureProtocol: Dialogue {
    enum Phase: Equatable, Sendable {
        case new
        /// The clearing block was sent; which time, from 1.
        case clearing(Int)
        /// Before the clearing block is sent again.
        case resting(Int)
        /// Two zero reports were sent to wake a MIT Elite Plus.
        case waking(Int)
        /// `step`'s command waits for its answer.
        case asking
        /// Before it is sent again.
        case pausing
        case finished
    }

    enum Step: Equatable, Sendable {
        case version, profile, serial
        case count(bank: UInt8)
        case measurement(bank: UInt8, index: UInt8)
        case average(bank: UInt8, week: UInt8, isMorning: Bool)
        case eliteCount
        case eliteClock
        case eliteMeasurement(index: UInt8, of: UInt8)
        case farewell
    }

    /// Two users; whether they are banks 0 and 1 is not known for sure (devices.md 5.3).
    private static let banks: ClosedRange<UInt8> = 0...1
    /// Whole weeks, oldest first. This week's average (0) still changes; its measurements have just been read.
    private static let weeks: ClosedRange<UInt8> = 1...7
    private static let mostClearings = 3
    private static let mostSilences = 3
    private static let mostRepeats = 10

    private let known: KnownItems
    private let isDownload: Bool
    private(set) var phase = Phase.new
    private var step = Step.version
    private var nameplate = OmronPressureNameplate()
    private var replies = OmronPressureReplies()
    private var memory = BloodPressureMemory(bank: 0)
    private var deadline: UInt64 = 0
    /// Since the step began.
    private var silences = 0
    private var repeats = 0
    private var isIdentified = false
    /// Banks that had measurements, whose averages are not read yet.
    private var averaged: [UInt8] = []
    /// Of the banks before: what comes again is not another person's (devices.md 5.3).
    private var earlier: [BloodPressureMeasurement] = []
    private var repeated = 0
    /// Banks that were read: told together, since whose they are depends on whether there is more than one.
    private var read: [BloodPressureMemory] = []
    /// Several people's, as far as is known.
    private var isShared = false

    init(goal: SessionGoal) {
        if case .download(let known) = goal {
            isDownload = true
            self.known = known
        } else {
            isDownload = false
            known = []
        }
    }

    mutating func start(at now: UInt64) -> [DialogueAction] {
        guard phase == .new else { return [] }
        return setUp([0x01, 0x01], at: now)
    }

    mutating func received(_ bytes: [UInt8], at now: UInt64) -> [DialogueAction] {
        var actions: [DialogueAction] = []
        for report in OmronPressureReport.split(bytes) {
            switch phase {
            case .new, .finished: return actions
            case .clearing, .resting, .waking, .asking, .pausing: break
            }
            memory.add(raw: report)
            for reply in replies.take(report) { actions += heard(reply, at: now) }
        }
        return actions
    }

    mutating func timerFired(at now: UInt64) -> [DialogueAction] {
        guard phase != .new, phase != .finished else { return [] }
        // Early calls happen; the time that is left is asked for again.
        guard now >= deadline else { return wait(deadline - now, at: now) }
        switch phase {
        case .new, .finished: return []
        case .clearing(let round):
            phase = .resting(round)
            return wait(OmronPressureTiming.pause, at: now)
        case .resting(let round):
            // The vendor's program goes on without an answer to the very first block, and is answered (devices.md 5.2).
            return round < Self.mostClearings ? clear(round + 1, at: now) : isSetUp(at: now)
        case .waking(let round):
            return round < Self.mostClearings ? wake(round + 1, at: now) : ask(.eliteCount, at: now)
        case .pausing: return send(at: now)
        case .asking:
            if step == .farewell { return finish(.done) }
            // Full reports have no other end than silence.
            if let reply = replies.conclude() { return heard(reply, at: now) }
            silences += 1
            return silences < Self.mostSilences ? send(at: now) : failed(at: now)
        }
    }

    mutating func stop(at now: UInt64) -> [DialogueAction] {
        guard phase != .finished else { return [] }
        let actions = sealed(.agentStopped, at: now)
        guard isIdentified, isDownload, step != .farewell else { return actions + finish(.done) }
        // Nobody waits for its answer.
        let goodbye: OmronPressureCommand = nameplate.isElite ? .eliteEnd : .end
        return actions + OmronPressureReport.wire(goodbye.message).map { .send($0) } + finish(.done)
    }

    mutating func gone(at now: UInt64) -> [DialogueAction] {
        guard phase != .finished else { return [] }
        return sealed(.deviceGone, at: now) + finish(.deviceEnded("the cable is gone"))
    }

    // MARK: Setting up

    private mutating func setUp(_ mode: [UInt8], at now: UInt64) -> [DialogueAction] {
        [Self.feature(mode)] + clear(1, at: now)
    }

    private mutating func clear(_ round: Int, at now: UInt64) -> [DialogueAction] {
        phase = .clearing(round)
        replies.forget()
        replies.replyLength = nil
        return OmronPressureReport.clearingBlock.map { .send($0) } + wait(OmronPressureTiming.answer, at: now)
    }

    private mutating func isSetUp(at now: UInt64) -> [DialogueAction] {
        isIdentified ? ask(.count(bank: Self.banks.lowerBound), at: now) : ask(.version, at: now)
    }

    /// SET_REPORT of the feature report, to the interface that the port has; only the first value of a session seems to
    /// matter (devices.md 5.2).
    private static func feature(_ mode: [UInt8]) -> DialogueAction {
        .control(ControlRequest(type: 0x21, request: 0x09, value: 0x0300, index: 0, data: mode))
    }

    private mutating func wake(_ round: Int, at now: UInt64) -> [DialogueAction] {
        phase = .waking(round)
        replies.forget()
        replies.replyLength = nil
        let zeros = OmronPressureReport.clearingBlock[0]
        return [.send(zeros), .send(zeros)] + wait(OmronPressureTiming.elite, at: now)
    }

    // MARK: Asking

    private var command: OmronPressureCommand {
        switch step {
        case .version: .version
        case .profile: .profile
        case .serial: .serial
        case .count(let bank): .count(bank: bank)
        case .measurement(let bank, let index): .measurement(bank: bank, index: index)
        case .average(let bank, let week, let isMorning): .average(bank: bank, week: week, isMorning: isMorning)
        case .eliteCount: .eliteCount
        case .eliteClock: .eliteClock
        case .eliteMeasurement(let index, _): .eliteMeasurement(index: index)
        case .farewell: nameplate.isElite ? .eliteEnd : .end
        }
    }

    private mutating func ask(_ step: Step, at now: UInt64) -> [DialogueAction] {
        self.step = step
        silences = 0
        repeats = 0
        return send(at: now)
    }

    private mutating func send(at now: UInt64) -> [DialogueAction] {
        phase = .asking
        replies.forget()
        replies.replyLength = command.replyLength
        let patience = step == .farewell ? OmronPressureTiming.farewell : OmronPressureTiming.answer
        return OmronPressureReport.wire(command.message).map { .send($0) } + wait(patience, at: now)
    }

    private mutating func heard(_ reply: OmronPressureReply, at now: UInt64) -> [DialogueAction] {
        switch (phase, reply) {
        case (.clearing, .acknowledged): return isSetUp(at: now)
        case (.clearing(let round), .garbled):
            phase = .resting(round)
            return wait(OmronPressureTiming.pause, at: now)
        case (.waking, .acknowledged), (.waking, .data): return ask(.eliteCount, at: now)
        case (.asking, .off):
            return step == .farewell ? finish(.done) : []
        case (.asking, .data(let payload)):
            return step == .farewell ? [] : answered(payload, at: now)
        case (.asking, .notReady), (.asking, .garbled):
            guard step != .farewell else { return [] }
            repeats += 1
            guard repeats <= Self.mostRepeats else { return failed(at: now) }
            phase = .pausing
            return wait(OmronPressureTiming.pause, at: now)
        // A late answer to the clearing block, or the first half of the farewell.
        case (.asking, .acknowledged): return []
        default: return []
        }
    }

    private mutating func answered(_ payload: [UInt8], at now: UInt64) -> [DialogueAction] {
        switch step {
        case .version:
            nameplate.take(version: payload)
            guard nameplate.isClassic || nameplate.isElite else {
                let text = nameplate.version ?? "nothing"
                return [.surprise("a version that is not known: \(text)")] + finish(.notThisDevice)
            }
            return ask(.profile, at: now)
        case .profile: return ask(.serial, at: now)
        case .serial:
            nameplate.take(serial: payload)
            return identified(at: now)
        case .count(let bank):
            guard payload.count >= 4 else { return misunderstood(at: now) }
            memory.announced = Int(payload[3])
            guard payload[3] > 0 else { return nextBank(after: bank, at: now) }
            // Index 0 is the newest.
            return ask(.measurement(bank: bank, index: payload[3] - 1), at: now)
        case .measurement(let bank, let index):
            guard let measurement = BloodPressureMeasurement(omron: payload) else { return misunderstood(at: now) }
            if earlier.contains(measurement) {
                repeated += 1
                memory.announced = memory.announced.map { $0 - 1 }
            } else {
                memory.add(measurement)
            }
            if index > 0 { return ask(.measurement(bank: bank, index: index - 1), at: now) }
            let again: [DialogueAction] =
                repeated == 0 ? [] : [.surprise("\(repeated) measurements of bank \(bank) are another bank's")]
            earlier += memory.measurements
            if !memory.measurements.isEmpty {
                averaged.append(bank)
                read.append(memory)
                memory = BloodPressureMemory(bank: Int(bank))
            }
            return again + nextBank(after: bank, at: now)
        case .average(let bank, let week, let isMorning):
            guard payload.count == 8 else { return misunderstood(at: now) }
            if let average = BloodPressureMeasurement(omronAverage: payload, isMorning: isMorning) {
                memory.add(average)
            }
            if isMorning { return ask(.average(bank: bank, week: week, isMorning: false), at: now) }
            if week > Self.weeks.lowerBound {
                return ask(.average(bank: bank, week: week - 1, isMorning: true), at: now)
            }
            return sealed(.finished, at: now) + nextAverages(at: now)
        case .eliteCount:
            guard payload.count >= 2 else { return misunderstood(at: now) }
            if !isIdentified {
                nameplate.isElite = true
                return ask(.serial, at: now)
            }
            memory.announced = Int(payload[1])
            return payload[1] > 0 ? ask(.eliteClock, at: now) : ask(.farewell, at: now)
        case .eliteClock:
            let clock = LocalTime(omron: payload).map { DialogueAction.deviceClock($0) }
            return [clock ?? .surprise("a clock that can't be: \(BloodPressureMemory.decimal(payload))")]
                + eliteMeasurements(at: now)
        case .eliteMeasurement(let index, let count):
            guard let measurement = BloodPressureMeasurement(omron: payload) else { return misunderstood(at: now) }
            memory.add(measurement)
            if index + 1 < count { return ask(.eliteMeasurement(index: index + 1, of: count), at: now) }
            return sealed(.finished, at: now) + ask(.farewell, at: now)
        case .farewell: return []
        }
    }

    private mutating func eliteMeasurements(at now: UInt64) -> [DialogueAction] {
        ask(.eliteMeasurement(index: 0, of: UInt8(clamping: memory.announced ?? 0)), at: now)
    }

    private mutating func identified(at now: UInt64) -> [DialogueAction] {
        isIdentified = true
        let actions: [DialogueAction] = [.identify(nameplate.identity)]
        guard isDownload else { return actions + finish(.done) }
        return actions + (nameplate.isElite ? ask(.eliteCount, at: now) : setUp([0x74, 0xBC], at: now))
    }

    private mutating func nextBank(after bank: UInt8, at now: UInt64) -> [DialogueAction] {
        guard bank < Self.banks.upperBound else { return sealed(.finished, at: now) + nextAverages(at: now) }
        // Bytes of an empty bank go with the next one.
        let rest = memory.measurements.isEmpty ? memory.raw : []
        memory = BloodPressureMemory(bank: Int(bank + 1))
        memory.add(raw: rest)
        return ask(.count(bank: bank + 1), at: now)
    }

    private mutating func nextAverages(at now: UInt64) -> [DialogueAction] {
        guard !averaged.isEmpty else { return ask(.farewell, at: now) }
        let bank = averaged.removeFirst()
        memory = BloodPressureMemory(bank: Int(bank), section: "averages")
        return ask(.average(bank: bank, week: Self.weeks.upperBound, isMorning: true), at: now)
    }

    /// An answer with a right checksum, but not to this.
    private mutating func misunderstood(at now: UInt64) -> [DialogueAction] {
        repeats += 1
        guard repeats <= Self.mostRepeats else { return failed(at: now) }
        phase = .pausing
        return wait(OmronPressureTiming.pause, at: now)
    }

    /// No usable answer after all tries.
    private mutating func failed(at now: UInt64) -> [DialogueAction] {
        switch step {
        case .version: return [Self.feature([0, 0])] + wake(1, at: now)
        case .eliteCount where !isIdentified: return finish(.notThisDevice)
        case .profile: return ask(.serial, at: now)
        case .serial: return identified(at: now)
        case .eliteClock: return [.surprise("no answer about the clock")] + eliteMeasurements(at: now)
        case .count(let bank) where bank > Self.banks.lowerBound:
            // A monitor for one person says no; one that says nothing may hold another's all the same.
            let isCut = silences >= Self.mostSilences
            return [.surprise("no answer about bank \(bank)")] + sealed(isCut ? .deviceEnded : .finished, at: now)
                + nextAverages(at: now)
        case .average:
            // Measurements are what counts, and they are stored; what came of the averages goes with them.
            averaged = []
            let actions = sealed(.deviceEnded, at: now)
            return [.surprise("no answer about weekly averages")] + actions + ask(.farewell, at: now)
        case .count, .measurement, .eliteCount, .eliteMeasurement:
            return sealed(.deviceEnded, at: now) + finish(.deviceEnded("the monitor fell silent"))
        case .farewell: return finish(.done)
        }
    }

    // MARK: Doing

    /// What has been read, a recording for each bank; at most once. After a cut nobody knows whether there is another person's.
    private mutating func sealed(_ reason: Recording.EndReason, at now: UInt64) -> [DialogueAction] {
        var told = read.map { ($0, Recording.EndReason.finished) }
        if !memory.measurements.isEmpty { told.append((memory, reason)) }
        if memory.section == nil, !nameplate.isElite {
            isShared = told.count > 1 || !told.isEmpty && reason.state != .complete
        }
        (read, memory) = ([], BloodPressureMemory(bank: memory.bank, section: memory.section))
        return told.flatMap { memory, reason in
            memory.recording(
                driver: OmronPressure.name, device: nameplate.identity.sourceName, known: known, isShared: isShared,
                reason: reason, at: now)
        }
    }

    private mutating func wait(_ nanoseconds: UInt64, at now: UInt64) -> [DialogueAction] {
        deadline = now + nanoseconds
        return [.ask(.nanoseconds(Int64(nanoseconds)))]
    }

    private mutating func finish(_ end: SessionEnd) -> [DialogueAction] {
        phase = .finished
        return [.finish(end)]
    }
}
