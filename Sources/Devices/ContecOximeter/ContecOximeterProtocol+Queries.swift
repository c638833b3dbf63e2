import Clinical

/// A question that waits for its answer.
struct ContecOximeterQuery: Sendable {
    enum Outcome: Sendable { case answered, refused(reason: UInt8), silent }

    /// What the question is for, so that its answer leads on.
    enum Step: Equatable, Sendable {
        case version, model, vendor, identifier, perfusionSupport, userCount
        case segmentCount(UInt8)
        case start(ContecOximeterPlace)
        case length(ContecOximeterPlace)
        case format(ContecOximeterPlace)
    }

    var step: Step
    /// Tries made so far.
    var tries = 1

    var command: ContecOximeterCommand {
        switch step {
        case .version: .version
        case .model: .model
        case .vendor: .vendor
        case .identifier: .identifier
        case .perfusionSupport: .perfusionSupport
        case .userCount: .userCount
        case .segmentCount(let user): .segmentCount(user: user)
        case .start(let place): .startTime(place)
        case .length(let place): .length(place)
        case .format(let place): .storageFormat(place)
        }
    }
}

extension ContecOximeterProtocol {
    mutating func beginIdentification(at now: UInt64) -> [DialogueAction] {
        phase = .asking
        return ask(.version, at: now)
    }

    mutating func ask(_ step: ContecOximeterQuery.Step, at now: UInt64) -> [DialogueAction] {
        phase = .asking
        let query = ContecOximeterQuery(step: step)
        self.query = query
        let isProbe = goal == .identify && conversation.framedBytes == 0 && unanswered < 4
        return send(query.command, at: now)
            + wait(isProbe ? ContecOximeterTiming.probe : ContecOximeterTiming.tries[0], at: now)
    }

    mutating func queryTimedOut(at now: UInt64) -> [DialogueAction] {
        guard var query else { return finish(.deviceEnded("no question is open")) }
        if goal == .identify, conversation.framedBytes == 0 { return probeUnanswered(at: now) }
        // Half a name is better than none, once the other half has not come.
        let isHalf = query.step == .model && conversation.nameplate.model != nil
        // A port that has never said a word gets one chance per question after the first.
        let isMute = conversation.framedBytes == 0 && query.step != .version
        guard query.tries < ContecOximeterTiming.tries.count, !isHalf, !isMute else {
            return proceed(query.step, .silent, at: now)
        }
        let patience = ContecOximeterTiming.tries[query.tries]
        query.tries += 1
        self.query = query
        return send(query.command, at: now) + wait(patience, at: now)
    }

    /// A port that has never said a word: each of the four questions shortly, the first of them twice more with patience, then
    /// it is something else's. Whoever answers at all, also late, gets the patience of devices.md 3.8; a cable without an
    /// instrument must not keep the nurse waiting.
    private mutating func probeUnanswered(at now: UInt64) -> [DialogueAction] {
        unanswered += 1
        guard unanswered < Self.probe.count else { return finish(.notThisDevice) }
        return ask(Self.probe[unanswered], at: now)
    }

    private static let probe: [ContecOximeterQuery.Step] = [.version, .model, .vendor, .identifier, .version, .version]

    mutating func answered(_ answer: ContecOximeterFrame, at now: UInt64) -> [DialogueAction] {
        guard let query else { return [] }
        if case .feedback(let command, let reason) = answer {
            guard command | 0x80 == query.command.code.rawValue, reason != ContecOximeterReason.done.rawValue else {
                return []
            }
            if walksMemory, reason == ContecOximeterReason.recording.rawValue { return finish(.busyRecording) }
            return proceed(query.step, .refused(reason: reason), at: now)
        }
        guard answers(answer, query.step) else { return [] }
        switch answer {
        case .userCount(let count): walk.userCount = count
        case .segmentCount(_, let count): walk.segmentCount = count
        default: break
        }
        return proceed(query.step, .answered, at: now)
    }

    private func answers(_ answer: ContecOximeterFrame, _ step: ContecOximeterQuery.Step) -> Bool {
        switch (step, answer) {
        case (.version, .version), (.vendor, .vendor), (.identifier, .identifier),
            (.perfusionSupport, .perfusionSupport), (.userCount, .userCount):
            true
        case (.model, .model): conversation.nameplate.hasWholeModel
        case (.segmentCount(let user), .segmentCount(let heard, _)): heard == user
        case (.start(let place), .startDate(let heard, _, _, _, _)),
            (.start(let place), .startTime(let heard, _, _, _, _)):
            heard == place && conversation.facts[place]?.date != nil && conversation.facts[place]?.time != nil
        case (.length(let place), .length(let heard, _)): heard == place
        case (.format(let place), .storageFormat(let heard, _, _)): heard == place
        default: false
        }
    }

    private var walksMemory: Bool {
        switch goal {
        case .download, .erase: true
        case .identify, .live: false
        }
    }

    /// What comes after a question (devices.md 3.8).
    private mutating func proceed(
        _ step: ContecOximeterQuery.Step, _ outcome: ContecOximeterQuery.Outcome, at now: UInt64
    ) -> [DialogueAction] {
        query = nil
        switch step {
        case .version: return ask(.model, at: now)
        case .model: return ask(.vendor, at: now)
        case .vendor: return ask(.identifier, at: now)
        case .identifier: return identified(at: now)
        case .perfusionSupport:
            // The number of users matters only for the memory.
            return walksMemory ? ask(.userCount, at: now) : beginLive(at: now)
        case .userCount, .segmentCount, .start, .length, .format: return walkOn(step, outcome, at: now)
        }
    }

    /// Four bytes of noise can look like an answer; a line that is mostly noise is another device's.
    var soundsLikeTheDevice: Bool {
        conversation.nameplate.isIdentified && conversation.framedBytes > conversation.lostBytes
    }

    private mutating func identified(at now: UInt64) -> [DialogueAction] {
        guard soundsLikeTheDevice else { return finish(.notThisDevice) }
        let actions = conversation.announceIdentity()
        return actions + (goal == .identify ? finish(.done) : ask(.perfusionSupport, at: now))
    }
}
