import Clinical

/// Understands what the device sends, for the driver and the listener: live frames, headers, samples.
struct ContecLegacyConversation: Sendable {
    private struct Live {
        var builder = ContecOximeterBlockBuilder(channels: ContecLegacyConversation.channels.count)
        var sensor = ContecOximeterSensorStates()
    }

    private struct Stored {
        /// Nil until enough is there to name the night.
        var item: StoredItem?
        var isSkipped = false
        var builder = ContecOximeterBlockBuilder(channels: ContecOximeterChannels.stored(perfusion: false).count)
        /// The device has no number, often no clock, and a full memory always has the same length.
        var mark = ContentMark()
        var isDamaged = false
    }

    private enum Stream { case none, live(Live), stored(Stored) }

    static let channels = Array(ContecOximeterChannels.live.prefix(3))
    /// Samples in a row that are believed to be a live stream.
    static let believed = 30

    /// Sources that are there already.
    var known: KnownItems = []
    private var decoder = ContecLegacyDecoder()
    private var stream = Stream.none
    /// Live frames that are not believed yet, and their bytes.
    private var candidates: [ContecLegacyFrame] = []
    private var leadIn: [UInt8] = []
    private var leadInLost = 0
    private var headers: [[UInt8]] = []
    /// Bytes of samples as the device announced them.
    private(set) var announced: Int?
    private(set) var storedSamples = 0
    private(set) var isIdentified = false
    private var isSimulated = false
    private var recordings = 0
    /// Samples in a row, without a header before them.
    private var inARow = 0
    private var waiting: [ContecOximeterStoredSample] = []
    private static let believedWithoutHeader = 5
    /// A live stream becomes a recording; so does what comes out of the memory.
    var wantsLive = true
    var wantsStored = true

    var hasHeader: Bool { !headers.isEmpty }
    var isStoring: Bool { if case .stored = stream { true } else { false } }
    var isLive: Bool { if case .live = stream { true } else { false } }
    /// Everything that was announced is there, and the announcement makes sense.
    var isComplete: Bool {
        announced.map { $0.isMultiple(of: 3) ? 3 * storedSamples >= $0 : false } ?? false
    }

    mutating func received(_ bytes: [UInt8], at now: UInt64) -> [DialogueAction] {
        keep(bytes, at: now)
        var actions: [DialogueAction] = []
        for piece in decoder.take(bytes) { actions += take(piece, at: now) }
        return actions + flushFull(at: now)
    }

    /// The line has been silent for a while.
    mutating func silence(at now: UInt64) -> [DialogueAction] {
        decoder.flush().flatMap { take($0, at: now) }
    }

    mutating func end(_ reason: Recording.EndReason, at now: UInt64) -> [DialogueAction] {
        switch stream {
        case .none: return []
        case .live(var live):
            stream = .none
            let rest = live.builder.take(at: now).map { [DialogueAction.append($0)] } ?? []
            return rest + live.sensor.close(count: live.builder.total).map { .note($0) } + [.end(reason)]
        case .stored(var stored):
            let isShort = announced.map { 3 * storedSamples + 2 < $0 } ?? false
            var actions = stored.item == nil ? name(&stored, isCertain: !isShort && reason.state == .complete) : []
            stream = .none
            if stored.isSkipped { return actions }
            if let block = stored.builder.take(at: now) { actions.append(.append(block)) }
            if isShort {
                actions.append(
                    .note(Note(kind: .gap, text: "\(storedSamples) of \((announced ?? 0) / 3) samples arrived")))
            }
            return actions + [.end(isShort && reason.state == .complete ? .deviceEnded : reason)]
        }
    }

    /// At the end of a capture: a short live stream is one all the same, when there was nothing else.
    mutating func conclude(at now: UInt64) -> [DialogueAction] {
        var actions = silence(at: now)
        if case .none = stream, recordings == 0, !candidates.isEmpty { actions += beginLive(at: now) }
        return actions + end(isStoring ? .finished : .stopped, at: now)
    }

    // MARK: Pieces

    private mutating func take(_ piece: ContecLegacyPiece, at now: UInt64) -> [DialogueAction] {
        switch piece {
        case .live(let frame): return live(frame, at: now)
        case .header(let hour, let minute):
            let actions = end(.stopped, at: now)
            announced = nil
            storedSamples = 0
            headers.append([hour, minute])
            return actions
        case .length(let bytes):
            announced = bytes
            inARow = 0
            return []
        case .stored(let sample): return store(sample, at: now)
        case .lost(let count): return lose(count, at: now)
        }
    }

    private mutating func live(_ frame: ContecLegacyFrame, at now: UInt64) -> [DialogueAction] {
        isSimulated = isSimulated || frame.isSimulated
        if case .live(var live) = stream {
            let notes = live.sensor.take(frame.values, index: live.builder.total)
            live.builder.append(Array(frame.values.samples.prefix(3)))
            stream = .live(live)
            return notes.map { .note($0) }
        }
        candidates.append(frame)
        inARow = 0
        waiting = []
        guard candidates.count >= Self.believed else { return [] }
        var actions = isStoring ? end(.finished, at: now) : []
        actions += identify()
        guard wantsLive else {
            candidates = []
            leadIn = []
            return actions
        }
        return actions + beginLive(at: now)
    }

    private mutating func identify() -> [DialogueAction] {
        guard !isIdentified else { return [] }
        isIdentified = true
        return [.identify(ContecLegacyOximeter.identity(isSimulated: isSimulated))]
    }

    private mutating func beginLive(at now: UInt64) -> [DialogueAction] {
        var live = Live()
        live.builder.append(raw: leadIn, at: now)
        if leadInLost > 0 { live.builder.lose(leadInLost) }
        let frames = candidates
        forgetLeadIn()
        recordings += 1
        let actions = identify()
        var notes: [DialogueAction] = []
        for frame in frames {
            notes += live.sensor.take(frame.values, index: live.builder.total).map { .note($0) }
            live.builder.append(Array(frame.values.samples.prefix(3)))
        }
        stream = .live(live)
        return actions + [.begin(RecordingStart(kind: .live, modality: .oximetry, channels: Self.channels))] + notes
    }

    private mutating func store(_ sample: ContecOximeterStoredSample, at now: UInt64) -> [DialogueAction] {
        var actions: [DialogueAction] = []
        var stored: Stored
        if !isStoring {
            // A capture may begin in the middle of a download; three foreign bytes may look like a sample.
            inARow += 1
            waiting.append(sample)
            guard wantsStored, hasHeader || inARow >= Self.believedWithoutHeader else { return [] }
        }
        if case .stored(let open) = stream {
            stored = open
        } else {
            actions = end(.stopped, at: now) + identify()
            stored = Stored()
            stored.builder.append(raw: leadIn, at: now)
            if leadInLost > 0 { stored.builder.lose(leadInLost) }
            forgetLeadIn()
            storedSamples = 0
            recordings += 1
        }
        stream = .none
        for sample in waiting.isEmpty ? [sample] : waiting {
            storedSamples += 1
            let values = sample.samples
            stored.mark.add([sample.spo2, sample.pulse], hasValue: values.contains { $0 != .absent })
            stored.builder.append(values)
        }
        waiting = []
        if stored.item == nil, stored.mark.isFull { actions += name(&stored, isCertain: true) }
        stream = .stored(stored)
        return actions
    }

    /// The recording begins as soon as it has a name; what came before waits in the builder.
    private mutating func name(_ stored: inout Stored, isCertain: Bool) -> [DialogueAction] {
        let clock = Self.agreed(headers)
        headers = []
        let count = announced.map { $0 / 3 } ?? 0
        // A clock of hours and minutes is no date: the nurse says when it was.
        let raw = clock.flatMap { $0 == [0, 0] ? nil : "\(Self.two($0[0])):\(Self.two($0[1]))" }
        let source = stored.mark.source(
            of: "\(ContecLegacyOximeter.name)/\(raw ?? "none")/\(count)", isCertain: isCertain && !stored.isDamaged)
        let item = StoredItem(source: source, start: nil, rawStart: raw, samples: count)
        stored.item = item
        stored.isSkipped = known.contains(item.source)
        guard !stored.isSkipped else { return [.skipped(item)] }
        return [
            .begin(
                RecordingStart(
                    kind: .stored, modality: .oximetry, channels: ContecOximeterChannels.stored(perfusion: false),
                    item: item))
        ]
    }

    private mutating func lose(_ count: Int, at now: UInt64) -> [DialogueAction] {
        switch stream {
        case .none:
            // What is no stream of frames is another device.
            candidates = []
            inARow = 0
            waiting = []
            leadInLost += count
            return []
        case .live(var live):
            let block = live.builder.isAfterLoss ? nil : live.builder.take(at: now)
            live.builder.lose(count)
            stream = .live(live)
            return block.map { [.append($0)] } ?? []
        case .stored(var stored):
            let block =
                stored.item == nil || stored.isSkipped || stored.builder.isAfterLoss
                ? nil : stored.builder.take(at: now)
            stored.builder.lose(count)
            stored.isDamaged = true
            stream = .stored(stored)
            return block.map { [.append($0)] } ?? []
        }
    }

    // MARK: Bytes

    private mutating func keep(_ bytes: [UInt8], at now: UInt64) {
        switch stream {
        case .none:
            leadIn += bytes
            if leadIn.count > 4096 { leadIn.removeFirst(leadIn.count - 4096) }
        case .live(var live):
            live.builder.append(raw: bytes, at: now)
            stream = .live(live)
        case .stored(var stored):
            stored.builder.append(raw: bytes, at: now)
            stream = .stored(stored)
        }
    }

    private mutating func flushFull(at now: UInt64) -> [DialogueAction] {
        switch stream {
        case .live(var live) where live.builder.count >= 60:
            defer { stream = .live(live) }
            return live.builder.take(at: now).map { [.append($0)] } ?? []
        case .stored(var stored) where stored.item != nil && stored.builder.count >= 600:
            defer { stream = .stored(stored) }
            let block = stored.builder.take(at: now)
            return stored.isSkipped ? [] : block.map { [.append($0)] } ?? []
        default: return []
        }
    }

    private mutating func forgetLeadIn() {
        candidates = []
        leadIn = []
        leadInLost = 0
    }

    /// What at least two of the headers say; one may have been damaged by a live frame.
    private static func agreed(_ headers: [[UInt8]]) -> [UInt8]? {
        guard headers.count > 1 else { return headers.first }
        return headers.first { header in headers.count { $0 == header } > 1 }
    }

    private static func two(_ number: UInt8) -> String { number < 10 ? "0\(number)" : "\(number)" }
}

/// Understands a conversation that somebody else leads; what the host says is not needed.
struct ContecLegacyListener: Listener {
    private var conversation = ContecLegacyConversation()

    mutating func sent(_ bytes: [UInt8], at now: UInt64) -> [DialogueAction] { [] }
    mutating func received(_ bytes: [UInt8], at now: UInt64) -> [DialogueAction] {
        conversation.received(bytes, at: now)
    }
    mutating func ended(at now: UInt64) -> [DialogueAction] { conversation.conclude(at: now) }
}
