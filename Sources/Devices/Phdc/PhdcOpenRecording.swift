import Clinical

/// The recording that is open: samples that wait for a block, and what was said in it already.
struct PhdcOpenRecording: Sendable {
    /// A value that was said last, so that a stream that repeats it doesn't say it 25 times a second.
    struct Said: Sendable, Equatable {
        var value: Ratio
        var flags: [String]
        var at: UInt64
    }

    let kind: Recording.Kind
    /// Whose it is on the device; a recording never mixes two.
    let person: UInt16?
    let waves: [PhdcWave]
    /// Of a segment's transfer; nil for what the device reports by itself.
    var transfer: PhdcTransfer?
    /// Of what the device had kept for us: when the last of it was measured.
    var latest: PhdcReadingTime.Moment?
    /// It waits for a person to say whose it is.
    var isShared = false
    /// Number of the next measurement.
    var measurement = 0
    /// Notes and states so far.
    var notes = 0
    var states: [String: String] = [:]
    var said: [String: Said] = [:]
    /// Values that were the same as a moment ago.
    var repeated = 0
    /// What was lost before the samples that come next.
    var gap: String?
    /// When the first of what waits came.
    private(set) var began: UInt64?
    private var pending: [[Sample]]
    /// Samples that are in blocks already.
    private var taken: [Int]

    /// A channel that stays so far behind the others is filled up with absent samples.
    private static let slack = 5 * PhdcClock.ticksPerSecond
    /// Absent samples that one block may be filled up with, of all channels together. Three kilobytes of a wave of a sample in ten
    /// seconds would ask a fast one beside it for hundreds of millions.
    private static let mostFilled = 1 << 18

    init(kind: Recording.Kind, person: UInt16?, waves: [PhdcWave], transfer: PhdcTransfer? = nil) {
        self.kind = kind
        self.person = person
        self.waves = waves
        self.transfer = transfer
        pending = waves.map { _ in [] }
        taken = waves.map { _ in 0 }
    }

    /// Seconds since the first sample; nil without channels.
    var position: Double? {
        waves.indices.map { Double(taken[$0] + pending[$0].count) / waves[$0].channel.rate.value }.max()
    }

    func wave(_ handle: UInt16) -> Int? { waves.firstIndex { $0.handle == handle } }

    mutating func touch(at now: UInt64) { began = began ?? now }

    mutating func add(_ samples: [Sample], to index: Int, at now: UInt64) {
        touch(at: now)
        pending[index] += samples
    }

    var hasSamples: Bool { pending.contains { !$0.isEmpty } }

    /// One channel has run away from another.
    var isUneven: Bool {
        let lengths = waves.indices.map { pending[$0].count * waves[$0].period }
        return (lengths.max() ?? 0) - (lengths.min() ?? 0) > Self.slack
    }

    /// The samples that wait, of all channels up to the same moment.
    /// - Parameter all: everything; what a channel lacks is absent.
    /// - Returns: the samples; how many of them had no place, because the others are too far behind.
    mutating func take(all: Bool) -> (samples: [[Sample]], dropped: Int) {
        began = nil
        let lengths = waves.indices.map { pending[$0].count * waves[$0].period }
        let shortest = lengths.min() ?? 0
        let room = Self.mostFilled / max(1, waves.count) * (waves.map(\.period).min() ?? 0)
        let length = all ? min(lengths.max() ?? 0, shortest + room) : shortest
        let samples = waves.indices.map { index in
            // Rounded up where everything is taken, so that nothing stays behind.
            let period = waves[index].period
            let count = all ? (length + period - 1) / period : length / period
            var samples = Array(pending[index].prefix(count))
            pending[index].removeFirst(samples.count)
            if samples.count < count {
                samples += Array(repeating: Sample.absent, count: count - samples.count)
            }
            taken[index] += count
            return samples
        }
        guard all else { return (samples, 0) }
        let dropped = pending.reduce(0) { $0 + $1.count }
        if dropped > 0 { pending = waves.map { _ in [] } }
        return (samples, dropped)
    }
}

/// Where the transfer of a segment stands (phdc.md 10.2).
struct PhdcTransfer: Sendable, Equatable {
    var store: UInt16
    var instance: UInt16
    /// Entries received so far.
    var received: UInt32 = 0
    /// Entries that the device announced.
    var announced: UInt32
    var isDamaged = false
}
