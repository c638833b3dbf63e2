import Clinical
import Wire

/// Sa-Specification (phdc.md 7.3).
struct PhdcArraySpecification: Sendable, Equatable {
    /// Samples in one update.
    var count: Int
    /// 8, 16 or 32.
    var bits: Int
    /// 255: the samples have a sign.
    var significant: Int
    var flags: UInt16

    /// Nil when the object has none, or one that means nothing.
    init?(_ object: PhdcObject) {
        guard let value = object.attributes[id: PhdcAttributeID.arraySpecification]?.value, value.count == 6 else {
            return nil
        }
        count = Int(value[0]) << 8 | Int(value[1])
        bits = Int(value[2])
        significant = Int(value[3])
        flags = UInt16(value[4]) << 8 | UInt16(value[5])
        guard [8, 16, 32].contains(bits), significant == 255 || (1...bits).contains(significant) else { return nil }
    }

    /// Bytes of one update.
    var bytes: Int { count * bits / 8 }
    var isSigned: Bool { significant == 255 }
    /// Flag 3: bits that are not significant carry something else.
    var width: Int { !isSigned && flags & 0x1000 != 0 ? significant : bits }

    /// What a sample can be.
    var range: ClosedRange<Int> { isSigned ? -1 << (bits - 1)...1 << (bits - 1) - 1 : 0...1 << width - 1 }

    /// Whole samples only; big-endian.
    func decode(_ raw: [UInt8]) -> [Int] {
        let size = bits / 8
        return (0..<raw.count / size).map { index in
            let bits = raw[index * size..<(index + 1) * size].reduce(0) { $0 << 8 | Int($1) }
            guard isSigned else { return bits & (1 << width - 1) }
            return bits >= 1 << (self.bits - 1) ? bits - 1 << self.bits : bits
        }
    }
}

/// A waveform object as a channel (phdc.md 11): `physical = M × x + B` becomes `sample × scale`, exactly. So is the number that a store
/// kept at equal distances (`PhdcWave+Trend`).
struct PhdcWave: Sendable, Equatable {
    var handle: UInt16
    var channel: Channel
    /// Ticks of 125 µs between two samples.
    var period: Int
    /// Nil for a number.
    var specification: PhdcArraySpecification?
    /// It is a number for each entry (`PhdcWave+Trend`), not a wave.
    var isTrend: Bool { specification == nil }
    /// Samples in one update.
    var count: Int { specification?.count ?? 1 }
    /// Slower than a sample in ten seconds is no waveform; beside a fast lead it would be filled up without end.
    static let periods = 1...10 * PhdcClock.ticksPerSecond
    private var factor = 1
    private var shift = 0
    /// What a sample can be, by the device's numbers.
    private var range: ClosedRange<Int>

    /// Nil when samples can't be placed in time or taken apart; they are then kept as bytes only.
    init?(_ object: PhdcObject) {
        guard object.kind == PhdcClass.array, let type = object.type,
            let specification = PhdcArraySpecification(object),
            let period = object.attributes[id: PhdcAttributeID.samplePeriod]?.u32.map({ Int($0) }),
            Self.periods ~= period
        else { return nil }
        handle = object.handle
        self.period = period
        self.specification = specification
        let lead = PhdcNomenclature.lead(type)
        let isPlethysmogram = type == PhdcNomenclature.plethysmogram
        var unit = PhdcNomenclature.unit(object.unit)
        var exact: (scale: Ratio, factor: Int, shift: Int)?
        if let gain = PhdcScale(object).flatMap({ $0.gain }), let scale = PhdcScale(object) {
            // ECG is kept in µV, whatever the device calls it.
            let microvolts = lead == nil ? nil : ["V": 1_000_000, "mV": 1000][unit]
            if let step = microvolts.map({ gain.times(Ratio($0)) }) ?? gain {
                exact = Self.steps(scale, gain).map { (step, $0.denominator, $0.numerator) }
            }
            if exact != nil, microvolts != nil { unit = "uV" }
        }
        // Of 32 bits the scale says which are meant: as a whole they are more than a sample can be, and one of them is none at all.
        let whole = -Int(Sample.max)...Int(Sample.max)
        let scaled = PhdcScale(object).flatMap {
            $0.lowerScaled < $0.upperScaled ? $0.lowerScaled...$0.upperScaled : nil
        }
        let range =
            specification.bits < 32 ? specification.range : (scaled ?? specification.range).clamped(to: whole)
        self.range = range
        var step = Ratio(1)
        if let found = exact, let fine = found.scale.times(Ratio(1, found.factor)),
            Self.fits(range.lowerBound, found.factor, found.shift),
            Self.fits(range.upperBound, found.factor, found.shift)
        {
            (factor, shift, step) = (found.factor, found.shift, fine)
        } else {
            // Not calibrated: the device's own numbers, and no unit that would make them look like more.
            exact = nil
            unit = "1"
            guard Self.fits(range.lowerBound, 1, 0), Self.fits(range.upperBound, 1, 0) else { return nil }
        }
        let low = range.lowerBound * factor + shift
        let high = range.upperBound * factor + shift
        channel = Channel(
            signal: lead?.signal ?? (isPlethysmogram ? .plethysmogram : .other),
            name: lead?.name ?? (isPlethysmogram ? "Pleth" : "\(type)"), unit: unit,
            rate: Ratio(PhdcClock.ticksPerSecond, self.period).lowest, scale: step,
            range: Sample(low)...Sample(high), calibration: exact == nil ? .unverified : .singleSource)
    }

    /// Of an array's update.
    func samples(_ raw: [UInt8]) -> [Sample] {
        (specification?.decode(raw) ?? []).map { value in
            range.contains(value) ? Sample(exactly: value * factor + shift) ?? .absent : .absent
        }
    }

    /// For what comes without a specification: a sample is `channel.scale`, as it is.
    init(handle: UInt16, period: Int, channel: Channel) {
        self.handle = handle
        self.period = period
        self.channel = channel
        range = Int(channel.range.lowerBound)...Int(channel.range.upperBound)
    }

    /// `B / M`, as the number of steps to add to a sample.
    private static func steps(_ scale: PhdcScale, _ gain: Ratio) -> Ratio? {
        guard let lower = scale.lower.ratio, let steps = lower.times(Ratio(gain.denominator, 1)),
            gain.numerator > 0, let quotient = steps.times(Ratio(1, gain.numerator)),
            let product = quotient.denominator.checked(times: scale.lowerScaled)
        else { return nil }
        let (sum, overflow) = quotient.numerator.subtractingReportingOverflow(product)
        return overflow ? nil : Ratio(sum, quotient.denominator).lowest
    }

    private static func fits(_ value: Int, _ factor: Int, _ shift: Int) -> Bool {
        guard let product = value.checked(times: factor) else { return false }
        let (sum, overflow) = product.addingReportingOverflow(shift)
        return !overflow && sum > Int(Sample.absent) && sum <= Int(Sample.max)
    }
}

/// Scale-and-Range-Specification (phdc.md 7.3): two points of a straight line.
struct PhdcScale: Sendable, Equatable {
    var lower: PhdcNumber
    var upper: PhdcNumber
    var lowerScaled: Int
    var upperScaled: Int

    init?(_ object: PhdcObject) {
        let found = [(PhdcAttributeID.scale8, 8), (PhdcAttributeID.scale16, 16), (PhdcAttributeID.scale32, 32)]
            .compactMap { id, bits in object.attributes[id: id].map { ($0.value, bits) } }.first
        guard let (value, bits) = found, value.count == 8 + 2 * bits / 8 else { return nil }
        let isSigned = PhdcArraySpecification(object)?.isSigned ?? true
        func number(_ range: Range<Int>) -> Int { value[range].reduce(0) { $0 << 8 | Int($1) } }
        func scaled(_ range: Range<Int>) -> Int {
            let bare = number(range)
            return isSigned && bare >= 1 << (bits - 1) ? bare - 1 << bits : bare
        }
        lower = PhdcNumber(float: UInt32(number(0..<4)))
        upper = PhdcNumber(float: UInt32(number(4..<8)))
        lowerScaled = scaled(8..<8 + bits / 8)
        upperScaled = scaled(8 + bits / 8..<8 + bits / 4)
    }

    /// Units per step; nil when the two points are one, the line falls, or 64 bits are not enough.
    var gain: Ratio? {
        guard upperScaled > lowerScaled, let low = lower.ratio, let high = upper.ratio,
            let left = high.numerator.checked(times: low.denominator),
            let right = low.numerator.checked(times: high.denominator),
            let bottom = high.denominator.checked(times: low.denominator)
        else { return nil }
        let (difference, overflow) = left.subtractingReportingOverflow(right)
        guard !overflow, difference > 0 else { return nil }
        return Ratio(difference, bottom).lowest.times(Ratio(1, upperScaled - lowerScaled))
    }
}

extension Int {
    fileprivate func checked(times other: Int) -> Int? {
        let (product, overflow) = multipliedReportingOverflow(by: other)
        return overflow ? nil : product
    }
}

/// Exact; nil where 64 bits are not enough.
extension Ratio {
    var lowest: Ratio {
        var (first, second) = (numerator.magnitude, denominator.magnitude)
        while second != 0 { (first, second) = (second, first % second) }
        guard first > 1, let divisor = Int(exactly: first) else { return self }
        return Ratio(numerator / divisor, denominator / divisor)
    }

    fileprivate func times(_ other: Ratio) -> Ratio? {
        let left = Ratio(numerator, other.denominator).lowest
        let right = Ratio(other.numerator, denominator).lowest
        guard let top = left.numerator.checked(times: right.numerator),
            let bottom = left.denominator.checked(times: right.denominator)
        else { return nil }
        return Ratio(top, bottom)
    }
}
