import Clinical
import Formats

/// Synthetic heart beats in the eight stored leads. Only multiplication and addition: the same samples on every machine.
enum ContecEcgBeats {
    /// A smooth bump: where it lies in the beat, how wide it is (seconds from the R peak), and its height in µV per lead.
    private struct Wave {
        var centre: Double
        var halfWidth: Double
        /// II, III, V1…V6
        var heights: [Double]

        func value(_ time: Double, lead: Int) -> Double {
            let distance = (time - centre) / halfWidth
            guard distance * distance < 1 else { return 0 }
            let bump = 1 - distance * distance
            return heights[lead] * bump * bump
        }
    }

    private static let waves = [
        Wave(centre: -0.16, halfWidth: 0.055, heights: [150, 60, 50, 60, 60, 70, 70, 70]),
        Wave(centre: -0.03, halfWidth: 0.020, heights: [-80, -60, 0, 0, -20, -60, -80, -80]),
        Wave(centre: 0, halfWidth: 0.030, heights: [1100, 450, 250, 500, 900, 1400, 1300, 1000]),
        Wave(centre: 0.035, halfWidth: 0.025, heights: [-180, -120, -900, -1300, -800, -400, -200, -100]),
        Wave(centre: 0.26, halfWidth: 0.100, heights: [300, 110, -60, 350, 450, 450, 380, 300]),
    ]

    static func leads(samples count: Int, heartRate: Int, chestLeadsAbsent: Bool) -> [[Sample]] {
        let rate = ContecECG.rate.value
        let interval = 60 / Double(min(max(heartRate, 20), 250))
        return ContecECG.stored.indices.map { lead in
            guard lead < 2 || !chestLeadsAbsent else { return Array(repeating: .absent, count: count) }
            return (0..<count).map { index in
                let time = Double(index) / rate
                // The R peak lies in the middle of each beat, so that no wave is cut at its edge.
                let inBeat = time - (time / interval).rounded(.down) * interval - interval / 2
                let microvolts = waves.reduce(0) { $0 + $1.value(inBeat, lead: lead) }
                return Sample((microvolts / 5).rounded())
            }
        }
    }
}
