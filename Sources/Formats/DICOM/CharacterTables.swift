/// The characters of sets that can't be computed. U+FFFD stands for a hole.
enum CharacterTables {
    static func scalars(_ text: String) -> [Unicode.Scalar] { Array(text.unicodeScalars) }
}

/// Sets of two bytes per character that ISO 2022 escapes lead to; 94 rows of 94, bytes 21 to 7E or A1 to FE.
enum DoubleByteSet {
    /// JIS X 0208 and JIS X 0212.
    case kanji, supplementaryKanji
    /// KS X 1001.
    case hangul
    /// GB 2312, which is that part of GB 18030 where both bytes are A1 or more.
    case chinese

    func scalar(_ first: UInt8, _ second: UInt8) -> Unicode.Scalar {
        let (row, cell) = (Int(first & 0x7F) - 0x21, Int(second & 0x7F) - 0x21)
        guard (0..<94).contains(row), (0..<94).contains(cell) else { return DicomText.unknown }
        switch self {
        case .kanji: return CharacterTables.kanji[94 * row + cell]
        case .supplementaryKanji: return CharacterTables.supplementaryKanji[94 * row + cell]
        case .hangul: return CharacterTables.hangul[94 * row + cell]
        case .chinese: return GB18030.scalar(first | 0x80, second | 0x80)
        }
    }
}

/// GB 18030: one byte as ASCII, two as GBK, four for everything else in Unicode.
enum GB18030 {
    static func decode(_ bytes: some Collection<UInt8>) -> String {
        var text = String.UnicodeScalarView()
        var rest = bytes[...]
        while let byte = rest.popFirst() {
            guard byte >= 0x81, byte < 0xFF, let second = rest.first else {
                text.append(byte < 0x80 ? Unicode.Scalar(byte) : DicomText.unknown)
                continue
            }
            if (0x30...0x39).contains(second) {
                let tail = Array(rest.prefix(3))
                rest = rest.dropFirst(3)
                text.append(tail.count == 3 ? scalar(byte, tail[0], tail[1], tail[2]) : DicomText.unknown)
            } else if second >= 0x40 {
                rest = rest.dropFirst()
                text.append(scalar(byte, second))
            } else {
                // A letter that follows isn't swallowed.
                text.append(DicomText.unknown)
            }
        }
        return String(text)
    }

    static func scalar(_ first: UInt8, _ second: UInt8) -> Unicode.Scalar {
        guard (0x81...0xFE).contains(first), (0x40...0xFE).contains(second), second != 0x7F else {
            return DicomText.unknown
        }
        return CharacterTables.chinese[190 * (Int(first) - 0x81) + Int(second) - (second > 0x7F ? 0x41 : 0x40)]
    }

    private static func scalar(_ first: UInt8, _ second: UInt8, _ third: UInt8, _ fourth: UInt8) -> Unicode.Scalar {
        guard (0x81...0xFE).contains(third), (0x30...0x39).contains(fourth) else { return DicomText.unknown }
        let pointer =
            ((Int(first) - 0x81) * 10 + Int(second) - 0x30) * 1260 + (Int(third) - 0x81) * 10 + Int(fourth) - 0x30
        // 90308130 is U+10000, and so on in order.
        if pointer >= 189_000 { return Unicode.Scalar(UInt32(pointer - 189_000) + 0x10000) ?? DicomText.unknown }
        let runs = CharacterTables.chineseRuns
        guard pointer < 39_420, let run = runs.last(where: { $0.pointer <= pointer }), run.scalar > 0 else {
            return DicomText.unknown
        }
        return Unicode.Scalar(run.scalar + UInt32(pointer - run.pointer)) ?? DicomText.unknown
    }
}
