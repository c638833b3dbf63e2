import Clinical
import Wire

/// Understands a conversation with the device, whoever leads it: the driver lets it hear its own commands, `Listener`
/// lets it hear a foreign client's, or only the device (devices.md 3.2 to 3.6).
///
/// Split over `+Live`, `+Stored`; this file has what both share: frames, identity, memory facts, what was asked.
struct ContecOximeterConversation: Sendable {
    enum Stream: Sendable {
        case none
        case live(ContecOximeterLiveStream)
        case stored(ContecOximeterStoredStream)
    }

    /// What the host asked for last.
    enum Asked: Equatable, Sendable {
        /// Nothing yet, or nobody heard it.
        case nothing
        case live
        /// Nil when the command named no place (a short form).
        case stored(ContecOximeterPlace?)
        /// A stop, or the device refused.
        case idle
    }

    /// What has come in and is not part of a recording (yet): at most this many bytes are kept.
    static let leadInLimit = 4096
    static let surpriseLimit = 1000

    /// True for a foreign conversation: streams are taken as they come. False for our own: only what we asked for counts.
    let isListening: Bool
    var stream = Stream.none
    var asked = Asked.nothing
    /// A host's command was heard, so streams that nobody asked for are stragglers.
    var hasHost = false
    /// The stored stream that was asked for is over: storage frames that follow are stragglers.
    var isDrained = false
    /// How the last stored recording ended.
    var lastStoredEnd: Recording.EndReason?
    /// What became of the stored stream that was named last; nil since the last download command.
    var lastFate: ContecOximeterStoredStream.Fate?
    /// Recordings that are here already.
    var known: KnownItems = []
    /// False: the memory is only compared with `known`.
    var keepsNew = true
    var nameplate = ContecOximeterNameplate()
    var facts: [ContecOximeterPlace: ContecOximeterStoredFacts] = [:]
    /// More than one user is known to the device: a night may be another person's.
    var isShared = false
    /// Places that were described and not downloaded since, in the device's order.
    var waiting: [ContecOximeterPlace] = []
    /// Bytes since the last answer that belong to no recording.
    var leadIn: [UInt8] = []
    /// How many of them were lost (in no whole frame).
    var leadInLost = 0
    /// Live frames that may be the beginning of a live recording, or mere stragglers.
    var candidate: [ContecOximeterRealTime] = []
    /// They began before the host's first command: the capture begins within a live stream.
    var candidateIsEarlier = false
    /// Storage frames after the end of a dump.
    var stray = 0
    /// Where the host asked about a place and the device answered about another (clients that count from 1, devices without
    /// segments: devices.md 3.5, 3.8).
    private(set) var aliases: [ContecOximeterPlace: ContecOximeterPlace] = [:]
    private var questioned: ContecOximeterPlace?
    var recordings = 0
    /// Bytes in whole frames, and bytes in none, since the last `forget`: tells a device from noise.
    private(set) var framedBytes = 0
    private(set) var lostBytes = 0
    /// When the last frame of a stream came.
    var lastSampleAt: UInt64 = 0
    private var lastArrival: UInt64?
    private var hasHeardFrame = false
    /// Nothing but lost bytes since the last frame.
    private var isAfterCut = false
    private var announcedIdentity: DeviceIdentity?
    private var decoder = ContecOximeterDecoder()
    private var surprises = 0

    init(isListening: Bool) { self.isListening = isListening }

    /// Discards what has come in so far; for the pauses before a session.
    mutating func forget() {
        decoder.reset()
        clearLeadIn()
        framedBytes = 0
        lostBytes = 0
        hasHeardFrame = false
    }

    // MARK: The host's side

    mutating func sent(_ command: ContecOximeterHeardCommand, at now: UInt64) -> [DialogueAction] {
        hasHost = true
        switch ContecOximeterCommand.Code(rawValue: command.code) {
        case .startLive:
            let actions = endStored(at: now, reason: .deviceEnded)
            // The same recording goes on when a client asks again because the stream had stalled.
            asked = .live
            clearLeadIn()
            return actions
        case .stopLive:
            let actions = asked == .nothing ? acceptCandidate(atEnd: false, at: now) : []
            asked = .idle
            defer { clearLeadIn() }
            return actions + endLive(at: now, reason: .stopped)
        case .download:
            let actions = endLive(at: now, reason: .stopped) + endStored(at: now, reason: .deviceEnded)
            asked = .stored(command.parameters.count >= 2 ? command.place : nil)
            isDrained = false
            lastFate = nil
            clearLeadIn()
            stray = 0
            return actions
        case .length, .startTime:
            questioned = command.parameters.count >= 2 ? command.place : nil
            return []
        case .stopDownload:
            defer { clearLeadIn() }
            guard case .stored = stream else {
                if case .stored = asked { asked = .idle }
                return []
            }
            asked = .idle
            return endStored(at: now, reason: .deviceEnded)
        default: return []
        }
    }

    // MARK: The device's side

    /// Returns what is to be done, and the frames that are answers rather than samples.
    mutating func received(
        _ bytes: [UInt8], at now: UInt64
    ) -> (actions: [DialogueAction], answers: [ContecOximeterFrame]) {
        var actions = noteSilence(before: bytes.count, at: now)
        var answers: [ContecOximeterFrame] = []
        for piece in decoder.decode(bytes) {
            switch piece {
            case .lost(let raw, let unknownTypes):
                lostBytes += raw.count
                actions += lose(raw, unknownTypes: unknownTypes, at: now)
                for type in unknownTypes {
                    actions += surprise("frame type \(hexadecimal(type)) is unknown")
                }
            case .frame(let frame, let raw):
                framedBytes += raw.count
                actions += take(frame, raw: raw, at: now)
                hasHeardFrame = true
                isAfterCut = false
                switch frame {
                case .realTime, .stored, .storedWithPerfusion: break
                default: answers.append(frame)
                }
            }
        }
        return (actions + flushIfDue(at: now), answers)
    }

    /// The blocks that have waited for a second.
    mutating func flushIfDue(at now: UInt64) -> [DialogueAction] {
        switch stream {
        case .none: return []
        case .live(let live):
            guard let began = live.builder.began, now >= began + 1_000_000_000 else { return [] }
        case .stored(let stored):
            guard let began = stored.builder.began, now >= began + 1_000_000_000 else { return [] }
        }
        return flush(at: now)
    }

    /// What is open is over. A stored recording keeps `.finished` only when its count is right.
    mutating func end(_ reason: Recording.EndReason, at now: UInt64) -> [DialogueAction] {
        let rest = decoder.reset()
        append(raw: rest, at: now)
        return endLive(at: now, reason: reason) + endStored(at: now, reason: reason)
    }

    /// The end of a foreign conversation: nothing more is known about why.
    mutating func ended(at now: UInt64) -> [DialogueAction] {
        var actions = acceptCandidate(atEnd: true, at: now)
        actions += end(.stopped, at: now)
        return actions + announceIdentity()
    }

    /// Says the identity when it is known and was not said like this before.
    mutating func announceIdentity() -> [DialogueAction] {
        guard let identity = nameplate.identity, identity != announcedIdentity else { return [] }
        announcedIdentity = identity
        return [.identify(identity)]
    }

    mutating func surprise(_ text: String) -> [DialogueAction] {
        surprises += 1
        return surprises <= Self.surpriseLimit ? [.surprise(text)] : []
    }

    // MARK: Frames

    private mutating func take(_ frame: ContecOximeterFrame, raw: [UInt8], at now: UInt64) -> [DialogueAction] {
        switch frame {
        case .realTime(let values): return live(values, raw: raw, at: now)
        case .stored(let samples): return stored(samples, perfusion: false, raw: raw, at: now)
        case .storedWithPerfusion(let sample): return stored([sample], perfusion: true, raw: raw, at: now)
        default: return answer(frame, raw: raw, at: now)
        }
    }

    private mutating func answer(_ frame: ContecOximeterFrame, raw: [UInt8], at now: UInt64) -> [DialogueAction] {
        append(raw: raw, at: now)
        nameplate.take(frame)
        var actions: [DialogueAction] = []
        switch frame {
        case .free:
            actions = acceptCandidate(atEnd: false, at: now)
            // A live stream goes on while other things are asked; only A2 ends it, and that was heard.
            if asked != .live { actions += endLive(at: now, reason: .stopped) }
            actions += endStored(at: now, reason: .deviceEnded)
            if !hasHost { isDrained = false }
        case .disconnecting(let reason):
            actions = acceptCandidate(atEnd: false, at: now)
            if !isIdle {
                let text = "the device disconnects by itself: \(ContecOximeterReason.text(reason))"
                actions += damageStored()
                if !isDropping { actions.append(.note(Note(kind: .device, text: text))) }
            } else if isListening {
                actions += surprise("the device disconnects by itself: \(ContecOximeterReason.text(reason))")
            }
            actions += endLive(at: now, reason: .deviceEnded) + endStored(at: now, reason: .deviceEnded)
            asked = .idle
        case .feedback(let command, let reason):
            actions = refused(command | 0x80, reason)
        case .startDate(let place, let century, let year, let month, let day):
            actions = describe(place, at: now) { $0.date = [century, year, month, day] }
        case .startTime(let place, let hour, let minute, let second, _):
            actions = describe(place, at: now) { $0.time = [hour, minute, second] }
        case .length(let place, let bytes):
            actions = describe(place, at: now) { $0.bytes = bytes }
        case .storageFormat(let place, let format, _):
            if format != 0xA0 && format != 0xA1 {
                actions = surprise("storage format \(hexadecimal(format)) is unknown")
            }
            actions += describe(place, at: now) { $0.hasPerfusion = format == 0xA1 }
        default: break
        }
        if candidate.isEmpty { clearLeadIn() }
        return actions
    }

    /// The device described a place: that is where the next stored stream comes from, unless a command says otherwise.
    /// It does not describe anything while it dumps, so a dump that was running is over.
    private mutating func describe(
        _ place: ContecOximeterPlace, at now: UInt64, _ change: (inout ContecOximeterStoredFacts) -> Void
    ) -> [DialogueAction] {
        let actions = endStored(at: now, reason: .deviceEnded)
        if let questioned, questioned != place { aliases[questioned] = place }
        change(&facts[place, default: ContecOximeterStoredFacts(place: place)])
        if !waiting.contains(place) { waiting.append(place) }
        if !hasHost { isDrained = false }
        return actions
    }

    private mutating func refused(_ command: UInt8, _ reason: UInt8) -> [DialogueAction] {
        guard reason != ContecOximeterReason.done.rawValue else { return [] }
        var actions: [DialogueAction] = []
        switch (ContecOximeterCommand.Code(rawValue: command), asked) {
        case (.startLive, .live), (.download, .stored):
            guard isIdle else { break }
            asked = .idle
            guard isListening else { break }
            let what = command == ContecOximeterCommand.Code.download.rawValue ? "download" : "live stream"
            actions += surprise("the device refused the \(what): \(ContecOximeterReason.text(reason))")
        default: break
        }
        guard ContecOximeterReason(rawValue: reason) == nil else { return actions }
        return actions + surprise("reason \(hexadecimal(reason)) for command \(hexadecimal(command)) is unknown")
    }

    // MARK: Bytes

    var isIdle: Bool { if case .none = stream { true } else { false } }

    /// Answers are in no recording that could have a gap. Bytes that follow a loss belong to it.
    private mutating func cutAnswers(_ raw: [UInt8], _ unknownTypes: [UInt8]) -> [DialogueAction] {
        defer { isAfterCut = true }
        let cut = raw.filter { $0 & 0x80 == 0 && !unknownTypes.contains($0) }
        guard cut.isEmpty else {
            return cut.flatMap { surprise("a frame of type \(hexadecimal($0)) was cut") }
        }
        return isAfterCut || !unknownTypes.isEmpty ? [] : surprise("bytes without a frame's beginning")
    }

    private mutating func lose(_ raw: [UInt8], unknownTypes: [UInt8], at now: UInt64) -> [DialogueAction] {
        switch stream {
        case .none:
            append(raw: raw, at: now)
            // The tail of a frame that began before we listened is nobody's loss.
            guard hasHeardFrame || raw.contains(where: { $0 & 0x80 == 0 }) else { return [] }
            leadInLost += raw.count
            return isListening ? cutAnswers(raw, unknownTypes) : []
        case .live, .stored:
            // What is lost in several arrivals is one loss.
            var actions = damageStored()
            if !isAfterLoss { actions += flush(at: now) }
            append(raw: raw, at: now)
            change { $0.lose(raw.count) }
            return actions
        }
    }

    /// Bytes that are no samples, to where they belong.
    mutating func append(raw: [UInt8], at now: UInt64) {
        guard !raw.isEmpty else { return }
        if isIdle || !candidate.isEmpty {
            leadIn = Array((leadIn + raw).suffix(Self.leadInLimit))
        } else {
            change { $0.append(raw: raw, at: now) }
        }
    }

    mutating func clearLeadIn() {
        leadIn = []
        leadInLost = 0
        candidate = []
        candidateIsEarlier = false
    }

    mutating func flush(at now: UInt64) -> [DialogueAction] {
        if case .stored(let stored) = stream, !stored.isNamed { return [] }
        var block: Block?
        change { block = $0.take(at: now) }
        return isDropping ? [] : block.map { [.append($0)] } ?? []
    }

    private var isAfterLoss: Bool {
        switch stream {
        case .none: false
        case .live(let live): live.builder.isAfterLoss
        case .stored(let stored): stored.builder.isAfterLoss
        }
    }

    private mutating func change(_ body: (inout ContecOximeterBlockBuilder) -> Void) {
        switch stream {
        case .none: break
        case .live(var live):
            stream = .none
            body(&live.builder)
            stream = .live(live)
        case .stored(var stored):
            stream = .none
            body(&stored.builder)
            stream = .stored(stored)
        }
    }

    /// A live stream has 60 frames a second; more than a second in which they did not come is a gap.
    private mutating func noteSilence(before bytes: Int, at now: UInt64) -> [DialogueAction] {
        defer { lastArrival = now }
        guard case .live = stream, let lastArrival, now > lastArrival else { return [] }
        let silence = now - lastArrival
        let explained = UInt64(bytes) * 1_000_000_000 / (60 * 9)
        guard silence > 1_000_000_000 + explained else { return [] }
        let tenths = (silence - explained) / 100_000_000
        let actions = flush(at: now)
        change { $0.interrupt("the stream was silent for \(tenths / 10).\(tenths % 10) s") }
        return actions
    }
}

private func hexadecimal(_ byte: UInt8) -> String {
    let digits = String(byte, radix: 16, uppercase: true)
    return digits.count == 1 ? "0" + digits : digits
}
