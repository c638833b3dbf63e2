import Clinical

extension Channel.Signal {
    /// The number that SCP-ECG and MDC (`2:n`) share (formats.md 1.4), the label, and CID 3001's meaning.
    struct Lead: Sendable {
        var signal: Channel.Signal
        var number: Int
        var name: String
        var meaning: String
    }

    /// The twelve leads in the order in which they are shown and written.
    static let leads: [Lead] = [
        Lead(signal: .ecgI, number: 1, name: "I", meaning: "Lead I"),
        Lead(signal: .ecgII, number: 2, name: "II", meaning: "Lead II"),
        Lead(signal: .ecgIII, number: 61, name: "III", meaning: "Lead III"),
        Lead(signal: .ecgAVR, number: 62, name: "aVR", meaning: "aVR, augmented voltage, right"),
        Lead(signal: .ecgAVL, number: 63, name: "aVL", meaning: "aVL, augmented voltage, left"),
        Lead(signal: .ecgAVF, number: 64, name: "aVF", meaning: "aVF, augmented voltage, foot"),
        Lead(signal: .ecgV1, number: 3, name: "V1", meaning: "Lead V1"),
        Lead(signal: .ecgV2, number: 4, name: "V2", meaning: "Lead V2"),
        Lead(signal: .ecgV3, number: 5, name: "V3", meaning: "Lead V3"),
        Lead(signal: .ecgV4, number: 6, name: "V4", meaning: "Lead V4"),
        Lead(signal: .ecgV5, number: 7, name: "V5", meaning: "Lead V5"),
        Lead(signal: .ecgV6, number: 8, name: "V6", meaning: "Lead V6"),
    ]

    var lead: Lead? { Self.leads.first { $0.signal == self } }
}
