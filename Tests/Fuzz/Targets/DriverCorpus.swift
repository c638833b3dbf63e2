import Clinical
import Devices
import Wire

/// What a driver and its simulated device say to each other, in virtual time, as scripts to start from: every variant, and
/// every fault of the first one.
enum DriverCorpus {
    /// Bytes; the rest of a long conversation is more of the same.
    private static let longest = 3000
    private static let goals: [(number: UInt8, goal: SessionGoal, ability: DialogueProfile.Ability?)] = [
        (0, .identify, nil), (1, .live, .live), (2, .download(known: []), .download),
    ]

    static func seeds(_ profile: DialogueProfile) -> [[UInt8]] {
        let simulation = profile.simulation
        let orders =
            simulation.variants.map { DeviceSimulation.Order(variant: $0) }
            + simulation.faults.map { DeviceSimulation.Order(faults: [$0.name]) }
        return orders.enumerated().flatMap { index, order in
            goals.filter { $0.ability.map(profile.goals.contains) ?? (index == 0) }.compactMap { goal in
                simulation.make(order).map { script(profile, $0, goal.number, goal.goal) }
            }
        }
    }

    private static func script(
        _ profile: DialogueProfile, _ device: any DeviceSimulator, _ number: UInt8, _ goal: SessionGoal
    ) -> [UInt8] {
        var conversation = Conversation(profile.makeDialogue(goal), device)
        conversation.run()
        return [number] + Script.rendered(Transcript(events: conversation.events), limit: longest).dropFirst()
    }

    /// The pump, without a clock or a store.
    private struct Conversation {
        private static let second: UInt64 = 1_000_000_000
        private var dialogue: any Dialogue
        private var device: any DeviceSimulator
        private var now = second
        private var due: UInt64?
        private var isFinished = false
        private var heard: [[UInt8]] = []
        private var last = second
        private(set) var events: [TranscriptEvent] = []

        init(_ dialogue: any Dialogue, _ device: any DeviceSimulator) {
            self.dialogue = dialogue
            self.device = device
        }

        /// Until it ends, or half a minute has passed, or enough was said.
        mutating func run() {
            take(dialogue.start(at: now))
            deliver()
            while !isFinished, now < 30 * Self.second, events.count < 400 {
                let tick = device.nextTick(after: now)
                guard let next = [tick, due].compactMap({ $0 }).min() else { return }
                now = max(now, next)
                if let time = due, time <= now {
                    due = nil
                    take(dialogue.timerFired(at: now))
                } else {
                    heard += device.tick(at: now)
                }
                deliver()
            }
        }

        /// What the device says a tenth of a millisecond apart, and what it answers to that.
        private mutating func deliver() {
            while !heard.isEmpty, !isFinished {
                let portion = heard.removeFirst()
                guard !portion.isEmpty else { continue }
                now += 100_000
                let endpoint: UInt8 = device.isBeside(portion) ? 0x83 : 0x81
                record(.received(portion, endpoint: endpoint))
                take(dialogue.received(portion, from: endpoint == 0x83 ? endpoint : nil, at: now))
            }
        }

        private mutating func record(_ event: TranscriptEvent) {
            var event = event
            event.after = Double(now - last) / Double(Self.second)
            last = now
            events.append(event)
        }

        private mutating func take(_ actions: [DialogueAction]) {
            for action in actions {
                switch action {
                case .send(let bytes):
                    record(.sent(bytes))
                    heard += device.received(bytes, at: now)
                case .control(let request): heard += device.controlled(request, at: now)
                case .renew:
                    device.configured(0, at: now)
                    device.configured(1, at: now)
                case .ask(let duration):
                    let (seconds, attoseconds) = duration.components
                    due = now + UInt64(seconds) * Self.second + UInt64(attoseconds / 1_000_000_000)
                case .finish: isFinished = true
                case .identify, .begin, .append, .reading, .note, .deviceClock, .end, .skipped, .surprise: break
                }
            }
        }
    }
}
