/// A moment, to the millisecond: FHIR `instant`, and HTTP dates. Independent of any calendar library, since it decides cursors.
public struct Instant: Hashable, Comparable, Sendable, Codable, CustomStringConvertible {
    /// Unix time in milliseconds.
    public var milliseconds: Int64

    public init(milliseconds: Int64) { self.milliseconds = milliseconds }

    /// RFC 3339 with a zone: `2026-11-22T23:05:09.123+01:00`. Digits beyond the millisecond are cut; a leap second counts as :59.
    public init?(_ text: String) {
        let bytes = Array(text.utf8)
        guard (20...40).contains(bytes.count), bytes[4] == 0x2D, bytes[7] == 0x2D, bytes[10] | 0x20 == 0x74,
            bytes[13] == 0x3A, bytes[16] == 0x3A,
            let year = Self.number(bytes[0..<4]), let month = Self.number(bytes[5..<7]),
            let day = Self.number(bytes[8..<10]), let hour = Self.number(bytes[11..<13]),
            let minute = Self.number(bytes[14..<16]), let second = Self.number(bytes[17..<19]),
            let start = Self.seconds(year, month, day, hour, minute, second)
        else { return nil }
        var at = 19
        var fraction = 0
        if bytes[at] == 0x2E {
            var digits = 0
            at += 1
            while at < bytes.count, let digit = Self.number(bytes[at..<at + 1]) {
                if digits < 3 { fraction = fraction * 10 + digit }
                digits += 1
                at += 1
            }
            guard digits > 0 else { return nil }
            while digits < 3 {
                fraction *= 10
                digits += 1
            }
        }
        guard at < bytes.count else { return nil }
        var offset: Int64 = 0
        switch bytes[at] {
        case 0x5A, 0x7A:
            guard at + 1 == bytes.count else { return nil }
        case 0x2B, 0x2D:
            guard bytes.count == at + 6, bytes[at + 3] == 0x3A, let hours = Self.number(bytes[at + 1..<at + 3]),
                let minutes = Self.number(bytes[at + 4..<at + 6]), hours <= 14, minutes < 60
            else { return nil }
            offset = Int64(hours * 3600 + minutes * 60) * (bytes[at] == 0x2B ? 1 : -1)
        default: return nil
        }
        milliseconds = (start - offset) * 1000 + Int64(fraction)
    }

    /// An HTTP date in the one form that servers may send (RFC 9110 section 5.6.7): `Sun, 22 Nov 2026 22:05:09 GMT`.
    public init?(httpDate text: String) {
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        let parts = text.split(separator: " ")
        guard text.utf8.count == 29, parts.count == 6, parts[5] == "GMT",
            let day = Self.number(Array(parts[1].utf8)[...]),
            let month = months.firstIndex(of: String(parts[2])), let year = Self.number(Array(parts[3].utf8)[...])
        else { return nil }
        let clock = parts[4].utf8.split(separator: 0x3A).map { Self.number(Array($0)[...]) }
        guard clock.count == 3, let hour = clock[0], let minute = clock[1], let second = clock[2],
            let seconds = Self.seconds(year, month + 1, day, hour, minute, second)
        else { return nil }
        milliseconds = seconds * 1000
    }

    public static func < (left: Self, right: Self) -> Bool { left.milliseconds < right.milliseconds }

    public func advanced(bySeconds seconds: Int64) -> Self { Self(milliseconds: milliseconds + seconds * 1000) }

    /// UTC with milliseconds: `2026-11-22T22:05:09.123Z`.
    public var description: String {
        let (seconds, fraction) = Self.divide(milliseconds, 1000)
        let (days, rest) = Self.divide(seconds, 86400)
        // Civil from days: the proleptic Gregorian calendar in 400-year eras that begin on 1 March.
        let (era, dayOfEra) = Self.divide(days + 719_468, 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shifted = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * shifted + 2) / 5 + 1
        let month = shifted < 10 ? shifted + 3 : shifted - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        return Self.padded(year, 4) + "-" + Self.padded(month, 2) + "-" + Self.padded(day, 2) + "T"
            + Self.padded(rest / 3600, 2) + ":" + Self.padded(rest / 60 % 60, 2) + ":" + Self.padded(rest % 60, 2) + "."
            + Self.padded(fraction, 3) + "Z"
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let value = Self(try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not an instant")
        }
        self = value
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }

    private static func seconds(
        _ year: Int, _ month: Int, _ day: Int, _ hour: Int, _ minute: Int, _ second: Int
    ) -> Int64? {
        guard (1...9999).contains(year), (1...12).contains(month), day >= 1, hour <= 23, minute <= 59, second <= 60
        else { return nil }
        let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0
        let lengths = [31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        guard day <= lengths[month - 1] else { return nil }
        let shiftedYear = month <= 2 ? year - 1 : year
        let (era, yearOfEra) = divide(Int64(shiftedYear), 400)
        let dayOfYear = Int64((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1)
        let days = era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
        return days * 86400 + Int64(hour * 3600 + minute * 60 + min(second, 59))
    }

    /// Division that rounds towards minus infinity, and a remainder that is never negative.
    private static func divide(_ value: Int64, _ by: Int64) -> (Int64, Int64) {
        let (quotient, remainder) = value.quotientAndRemainder(dividingBy: by)
        return remainder < 0 ? (quotient - 1, remainder + by) : (quotient, remainder)
    }

    private static func number(_ digits: ArraySlice<UInt8>) -> Int? {
        guard !digits.isEmpty, digits.count <= 4 else { return nil }
        var value = 0
        for digit in digits {
            guard (0x30...0x39).contains(digit) else { return nil }
            value = value * 10 + Int(digit - 0x30)
        }
        return value
    }

    private static func padded(_ value: Int64, _ width: Int) -> String {
        let text = String(value)
        return String(repeating: "0", count: max(0, width - text.utf8.count)) + text
    }
}
