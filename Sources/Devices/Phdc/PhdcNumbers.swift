import Clinical

/// A FLOAT-Type or SFLOAT-Type: a decimal mantissa and exponent, or one of the special values (phdc.md 3.2). Kept as
/// decimals, because the exponent is the resolution that the device states.
struct PhdcNumber: Sendable, Equatable, CustomStringConvertible {
    enum Special: String, Sendable {
        case nan = "NaN"
        case notAtThisResolution = "NRes"
        case positiveInfinity = "+INFINITY"
        case negativeInfinity = "-INFINITY"
        case reserved = "reserved"
    }

    var mantissa: Int
    var exponent: Int
    /// Special patterns count as such with exponent 0 only.
    var special: Special?
    /// The mantissa is one of the special ones, with another exponent: some devices mean the special value.
    var isSuspicious = false

    init(mantissa: Int, exponent: Int) {
        self.mantissa = mantissa
        self.exponent = exponent
    }

    init(float bits: UInt32) {
        self.init(
            mantissa: Int(Int32(bitPattern: bits << 8) >> 8), exponent: Int(Int8(truncatingIfNeeded: bits >> 24)))
        find(special: bits & 0x00FF_FFFF, largest: 0x7F_FFFF)
    }

    init(sfloat bits: UInt16) {
        self.init(
            mantissa: Int(Int16(bitPattern: bits << 4) >> 4), exponent: Int(Int16(bitPattern: bits) >> 12))
        find(special: UInt32(bits & 0x0FFF), largest: 0x7FF)
    }

    private mutating func find(special bits: UInt32, largest: UInt32) {
        let meaning: Special
        switch bits {
        case largest: meaning = .nan
        case largest + 1: meaning = .notAtThisResolution
        case largest - 1: meaning = .positiveInfinity
        case largest + 3: meaning = .negativeInfinity
        case largest + 2: meaning = .reserved
        default: return
        }
        if exponent == 0 { special = meaning } else { isSuspicious = true }
    }

    /// Exactly mantissa × 10^exponent, not reduced: the denominator keeps the stated resolution. Nil for a special value,
    /// and when 64 bits are not enough.
    var ratio: Ratio? {
        guard special == nil else { return nil }
        guard let power = Self.power(exponent.magnitude) else { return mantissa == 0 ? Ratio(0) : nil }
        guard exponent > 0 else { return Ratio(mantissa, power) }
        let (product, overflow) = mantissa.multipliedReportingOverflow(by: power)
        return overflow ? nil : Ratio(product)
    }

    /// With as many decimals as the device states.
    var description: String {
        if let special { return special.rawValue }
        guard exponent < 0, exponent >= -18 else { return exponent == 0 ? "\(mantissa)" : "\(mantissa)e\(exponent)" }
        var digits = "\(mantissa.magnitude)"
        let places = -exponent
        if digits.utf8.count <= places {
            digits = String(repeating: "0", count: places + 1 - digits.utf8.count) + digits
        }
        return (mantissa < 0 ? "-" : "") + digits.dropLast(places) + "." + digits.suffix(places)
    }

    private static func power(_ exponent: UInt) -> Int? {
        guard exponent <= 18 else { return nil }
        return (0..<exponent).reduce(1) { power, _ in power * 10 }
    }

    // MARK: What a device says

    var float: UInt32 { UInt32(truncatingIfNeeded: exponent) << 24 | UInt32(truncatingIfNeeded: mantissa) & 0xFF_FFFF }
    var sfloat: UInt16 { UInt16(truncatingIfNeeded: exponent) << 12 | UInt16(truncatingIfNeeded: mantissa) & 0xFFF }
}

/// The time types of ISO/IEEE 11073-20601 (phdc.md 3.3).
enum PhdcClock {
    /// A relative time that the device does not have.
    static let unsupported: UInt32 = 0xFFFF_FFFF
    /// Relative time: ticks of 125 µs.
    static let ticksPerSecond = 8000

    /// Eight BCD bytes: century, year, month, day, hour, minute, second, hundredths. Nil when a nibble is no digit or it
    /// names no date; an all-zero stamp is "none".
    static func absolute(_ raw: some Sequence<UInt8>) -> LocalTime? {
        let digits = raw.map { byte in byte >> 4 < 10 && byte & 15 < 10 ? Int(byte >> 4) * 10 + Int(byte & 15) : -1 }
        guard digits.count == 8, !digits.contains(-1) else { return nil }
        return LocalTime(
            year: digits[0] * 100 + digits[1], month: digits[2], day: digits[3], hour: digits[4], minute: digits[5],
            second: digits[6])
    }

    static func absolute(from time: LocalTime, hundredths: Int = 0) -> [UInt8] {
        [
            time.year / 100, time.year % 100, time.month, time.day, time.hour, time.minute, time.second, hundredths,
        ].map { UInt8(($0 / 10 % 10) << 4 | $0 % 10) }
    }

    /// Base-offset time, 8 bytes: seconds since 1900 in UTC, a fraction, and the minutes to local time.
    static func baseOffset(_ raw: [UInt8]) -> LocalTime? {
        guard raw.count == 8 else { return nil }
        let seconds = raw[..<4].reduce(0) { $0 << 8 | Int($1) }
        let minutes = Int(Int16(bitPattern: UInt16(raw[6]) << 8 | UInt16(raw[7])))
        guard seconds != 0, abs(minutes) <= 24 * 60 else { return nil }
        // From 1900 to 1970 there are 25567 days.
        return LocalTime(civilSeconds: seconds - 25567 * 86_400 + minutes * 60)
    }

    /// For notes and `rawTime`: `20 07 02 01 12 05 00 00`.
    static func text(_ raw: some Sequence<UInt8>) -> String { phdcHexadecimal(raw) }
}

extension LocalTime {
    /// Nil outside the years that a `LocalTime` can name.
    func adding(seconds: Int) -> LocalTime? {
        let (sum, overflow) = civilSeconds.addingReportingOverflow(seconds)
        return overflow ? nil : LocalTime(civilSeconds: sum)
    }
}

/// `7D 81 A6`
func phdcHexadecimal(_ bytes: some Sequence<UInt8>) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16, uppercase: true) }.joined(separator: " ")
}

/// `0A4C`
func phdcHexadecimal(_ value: UInt16) -> String {
    let digits = String(value, radix: 16, uppercase: true)
    return String(repeating: "0", count: 4 - digits.utf8.count) + digits
}
