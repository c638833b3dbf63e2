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
        let steps = offset.divided(by: gain)?.reduced
        if let steps, let fine = gain.divided(by: Ratio(steps.denominator)),
            let low = Self.apply(steps, digital.lowerBound),
            let high = Self.apply(steps, digital.upperBound), Self.fits(low), Self.fits(high)
        {
            factor = steps.denominator
            shift = steps.numerator
            scale = fine.reduced
            return
        }
        isExact = false
        let distance = steps?.value ?? offset.value / gain.value
        // Limits rounded to 8 characters leave an offset with a huge denominator: as fine a step as 32 bits allow.
        for divisor in [10_000, 1000, 100, 10, 1] {
            guard let fine = gain.divided(by: Ratio(divisor)),
                let nearest = Int(exactly: (distance * Double(divisor)).rounded()),
                let low = Self.apply(Ratio(nearest, divisor), digital.lowerBound),
                let high = Self.apply(Ratio(nearest, divisor), digital.upperBound),
                // At last, rather a few values that have no room (they come out absent) than all without their offset.
                divisor == 1 || (Self.fits(low) && Self.fits(high))
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
        func clamped(_ digital: Int) -> Sample {
            Swift.max(
                Sample(clamping: Self.apply(Ratio(shift, factor), digital) ?? (digital < 0 ? .min : .max)), .absent + 1)
        }
        let low = clamped(digital.lowerBound)
        return low...Swift.max(low, clamped(digital.upperBound))
    }

    private static func apply(_ steps: Ratio, _ digital: Int) -> Int? {
        let product = digital.multipliedReportingOverflow(by: steps.denominator)
        let sum = product.partialValue.addingReportingOverflow(steps.numerator)
        return product.overflow || sum.overflow ? nil : sum.partialValue
    }

    private static func fits(_ value: Int) -> Bool { value > Int(Sample.absent) && value <= Int(Sample.max) }
}
