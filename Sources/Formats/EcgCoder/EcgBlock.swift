import Clinical

/// One block of all channels, coded by itself: nothing in it depends on another block.
///
/// For each channel, in the stream's coding order: which samples are absent; the first value; whether its rule is used;
/// whether it is constant; the predictor; then the residuals of the present samples but the first.
struct EcgBlock {
    let stream: EcgStream
    let index: Int

    /// A lead's codes (samples, or ranks where it has a map) behind their padding; nil while it isn't known.
    private typealias Known = [[Int32]?]

    // MARK: - Coding

    func encoded(_ samples: [[Sample]]) -> [UInt8] {
        var (coder, bits, model) = (RangeEncoder(), BitWriter(), ResidualModel())
        var known = Known(repeating: nil, count: stream.channels.count)
        var earlier: [Int] = []
        for channel in stream.order {
            let count = stream.count(of: channel, block: index)
            guard count > 0 else { continue }
            let start = index * stream.lengths[channel]
            let slice = samples[channel][start..<start + count]
            Self.put(absences: slice, &bits)
            guard let codes = codes(slice, channel) else { continue }
            known[channel] = codes
            var lead = codes
            var isPlain = true
            if let rule = usable(channel, known) {
                let rest = rest(of: codes, rule, known)
                bits.put(rest == nil ? 0 : 1, 1)
                if let rest { bits.put(rest.rounding.rawValue, 2) }
                isPlain = rest == nil
                lead = rest?.codes ?? codes
            }
            bits.put(gamma: ZigZag.encode(Int64(lead[LeadPredictor.padding])))
            let isConstant = lead.allSatisfy { $0 == lead[0] }
            bits.put(isConstant ? 1 : 0, 1)
            let references = isPlain ? references(for: channel, earlier, known) : []
            if isPlain, !isConstant { earlier.append(channel) }
            guard !isConstant else { continue }
            let (one, two) = (references.first ?? lead, references.last ?? lead)
            let terms = LeadPredictor.terms(references: references.count)
            let fit = PredictorFit(lead, one, two, terms: terms)
            bits.put(UInt64(fit.coefficients.count), 5)
            for coefficient in fit.coefficients { bits.put(rice: ZigZag.encode(Int64(coefficient)), low: 11) }
            let predictor = LeadPredictor(fit.coefficients, terms: terms, shift: PredictorFit.shift)
            var residuals: [Int64] = []
            residuals.reserveCapacity(count)
            for position in LeadPredictor.padding + 1..<lead.count {
                residuals.append(Int64(lead[position]) - predictor.predict(lead, one, two, at: position))
            }
            let level = Self.startLevel(residuals)
            bits.put(UInt64(level), 7)
            var size = ResidualSize(level: level)
            for (residual, sample) in zip(residuals, slice.dropFirst()) where sample != .absent {
                model.encode(residual, &size, &coder, &bits)
            }
        }
        var payload = VariableLength()
        let coded = coder.finished()
        payload.put(UInt64(coded.count))
        return payload.bytes + coded + bits.finished()
    }

    /// What remains when the rule's prediction is taken away, with the rounding that leaves least; nil where that is no gain.
    private func rest(of codes: [Int32], _ rule: LeadRule, _ known: Known) -> (
        codes: [Int32], rounding: LeadRule.Rounding
    )? {
        guard let one = known[rule.first], let two = known[rule.second] else { return nil }
        var best: (codes: [Int32], rounding: LeadRule.Rounding)?
        var least = Self.movement(codes) + 1
        for rounding in LeadRule.Rounding.allCases where rule.divisor > 1 || rounding == .nearest {
            var result: [Int32] = []
            result.reserveCapacity(codes.count)
            for position in codes.indices {
                let value = Int64(codes[position]) - rule.predict(one[position], two[position], rounding)
                guard let value = Int32(exactly: value) else { return nil }
                result.append(value)
            }
            let movement = Self.movement(result)
            if movement < least { (best, least) = ((result, rounding), movement) }
        }
        return best
    }

    private static func movement(_ codes: [Int32]) -> Int {
        zip(codes.dropFirst(), codes).reduce(0) { $0 + abs(Int($1.0) - Int($1.1)) }
    }

    private static func startLevel(_ residuals: [Int64]) -> Int {
        let first = residuals.prefix(64)
        let sum = first.reduce(0) { $0 + Double($1.magnitude) }
        return ResidualSize.level(of: Int(min(16 * sum / Double(max(1, first.count)), 1e15)))
    }

    /// Nil when all samples are absent. An absent one holds the value before it; it is not coded.
    private func codes(_ slice: ArraySlice<Sample>, _ channel: Int) -> [Int32]? {
        guard let first = slice.first(where: { $0 != .absent }) else { return nil }
        let map = stream.use[channel].map { stream.maps[$0] }
        var last = map?.rank(first) ?? first
        var codes = [Int32](repeating: last, count: LeadPredictor.padding)
        codes.reserveCapacity(LeadPredictor.padding + slice.count)
        for sample in slice {
            if sample != .absent { last = map?.rank(sample) ?? sample }
            codes.append(last)
        }
        return codes
    }

    private static func put(absences slice: ArraySlice<Sample>, _ bits: inout BitWriter) {
        guard slice.contains(.absent) else { return bits.put(0, 1) }
        bits.put(1, 1)
        var absent = false
        var run: UInt64 = 0
        for sample in slice {
            if (sample == .absent) != absent {
                bits.put(gamma: run)
                (absent, run) = (!absent, 0)
            }
            run += 1
        }
        bits.put(gamma: run)
    }

    // MARK: - Both

    private func usable(_ channel: Int, _ known: Known) -> LeadRule? {
        guard let rule = stream.rule(of: channel), known[rule.first] != nil, known[rule.second] != nil else {
            return nil
        }
        return rule
    }

    /// The codes of the last two leads of the same length, the last first.
    private func references(for channel: Int, _ earlier: [Int], _ known: Known) -> [[Int32]] {
        let length = stream.count(of: channel, block: index)
        var found: [[Int32]] = []
        for candidate in earlier.reversed() where stream.channels[candidate].rate == stream.channels[channel].rate {
            guard let lead = known[candidate], lead.count == length + LeadPredictor.padding else { continue }
            found.append(lead)
            if found.count == 2 { break }
        }
        return found
    }

    // MARK: - Decoding

    private struct Rule {
        var rule: LeadRule
        var rounding: LeadRule.Rounding

        @inline(__always)
        func predict(_ one: Int32, _ two: Int32) -> Int64 { rule.predict(one, two, rounding) }
    }

    /// Appends the block's samples; nil when the payload contradicts itself.
    func decoded(_ payload: ArraySlice<UInt8>) -> [[Sample]]? {
        var reader = VariableLength.Reader(payload)
        guard let coded = try? reader.bytes() else { return nil }
        var (coder, bits, model) = (RangeDecoder(coded), BitReader(reader.rest()), ResidualModel())
        var known = Known(repeating: nil, count: stream.channels.count)
        var earlier: [Int] = []
        var result = [[Sample]](repeating: [], count: stream.channels.count)
        for channel in stream.order {
            let count = stream.count(of: channel, block: index)
            guard count > 0 else { continue }
            guard let present = Self.presence(count, &bits) else { return nil }
            guard present.contains(true) else {
                result[channel] = Array(repeating: .absent, count: count)
                continue
            }
            var rule = usable(channel, known).map { Rule(rule: $0, rounding: .nearest) }
            if rule != nil, bits.take(1) == 0 { rule = nil }
            if rule != nil { rule?.rounding = LeadRule.Rounding(rawValue: bits.take(2)) ?? .nearest }
            guard
                let lead = lead(
                    channel, present, rule, known, rule == nil ? references(for: channel, earlier, known) : [], &model,
                    &coder, &bits)
            else { return nil }
            if rule == nil, !lead.isConstant { earlier.append(channel) }
            known[channel] = lead.codes
            guard let samples = samples(lead.codes, present, channel) else { return nil }
            result[channel] = samples
        }
        return bits.isExhausted ? nil : result
    }

    private static func presence(_ count: Int, _ bits: inout BitReader) -> [Bool]? {
        guard bits.take(1) == 1 else { return Array(repeating: true, count: count) }
        var result: [Bool] = []
        var isPresent = true
        while result.count < count {
            let run = bits.takeGamma()
            guard run <= UInt64(count - result.count), run > 0 || result.isEmpty && isPresent else { return nil }
            result += repeatElement(isPresent, count: Int(run))
            isPresent.toggle()
        }
        return result
    }

    private func lead(
        _ channel: Int, _ present: [Bool], _ rule: Rule?, _ known: Known, _ references: [[Int32]],
        _ model: inout ResidualModel, _ coder: inout RangeDecoder, _ bits: inout BitReader
    ) -> (codes: [Int32], isConstant: Bool)? {
        let padding = LeadPredictor.padding
        guard let first = Int32(exactly: ZigZag.decode(bits.takeGamma())) else { return nil }
        let isConstant = bits.take(1) == 1
        var lead = [Int32](repeating: first, count: padding + 1)
        lead.reserveCapacity(padding + present.count)
        var codes: [Int32] = []
        let (basis, other) = rule.map { (known[$0.rule.first] ?? [], known[$0.rule.second] ?? []) } ?? ([], [])
        if let rule {
            guard let value = Int32(exactly: Int64(first) + rule.predict(basis[padding], other[padding])) else {
                return nil
            }
            codes = [Int32](repeating: value, count: padding + 1)
            codes.reserveCapacity(padding + present.count)
        }
        var predictor: LeadPredictor?
        var size = ResidualSize(level: 0)
        let (one, two) = (references.first ?? [], references.last ?? [])
        if !isConstant {
            let terms = LeadPredictor.terms(references: references.count)
            let width = Int(bits.take(5))
            guard width <= terms.count else { return nil }
            let coefficients = (0..<width).map { _ in
                Int(max(-(1 << 20), min(1 << 20, ZigZag.decode(bits.takeRice(low: 11)))))
            }
            predictor = LeadPredictor(coefficients, terms: terms, shift: PredictorFit.shift)
            size = ResidualSize(level: Int(bits.take(7)))
        }
        for position in padding + 1..<padding + present.count {
            let expected = rule.map { $0.predict(basis[position], other[position]) } ?? 0
            var value: Int64
            if let predictor, present[position - padding] {
                value = predictor.predict(lead, one, two, at: position) &+ model.decode(&size, &coder, &bits)
            } else if predictor != nil {
                value = rule == nil ? Int64(lead[position - 1]) : Int64(codes[position - 1]) - expected
            } else {
                value = Int64(first)
            }
            guard let next = Int32(exactly: value) else { return nil }
            lead.append(next)
            if rule != nil {
                guard let code = Int32(exactly: Int64(next) + expected) else { return nil }
                codes.append(code)
            }
        }
        return (rule == nil ? lead : codes, isConstant)
    }

    private func samples(_ codes: [Int32], _ present: [Bool], _ channel: Int) -> [Sample]? {
        let map = stream.use[channel].map { stream.maps[$0] }
        var samples: [Sample] = []
        samples.reserveCapacity(present.count)
        for (offset, isPresent) in present.enumerated() {
            let code = codes[LeadPredictor.padding + offset]
            guard isPresent else {
                samples.append(.absent)
                continue
            }
            guard let sample = map == nil ? code : map?.value(code), sample != .absent else { return nil }
            samples.append(sample)
        }
        return samples
    }
}
