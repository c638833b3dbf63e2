import Clinical

/// The texts of an EDF header: printable ASCII only (formats.md 3.1).
enum EDFText {
    static let months = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]

    /// Accents removed, anything else that isn't printable ASCII becomes `?`.
    static func folded(_ text: String) -> String {
        String(
            text.flatMap { character -> [Character] in
                if let plain = plainLetters[character] { return Array(plain) }
                if let byte = character.asciiValue { return (32...126).contains(byte) ? [character] : [" "] }
                // A letter with a mark that the table doesn't hold, decomposed: keep the letter.
                if let first = character.unicodeScalars.first, first.isASCII, first.properties.isAlphabetic {
                    return [Character(first)]
                }
                return ["?"]
            })
    }

    /// One EDF+ subfield: folded, spaces as `_`; `X` when there is nothing to say.
    static func subfield(_ text: String?) -> String {
        let words = folded(text ?? "").split(separator: " ")
        return words.isEmpty ? "X" : words.joined(separator: "_")
    }

    /// `DD-MMM-YYYY`, or `X`.
    static func date(year: Int, month: Int, day: Int) -> String {
        "\(two(day))-\(months[month - 1])-\(year)"
    }

    /// `1938-04-12` as `12-APR-1938`; anything else, also a date that doesn't exist, as `X`.
    static func birthDate(_ text: String?) -> String {
        let parts = (text ?? "").split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0].utf8.count == 4, parts[1].utf8.count == 2, parts[2].utf8.count == 2,
            let year = UInt(parts[0]).map({ Int($0) }), let month = UInt(parts[1]).map({ Int($0) }),
            let day = UInt(parts[2]).map({ Int($0) }), (1800...2099).contains(year), (1...12).contains(month),
            (1...31).contains(day), day <= 30 || ![4, 6, 9, 11].contains(month),
            month != 2 || day <= (isLeap(year) ? 29 : 28)
        else { return "X" }
        return date(year: year, month: month, day: day)
    }

    static func isLeap(_ year: Int) -> Bool { (year % 4 == 0 && year % 100 != 0) || year % 400 == 0 }

    static func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }

    /// Left-justified, space padded, cut.
    static func field(_ text: String, _ width: Int) -> [UInt8] {
        let bytes = Array(folded(text).utf8.prefix(width))
        return bytes + Array(repeating: 0x20, count: width - bytes.count)
    }

    /// Seconds with at most six decimals, no trailing zeros.
    static func seconds(_ value: Double) -> String {
        guard value.isFinite, abs(value) < 1e11 else { return "0" }
        let micros = Int((value * 1_000_000).rounded())
        return Ratio(micros, 1_000_000).decimal(width: 24) ?? "0"
    }

    private static let plainLetters: [Character: String] = {
        let table: [(String, String)] = [
            ("ÀÁÂÃÄÅĀĂĄ", "A"), ("àáâãäåāăą", "a"), ("ÇĆĈĊČ", "C"), ("çćĉċč", "c"), ("ĎĐÐ", "D"), ("ďđð", "d"),
            ("ÈÉÊËĒĔĖĘĚ", "E"), ("èéêëēĕėęě", "e"), ("ĜĞĠĢ", "G"), ("ĝğġģ", "g"), ("ĤĦ", "H"), ("ĥħ", "h"),
            ("ÌÍÎÏĨĪĬĮİ", "I"), ("ìíîïĩīĭįı", "i"), ("ĹĻĽŁ", "L"), ("ĺļľł", "l"), ("ÑŃŅŇ", "N"), ("ñńņň", "n"),
            ("ÒÓÔÕÖØŌŎŐ", "O"), ("òóôõöøōŏő", "o"), ("ŔŖŘ", "R"), ("ŕŗř", "r"), ("ŚŜŞŠȘ", "S"), ("śŝşšș", "s"),
            ("ŢŤŦȚ", "T"), ("ţťŧț", "t"), ("ÙÚÛÜŨŪŬŮŰŲ", "U"), ("ùúûüũūŭůűų", "u"), ("ÝŶŸ", "Y"), ("ýŷÿ", "y"),
            ("ŹŻŽ", "Z"), ("źżž", "z"), ("Œ", "OE"), ("œ", "oe"), ("Æ", "AE"), ("æ", "ae"), ("ß", "ss"),
            ("’‘", "'"), ("–—‑", "-"), ("\u{A0}", " "), ("µμ", "u"), ("°", "deg"),
        ]
        var letters: [Character: String] = [:]
        for (characters, plain) in table {
            for character in characters { letters[character] = plain }
        }
        return letters
    }()
}
