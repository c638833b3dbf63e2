/// Something about how a signal was acquired that a person can put right or should know: technical only, never about the
/// heart. Samples are never altered by it.
public struct QualityHint: Sendable, Equatable, Codable {
    public enum Kind: String, Sendable, Codable, CaseIterable {
        /// A lead without values, or perfectly flat.
        case leadOff
        /// The converter's limit was reached: the true value lay beyond.
        case saturation
        /// The mains' 50 or 60 Hz.
        case mainsHum
        /// The baseline moves: breathing, a pulling cable, a dry electrode.
        case baselineWander
        /// No channel has values: nothing arrived.
        case gap
        /// The arm electrodes may have been exchanged.
        case armLeadSwap

        /// How it is found, with the source of the idea; thresholds are ours.
        public var method: String {
            switch self {
            case .leadOff:
                "no value in half of a second, or one value all through it (Silva, Moody, Celi: Comput Cardiol 2011;38:273)"
            case .saturation:
                "at the converter's limit for 20 ms (Clifford et al.: Physiol Meas 2012;33:1419)"
            case .mainsHum:
                "Goertzel's filter (Am Math Mon 1958;65:34) at 50 and 60 Hz over 1 s: 25 uV and 3 times its neighbours, for 3 s"
            case .baselineWander:
                "the means of seconds differ by 0.5 mV within 10 s (Kligfield et al.: Circulation 2007;115:1306)"
            case .gap: "no channel has a value for 1 s, or the device counted a loss"
            case .armLeadSwap:
                "lead I points down and runs against V6 (slopes' correlation below -0.7), over 10 s (Batchvarov, Malik, Camm: Europace 2007;9:1081)"
            }
        }
    }

    public var kind: Kind
    /// By their names, in the recording's order; all of them for a gap.
    public var channels: [String]
    /// Seconds from the first sample.
    public var at: Double
    /// Seconds.
    public var duration: Double
    /// The largest value that was measured: uV of hum (amplitude) or wander (range); the correlation for a swap; else nil.
    public var value: Double?
    /// 50 or 60 for hum, else nil.
    public var frequency: Int?
    public var method: String

    public init(
        kind: Kind, channels: [String], at: Double, duration: Double, value: Double? = nil, frequency: Int? = nil
    ) {
        self.kind = kind
        self.channels = channels
        self.at = at
        self.duration = duration
        self.value = value
        self.frequency = frequency
        method = kind.method
    }
}
