import Clinical
import Wire

/// That a limb lead follows from two others up to rounding: it ≈ (m · first + n · second) / divisor, in samples.
struct LeadRule: Equatable {
    var first: Int
    var second: Int
    var m: Int
    var n: Int
    var divisor: Int

    /// How a device rounded the leads that it computed.
    enum Rounding: UInt64, CaseIterable {
        case nearest
        case down
        case up
        case towardZero
    }

    @inline(__always)
    func predict(_ one: Int32, _ two: Int32, _ rounding: Rounding) -> Int64 {
        let sum = m &* Int(one) &+ n &* Int(two)
        let bias =
            switch rounding {
            case .nearest: divisor / 2
            case .down: 0
            case .up: divisor - 1
            case .towardZero: sum < 0 ? divisor - 1 : 0
            }
        let shifted = sum &+ bias
        let quotient = shifted / divisor
        // Rounded down, also below zero.
        return Int64(shifted % divisor < 0 ? quotient - 1 : quotient)
    }

    /// A rule for each channel that has one: the limb leads other than the two that the device measured.
    static func rules(_ channels: [Channel], counts: [Int]) -> [LeadRule?] {
        var result = [LeadRule?](repeating: nil, count: channels.count)
        func find(_ signal: Channel.Signal) -> Int? {
            let found = channels.indices.filter { channels[$0].signal == signal }
            return found.count == 1 ? found[0] : nil
        }
        let bases: [(Channel.Signal, Channel.Signal, [Channel.Signal: (Int, Int)])] = [
            (.ecgI, .ecgII, [.ecgIII: (-2, 2), .ecgAVR: (-1, -1), .ecgAVL: (2, -1), .ecgAVF: (-1, 2)]),
            (.ecgII, .ecgIII, [.ecgI: (2, -2), .ecgAVR: (-2, 1), .ecgAVL: (1, -2), .ecgAVF: (1, 1)]),
            (.ecgI, .ecgIII, [.ecgII: (2, 2), .ecgAVR: (-2, -1), .ecgAVL: (1, -1), .ecgAVF: (1, 2)]),
        ]
        let present = bases.filter { find($0.0) != nil && find($0.1) != nil }
        let measured = present.first { base in
            [base.0, base.1].allSatisfy { signal in find(signal).map { channels[$0].derivation == nil } ?? false }
        }
        guard let base = measured ?? present.first, let first = find(base.0), let second = find(base.1) else {
            return result
        }
        for (signal, halves) in base.2 {
            guard let index = find(signal),
                [first, second].allSatisfy({
                    channels[$0].rate == channels[index].rate && counts[$0] == counts[index]
                        && channels[$0].unit == channels[index].unit
                })
            else { continue }
            result[index] = rule(halves, first, second, channels, index)
        }
        return result
    }

    private static func rule(
        _ halves: (Int, Int), _ first: Int, _ second: Int, _ channels: [Channel], _ index: Int
    ) -> LeadRule? {
        guard let one = Ratio(halves.0, 2).times(channels[first].scale)?.divided(by: channels[index].scale)?.reduced,
            let two = Ratio(halves.1, 2).times(channels[second].scale)?.divided(by: channels[index].scale)?.reduced
        else { return nil }
        let divisor = one.denominator.multipliedReportingOverflow(
            by: two.denominator / Int(Ratio.gcd(one.denominator.magnitude, two.denominator.magnitude)))
        guard !divisor.overflow else { return nil }
        let m = one.numerator.multipliedReportingOverflow(by: divisor.partialValue / one.denominator)
        let n = two.numerator.multipliedReportingOverflow(by: divisor.partialValue / two.denominator)
        let rule = LeadRule(
            first: first, second: second, m: m.partialValue, n: n.partialValue, divisor: divisor.partialValue)
        return !m.overflow && !n.overflow && rule.isSmall ? rule : nil
    }

    /// Small enough that no prediction overflows.
    var isSmall: Bool { (1...limit).contains(divisor) && m.magnitude <= limit && n.magnitude <= limit }
    private var limit: Int { 1 << 20 }
}
