/// One discrete value out of a device's memory or of a measurement: a blood pressure, a weight. Not a waveform.
///
/// Values that were measured together (systolic, diastolic, pulse) are several readings with the same `sequence`.
public struct Reading: Sendable, Hashable, Codable {
    /// What was measured, as code.
    public enum Kind: String, Sendable, Codable, CaseIterable {
        case systolic, diastolic, meanArterial, pulseRate
        case spo2, weight, height, temperature
        case perfusionIndex, bmi, glucose
        /// `code` says what.
        case other
    }

    public var kind: Kind
    /// In `unit`.
    public var value: Ratio
    /// UCUM: `mm[Hg]`, `/min`.
    public var unit: String
    /// The device's clock: local, without a zone, often wrong; nil when it has none or says an impossible date.
    public var at: LocalTime?
    /// Date and time as the device sent them, in decimal, in the device's order.
    public var rawTime: String?
    /// The user or memory bank, as the device counts them; nil when there is only one.
    public var bank: Int?
    /// Place in the recording: readings with the same number are one measurement.
    public var sequence: Int
    /// What else the device said of the measurement: `irregular pulse`, `movement`. English, never an identity.
    public var flags: [String]
    /// Names the measurement wherever it is met again (driver, device, bank, the device's time); no value in it.
    public var source: String?
    /// The device's own code for what was measured: `MDC 2:18949` (partition and code of ISO/IEEE 11073-10101).
    public var code: String?

    public init(
        kind: Kind, value: Ratio, unit: String, at: LocalTime?, rawTime: String?, bank: Int? = nil, sequence: Int,
        flags: [String] = [], source: String? = nil, code: String? = nil
    ) {
        self.kind = kind
        self.value = value
        self.unit = unit
        self.at = at
        self.rawTime = rawTime
        self.bank = bank
        self.sequence = sequence
        self.flags = flags
        self.source = source
        self.code = code
    }

    /// The measurement and its value as one text, to recognise it when the memory is read again: a clock that begins anew gives another
    /// value the same time. Nil without a `source`. Never kept in the clear.
    public var mark: String? {
        source.map { "\($0)|\(kind.rawValue)|\(code ?? "")|\(value.numerator)/\(value.denominator)" }
    }
}
