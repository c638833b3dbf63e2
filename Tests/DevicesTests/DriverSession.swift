import Clinical
import Devices
import Wire

/// What happens in a session, as bytes: the goal, then events: what kind, how many bytes, the bytes.
struct Script {
    enum Event {
        case received([UInt8], endpoint: UInt8?)
        case sent([UInt8])
        /// Nanoseconds.
        case pause(UInt64)
        case stop
        case gone
    }

    var goal = SessionGoal.identify
    var events: [Event] = []

    init(_ bytes: [UInt8]) {
        var reader = ByteReader(bytes)
        guard let first = try? reader.u8() else { return }
        goal = [.identify, .live, .download(known: [])][Int(first % 3)]
        while let kind = try? reader.u8(), let count = try? reader.u8() {
            let length = kind % 8 < 5 ? min(Int(count), reader.remaining) : 0
            let content = (try? reader.bytes(length)).map(Array.init) ?? []
            switch kind % 8 {
            case 0...2: events.append(.received(content, endpoint: nil))
            case 3: events.append(.received(content, endpoint: 0x83))
            case 4: events.append(.sent(content))
            case 5, 6: events.append(.pause(UInt64(count) * 20_000_000))
            default: events.append(count < 128 ? .stop : .gone)
            }
        }
    }

    var transcript: Transcript {
        var after = 0.0
        return Transcript(
            events: events.compactMap { event in
                switch event {
                case .received(let bytes, let endpoint):
                    defer { after = 0 }
                    return TranscriptEvent(
                        kind: .fromDevice, endpoint: endpoint ?? 0x81, bytes: bytes, after: after)
                case .sent(let bytes):
                    defer { after = 0 }
                    return TranscriptEvent(kind: .toDevice, endpoint: 0x01, bytes: bytes, after: after)
                case .pause(let nanoseconds):
                    after += Double(nanoseconds) / 1e9
                    return nil
                case .stop, .gone: return nil
                }
            })
    }

    /// - Parameter limit: bytes; the rest is left out.
    static func rendered(_ transcript: Transcript, limit: Int) -> [UInt8] {
        var script: [UInt8] = [0]
        for event in transcript.events where script.count < limit {
            if event.after >= 0.02 { script += [5, UInt8(min(255, event.after / 0.02))] }
            guard event.kind == .toDevice || event.kind == .fromDevice else { continue }
            for at in stride(from: 0, to: event.bytes.count, by: 255) {
                let part = event.bytes[at..<min(at + 255, event.bytes.count)]
                script += [event.kind == .toDevice ? 4 : event.endpoint == 0x83 ? 3 : 0, UInt8(part.count)] + part
            }
        }
        return script
    }
}

/// Lets a driver live through a script, and holds it to what every session must keep.
struct DriverSession {
    private var dialogue: any Dialogue
    private let profile: DialogueProfile
    private let script: Script
    private var now: UInt64 = 1_000_000_000
    private var due: UInt64?
    private var channels: [Channel]?
    private var isFinished = false
    private var sent: [UInt8] = []
    /// The first thing that must not have been.
    private(set) var violation: String?

    init(_ profile: DialogueProfile, script bytes: [UInt8]) {
        self.profile = profile
        script = Script(bytes)
        dialogue = profile.makeDialogue(script.goal)
    }

    mutating func run() {
        take(dialogue.start(at: now))
        for event in script.events where !isFinished {
            switch event {
            case .received(let bytes, let endpoint):
                now += 100_000
                take(dialogue.received(bytes, from: endpoint, at: now))
            // The host is the driver itself.
            case .sent: break
            case .pause(let nanoseconds):
                let end = now + nanoseconds
                while let time = due, time <= end, !isFinished {
                    now = max(now, time)
                    due = nil
                    take(dialogue.timerFired(at: now))
                }
                now = end
            case .stop: take(dialogue.stop(at: now))
            case .gone: take(dialogue.gone(at: now))
            }
        }
        if !isFinished { take(dialogue.gone(at: now)) }
        check(isFinished && channels == nil, "a session without an end")
    }

    private mutating func check(_ holds: Bool, _ text: String) {
        if !holds { violation = violation ?? text }
    }

    private mutating func take(_ actions: [DialogueAction]) {
        for action in actions {
            check(!isFinished, "an action behind the end")
            switch action {
            case .begin(let start):
                check(channels == nil, "begun while one is open")
                channels = start.channels
            case .append(let block):
                check(channels?.count == block.samples.count, "samples of no recording, or channels are missing")
                for (channel, samples) in zip(channels ?? [], block.samples) {
                    let isWithin = samples.allSatisfy { $0 == .absent || channel.range.contains($0) }
                    check(isWithin, "beyond the range of \(channel.name)")
                }
            case .reading, .note: check(channels != nil, "a value of no recording")
            case .end:
                check(channels != nil, "ended twice")
                channels = nil
            case .finish:
                check(channels == nil, "finished with a recording open")
                isFinished = true
            case .send(let bytes):
                sent = sent.suffix(64) + bytes
                check(!profile.forbidden.contains { $0.occurs(in: sent) }, "forbidden bytes")
            case .ask(let duration):
                let (seconds, attoseconds) = duration.components
                due = now + UInt64(max(0, seconds)) * 1_000_000_000 + UInt64(max(0, attoseconds) / 1_000_000_000) + 1
            case .control, .renew, .identify, .deviceClock, .skipped, .surprise: break
            }
        }
    }
}
