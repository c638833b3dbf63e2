public import Clinical
import FoundationEssentials

/// A stretch of a recording's samples, to be drawn. As recorded: no filter, no interpolation.
public struct TraceView: Codable, Sendable, Equatable {
    public var recording: String
    public var modality: String
    public var simulated: Bool
    /// Seconds from the recording's first sample.
    public var from: Double
    /// Length of this stretch, seconds.
    public var seconds: Double
    /// Length of the whole recording, seconds.
    public var total: Double
    public var channels: [ChannelTrace]

    public struct ChannelTrace: Codable, Sendable, Equatable {
        /// `ecgI` … `ecgV6`, `spo2`, `pulseRate`, `plethysmogram`, `perfusionIndex`, `other`.
        public var signal: String
        public var name: String
        public var unit: String
        /// Samples per second.
        public var rate: Double
        /// Physical value = sample × scale.
        public var scale: Double
        /// How the channel follows from others, or nil.
        public var derivation: String?
        /// Samples, one after the other; or, when `columns` was asked for, the smallest and the largest of each column.
        public var samples: PackedSamples
    }
}

/// Samples as base64 of little-endian integers; the smallest integer (-32768 in `i16`) means "no value".
public struct PackedSamples: Codable, Sendable, Equatable {
    /// `i16` or `i32`.
    public var encoding: String
    public var data: String

    public init(_ samples: some Collection<Sample>) {
        let isSmall = samples.allSatisfy { $0 == .absent || ($0 > Sample(Int16.min) && $0 <= Sample(Int16.max)) }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(samples.count * (isSmall ? 2 : 4))
        for sample in samples {
            if isSmall {
                let value = UInt16(bitPattern: sample == .absent ? Int16.min : Int16(truncatingIfNeeded: sample))
                bytes.append(UInt8(truncatingIfNeeded: value))
                bytes.append(UInt8(truncatingIfNeeded: value >> 8))
            } else {
                let value = UInt32(bitPattern: sample)
                for shift in [0, 8, 16, 24] as [UInt32] { bytes.append(UInt8(truncatingIfNeeded: value >> shift)) }
            }
        }
        encoding = isSmall ? "i16" : "i32"
        data = Data(bytes).base64EncodedString()
    }
}

extension TraceView {
    /// Samples in one answer at most, all channels together: one minute of 12 leads at 1,000/s, or eight hours of SpO2.
    static let limit = 1_500_000

    /// - Parameters:
    ///   - seconds: nil for as much as fits into one answer.
    ///   - columns: nil for every sample; else the smallest and largest sample of each of that many columns.
    init(_ recording: Recording, _ waveform: Waveform, from: Double, seconds: Double?, columns: Int?) {
        let total = waveform.seconds
        let start = min(max(from, 0), total)
        var length = min(max(seconds ?? total, 0), total - start)
        let perSecond = waveform.channels.reduce(0) { $0 + $1.rate.value }
        if columns == nil, perSecond > 0 { length = min(length, Double(Self.limit) / perSecond) }
        self.recording = "\(recording.id)"
        modality = recording.modality.rawValue
        simulated = recording.origin == .simulated
        self.from = start
        self.seconds = length
        self.total = total
        channels = zip(waveform.channels, waveform.samples).map { channel, samples in
            let rate = channel.rate.value
            let first = min(Int((start * rate).rounded(.down)), samples.count)
            let last = min(Int(((start + length) * rate).rounded(.up)), samples.count)
            let window = samples[first..<max(first, last)]
            return ChannelTrace(
                signal: channel.signal.rawValue, name: channel.name, unit: channel.unit, rate: rate,
                scale: channel.scale.value, derivation: channel.derivation,
                samples: columns.map { PackedSamples(Self.envelope(window, columns: $0)) } ?? PackedSamples(window))
        }
    }

    /// Smallest and largest per column; an empty column, or one without any value, is absent twice.
    private static func envelope(_ samples: ArraySlice<Sample>, columns: Int) -> [Sample] {
        var result: [Sample] = []
        result.reserveCapacity(columns * 2)
        for column in 0..<columns {
            let begin = samples.startIndex + samples.count * column / columns
            let end = samples.startIndex + samples.count * (column + 1) / columns
            var low = Sample.absent
            var high = Sample.absent
            for sample in samples[begin..<end] where sample != .absent {
                low = low == .absent ? sample : min(low, sample)
                high = max(high, sample)
            }
            result.append(low)
            result.append(high)
        }
        return result
    }
}
