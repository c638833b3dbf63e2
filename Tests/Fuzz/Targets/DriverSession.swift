import Clinical
public import Devices
import Wire

/// Lets a driver live through a script, and holds it to what every session must keep.
public struct DriverSession {
    private var dialogue: any Dialogue
    private let profile: DialogueProfile
    private let script: Script
    private var now: UInt64 = 1_000_000_000
    private var due: UInt64?
    private var channels: [Channel]?
    private var isFinished = false
    private var sent: [UInt8] = []
    /// The first thing that must not have been.
    public private(set) var violation: String?

    public init(_ profile: DialogueProfile, script bytes: [UInt8]) {
        self.profile = profile
        script = Script(bytes)
        dialogue = profile.makeDialogue(script.goal)
    }

    public mutating func run() {
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
