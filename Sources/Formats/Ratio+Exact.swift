import Clinical

/// Exact arithmetic; nil where 64 bits are not enough.
extension Ratio {
    /// In lowest terms.
    var reduced: Ratio {
        let divisor = Self.gcd(numerator.magnitude, denominator.magnitude)
        guard divisor > 1, let divisor = Int(exactly: divisor) else { return self }
        return Ratio(numerator / divisor, denominator / divisor)
    }

    func times(_ other: Ratio) -> Ratio? {
        // Cross-reduced first, so that the products stay as small as they can be.
        let left = Ratio(numerator, other.denominator).reduced
        let right = Ratio(other.numerator, denominator).reduced
        let top = left.numerator.multipliedReportingOverflow(by: right.numerator)
        let bottom = left.denominator.multipliedReportingOverflow(by: right.denominator)
        return top.overflow || bottom.overflow ? nil : Ratio(top.partialValue, bottom.partialValue)
    }

    func divided(by other: Ratio) -> Ratio? {
        guard other.numerator != 0, other.numerator != .min else { return nil }
        let sign = other.numerator < 0 ? -1 : 1
        return times(Ratio(sign * other.denominator, sign * other.numerator))
    }

    func plus(_ other: Ratio) -> Ratio? {
        let divisor = Int(Self.gcd(denominator.magnitude, other.denominator.magnitude))
        let left = numerator.multipliedReportingOverflow(by: other.denominator / divisor)
        let right = other.numerator.multipliedReportingOverflow(by: denominator / divisor)
        let bottom = denominator.multipliedReportingOverflow(by: other.denominator / divisor)
        guard !left.overflow, !right.overflow, !bottom.overflow else { return nil }
        let top = left.partialValue.addingReportingOverflow(right.partialValue)
        return top.overflow ? nil : Ratio(top.partialValue, bottom.partialValue).reduced
    }

    func minus(_ other: Ratio) -> Ratio? {
        other.numerator == .min ? nil : plus(Ratio(-other.numerator, other.denominator))
    }

    /// The integer that it is, if it is one.
    var integer: Int? {
        let lowest = reduced
        return lowest.denominator == 1 ? lowest.numerator : nil
    }

    /// The greatest step of which both are whole multiples.
    func commonStep(with other: Ratio) -> Ratio? {
        let divisor = Int(Self.gcd(denominator.magnitude, other.denominator.magnitude))
        let left = numerator.multipliedReportingOverflow(by: other.denominator / divisor)
        let right = other.numerator.multipliedReportingOverflow(by: denominator / divisor)
        let bottom = denominator.multipliedReportingOverflow(by: other.denominator / divisor)
        guard !left.overflow, !right.overflow, !bottom.overflow,
            let top = Int(exactly: Self.gcd(left.partialValue.magnitude, right.partialValue.magnitude))
        else { return nil }
        return Ratio(top, bottom.partialValue).reduced
    }

    static func gcd(_ first: UInt, _ second: UInt) -> UInt {
        var (first, second) = (first, second)
        while second != 0 { (first, second) = (second, first % second) }
        return first
    }
}

/// Decimal text, as DICOM's DS and EDF's numeric fields have it.
extension Ratio {
    /// Exactly what the text says: sign, digits, point, exponent; surrounding spaces are ignored. Nil for anything else,
    /// and for numbers of more than 18 digits.
    init?(decimal text: some StringProtocol) {
        var rest = Array(text.utf8)[...]
        while rest.first == 0x20 { rest.removeFirst() }
        while let last = rest.last, last == 0x20 || last == 0 { rest.removeLast() }
        var negative = false
        if rest.first == UInt8(ascii: "-") || rest.first == UInt8(ascii: "+") {
            negative = rest.removeFirst() == UInt8(ascii: "-")
        }
        var value = 0
        var (digits, significant, places) = (0, 0, 0)
        var afterPoint = false
        while let byte = rest.first, byte != UInt8(ascii: "e"), byte != UInt8(ascii: "E") {
            rest.removeFirst()
            if byte == UInt8(ascii: "."), !afterPoint {
                afterPoint = true
                continue
            }
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
            digits += 1
            if afterPoint { places += 1 }
            if value != 0 || byte != UInt8(ascii: "0") { significant += 1 }
            guard significant <= 18, places <= 32 else { return nil }
            value = value * 10 + Int(byte - UInt8(ascii: "0"))
        }
        guard digits > 0 else { return nil }
        var exponent = 0
        if !rest.isEmpty {
            rest.removeFirst()
            guard rest.count <= 4, let parsed = Int(String(decoding: rest, as: UTF8.self)) else { return nil }
            exponent = parsed
        }
        exponent -= places
        while exponent < 0, value != 0, value % 10 == 0 {
            value /= 10
            exponent += 1
        }
        if value == 0 { exponent = 0 }
        guard let power = Self.powerOfTen(abs(exponent)) else { return nil }
        let signed = negative ? -value : value
        if exponent < 0 {
            self = Ratio(signed, power).reduced
        } else {
            let product = signed.multipliedReportingOverflow(by: power)
            guard !product.overflow else { return nil }
            self.init(product.partialValue)
        }
    }

    /// Plain decimal notation without an exponent; nil unless it is exact within `width` characters.
    func decimal(width: Int) -> String? {
        let lowest = reduced
        var rest = lowest.denominator
        var (twos, fives) = (0, 0)
        while rest % 2 == 0 { (rest, twos) = (rest / 2, twos + 1) }
        while rest % 5 == 0 { (rest, fives) = (rest / 5, fives + 1) }
        let places = Swift.max(twos, fives)
        guard rest == 1, let power = Self.powerOfTen(places) else { return nil }
        let scaled = lowest.numerator.multipliedReportingOverflow(by: power / lowest.denominator)
        guard !scaled.overflow else { return nil }
        var digits = String(scaled.partialValue.magnitude)
        if places > 0 {
            digits = String(repeating: "0", count: Swift.max(0, places + 1 - digits.count)) + digits
            digits = "\(digits.dropLast(places)).\(digits.suffix(places))"
        }
        let text = (scaled.partialValue < 0 ? "-" : "") + digits
        return text.utf8.count <= width ? text : nil
    }

    static func powerOfTen(_ exponent: Int) -> Int? {
        guard (0...18).contains(exponent) else { return nil }
        return (0..<exponent).reduce(1) { power, _ in power * 10 }
    }
}
