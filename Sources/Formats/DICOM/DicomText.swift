/// Text of a DICOM element, decoded by its declared character set (PS3.3 C.12.1.1.2), or by what its bytes show where the
/// declaration is missing or wrong: both are common on old sticks.
public enum DicomText {
    /// Stands for what can't be shown: a character of a set with thousands of characters, whose tables are not carried here.
    /// The bytes stay in the file.
    static let unknown: Unicode.Scalar = "\u{FFFD}"

    /// - Parameters:
    ///   - bytes: without padding.
    ///   - sets: the values of Specific Character Set (0008,0005); empty when the file has none.
    public static func decode(_ bytes: some Collection<UInt8>, sets: [String]) -> String {
        if bytes.allSatisfy({ $0 < 0x80 && $0 != 0x1B }) { return String(decoding: bytes, as: Unicode.ASCII.self) }
        let first = sets.first ?? ""
        // Valid UTF-8 with letters beyond ASCII is hardly ever anything else, whatever the file says. Except where every
        // letter is two bytes anyway.
        let isMultibyte = ["GB18030", "GBK"].contains(first) || sets.count > 1
        if !isMultibyte, !bytes.contains(0x1B), let text = String(validating: Array(bytes), as: UTF8.self) {
            return text
        }
        switch first {
        case "GB18030", "GBK": return chinese(bytes)
        default: return switched(bytes, initial: SingleByteSet(term: first))
        }
    }

    /// The first component group of a person's name that has letters, as a human would write it: `DUPONT Jeanne`.
    public static func personName(_ text: String) -> String? {
        for group in text.split(separator: "=", omittingEmptySubsequences: false) {
            let words = group.split(whereSeparator: { $0 == "^" || $0 == " " })
            if !words.isEmpty { return words.joined(separator: " ") }
        }
        return nil
    }

    /// Single bytes in the set that is in force; ISO 2022 escapes change it, a line's or a name component's end restores it.
    private static func switched(_ bytes: some Collection<UInt8>, initial: SingleByteSet) -> String {
        var text = String.UnicodeScalarView()
        var upper: SingleByteSet? = initial
        var lowerIsMultibyte = false
        var rest = bytes[...]
        while let byte = rest.first {
            rest = rest.dropFirst()
            if byte == 0x1B {
                guard let escape = Escape(rest.prefix(4)) else { continue }
                rest = rest.dropFirst(escape.length)
                switch escape.effect {
                case .lower(let isMultibyte): lowerIsMultibyte = isMultibyte
                case .upper(let set): upper = set
                }
                continue
            }
            if byte == 0x5E || byte == 0x3D || byte == 0x0D || byte == 0x0A, !lowerIsMultibyte { upper = initial }
            if byte < 0x80 {
                guard lowerIsMultibyte, byte > 0x20 else {
                    text.append(Unicode.Scalar(byte))
                    continue
                }
                rest = rest.dropFirst()
                text.append(unknown)
            } else if let upper {
                text.append(upper.scalar(byte))
            } else {
                if let second = rest.first, second >= 0x80 { rest = rest.dropFirst() }
                text.append(unknown)
            }
        }
        return String(text)
    }

    private static func chinese(_ bytes: some Collection<UInt8>) -> String {
        var text = String.UnicodeScalarView()
        var rest = bytes[...]
        while let byte = rest.first {
            rest = rest.dropFirst()
            guard byte >= 0x81 else {
                text.append(byte < 0x80 ? Unicode.Scalar(byte) : unknown)
                continue
            }
            // Two bytes, or four where the second is a digit.
            if let second = rest.first, (0x30...0x39).contains(second) {
                rest = rest.dropFirst(3)
            } else {
                rest = rest.dropFirst()
            }
            text.append(unknown)
        }
        return String(text)
    }

    /// What follows an ESC (PS3.3 table C.12-3 and C.12-4).
    private struct Escape {
        enum Effect {
            case lower(isMultibyte: Bool)
            /// Nil: a set of two-byte characters.
            case upper(SingleByteSet?)
        }

        var effect: Effect
        var length: Int

        init?(_ bytes: some Collection<UInt8>) {
            let text = String(decoding: bytes, as: UTF8.self)
            let table: [(String, Effect)] = [
                ("(B", .lower(isMultibyte: false)), ("(J", .lower(isMultibyte: false)),
                ("$(D", .lower(isMultibyte: true)), ("$B", .lower(isMultibyte: true)),
                ("$)C", .upper(nil)), ("$)A", .upper(nil)), (")I", .upper(.other)),
                ("-A", .upper(.latin1)), ("-B", .upper(.latin2)), ("-C", .upper(.other)), ("-D", .upper(.other)),
                ("-L", .upper(.cyrillic)), ("-G", .upper(.other)), ("-F", .upper(.greek)), ("-H", .upper(.other)),
                ("-M", .upper(.turkish)), ("-T", .upper(.other)), ("-b", .upper(.latin9)),
            ]
            guard let (letters, effect) = table.first(where: { text.hasPrefix($0.0) }) else { return nil }
            self.effect = effect
            length = letters.utf8.count
        }
    }
}

/// Sets of one byte per character that an echograph sold in Europe may use.
enum SingleByteSet {
    case latin1, latin2, latin9, cyrillic, greek, turkish
    /// Known by name, without a table here.
    case other

    /// - Parameter term: a defined term of Specific Character Set, spelled as vendors do: `ISO_IR 100`, `ISO 2022 IR 100`,
    ///   `ISO-IR 100`, `ISO_IR_100`. Nothing, or nonsense, is what Western vendors mean by it: Latin-1.
    init(term: String) {
        let digits = term.reversed().prefix { $0.isNumber }.reversed()
        self =
            switch String(digits) {
            case "101": .latin2
            case "203": .latin9
            case "144": .cyrillic
            case "126": .greek
            case "148": .turkish
            case "109", "110", "127", "138", "166", "13": .other
            default: .latin1
            }
    }

    func scalar(_ byte: UInt8) -> Unicode.Scalar {
        switch self {
        case .latin1: Self.western(byte)
        case .latin9: Self.latin9Changes[byte] ?? Self.western(byte)
        case .turkish: Self.turkishChanges[byte] ?? Self.western(byte)
        case .latin2: byte < 0xA0 ? DicomText.unknown : Self.latin2Table[Int(byte) - 0xA0]
        case .cyrillic: Self.cyrillicScalar(byte)
        case .greek: Self.greekScalar(byte)
        case .other: DicomText.unknown
        }
    }

    /// Latin-1; 80-9F as Windows means them, since that is where a stray `Œ` or `’` comes from.
    private static func western(_ byte: UInt8) -> Unicode.Scalar {
        (0x80...0x9F).contains(byte) ? windows[Int(byte) - 0x80] : Unicode.Scalar(byte)
    }

    private static let windows = Array(
        "€\u{FFFD}‚ƒ„…†‡ˆ‰Š‹Œ\u{FFFD}Ž\u{FFFD}\u{FFFD}‘’“”•–—˜™š›œ\u{FFFD}žŸ".unicodeScalars)
    private static let latin9Changes: [UInt8: Unicode.Scalar] = [
        0xA4: "€", 0xA6: "Š", 0xA8: "š", 0xB4: "Ž", 0xB8: "ž", 0xBC: "Œ", 0xBD: "œ", 0xBE: "Ÿ",
    ]
    private static let turkishChanges: [UInt8: Unicode.Scalar] = [
        0xD0: "Ğ", 0xDD: "İ", 0xDE: "Ş", 0xF0: "ğ", 0xFD: "ı", 0xFE: "ş",
    ]
    private static let latin2Table = Array(
        ("\u{A0}Ą˘Ł¤ĽŚ§¨ŠŞŤŹ\u{AD}ŽŻ°ą˛ł´ľśˇ¸šşťź˝žżŔÁÂĂÄĹĆÇČÉĘËĚÍÎĎĐŃŇÓÔŐÖ×ŘŮÚŰÜÝŢß"
            + "ŕáâăäĺćçčéęëěíîďđńňóôőö÷řůúűüýţ˙")
            .unicodeScalars)

    private static func cyrillicScalar(_ byte: UInt8) -> Unicode.Scalar {
        switch byte {
        case 0xA0, 0xAD: Unicode.Scalar(byte)
        case 0xF0: "№"
        case 0xFD: "§"
        case 0xA1...: Unicode.Scalar(0x0400 + UInt32(byte) - 0xA0) ?? DicomText.unknown
        default: DicomText.unknown
        }
    }

    private static func greekScalar(_ byte: UInt8) -> Unicode.Scalar {
        switch byte {
        case 0xA0, 0xA3, 0xA6...0xA9, 0xAB...0xAD, 0xB0...0xB3, 0xB7, 0xBB, 0xBD: Unicode.Scalar(byte)
        case 0xB4...0xFE where byte != 0xD2: Unicode.Scalar(0x0370 + UInt32(byte) - 0xA0) ?? DicomText.unknown
        default: DicomText.unknown
        }
    }
}
