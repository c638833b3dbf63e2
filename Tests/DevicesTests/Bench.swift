import Clinical
import Devices
import Wire

/// Lets a driver and a simulated device talk in virtual time: no sleeping, the same result every time.
struct Bench {
    /// A recording as the pump would keep it.
    struct Kept: Equatable {
        var start: RecordingStart
        var blocks: [Block] = []
        var notes: [Note] = []
        var readings: [Reading] = []
        var end: Recording.EndReason?

        var samples: [[Sample]] {
            start.channels.indices.map { channel in blocks.flatMap { $0.samples[channel] } }
        }
        var raw: [UInt8] { blocks.flatMap(\.raw) }
        var gaps: [String] { blocks.compactMap(\.gap) }
    }

    private(set) var dialogue: any Dialogue
    private(set) var device: any DeviceSimulator
    /// Nanoseconds.
    private(set) var now: UInt64 = 1_000_000_000
    private(set) var sent: [[UInt8]] = []
    private(set) var controls: [ControlRequest] = []
    private(set) var renewals = 0
    private(set) var clocks: [LocalTime] = []
    private(set) var recordings: [Kept] = []
    private(set) var identities: [DeviceIdentity] = []
    private(set) var skipped: [StoredItem] = []
    private(set) var surprises: [String] = []
    private(set) var finish: SessionEnd?
    private(set) var actions = 0
    private(set) var transcript = Transcript(
        header: TranscriptHeader(vendorID: "10c4", productID: "ea60", model: "simulated", date: "2026-11-22"))
    private var lastEvent: UInt64 = 1_000_000_000
    private var timer: UInt64?
    /// An action that breaks the contract, in words.
    private(set) var violations: [String] = []

    init(_ dialogue: any Dialogue, _ device: any DeviceSimulator) {
        self.dialogue = dialogue
        self.device = device
        take(self.dialogue.start(at: now))
    }

    /// As the store would know the next time what was kept here.
    var known: KnownItems {
        KnownItems(
            Set(recordings.filter { $0.end?.state == .complete }.compactMap(\.start.item?.source)),
            measurements: knownMeasurements)
    }

    var knownMeasurements: [String: String?] {
        Dictionary(recordings.flatMap(\.readings).compactMap(\.mark).map { ($0, nil) }) { one, _ in one }
    }

    /// Bytes that the device has said.
    var heard: Int { transcript.events.reduce(0) { $0 + ($1.kind == .fromDevice ? $1.bytes.count : 0) } }

    /// Seconds since the start.
    var elapsed: Double { Double(now - 1_000_000_000) / 1e9 }

    /// Until the session is finished or `seconds` have passed in all.
    mutating func run(until seconds: Double) {
        let limit = 1_000_000_000 + UInt64(seconds * 1e9)
        while finish == nil, now < limit, step(limit) {}
    }

    /// Until `condition`; false when that never comes within `seconds`.
    @discardableResult
    mutating func run(until seconds: Double, _ condition: (Bench) -> Bool) -> Bool {
        let limit = 1_000_000_000 + UInt64(seconds * 1e9)
        while !condition(self) {
            guard finish == nil, now < limit, step(limit) else { return condition(self) }
        }
        return true
    }

    /// The next event; false when nothing is to come.
    mutating func step(_ limit: UInt64 = .max) -> Bool {
        let tick = device.nextTick(after: now)
        guard let next = [tick, timer].compactMap({ $0 }).min() else { return false }
        guard next <= limit else {
            now = limit
            return true
        }
        now = max(now, next)
        if let due = timer, due <= now {
            timer = nil
            take(dialogue.timerFired(at: now))
        } else {
            deliver(device.tick(at: now))
        }
        return true
    }

    mutating func stop() { take(dialogue.stop(at: now)) }
    mutating func unplug() { take(dialogue.gone(at: now)) }

    /// From now on something else is at the other end.
    mutating func replaceDevice(_ device: any DeviceSimulator) { self.device = device }

    /// Bytes from nowhere.
    mutating func inject(_ bytes: [UInt8]) { deliver([bytes]) }

    /// What the device delivers in one go arrives a tenth of a millisecond apart.
    private mutating func deliver(_ portions: [[UInt8]]) {
        for bytes in portions where !bytes.isEmpty {
            now += 100_000
            record(.received(bytes))
            take(dialogue.received(bytes, from: device.isBeside(bytes) ? 0x83 : nil, at: now))
        }
    }

    private mutating func record(_ event: TranscriptEvent) {
        var event = event
        event.after = Double(now - lastEvent) / 1e9
        lastEvent = now
        transcript.events.append(event)
    }

    private mutating func take(_ actions: [DialogueAction]) {
        for action in actions {
            self.actions += 1
            if finish != nil { violations.append("an action after finish: \(action)") }
            switch action {
            case .send(let bytes):
                sent.append(bytes)
                record(.sent(bytes))
                let answers = device.received(bytes, at: now)
                // An answer takes a moment, but comes before anything else does.
                pending += answers
            case .control(let request):
                controls.append(request)
                pending += device.controlled(request, at: now)
            case .renew:
                renewals += 1
                device.configured(0, at: now)
                device.configured(1, at: now)
            case .identify(let identity):
                if !recordings.isEmpty { violations.append("identified after a recording began") }
                identities.append(identity)
            case .begin(let start):
                if recordings.last.map({ $0.end == nil }) ?? false { violations.append("begun while one is open") }
                recordings.append(Kept(start: start))
            case .append(let block):
                guard let last = recordings.last, last.end == nil else {
                    violations.append("samples outside a recording")
                    continue
                }
                if block.samples.count != last.start.channels.count { violations.append("channels are missing") }
                recordings[recordings.count - 1].blocks.append(block)
            case .reading(let reading):
                guard let last = recordings.last, last.end == nil else {
                    violations.append("a reading outside a recording")
                    continue
                }
                recordings[recordings.count - 1].readings.append(reading)
            case .note(let note):
                if recordings.isEmpty {
                    violations.append("a note outside a recording")
                } else {
                    recordings[recordings.count - 1].notes.append(note)
                }
            case .end(let reason):
                if recordings.last.map({ $0.end != nil }) ?? true { violations.append("ended twice") }
                if !recordings.isEmpty { recordings[recordings.count - 1].end = reason }
            case .skipped(let item): skipped.append(item)
            case .ask(let duration):
                let (seconds, attoseconds) = duration.components
                timer = now + UInt64(seconds) * 1_000_000_000 + UInt64(attoseconds / 1_000_000_000)
            case .surprise(let text): surprises.append(text)
            case .deviceClock(let time): clocks.append(time)
            case .finish(let end):
                finish = end
                if recordings.last.map({ $0.end == nil }) ?? false {
                    violations.append("finished with a recording open")
                }
            }
        }
        let answers = pending
        pending = []
        deliver(answers)
    }

    private var pending: [[UInt8]] = []
}

/// SplitMix64: the same numbers for the same seed on every machine.
struct Seeded: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}

/// A device that says nothing, and one that says only what it is told to.
struct SilentDevice: DeviceSimulator {
    mutating func received(_ bytes: [UInt8], at now: UInt64) -> [[UInt8]] { [] }
    mutating func tick(at now: UInt64) -> [[UInt8]] { [] }
    func nextTick(after now: UInt64) -> UInt64? { nil }
}

/// A device that sends random bytes all the time.
struct NoisyDevice: DeviceSimulator {
    var random: Seeded
    /// Bytes in each portion.
    var portion = 40
    private var dueAt: UInt64 = 0

    init(seed: UInt64, portion: Int = 40) {
        random = Seeded(state: seed)
        self.portion = portion
    }

    mutating func received(_ bytes: [UInt8], at now: UInt64) -> [[UInt8]] { [] }
    mutating func tick(at now: UInt64) -> [[UInt8]] {
        dueAt = now + 10_000_000
        return [(0..<portion).map { _ in UInt8.random(in: 0...255, using: &random) }]
    }
    func nextTick(after now: UInt64) -> UInt64? { max(dueAt, now + 1) }
}

func bytes(_ text: String) -> [UInt8] { text.split(separator: " ").map { UInt8($0, radix: 16)! } }
