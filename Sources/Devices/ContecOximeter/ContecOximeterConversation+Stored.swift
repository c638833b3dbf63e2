import Clinical

extension ContecOximeterConversation {
    /// Storage frames that may follow a stop (devices.md 3.6).
    static let stragglers = 3

    mutating func stored(
        _ samples: [ContecOximeterStoredSample], perfusion: Bool, raw: [UInt8], at now: UInt64
    ) -> [DialogueAction] {
        var actions: [DialogueAction] = []
        if case .live = stream, isListening, asked == .nothing { actions += endLive(at: now, reason: .stopped) }
        if isIdle {
            guard let place = nextPlace else {
                append(raw: raw, at: now)
                stray += 1
                guard isListening, stray > Self.stragglers else { return actions }
                return actions
                    + surprise("storage frames after the end, more than the \(Self.stragglers) that are usual")
            }
            actions += beginStored(place.facts, perfusion: perfusion, at: now)
        }
        guard case .stored(var stored) = stream else {
            // A live stream is running, so these are not asked for.
            append(raw: raw, at: now)
            return actions + surprise("storage frames within a live stream")
        }
        lastSampleAt = now
        stream = .none
        if !candidate.isEmpty {
            // They were stragglers; their bytes stay where they came.
            stored.builder.append(raw: leadIn, at: now)
            clearLeadIn()
        }
        stored.builder.append(raw: raw, at: now)
        guard stored.hasPerfusion == perfusion else {
            stored.isDamaged = true
            stored.builder.interrupt("storage frames of another format were left out")
            stream = .stored(stored)
            return actions + surprise("storage frames of two formats in one stream")
        }
        stored.append(samples)
        let isFull = stored.builder.count >= ContecOximeterStoredStream.blockLength
        let isComplete = stored.isComplete
        let isDue = stored.fate == .waiting || stored.builder.count >= ContecOximeterStoredStream.mostWaiting
        if !isComplete, stored.mark.isFull, isDue { actions += name(&stored, isCertain: true) }
        stream = .stored(stored)
        if isComplete { return actions + endStored(at: now, reason: .finished) }
        return actions + (isFull ? flush(at: now) : [])
    }

    /// What a storage frame that comes now belongs to; nil when it is a straggler. `facts` is nil when nothing was said
    /// about the place.
    private var nextPlace: (facts: ContecOximeterStoredFacts?, Void)? {
        if case .stored(let place) = asked {
            guard !isDrained else { return nil }
            // A short command names no place: then it is the one that was described last.
            return (
                place.map { facts[$0] ?? aliases[$0].flatMap { facts[$0] } ?? ContecOximeterStoredFacts(place: $0) }
                    ?? waiting.last.flatMap { facts[$0] },
                ()
            )
        }
        guard isListening, asked == .nothing || !hasHost else { return nil }
        let next = waiting.first { facts[$0]?.bytes != 0 }
        if isDrained && next == nil { return nil }
        return (next.flatMap { facts[$0] }, ())
    }

    private mutating func beginStored(
        _ facts: ContecOximeterStoredFacts?, perfusion: Bool, at now: UInt64
    ) -> [DialogueAction] {
        let facts = facts ?? ContecOximeterStoredFacts(place: ContecOximeterPlace(user: 0, segment: 0))
        waiting.removeAll { $0 == facts.place }
        recordings += 1
        stray = 0
        var stored = ContecOximeterStoredStream(facts, hasPerfusion: perfusion)
        stored.builder.append(raw: leadIn, at: now)
        if leadInLost > 0 {
            stored.builder.lose(leadInLost)
            stored.isDamaged = true
        }
        clearLeadIn()
        stream = .stored(stored)
        return announceIdentity()
    }

    /// The recording begins as soon as it has a name; what came before waits in the builder.
    private mutating func name(
        _ stored: inout ContecOximeterStoredStream, isCertain: Bool, isEnd: Bool = false
    ) -> [DialogueAction] {
        guard !stored.isNamed else { return [] }
        let item = stored.facts.item(
            device: nameplate.sourceName, stored, isCertain: isCertain && !stored.isDamaged, isShared: isShared)
        let isKnown = known.contains(item.source)
        if !isKnown, known.hasPlace(of: item.source) {
            // Another night, or the same one with a loss that nobody noticed: whether it is whole is known at its end.
            if !isEnd, !stored.isDamaged, stored.builder.count < ContecOximeterStoredStream.mostWaiting {
                stored.fate = .waitingForEnd
                return []
            }
            if isEnd, !isCertain, !stored.isDamaged, !stored.mark.isFull {
                // Cut before it said anything; it is in the device all the same.
                stored.fate = .unwanted
                return []
            }
        }
        stored.fate = isKnown ? .known : keepsNew ? .kept : .unwanted
        lastFate = stored.fate
        guard stored.fate == .kept else { return isKnown ? [.skipped(item)] : [] }
        let channels = ContecOximeterChannels.stored(perfusion: stored.hasPerfusion)
        return [.begin(RecordingStart(kind: .stored, modality: .oximetry, channels: channels, item: item))]
    }

    /// Something was lost: what waits for its name is what came before.
    mutating func damageStored() -> [DialogueAction] {
        guard case .stored(var stored) = stream else { return [] }
        stream = .none
        stored.isDamaged = true
        let actions = name(&stored, isCertain: false)
        stream = .stored(stored)
        return actions
    }

    /// It is here already, or was only to be looked at: what still comes is dropped.
    var isDropping: Bool {
        guard case .stored(let stored) = stream else { return false }
        return stored.fate == .known || stored.fate == .unwanted
    }

    /// `.finished` when the count is right, or when nobody knows it and nothing was lost; else `reason`, as far as that
    /// one says that the recording is incomplete.
    mutating func endStored(at now: UInt64, reason: Recording.EndReason) -> [DialogueAction] {
        guard case .stored(var stored) = stream else { return [] }
        let total = stored.builder.total
        let isWhole = stored.isComplete || (stored.announced == nil && !stored.isDamaged && reason != .deviceGone)
        var actions = name(&stored, isCertain: isWhole, isEnd: true)
        stream = .stored(stored)
        actions += flush(at: now)
        stream = .none
        isDrained = true
        let end = isWhole ? .finished : reason.state == .interrupted ? reason : .deviceEnded
        lastStoredEnd = stored.fate == .kept ? end : .finished
        guard stored.fate == .kept else { return actions }
        if !isWhole, let announced = stored.announced {
            let text = "\(total) of \(announced) samples arrived"
            actions.append(.note(Note(kind: .gap, at: Double(total), text: text)))
        }
        return actions + [.end(end)]
    }
}
