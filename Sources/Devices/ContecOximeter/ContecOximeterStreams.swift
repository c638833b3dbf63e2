import Clinical

/// Collects samples and their bytes until they are worth a block.
struct ContecOximeterBlockBuilder: Sendable {
    private var samples: [[Sample]]
    private(set) var raw: [UInt8] = []
    /// When the first bytes of the coming block arrived.
    private(set) var began: UInt64?
    private var gap: String?
    /// Bytes lost before the coming block.
    private var lost = 0
    /// Samples per channel since the recording began.
    private(set) var total = 0

    /// The coming block begins with a loss and has no samples yet.
    var isAfterLoss: Bool { lost > 0 && count == 0 }

    init(channels: Int) { samples = Array(repeating: [], count: channels) }

    /// Samples per channel in the coming block.
    var count: Int { samples[0].count }

    mutating func append(_ values: [Sample]) {
        for (index, value) in values.enumerated() { samples[index].append(value) }
        total += 1
    }

    mutating func append(raw bytes: [UInt8], at now: UInt64) {
        raw += bytes
        began = began ?? now
    }

    /// Bytes that were lost right before what comes next; call `take` before.
    mutating func lose(_ bytes: Int) {
        lost += bytes
        gap = "\(lost) bytes were lost or damaged"
    }

    mutating func interrupt(_ text: String) { gap = gap.map { "\($0); \(text)" } ?? text }

    /// The block; nil when there is nothing in it. Bytes without samples make a block too: they were delivered.
    mutating func take(at now: UInt64) -> Block? {
        guard count > 0 || !raw.isEmpty else { return nil }
        defer {
            samples = samples.map { _ in [] }
            raw = []
            began = nil
            gap = nil
            lost = 0
        }
        return Block(samples: samples, raw: raw, at: now, gap: gap)
    }
}

/// Turns states of the sensor into notes with a time and a duration (devices.md 3.4).
struct ContecOximeterSensorStates: Sendable {
    private struct State: Sendable {
        var text: String
        /// Frames; shorter ones are not worth a note.
        var shortest: Int
        var since: Int?
    }

    /// Notes per recording: a finger that comes and goes all night must not fill the database.
    static let limit = 200
    /// Of 8; what counts as a low signal is our choice.
    static let lowStrength = 2

    private var states = [
        State(text: "finger out or probe error", shortest: 1), State(text: "searching for the pulse", shortest: 1),
        State(text: "low signal", shortest: 60),
    ]
    private var written = 0

    /// `index`: of the frame, from the recording's first.
    mutating func take(_ frame: ContecOximeterRealTime, index: Int) -> [Note] {
        let searching = !frame.isProbeOff && (frame.isSearching || frame.isSearchingTooLong)
        let low = !frame.isProbeOff && !searching && frame.strength <= Self.lowStrength
        var notes: [Note] = []
        for (which, on) in [frame.isProbeOff, searching, low].enumerated() {
            if on {
                states[which].since = states[which].since ?? index
            } else if let since = states[which].since {
                notes += finish(which, since: since, index: index)
            }
        }
        return notes
    }

    /// Closes what is still on when the recording ends after `count` frames.
    mutating func close(count: Int) -> [Note] {
        states.indices.flatMap { which in states[which].since.map { finish(which, since: $0, index: count) } ?? [] }
    }

    private mutating func finish(_ which: Int, since: Int, index: Int) -> [Note] {
        states[which].since = nil
        guard index - since >= states[which].shortest, written <= Self.limit else { return [] }
        written += 1
        guard written <= Self.limit else {
            return [Note(kind: .sensor, at: Double(since) / 60, text: "later states of the sensor are not noted")]
        }
        return [
            Note(
                kind: .sensor, at: Double(since) / 60, duration: Double(index - since) / 60, text: states[which].text)
        ]
    }
}

/// A live recording that is running.
struct ContecOximeterLiveStream: Sendable {
    /// Frames in a block: one second.
    static let blockLength = 60
    var builder = ContecOximeterBlockBuilder(channels: ContecOximeterChannels.live.count)
    var sensor = ContecOximeterSensorStates()
}

/// A recording that comes out of the device's memory.
struct ContecOximeterStoredStream: Sendable {
    /// Nothing is a recording before it has its name; what was asked for may be here already.
    enum Fate: Sendable, Equatable { case waiting, waitingForEnd, kept, known, unwanted }

    static let blockLength = 600
    /// Samples that may wait for their name: two days and a half.
    static let mostWaiting = 1 << 18
    let facts: ContecOximeterStoredFacts
    private(set) var mark = ContentMark()
    var fate = Fate.waiting
    var builder: ContecOximeterBlockBuilder
    var hasPerfusion: Bool
    /// Nil when nobody said it: the stream then runs to its end.
    var announced: Int?
    /// Something was lost, so the count can't come right any more.
    var isDamaged = false
    /// Zero pairs at the end of the newest frame, where no count says how many of its pairs are samples: seconds without
    /// values, or only the padding of the device's last frame. They become samples when another frame follows.
    var held = 0

    init(_ facts: ContecOximeterStoredFacts, hasPerfusion: Bool) {
        self.facts = facts
        self.hasPerfusion = hasPerfusion
        announced = facts.samples(perfusion: hasPerfusion)
        builder = ContecOximeterBlockBuilder(
            channels: ContecOximeterChannels.stored(perfusion: hasPerfusion).count)
    }

    var isNamed: Bool { fate != .waiting && fate != .waitingForEnd }

    var isComplete: Bool { announced.map { builder.total >= $0 } ?? false }

    mutating func append(_ samples: [ContecOximeterStoredSample]) {
        for _ in 0..<held where !isComplete { append(ContecOximeterStoredSample(spo2: 0, pulse: 0, perfusion: nil)) }
        held = 0
        var fresh = samples[...]
        if isDamaged || announced == nil, !hasPerfusion {
            // The last frame has at least one sample, or it would not have been sent.
            while fresh.count > 1, fresh.last?.isZero ?? false {
                fresh.removeLast()
                held += 1
            }
        }
        for sample in fresh where !isComplete { append(sample) }
    }

    private mutating func append(_ sample: ContecOximeterStoredSample) {
        let values = sample.samples
        builder.append(values)
        let perfusion = sample.perfusion.map { [UInt8(truncatingIfNeeded: $0), UInt8($0 >> 8)] } ?? []
        mark.add([sample.spo2, sample.pulse] + perfusion, hasValue: values.prefix(2).contains { $0 != .absent })
    }
}
