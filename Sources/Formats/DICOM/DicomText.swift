/// Text of a DICOM element, decoded by its declared character set (PS3.3 C.12.1.1.2), or by what its bytes show where the
/// declaration is missing or wrong: both are common on old sticks.
public enum DicomText {
    /// Stands for bytes that are no character of their set. They stay in the file.
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
        case "GB18030", "GBK": return GB18030.decode(bytes)
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

    /// The sets in force: of bytes below 80, and of those above.
    private struct InForce {
        /// Nil: ASCII.
        var lower: DoubleByteSet?
        var upper: Escape.Upper
    }

    /// ISO 2022: escapes change a set, a line's or a name component's end restores the first ones (PS3.5 6.1.2.5.3).
    private static func switched(_ bytes: some Collection<UInt8>, initial: SingleByteSet) -> String {
        var text = String.UnicodeScalarView()
        let first = InForce(upper: .single(initial))
        var sets = first
        var rest = bytes[...]
        while let byte = rest.popFirst() {
            if byte == 0x1B {
                guard let escape = Escape(rest.prefix(4)) else { continue }
                rest = rest.dropFirst(escape.length)
                switch escape.effect {
                case .lower(let set): sets.lower = set
                case .upper(let set): sets.upper = set
                }
                continue
            }
            if byte < 0x80 {
                if let set = sets.lower, byte > 0x20 {
                    // Two bytes of a text that ends after one are none.
                    text.append(rest.popFirst().map { set.scalar(byte, $0) } ?? unknown)
                    continue
                }
                if byte == 0x5E || byte == 0x3D || byte == 0x0D || byte == 0x0A { sets = first }
                text.append(Unicode.Scalar(byte))
                continue
            }
            switch sets.upper {
            case .single(let set): text.append(set.scalar(byte))
            case .double(let set):
                guard let second = rest.first, second >= 0x80 else {
                    text.append(unknown)
                    continue
                }
                rest = rest.dropFirst()
                text.append(set.scalar(byte, second))
            }
        }
        return String(text)
    }

    /// What follows an ESC (PS3.3 table C.12-3 and C.12-4).
    private struct Escape {
        enum Upper {
            case single(SingleByteSet)
            case double(DoubleByteSet)
        }

        enum Effect {
            /// Nil: ASCII.
            case lower(DoubleByteSet?)
            case upper(Upper)
        }

        var effect: Effect
        var length: Int

        init?(_ bytes: some Collection<UInt8>) {
            let text = String(decoding: bytes, as: UTF8.self)
            guard let (letters, effect) = Self.all.first(where: { text.hasPrefix($0.0) }) else { return nil }
            self.effect = effect
            length = letters.utf8.count
        }

        private static let all: [(String, Effect)] = [
            ("(B", .lower(nil)), ("(J", .lower(nil)), ("$(D", .lower(.supplementaryKanji)), ("$B", .lower(.kanji)),
            ("$)C", .upper(.double(.hangul))), ("$)A", .upper(.double(.chinese))), (")I", .upper(.single(.katakana))),
            ("-A", .upper(.single(.latin1))), ("-B", .upper(.single(.latin2))), ("-C", .upper(.single(.latin3))),
            ("-D", .upper(.single(.latin4))), ("-L", .upper(.single(.cyrillic))), ("-G", .upper(.single(.arabic))),
            ("-F", .upper(.single(.greek))), ("-H", .upper(.single(.hebrew))), ("-M", .upper(.single(.turkish))),
            ("-T", .upper(.single(.thai))), ("-b", .upper(.single(.latin9))),
        ]
    }
}

/// Sets of one byte per character.
enum SingleByteSet {
    case latin1, latin2, latin3, latin4, latin9, cyrillic, arabic, greek, hebrew, turkish, thai, katakana

    /// - Parameter term: a defined term of Specific Character Set, spelled as vendors do: `ISO_IR 100`, `ISO 2022 IR 100`,
    ///   `ISO-IR 100`, `ISO_IR_100`. Nothing, or nonsense, is what Western vendors mean by it: Latin-1.
    init(term: String) {
        let digits = term.reversed().prefix { $0.isNumber }.reversed()
        self =
            switch String(digits) {
            case "101": .latin2
            case "109": .latin3
            case "110": .latin4
            case "203": .latin9
            case "144": .cyrillic
            case "127": .arabic
            case "126": .greek
            case "138": .hebrew
            case "148": .turkish
            case "166": .thai
            case "13": .katakana
            default: .latin1
            }
    }

    /// - Parameter byte: 80 or more.
    func scalar(_ byte: UInt8) -> Unicode.Scalar {
        guard byte >= 0xA0 else {
            // As Windows means them, since that is where a stray `Œ` or `’` comes from.
            return [.latin1, .latin9, .turkish].contains(self) ? Self.windows[Int(byte & 0x1F)] : DicomText.unknown
        }
        let table: [Unicode.Scalar]
        switch self {
        case .latin1: return Unicode.Scalar(byte)
        case .katakana:
            return (0xA1...0xDF).contains(byte)
                ? Unicode.Scalar(0xFF61 + UInt32(byte) - 0xA1) ?? DicomText.unknown : DicomText.unknown
        case .latin2: table = CharacterTables.latin2
        case .latin3: table = CharacterTables.latin3
        case .latin4: table = CharacterTables.latin4
        case .latin9: table = CharacterTables.latin9
        case .cyrillic: table = CharacterTables.cyrillic
        case .arabic: table = CharacterTables.arabic
        case .greek: table = CharacterTables.greek
        case .hebrew: table = CharacterTables.hebrew
        case .turkish: table = CharacterTables.turkish
        case .thai: table = CharacterTables.thai
        }
        return table[Int(byte) - 0xA0]
    }

    private static let windows = Array(
        "€\u{FFFD}‚ƒ„…†‡ˆ‰Š‹Œ\u{FFFD}Ž\u{FFFD}\u{FFFD}‘’“”•–—˜™š›œ\u{FFFD}žŸ".unicodeScalars)
}
