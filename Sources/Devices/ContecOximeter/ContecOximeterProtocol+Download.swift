import Clinical

/// Where the driver is in the device's memory.
struct ContecOximeterWalk: Sendable {
    /// Users whose segments were not counted yet.
    var users: [UInt8] = []
    /// Places that were not asked for yet.
    var places: [ContecOximeterPlace] = []
    /// The place whose samples are being fetched.
    var current: ContecOximeterPlace?
    /// Frame 10 and 0A, as they came last.
    var userCount: UInt8 = 1
    var segmentCount: UInt8 = 1
    /// Something was announced somewhere.
    var hasFound = false
    var triedFallback = false
    /// B6 was refused or met silence: not asked again.
    var formatUnsupported = false
    /// Questions in a row without any answer.
    var silentQuestions = 0
    /// What could not be fetched, in words.
    var failures: [String] = []
    /// To be erased: places with recordings that may go, how many may not, and the users whose turn is still to come.
    var spent: [ContecOximeterPlace] = []
    var unspent = 0
    var erasing: [UInt8] = []
    /// The command was sent: lengths are asked for to see what it did.
    var isVerifying = false
}

extension ContecOximeterProtocol {
    /// Questions in a row that may stay without an answer before the device is given up.
    private static let patience = 6

    mutating func walkOn(
        _ step: ContecOximeterQuery.Step, _ outcome: ContecOximeterQuery.Outcome, at now: UInt64
    ) -> [DialogueAction] {
        if case .silent = outcome { walk.silentQuestions += 1 } else { walk.silentQuestions = 0 }
        guard walk.silentQuestions < Self.patience else { return finish(.deviceEnded("no more answers")) }
        if let end = hidesMemory(step, outcome) { return finish(end) }
        if walk.isVerifying { return verified(at: now) }
        switch step {
        case .userCount:
            // Without an answer there is one user.
            let count: UInt8 = if case .answered = outcome { max(1, walk.userCount) } else { 1 }
            conversation.isShared = count > 1
            walk.users = Array(0..<count)
            return nextUser(at: now)
        case .segmentCount(let user):
            // Devices without segments use segment 0 (devices.md 3.5).
            let count: UInt8 = if case .answered = outcome { walk.segmentCount } else { 1 }
            walk.places = (0..<count).map { ContecOximeterPlace(user: user, segment: $0) }
            return nextPlace(at: now)
        case .start(let place): return ask(.length(place), at: now)
        case .length(let place):
            guard case .answered = outcome, let bytes = conversation.facts[place]?.bytes, bytes > 0 else {
                return nextPlace(at: now)
            }
            walk.hasFound = true
            return walk.formatUnsupported ? fetch(place, at: now) : ask(.format(place), at: now)
        case .format(let place):
            if case .answered = outcome {} else { walk.formatUnsupported = true }
            return fetch(place, at: now)
        default: return []
        }
    }

    private mutating func nextUser(at now: UInt64) -> [DialogueAction] {
        if let user = walk.users.first {
            walk.users.removeFirst()
            return ask(.segmentCount(user), at: now)
        }
        if !walk.hasFound, !walk.triedFallback {
            // One client's devices begin counting at 1 (devices.md 3.8.5).
            walk.triedFallback = true
            let place = ContecOximeterPlace(user: 1, segment: 1)
            if conversation.facts[place]?.bytes == nil { return ask(.start(place), at: now) }
        }
        if isErasure { return walkedForErasure(at: now) }
        return finish(walk.failures.isEmpty ? .done : .deviceEnded(walk.failures.joined(separator: "; ")))
    }

    private mutating func nextPlace(at now: UInt64) -> [DialogueAction] {
        guard let place = walk.places.first else { return nextUser(at: now) }
        walk.places.removeFirst()
        return ask(.start(place), at: now)
    }

    /// Whether it is here already only its samples say: the first ones come in a fraction of a second.
    private mutating func fetch(_ place: ContecOximeterPlace, at now: UInt64) -> [DialogueAction] {
        walk.current = place
        downloadTries = 0
        return download(place, at: now)
    }

    private mutating func download(_ place: ContecOximeterPlace, at now: UInt64) -> [DialogueAction] {
        phase = .downloading
        downloadTries += 1
        conversation.lastSampleAt = now
        return send(.download(place), at: now) + wait(ContecOximeterTiming.second, at: now)
    }

    /// After every arrival: the stream may be over, or be known.
    mutating func downloadAdvanced(at now: UInt64) -> [DialogueAction] {
        if conversation.isDropping { return closeItem(at: now) }
        guard conversation.isDrained else { return [] }
        if conversation.lastStoredEnd != .finished { note("a download was incomplete") }
        return closeItem(at: now)
    }

    mutating func downloadAnswered(_ answer: ContecOximeterFrame, at now: UInt64) -> [DialogueAction] {
        guard case .feedback(let command, let reason) = answer, conversation.isIdle, !conversation.isDrained,
            command | 0x80 == ContecOximeterCommand.Code.download.rawValue,
            reason != ContecOximeterReason.done.rawValue
        else { return [] }
        switch ContecOximeterReason(rawValue: reason) {
        // AQWave says "not supported" while it records (devices.md 3.8.4).
        case .recording, .notSupported: return finish(.busyRecording)
        default: return finish(.deviceEnded("download: \(ContecOximeterReason.text(reason))"))
        }
    }

    mutating func downloadTick(at now: UInt64) -> [DialogueAction] {
        let due = conversation.lastSampleAt + ContecOximeterTiming.storedSilence
        guard now >= due else { return wait(min(due - now, ContecOximeterTiming.second), at: now) }
        guard conversation.isIdle else {
            // No end mark: silence before the count is reached means that samples are missing.
            note("a download was incomplete")
            return conversation.end(.deviceEnded, at: now) + closeItem(at: now)
        }
        guard downloadTries >= ContecOximeterTiming.tries.count, let place = walk.current else {
            return walk.current.map { download($0, at: now) } ?? nextPlace(at: now)
        }
        note("user \(place.user), segment \(place.segment): announced, but nothing came")
        return closeItem(at: now)
    }

    /// A7 and A2, each until 0C or a second has passed; what comes meanwhile is swallowed.
    private mutating func closeItem(at now: UInt64) -> [DialogueAction] {
        if isErasure, let place = walk.current {
            if conversation.lastFate == .known { walk.spent.append(place) } else { walk.unspent += 1 }
        }
        walk.current = nil
        phase = .closing(afterStopLive: false)
        return send(.stopDownload, at: now) + wait(ContecOximeterTiming.swallow, at: now)
    }

    mutating func closedItem(at now: UInt64) -> [DialogueAction] {
        guard phase == .closing(afterStopLive: false) else { return nextPlace(at: now) }
        phase = .closing(afterStopLive: true)
        return send(.stopLive, at: now) + wait(ContecOximeterTiming.swallow, at: now)
    }

    private mutating func note(_ failure: String) {
        if walk.failures.count < 10 { walk.failures.append(failure) }
    }
}
