import Clinical

/// Turns a file's `physical = digital × gain + offset` into our `physical = sample × scale` without rounding: the samples
/// become `digital × factor + shift`. A signal that is stored upside down (a negative gain) is turned round, so that every scale
/// is positive.
struct Calibrated: Equatable {
    private var factor = 1
    private var shift = 0
    /// Lowest bits that are rounded away, where the values have no room in a sample otherwise.
    private var dropped = 0
    var scale: Ratio
    /// False when the offset could not be expressed, or not every bit of the values has room: see `rounding`.
    var isExact = true

    /// - Parameters:
    ///   - gain: units per digital step; not 0.
    ///   - offset: physical value of digital 0.
    ///   - digital: the digital values that can occur.
    init(gain: Ratio, offset: Ratio, digital: ClosedRange<Int>) {
        let gain = gain.reduced
        let isTurned = gain.numerator < 0
        let sign = isTurned ? -1 : 1
        // `Int.min` has no opposite; no file can mean it.
        let step = isTurned ? Ratio(gain.numerator == .min ? .max : -gain.numerator, gain.denominator) : gain
        scale = step
        factor = sign
        if offset.numerator == 0, fits(digital) { return }
        let steps = offset.divided(by: step)?.reduced
        if let steps, let fine = step.divided(by: Ratio(steps.denominator)) {
            (factor, shift) = (sign * steps.denominator, steps.numerator)
            if fits(digital) {
                scale = fine.reduced
                return
            }
        }
        isExact = false
        let distance = steps?.value ?? offset.value / step.value
        // Limits rounded to 8 characters leave an offset with a huge denominator: as fine a step as 32 bits allow.
        for divisor in [10_000, 1000, 100, 10, 1] {
            guard let fine = step.divided(by: Ratio(divisor)),
                let nearest = Int(exactly: (distance * Double(divisor)).rounded())
            else { continue }
            (factor, shift, scale) = (sign * divisor, nearest, fine.reduced)
            if fits(digital) { return }
        }
        // 32-bit values with a baseline: as few of the lowest bits as possible.
        (factor, shift) = (sign, Int(exactly: distance.rounded()) ?? 0)
        for bits in 0...32 {
            guard let coarse = step.times(Ratio(1 << bits)) else { break }
            (dropped, scale) = (bits, coarse.reduced)
            if fits(digital) { return }
        }
        // Rather a few values that have no room (they come out absent) than all without their offset.
        (dropped, scale) = (0, step)
    }

    /// How far from the truth the values are, for a note: `rounded to 1/100 of a step`.
    var rounding: String {
        dropped > 0 ? "rounded to \(1 << dropped) steps" : "rounded to 1/\(abs(factor)) of a step"
    }

    /// Absent when it doesn't fit in a sample.
    func sample(_ digital: Int) -> Sample { value(digital).flatMap { Sample(exactly: $0) } ?? .absent }

    /// The samples that a range of digital values leads to; never contains `absent`.
    func range(_ digital: ClosedRange<Int>) -> ClosedRange<Sample> {
        let ends = [digital.lowerBound, digital.upperBound].map { end in
            Swift.max(Sample(clamping: value(end) ?? ((end < 0) == (factor < 0) ? .max : .min)), .absent + 1)
        }
        return Swift.min(ends[0], ends[1])...Swift.max(ends[0], ends[1])
    }

    private func value(_ digital: Int) -> Int? {
        let product = digital.multipliedReportingOverflow(by: factor)
        let sum = product.partialValue.addingReportingOverflow(shift)
        guard !product.overflow, !sum.overflow else { return nil }
        guard dropped > 0 else { return sum.partialValue }
        let rounded = sum.partialValue.addingReportingOverflow(1 << (dropped - 1))
        return rounded.overflow ? nil : rounded.partialValue >> dropped
    }

    private func fits(_ digital: ClosedRange<Int>) -> Bool {
        [digital.lowerBound, digital.upperBound].allSatisfy { end in
            value(end).map { $0 > Int(Sample.absent) && $0 <= Int(Sample.max) } ?? false
        }
    }
}
