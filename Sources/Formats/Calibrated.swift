import Clinical

/// Turns a file's `physical = digital × gain + offset` into our `physical = sample × scale` without rounding: the samples
/// become `digital × factor + shift`.
struct Calibrated: Equatable {
    var factor = 1
    var shift = 0
    var scale: Ratio
    /// False when the offset could not be expressed: then every physical value is off by at most half of `scale`.
    var isExact = true

    /// - Parameters:
    ///   - gain: units per digital step; not 0.
    ///   - offset: physical value of digital 0.
    ///   - digital: the digital values that can occur.
    init(gain: Ratio, offset: Ratio, digital: ClosedRange<Int>) {
        scale = gain.reduced
        guard offset.numerator != 0 else { return }
        guard let steps = offset.divided(by: gain)?.reduced else {
            isExact = false
            return
        }
        if let fine = gain.divided(by: Ratio(steps.denominator)), let low = Self.apply(steps, digital.lowerBound),
            let high = Self.apply(steps, digital.upperBound), Self.fits(low), Self.fits(high)
        {
            factor = steps.denominator
            shift = steps.numerator
            scale = fine.reduced
            return
        }
        isExact = false
        // Limits rounded to 8 characters leave an offset with a huge denominator: as fine a step as 32 bits allow.
        for divisor in [10_000, 1000, 100, 10, 1] {
            guard let fine = gain.divided(by: Ratio(divisor)),
                let nearest = Int(exactly: (steps.value * Double(divisor)).rounded()),
                let low = Self.apply(Ratio(nearest, divisor), digital.lowerBound),
                let high = Self.apply(Ratio(nearest, divisor), digital.upperBound), Self.fits(low), Self.fits(high)
            else { continue }
            factor = divisor
            shift = nearest
            scale = fine.reduced
            return
        }
    }

    /// Absent when it doesn't fit in a sample.
    func sample(_ digital: Int) -> Sample {
        let product = digital.multipliedReportingOverflow(by: factor)
        let sum = product.partialValue.addingReportingOverflow(shift)
        guard !product.overflow, !sum.overflow else { return .absent }
        return Sample(exactly: sum.partialValue) ?? .absent
    }

    /// The samples that a range of digital values leads to; never contains `absent`.
    func range(_ digital: ClosedRange<Int>) -> ClosedRange<Sample> {
        let (low, high) = (sample(digital.lowerBound), sample(digital.upperBound))
        return Swift.max(low, .absent + 1)...Swift.max(low, high, .absent + 1)
    }

    private static func apply(_ steps: Ratio, _ digital: Int) -> Int? {
        let product = digital.multipliedReportingOverflow(by: steps.denominator)
        let sum = product.partialValue.addingReportingOverflow(steps.numerator)
        return product.overflow || sum.overflow ? nil : sum.partialValue
    }

    private static func fits(_ value: Int) -> Bool { value > Int(Sample.absent) && value <= Int(Sample.max) }
}
