import Foundation

/// FHIR instants as milliseconds since 1970, UTC.
enum Instant {
    static func now() -> Int { Int((Date().timeIntervalSince1970 * 1000).rounded(.down)) }

    /// `2026-03-04T05:06:07.089Z`
    static func text(_ milliseconds: Int) -> String {
        let (days, rest) = divided(milliseconds, 86_400_000)
        let (year, month, day) = civil(days)
        func pad(_ value: Int, _ width: Int) -> String {
            let digits = String(value)
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        return "\(pad(year, 4))-\(pad(month, 2))-\(pad(day, 2))T\(pad(rest / 3_600_000, 2)):"
            + "\(pad(rest / 60_000 % 60, 2)):\(pad(rest / 1000 % 60, 2)).\(pad(rest % 1000, 3))Z"
    }

    /// Reads a date (its midnight, UTC) or a time with its offset. Fractions beyond milliseconds are cut.
    static func milliseconds(_ text: String) -> Int? {
        var rest = Array(text.utf8)[...]
        func number(_ width: Int) -> Int? {
            guard rest.count >= width else { return nil }
            var value = 0
            for byte in rest.prefix(width) {
                guard (0x30...0x39).contains(byte) else { return nil }
                value = value * 10 + Int(byte - 0x30)
            }
            rest = rest.dropFirst(width)
            return value
        }
        func mark(_ character: Character) -> Bool {
            guard let byte = rest.first, byte == character.asciiValue else { return false }
            rest = rest.dropFirst()
            return true
        }
        guard let year = number(4), mark("-"), let month = number(2), mark("-"), let day = number(2),
            (1...12).contains(month), (1...31).contains(day)
        else { return nil }
        let midnight = days(year, month, day) * 86_400_000
        if rest.isEmpty { return midnight }
        guard mark("T"), let hour = number(2), mark(":"), let minute = number(2), hour < 24, minute < 60 else {
            return nil
        }
        var second = 0
        var thousandths = 0
        if mark(":") {
            guard let value = number(2), value <= 60 else { return nil }
            second = value
            if mark(".") {
                var digits = 0
                while let byte = rest.first, (0x30...0x39).contains(byte) {
                    if digits < 3 { thousandths = thousandths * 10 + Int(byte - 0x30) }
                    digits += 1
                    rest = rest.dropFirst()
                }
                guard digits > 0 else { return nil }
                for _ in min(digits, 3)..<3 { thousandths *= 10 }
            }
        }
        let clock = ((hour * 60 + minute) * 60 + second) * 1000 + thousandths
        if mark("Z") { return rest.isEmpty ? midnight + clock : nil }
        // A '+' that was not percent-encoded in a query arrives as a space.
        let east = mark("+") || mark(" ")
        guard east || mark("-"), let hours = number(2), mark(":"), let minutes = number(2), rest.isEmpty else {
            return nil
        }
        return midnight + clock - (east ? 1 : -1) * (hours * 60 + minutes) * 60_000
    }

    private static func divided(_ value: Int, _ by: Int) -> (Int, Int) {
        let quotient = value >= 0 ? value / by : -((-value + by - 1) / by)
        return (quotient, value - quotient * by)
    }

    // Days since 1970 to year, month, day in the Gregorian calendar, and back (H. Hinnant, "chrono-compatible low-level
    // date algorithms").
    private static func civil(_ days: Int) -> (Int, Int, Int) {
        let shifted = days + 719_468
        let (era, ofEra) = divided(shifted, 146_097)
        let yearOfEra = (ofEra - ofEra / 1_460 + ofEra / 36_524 - ofEra / 146_096) / 365
        let ofYear = ofEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let index = (5 * ofYear + 2) / 153
        let month = index < 10 ? index + 3 : index - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, ofYear - (153 * index + 2) / 5 + 1)
    }

    private static func days(_ year: Int, _ month: Int, _ day: Int) -> Int {
        let shifted = month <= 2 ? year - 1 : year
        let (era, yearOfEra) = divided(shifted, 400)
        let ofYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + ofYear - 719_468
    }
}
