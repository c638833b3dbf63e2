import Clinical

/// How long to wait (devices.md 3.8), in nanoseconds.
enum ContecOximeterTiming {
    static let second: UInt64 = 1_000_000_000
    /// After A7 and after A2 at the start, while input is discarded.
    static let settle = second / 10
    /// For each of three tries: 1 s nominal, 2 s tolerant.
    static let tries = [second, 2 * second, 2 * second]
    /// The first question of each kind to a port that has not said a word; real instruments answer within milliseconds.
    static let probe = 3 * second / 10
    static let keepAlive = second
    static let liveSilence = 3 * second
    static let storedSilence = 2 * second
    /// For the 0C after a stop command.
    static let swallow = second
    /// The same when a person waits: twice this is still less than a second.
    static let farewell = 4 * second / 10
    /// Nobody knows how long a full memory takes to be erased; asking again about it would only come too early.
    static let erase = 10 * second
}

/// The driver's state machine (devices.md 3.8, steps 1 to 8). No clock is set, and nothing is erased but by `+Erasure`.
///
/// `+Queries` asks questions one after the other, `+Download` walks through the memory.
struct ContecOximeterProtocol: Dialogue {
    enum Phase: Equatable, Sendable {
        case new
        /// A7 was sent, then A2; input is discarded.
        case settling(afterStopLive: Bool)
        /// `query` waits for its answer.
        case asking
        case live
        /// A6 was sent.
        case downloading
        /// A7, then A2 was sent after an item.
        case closing(afterStopLive: Bool)
        /// AE was sent for this user's memory.
        case erasing(UInt8)
        /// A person stopped; `again`: the stop command was repeated.
        case leaving(again: Bool)
        case finished
    }

    let goal: SessionGoal
    var conversation = ContecOximeterConversation(isListening: false)
    var phase = Phase.new
    /// When `timerFired` is due.
    var deadline: UInt64 = 0
    var query: ContecOximeterQuery?
    var walk = ContecOximeterWalk()
    /// When AF is due.
    var keepAliveAt: UInt64 = 0
    /// A1 was repeated since the last live frame.
    var hasRestarted = false
    /// Questions of a probe that met silence.
    var unanswered = 0
    /// How often A6 was sent for the item.
    var downloadTries = 0

    init(goal: SessionGoal) {
        self.goal = goal
        switch goal {
        case .download(let known): conversation.known = known
        case .erase(let received, _):
            conversation.known = KnownItems(received)
            conversation.keepsNew = false
        case .identify, .live: break
        }
    }

    mutating func start(at now: UInt64) -> [DialogueAction] {
        guard phase == .new else { return [] }
        phase = .settling(afterStopLive: false)
        return send(.stopDownload, at: now) + wait(ContecOximeterTiming.settle, at: now)
    }

    mutating func received(_ bytes: [UInt8], at now: UInt64) -> [DialogueAction] {
        switch phase {
        case .new, .settling, .finished: return []
        case .asking, .live, .downloading, .closing, .erasing, .leaving: break
        }
        var (actions, answers) = conversation.received(bytes, at: now)
        for answer in answers where phase != .finished { actions += heard(answer, at: now) }
        guard phase != .finished else { return actions }
        switch phase {
        case .live: if conversation.lastSampleAt == now { hasRestarted = false }
        case .downloading: actions += downloadAdvanced(at: now)
        default: break
        }
        return actions
    }

    mutating func timerFired(at now: UInt64) -> [DialogueAction] {
        guard phase != .new, phase != .finished else { return [] }
        // Early calls happen; the time that is left is asked for again.
        guard now >= deadline else { return wait(deadline - now, at: now) }
        let actions = conversation.flushIfDue(at: now)
        switch phase {
        case .new, .finished: return actions
        case .settling(afterStopLive: false):
            phase = .settling(afterStopLive: true)
            return send(.stopLive, at: now) + wait(ContecOximeterTiming.settle, at: now)
        case .settling(afterStopLive: true):
            conversation.forget()
            return beginIdentification(at: now)
        case .asking: return actions + queryTimedOut(at: now)
        case .live: return actions + liveTick(at: now)
        case .downloading: return actions + downloadTick(at: now)
        case .closing: return actions + closedItem(at: now)
        // What became of it is asked.
        case .erasing: return actions + eraseNext(at: now)
        case .leaving(again: false):
            phase = .leaving(again: true)
            return actions + farewell(at: now)
        case .leaving(again: true): return actions + finish(.done)
        }
    }

    mutating func stop(at now: UInt64) -> [DialogueAction] {
        switch phase {
        case .finished, .leaving: return []
        case .erasing: return finish(.deviceEnded("stopped while the memory was being erased"))
        case .asking where isErasure: return finish(.deviceEnded("stopped before the memory was known"))
        case .downloading where isErasure, .closing where isErasure:
            return send(.stopDownload, at: now) + finish(.deviceEnded("stopped before the memory was known"))
        case .new, .settling, .asking: return finish(.done)
        case .live:
            let actions = conversation.end(.stopped, at: now)
            phase = .leaving(again: false)
            return actions + farewell(at: now)
        case .downloading, .closing:
            // Part of a night is not a complete recording, so this is not `.stopped`.
            let actions = conversation.end(.agentStopped, at: now)
            phase = .leaving(again: false)
            return actions + farewell(at: now)
        }
    }

    mutating func gone(at now: UInt64) -> [DialogueAction] {
        guard phase != .finished else { return [] }
        return conversation.end(.deviceGone, at: now) + finish(.deviceEnded("the cable is gone"))
    }

    // MARK: Answers

    private mutating func heard(_ answer: ContecOximeterFrame, at now: UInt64) -> [DialogueAction] {
        if case .disconnecting(let reason) = answer {
            // Before anything else made sense, three bytes of noise may look like this.
            if phase == .asking, !soundsLikeTheDevice { return [] }
            return finish(.deviceEnded(ContecOximeterReason.text(reason)))
        }
        switch phase {
        case .asking: return answered(answer, at: now)
        case .live:
            guard case .feedback(let command, let reason) = answer,
                command | 0x80 == ContecOximeterCommand.startLive.code.rawValue, reason != 0, conversation.isIdle
            else { return [] }
            return finish(
                reason == ContecOximeterReason.recording.rawValue
                    ? .busyRecording : .deviceEnded("live: \(ContecOximeterReason.text(reason))"))
        case .downloading: return downloadAnswered(answer, at: now)
        case .closing: return answer == .free ? closedItem(at: now) : []
        case .erasing: return erasureAnswered(answer, at: now)
        case .leaving: return answer == .free ? finish(.done) : []
        case .new, .settling, .finished: return []
        }
    }

    // MARK: Live

    mutating func beginLive(at now: UInt64) -> [DialogueAction] {
        phase = .live
        conversation.lastSampleAt = now
        keepAliveAt = now + ContecOximeterTiming.keepAlive
        return send(.startLive, at: now) + wait(ContecOximeterTiming.keepAlive, at: now)
    }

    private mutating func liveTick(at now: UInt64) -> [DialogueAction] {
        var actions: [DialogueAction] = []
        if now >= conversation.lastSampleAt + ContecOximeterTiming.liveSilence {
            if hasRestarted {
                let ended = conversation.end(.deviceEnded, at: now)
                return ended + finish(.deviceEnded("the live stream fell silent"))
            }
            hasRestarted = true
            // Another three seconds from here.
            conversation.lastSampleAt = now
            actions += send(.startLive, at: now)
        }
        if now >= keepAliveAt {
            keepAliveAt = now + ContecOximeterTiming.keepAlive
            actions += send(.keepAlive, at: now)
        }
        return actions + wait(keepAliveAt - now, at: now)
    }

    // MARK: Doing

    mutating func send(_ command: ContecOximeterCommand, at now: UInt64) -> [DialogueAction] {
        conversation.sent(ContecOximeterHeardCommand(command), at: now) + [.send(command.wire)]
    }

    mutating func wait(_ nanoseconds: UInt64, at now: UInt64) -> [DialogueAction] {
        deadline = now + nanoseconds
        return [.ask(.nanoseconds(Int64(nanoseconds)))]
    }

    mutating func finish(_ end: SessionEnd) -> [DialogueAction] {
        phase = .finished
        return [.finish(end)]
    }

    /// The stop command of what was running; the answer is awaited for a moment only.
    private mutating func farewell(at now: UInt64) -> [DialogueAction] {
        let command: ContecOximeterCommand = goal == .live ? .stopLive : .stopDownload
        return send(command, at: now) + wait(ContecOximeterTiming.farewell, at: now)
    }
}
