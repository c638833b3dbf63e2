/// An exact fraction, so that a scale such as 2.5 µV or 1/100 % is never rounded.
public struct Ratio: Hashable, Sendable, Codable {
    public var numerator: Int
    /// Always positive.
    public var denominator: Int

    public init(_ numerator: Int, _ denominator: Int = 1) {
        precondition(denominator > 0, "a ratio's denominator is positive")
        self.numerator = numerator
        self.denominator = denominator
    }

    public var value: Double { Double(numerator) / Double(denominator) }
}

/// How sure we are that a channel's numbers mean what we say.
public enum Calibration: String, Sendable, Codable, CaseIterable {
    /// Two or more independent sources, or checked on real recordings.
    case verified
    case singleSource
    case unverified
}

/// A sample as the device delivered it, before scaling.
public typealias Sample = Int32

extension Sample {
    /// No value: electrode off, finger out, out of range. Never 0, never interpolated.
    public static let absent = Sample.min
}

/// One signal of a recording: a lead, SpO2, a plethysmogram.
public struct Channel: Hashable, Sendable, Codable {
    /// What the signal is, as code; decides codes in DICOM, EDF and FHIR.
    public enum Signal: String, Sendable, Codable, CaseIterable {
        case ecgI, ecgII, ecgIII, ecgAVR, ecgAVL, ecgAVF, ecgV1, ecgV2, ecgV3, ecgV4, ecgV5, ecgV6
        case spo2, pulseRate, plethysmogram, perfusionIndex
        case airflow, maskPressure, therapyPressure, leak, respiratoryRate, tidalVolume, minuteVentilation, snore
        case flowLimitation
        case other
    }

    public var signal: Signal
    /// Short international label: `II`, `aVR`, `SpO2`.
    public var name: String
    /// UCUM unit: `uV`, `%`, `/min`, `1`.
    public var unit: String
    /// Samples per second.
    public var rate: Ratio
    /// Physical value = sample × scale, in `unit`.
    public var scale: Ratio
    /// The samples that can occur (absent excepted).
    public var range: ClosedRange<Sample>
    public var calibration: Calibration
    /// How the channel follows from others (`II - III`), or nil when the device delivered it.
    public var derivation: String?

    public init(
        signal: Signal, name: String, unit: String, rate: Ratio, scale: Ratio, range: ClosedRange<Sample>,
        calibration: Calibration, derivation: String? = nil
    ) {
        self.signal = signal
        self.name = name
        self.unit = unit
        self.rate = rate
        self.scale = scale
        self.range = range
        self.calibration = calibration
        self.derivation = derivation
    }

    /// The physical value, or nil for an absent sample.
    public func physical(_ sample: Sample) -> Double? {
        sample == .absent ? nil : Double(sample) * Double(scale.numerator) / Double(scale.denominator)
    }
}
