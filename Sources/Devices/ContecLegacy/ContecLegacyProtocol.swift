import Clinical

/// The driver's state machine (devices.md 3.10). The probe only listens. `F5 F5` asks for the memory, `F6 F6 F6` for the live
/// stream; nothing else is ever sent.
struct ContecLegacyProtocol: Dialogue {
    private enum Phase: Equatable {
        case new
        /// For the stream that comes by itself; whether F6 F6 F6 was tried.
        case listening(woken: Bool)
        case streaming(woken: Bool)
        /// F5 F5 was sent so many times.
        case asking(Int)
        case downloading
        case finished
    }

    private static let patience: UInt64 = 1_200_000_000
    /// Of a probe: 60 frames come each second, so this is several dozen.
    private static let probePatience: UInt64 = 800_000_000
    private static let repeatAfter: UInt64 = 500_000_000
    private static let silence: UInt64 = 2_000_000_000
    private static let mostTries = 8
    private static let memory: [UInt8] = [0xF5, 0xF5]
    private static let live: [UInt8] = [0xF6, 0xF6, 0xF6]

    private let goal: SessionGoal
    private var phase = Phase.new
    private var conversation = ContecLegacyConversation()
    private var deadline: UInt64 = 0

    init(goal: SessionGoal) {
        self.goal = goal
        conversation.wantsLive = goal == .live
        conversation.wantsStored = false
        if case .download(let known) = goal { conversation.known = known }
    }

    mutating func start(at now: UInt64) -> [DialogueAction] {
        guard phase == .new else { return [] }
        phase = .listening(woken: false)
        return wait(goal == .identify ? Self.probePatience : Self.patience, at: now)
    }

    mutating func received(_ bytes: [UInt8], at now: UInt64) -> [DialogueAction] {
        guard phase != .new, phase != .finished else { return [] }
        let actions = conversation.received(bytes, at: now)
        switch phase {
        case .new, .finished: return actions
        case .listening:
            guard conversation.isIdentified else { return actions }
            switch goal {
            case .identify, .erase: return actions + finish(.done)
            case .live:
                phase = .streaming(woken: false)
                return actions + wait(Self.silence, at: now)
            case .download: return actions + ask(1, at: now)
            }
        case .streaming:
            // A stream that ended (somebody pressed a button) begins again as another recording.
            deadline = now + Self.silence
            return actions
        case .asking:
            guard conversation.hasHeader || conversation.isStoring else { return actions }
            phase = .downloading
            return actions + wait(Self.silence, at: now)
        case .downloading:
            deadline = now + Self.silence
            return actions + (conversation.isComplete ? downloaded(at: now) : [])
        }
    }

    mutating func timerFired(at now: UInt64) -> [DialogueAction] {
        guard phase != .new, phase != .finished else { return [] }
        guard now >= deadline else { return wait(deadline - now, at: now) }
        switch phase {
        case .new, .finished: return []
        case .listening(let woken):
            // A probe says nothing; a session may, since the device was recognised before.
            guard goal != .identify, !woken else { return finish(.notThisDevice) }
            phase = .listening(woken: true)
            return [.send(Self.live)] + wait(Self.patience, at: now)
        case .streaming(let woken):
            guard woken else {
                phase = .streaming(woken: true)
                return [.send(Self.live)] + wait(Self.silence, at: now)
            }
            return conversation.end(.deviceEnded, at: now) + finish(.deviceEnded("the live stream fell silent"))
        case .asking(let tries):
            if tries < Self.mostTries { return ask(tries + 1, at: now) }
            return [.send(Self.live)] + finish(.deviceEnded("no answer about the memory"))
        case .downloading: return downloaded(at: now)
        }
    }

    mutating func stop(at now: UInt64) -> [DialogueAction] {
        guard phase != .finished else { return [] }
        let isDownload = phase == .downloading
        let actions = conversation.end(isDownload ? .agentStopped : .stopped, at: now)
        return actions + (isDownload ? [.send(Self.live)] : []) + finish(.done)
    }

    mutating func gone(at now: UInt64) -> [DialogueAction] {
        guard phase != .finished else { return [] }
        return conversation.end(.deviceGone, at: now) + finish(.deviceEnded("the cable is gone"))
    }

    private mutating func ask(_ tries: Int, at now: UInt64) -> [DialogueAction] {
        phase = .asking(tries)
        conversation.wantsStored = true
        return [.send(Self.memory)] + wait(Self.repeatAfter, at: now)
    }

    private mutating func downloaded(at now: UInt64) -> [DialogueAction] {
        var actions = conversation.silence(at: now)
        let isEmpty = conversation.storedSamples == 0
        actions += conversation.end(.finished, at: now) + [.send(Self.live)]
        let isShort = conversation.announced.map { 3 * conversation.storedSamples + 2 < $0 } ?? isEmpty
        guard isShort, !isEmpty else { return actions + finish(.done) }
        return actions + finish(.deviceEnded("the oximeter fell silent"))
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
