public import Clinical

extension ContecECG {
    /// The twelve leads in standard order (I, II, III, aVR, aVL, aVF, V1…V6) at 800 Hz in µV: stored leads at 5 µV a step,
    /// derived ones at 2.5 µV, so that no half step is ever rounded (devices.md 6.1).
    public var waveform12: Waveform {
        let (second, third) = (leads[0], leads[1])
        var channels: [Channel] = []
        var samples: [[Sample]] = []
        for lead in Channel.Signal.leads {
            if let index = Self.stored.firstIndex(of: lead.signal) {
                channels.append(Self.channel(lead, scale: Ratio(5), range: -2048...2047))
                samples.append(leads[index])
            } else if let rule = Self.derivations.first(where: { $0.signal == lead.signal }) {
                channels.append(
                    Self.channel(lead, scale: Ratio(5, 2), range: rule.range, derivation: rule.formula))
                samples.append(
                    zip(second, third).map { $0 == .absent || $1 == .absent ? .absent : rule.halfSteps($0, $1) })
            }
        }
        return Waveform(channels: channels, samples: samples)
    }

    /// How a limb lead follows from II and III, in half steps.
    private struct Derivation: Sendable {
        var signal: Channel.Signal
        var formula: String
        var range: ClosedRange<Sample>
        var halfSteps: @Sendable (Sample, Sample) -> Sample
    }

    private static let derivations: [Derivation] = [
        Derivation(signal: .ecgI, formula: "II - III", range: -8190...8190) { 2 * ($0 - $1) },
        Derivation(signal: .ecgAVR, formula: "III/2 - II", range: -6142...6143) { $1 - 2 * $0 },
        Derivation(signal: .ecgAVL, formula: "II/2 - III", range: -6142...6143) { $0 - 2 * $1 },
        Derivation(signal: .ecgAVF, formula: "(II + III)/2", range: -4096...4094) { $0 + $1 },
    ]

    private static func channel(
        _ lead: Channel.Signal.Lead, scale: Ratio, range: ClosedRange<Sample>, derivation: String? = nil
    ) -> Channel {
        Channel(
            signal: lead.signal, name: lead.name, unit: "uV", rate: rate, scale: scale, range: range,
            calibration: .verified, derivation: derivation)
    }
}
