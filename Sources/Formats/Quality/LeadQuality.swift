import Clinical
import Glibc

/// What one second of one ECG lead shows by itself.
struct LeadQuality: Sendable {
    /// Microvolts a step.
    let microvolts: Double
    private let rate: Double
    private let range: ClosedRange<Sample>
    /// Samples at the limit that are no chance.
    private let limitRun: Int

    /// Half a millimetre from peak to peak on paper at 10 mm/mV.
    private static let humAmplitude = 25.0
    private static let humRatio = 3.0

    /// Nil for a channel that is no ECG lead with an amplitude.
    init?(_ channel: Channel) {
        let factor: Double? =
            switch channel.unit {
            case "uV": 1
            case "mV": 1000
            default: nil
            }
        rate = channel.rate.value
        guard let factor, channel.signal.lead != nil || (channel.signal == .other && rate >= 100), rate >= 50 else {
            return nil
        }
        microvolts = factor * channel.scale.value
        range = channel.range
        limitRun = max(5, Int(rate / 50))
    }

    func findings(_ window: ArraySlice<Sample>) -> [(finding: Finding, value: Double?)] {
        var absent = 0
        var isFlat = true
        var run = 0
        var longest = 0
        let first = window.first ?? .absent
        for sample in window {
            if sample == .absent { absent += 1 }
            if sample != first { isFlat = false }
            run = sample == range.lowerBound || sample == range.upperBound ? run + 1 : 0
            longest = max(longest, run)
        }
        guard absent * 2 < window.count else { return [(Finding(kind: .leadOff), nil)] }
        var findings: [(finding: Finding, value: Double?)] = []
        if longest >= limitRun { findings.append((Finding(kind: .saturation), nil)) }
        // At the limit it is flat as well; that it is saturated says more.
        if isFlat, longest < limitRun { return [(Finding(kind: .leadOff), nil)] }
        if let hum = hum(window) {
            findings.append((Finding(kind: .mainsHum, frequency: hum.frequency), hum.amplitude))
        }
        return findings
    }

    private func hum(_ window: ArraySlice<Sample>) -> (frequency: Int, amplitude: Double)? {
        for frequency in [50, 60] where rate > Double(2 * frequency + 12) {
            let amplitude = amplitude(window, frequency)
            guard amplitude >= Self.humAmplitude else { continue }
            // A QRS complex has these frequencies too, but it has their neighbours as well.
            let neighbours = [-5, -4, -3, -2, 2, 3, 4, 5].map { self.amplitude(window, frequency + $0) }
            if let largest = neighbours.max(), amplitude >= Self.humRatio * largest { return (frequency, amplitude) }
        }
        return nil
    }

    /// Goertzel's filter: the amplitude of one frequency, microvolts. A sample without a value repeats the one before.
    private func amplitude(_ window: ArraySlice<Sample>, _ frequency: Int) -> Double {
        let angle = 2 * Double.pi * Double(frequency) / rate
        let coefficient = 2 * cos(angle)
        var (one, two) = (0.0, 0.0)
        var last = window.first { $0 != .absent } ?? 0
        let zero = Double(last)
        for sample in window {
            if sample != .absent { last = sample }
            (one, two) = (Double(last) - zero + coefficient * one - two, one)
        }
        let power = max(0, one * one + two * two - coefficient * one * two)
        return 2 * power.squareRoot() / Double(window.count) * microvolts
    }
}

/// What is kept of the last ten seconds.
struct SecondQuality: Sendable {
    /// Seconds.
    static let memory = 10
    private static let wanderRange = 500.0

    /// Per channel, in microvolts; nil without enough values.
    private var means: [Double?]

    init(windows: [ArraySlice<Sample>], leads: [LeadQuality?]) {
        means = zip(windows, leads).map { window, lead in
            guard let lead else { return nil }
            var (sum, count) = (0, 0)
            for sample in window where sample != .absent {
                sum += Int(sample)
                count += 1
            }
            return count * 2 > window.count ? Double(sum) / Double(count) * lead.microvolts : nil
        }
    }

    /// The range of the means when it is too large.
    static func wander(_ history: [SecondQuality], _ channel: Int) -> Double? {
        let means = history.compactMap { $0.means[channel] }
        guard let low = means.min(), let high = means.max(), high - low >= wanderRange else { return nil }
        return high - low
    }
}
