/// Predicts a lead's next sample from its own past and from leads that are already known, in integers.
struct LeadPredictor: Equatable {
    /// Values that every lead carries in front of its first sample, all equal to that: longer than any lag.
    static let padding = 32
    /// Most terms of a prediction.
    static let limit = 31
    /// Which value each term takes, the most useful ones first: a prediction uses the first so many.
    struct Term: Equatable {
        /// 0 the lead itself, 1 and 2 the leads before it.
        var source: Int
        /// Samples back; at least 1 for the lead itself.
        var lag: Int
    }

    /// Coefficients by lag - 1 of the lead itself, by lag of the others, in units of 2^-shift.
    var own: [Int]
    var first: [Int]
    var second: [Int]
    var shift: Int

    static func terms(references: Int) -> [Term] {
        let patterns: [(Int, Int)] =
            switch references {
            case 0: (1...24).map { (0, $0) }
            case 1:
                [(0, 1), (0, 2), (1, 0), (1, 1), (0, 3), (0, 4), (1, 2), (0, 5), (0, 6), (1, 3)]
                    + (7...22).map { (0, $0) }
            default:
                [
                    (0, 1), (0, 2), (1, 0), (1, 1), (2, 0), (2, 1), (0, 3), (0, 4), (1, 2), (2, 2), (0, 5), (0, 6),
                    (1, 3),
                    (2, 3),
                ] + (7...16).map { (0, $0) }
            }
        return patterns.prefix(limit).map { Term(source: $0.0, lag: $0.1) }
    }

    init(_ coefficients: [Int], terms: [Term], shift: Int) {
        self.shift = shift
        own = []
        first = []
        second = []
        for (term, coefficient) in zip(terms, coefficients) {
            switch term.source {
            case 0: Self.place(coefficient, at: term.lag - 1, in: &own)
            case 1: Self.place(coefficient, at: term.lag, in: &first)
            default: Self.place(coefficient, at: term.lag, in: &second)
            }
        }
    }

    private static func place(_ value: Int, at index: Int, in list: inout [Int]) {
        while list.count <= index { list.append(0) }
        list[index] = value
    }

    /// - Parameters:
    ///   - index: position in the padded arrays, at least `padding`.
    @inline(__always)
    func predict(_ lead: [Int32], _ one: [Int32], _ two: [Int32], at index: Int) -> Int64 {
        var sum = 0
        for lag in own.indices { sum &+= own[lag] &* Int(lead[index &- 1 &- lag]) }
        for lag in first.indices { sum &+= first[lag] &* Int(one[index &- lag]) }
        for lag in second.indices { sum &+= second[lag] &* Int(two[index &- lag]) }
        return Int64((sum &+ ((1 << shift) >> 1)) >> shift)
    }
}

/// Finds the coefficients; the only place with floating point, and none of the decoder's business.
struct PredictorFit {
    /// Units of 2^-13.
    static let shift = 13
    private static let magnitude = 1 << 20

    var coefficients: [Int]

    /// Weighted least squares over padded arrays; the number of terms is the one that costs least, their own bits included.
    init(_ lead: [Int32], _ one: [Int32], _ two: [Int32], terms: [LeadPredictor.Term]) {
        let start = LeadPredictor.padding
        let count = lead.count - start
        let width = terms.count
        // Eight columns at a time: this is where coding spends its time.
        let groups = (width + 7) / 8
        var square = [SIMD8<Double>](repeating: .zero, count: width * groups)
        var right = [Double](repeating: 0, count: width)
        var energy = 0.0
        var total = 0.0
        let weights = Self.weights(lead)
        // More equations than that make no better coefficients.
        let step = max(1, count / 2500)
        var row = [SIMD8<Double>](repeating: .zero, count: groups)
        for index in stride(from: start + 1, to: lead.count, by: step) {
            for column in 0..<width {
                let term = terms[column]
                let value =
                    switch term.source {
                    case 0: lead[index &- term.lag]
                    case 1: one[index &- term.lag]
                    default: two[index &- term.lag]
                    }
                row[column >> 3][column & 7] = Double(value)
            }
            let weight = weights[index - start]
            let target = Double(lead[index])
            total += weight
            energy += weight * target * target
            for line in 0..<width {
                let factor = weight * row[line >> 3][line & 7]
                right[line] += factor * target
                let base = line * groups
                // The lower triangle is enough.
                for group in 0...(line >> 3) { square[base &+ group] += factor * row[group] }
            }
        }
        var matrix = [Double](repeating: 0, count: width * width)
        for line in 0..<width {
            for column in 0...line { matrix[line * width + column] = square[line * groups + (column >> 3)][column & 7] }
        }
        coefficients = Self.solve(
            matrix: matrix, right: right, energy: energy, total: total, width: width, samples: Double(count))
    }

    /// QRS complexes would dominate plain least squares, though they hold few of the samples.
    private static func weights(_ lead: [Int32]) -> [Double] {
        let start = LeadPredictor.padding
        let count = lead.count - start
        var result = [Double](repeating: 1, count: count)
        var mean = 0.0
        func bend(_ index: Int) -> Double {
            abs(Double(lead[index]) - 2 * Double(lead[index - 1]) + Double(lead[index - 2]))
        }
        for index in start..<lead.count {
            mean += (bend(index) - mean) / 16
            result[index - start] = mean
        }
        mean = result.last ?? 0
        for index in (start..<lead.count).reversed() {
            mean += (bend(index) - mean) / 16
            let size = result[index - start] + mean + 1
            result[index - start] = 1 / (size * size)
        }
        return result
    }

    private static func solve(
        matrix: [Double], right: [Double], energy: Double, total: Double, width: Int, samples: Double
    ) -> [Int] {
        var factor = matrix
        var solved = [Double](repeating: 0, count: width)
        var rest = energy
        var best = (cost: Double.infinity, count: 0)
        let floor = total / 12
        for line in 0..<width {
            for column in 0...line {
                var sum = matrix[line * width + column]
                if line == column { sum = sum * (1 + 1e-9) + total * 1e-3 }
                for inner in 0..<column { sum -= factor[line * width + inner] * factor[column * width + inner] }
                if line == column {
                    guard sum > 0 else { return quantised(factor, solved, best.count, width) }
                    factor[line * width + line] = sum.squareRoot()
                } else {
                    factor[line * width + column] = sum / factor[column * width + column]
                }
            }
            var sum = right[line]
            for inner in 0..<line { sum -= factor[line * width + inner] * solved[inner] }
            solved[line] = sum / factor[line * width + line]
            rest -= solved[line] * solved[line]
            let cost = samples / 2 * log2((max(rest, 0) + floor * 0.1) / max(total, 1e-30)) + 12 * Double(line + 1)
            if cost < best.cost { best = (cost, line + 1) }
        }
        return quantised(factor, solved, best.count, width)
    }

    private static func quantised(_ factor: [Double], _ solved: [Double], _ count: Int, _ width: Int) -> [Int] {
        var result = [Double](repeating: 0, count: count)
        for line in (0..<count).reversed() {
            var sum = solved[line]
            for below in line + 1..<max(count, line + 1) { sum -= factor[below * width + line] * result[below] }
            result[line] = sum / factor[line * width + line]
        }
        return result.map { value in
            let scaled = (value * Double(1 << shift)).rounded()
            return scaled.isFinite ? Int(max(-Double(magnitude), min(Double(magnitude), scaled))) : 0
        }
    }

    /// Good to a few percent, which is enough for choosing.
    private static func log2(_ value: Double) -> Double {
        guard value > 0, value.isFinite else { return -1000 }
        return Double(value.exponent) + (value.significand - 1)
    }
}
