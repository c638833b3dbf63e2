import Clinical

extension ContecOximeterConversation {
    /// Frames after which a live stream that nobody asked for is believed: one second.
    static let believed = 60
    /// Fewer will do when the stream was ended properly.
    static let believedWhenEnded = 30

    mutating func live(_ values: ContecOximeterRealTime, raw: [UInt8], at now: UInt64) -> [DialogueAction] {
        if case .live = stream {
            lastSampleAt = now
            return append(values, raw: raw, at: now)
        }
        if asked == .live {
            lastSampleAt = now
            let actions = endStored(at: now, reason: .deviceEnded)
            leadIn += raw
            return actions + beginLive([values], at: now)
        }
        // Before the first storage frame, and after a stop, a few live frames may straggle in (devices.md 3.8, 3.9).
        guard isListening, asked == .nothing || asked == .idle else {
            append(raw: raw, at: now)
            return []
        }
        if candidate.isEmpty { candidateIsEarlier = !hasHost }
        // From here on the bytes wait beside the frames until it is clear whose they are.
        candidate.append(values)
        append(raw: raw, at: now)
        guard candidate.count >= Self.believed else { return [] }
        lastSampleAt = now
        let frames = candidate
        candidate = []
        let actions = endStored(at: now, reason: .deviceEnded)
        return actions + beginLive(frames, at: now)
    }

    /// Decides about live frames that are too few to be believed at once.
    mutating func acceptCandidate(atEnd: Bool, at now: UInt64) -> [DialogueAction] {
        let frames = candidate
        candidate = []
        let isEnough = frames.count >= Self.believedWhenEnded
        let isBelieved =
            atEnd
            ? (recordings == 0 && asked == .nothing) || (isIdle && isEnough)
            : isIdle && (isEnough || (hasHost && candidateIsEarlier))
        guard !frames.isEmpty, isBelieved else {
            if !isIdle {
                let raw = leadIn
                leadIn = []
                append(raw: raw, at: now)
            } else if !atEnd, recordings == 0 {
                // Perhaps there is nothing else in this conversation.
                candidate = frames
            }
            return []
        }
        return beginLive(frames, at: now)
    }

    private mutating func beginLive(_ frames: [ContecOximeterRealTime], at now: UInt64) -> [DialogueAction] {
        var live = ContecOximeterLiveStream()
        live.builder.append(raw: leadIn, at: now)
        if leadInLost > 0 { live.builder.lose(leadInLost) }
        clearLeadIn()
        stream = .live(live)
        recordings += 1
        var actions = announceIdentity()
        actions.append(.begin(RecordingStart(kind: .live, modality: .oximetry, channels: ContecOximeterChannels.live)))
        for frame in frames { actions += append(frame, raw: [], at: now) }
        return actions
    }

    private mutating func append(
        _ values: ContecOximeterRealTime, raw: [UInt8], at now: UInt64
    ) -> [DialogueAction] {
        guard case .live(var live) = stream else { return [] }
        stream = .none
        let notes = live.sensor.take(values, index: live.builder.total)
        live.builder.append(values.samples)
        live.builder.append(raw: raw, at: now)
        let isFull = live.builder.count >= ContecOximeterLiveStream.blockLength
        stream = .live(live)
        return (isFull ? flush(at: now) : []) + notes.map { .note($0) }
    }

    mutating func endLive(at now: UInt64, reason: Recording.EndReason) -> [DialogueAction] {
        guard case .live(var live) = stream else { return [] }
        var actions = flush(at: now)
        actions += live.sensor.close(count: live.builder.total).map { .note($0) }
        stream = .none
        return actions + [.end(reason)]
    }
}
