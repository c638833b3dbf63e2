/// A contiguous stretch of samples of all channels of a recording, and the bytes they came from.
public struct Block: Sendable, Equatable {
    /// One array per channel, in the recording's channel order; absent values are `Sample.absent`.
    public var samples: [[Sample]]
    /// The bytes exactly as the device delivered them, in order; may be longer than what was decoded.
    public var raw: [UInt8]
    /// Host monotonic time of the arrival that completed the block, nanoseconds.
    public var at: UInt64
    /// Something was lost right before this block (bytes dropped, a frame cut), in words for the notes.
    public var gap: String?

    public init(samples: [[Sample]], raw: [UInt8], at: UInt64, gap: String? = nil) {
        self.samples = samples
        self.raw = raw
        self.at = at
        self.gap = gap
    }
}

/// All samples of a recording.
public struct Waveform: Sendable, Equatable {
    public var channels: [Channel]
    /// One array per channel.
    public var samples: [[Sample]]

    public init(channels: [Channel], samples: [[Sample]]) {
        precondition(channels.count == samples.count, "one array of samples per channel")
        self.channels = channels
        self.samples = samples
    }
}

/// What can be said of a channel without showing it; printed by `decode`, `replay` and `recording`.
public struct ChannelSummary: Sendable, Equatable, Codable {
    public var name: String
    public var unit: String
    /// Samples per second.
    public var rate: Double
    /// Number of samples, absent ones included.
    public var samples: Int
    /// Physical value of the first sample; nil when that is absent.
    public var first: Double?
    /// Sum, minimum and maximum of the physical values that are present; sum is 0 and the others nil when none is.
    public var sum: Double
    public var minimum: Double?
    public var maximum: Double?
    /// How many samples have no value.
    public var absent: Int
    public var calibration: Calibration
    public var derivation: String?

    public init(_ channel: Channel, _ samples: [Sample]) {
        var total: Int64 = 0
        var low: Sample?
        var high: Sample?
        var missing = 0
        for sample in samples {
            guard sample != .absent else {
                missing += 1
                continue
            }
            total += Int64(sample)
            low = Swift.min(low ?? sample, sample)
            high = Swift.max(high ?? sample, sample)
        }
        name = channel.name
        unit = channel.unit
        rate = channel.rate.value
        self.samples = samples.count
        first = samples.first.flatMap(channel.physical)
        sum = Double(total) * Double(channel.scale.numerator) / Double(channel.scale.denominator)
        minimum = low.flatMap(channel.physical)
        maximum = high.flatMap(channel.physical)
        absent = missing
        calibration = channel.calibration
        derivation = channel.derivation
    }
}

extension Waveform {
    public var summaries: [ChannelSummary] { zip(channels, samples).map { ChannelSummary($0, $1) } }

    /// Length in seconds: the longest channel.
    public var seconds: Double {
        zip(channels, samples).map { Double($1.count) / $0.rate.value }.max() ?? 0
    }
}
