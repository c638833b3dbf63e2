/// A change to one member of a JSON object that leaves every other byte as the server wrote it: an update of a resource
/// must not lose what our types don't know.
public enum JSONText {
    /// The object with the top-level string member `key` set to `value`.
    /// - Returns: nil when the text isn't one JSON object, or has no such member with a string in it, or has it twice.
    public static func replacing(_ key: String, with value: String, in text: [UInt8]) -> [UInt8]? {
        var scanner = Scanner(text: text)
        guard let range = scanner.string(of: Array(key.utf8)) else { return nil }
        return Array(text[..<range.lowerBound]) + quoted(value) + Array(text[range.upperBound...])
    }

    private static func quoted(_ text: String) -> [UInt8] {
        var bytes: [UInt8] = [UInt8(ascii: "\"")]
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes += [UInt8(ascii: "\\"), byte]
            case ..<0x20:
                let digits = Array("0123456789abcdef".utf8)
                bytes += Array("\\u00".utf8) + [digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            default: bytes.append(byte)
            }
        }
        return bytes + [UInt8(ascii: "\"")]
    }

    private struct Scanner {
        let text: [UInt8]
        var at = 0

        init(text: [UInt8]) { self.text = text }

        /// The place of the value, quotes included. Values are skipped by their brackets and strings alone: whoever gave the
        /// text has parsed it already.
        mutating func string(of key: [UInt8]) -> Range<Int>? {
            skipSpace()
            guard take(UInt8(ascii: "{")) else { return nil }
            var found: Range<Int>?
            skipSpace()
            if take(UInt8(ascii: "}")) { return nil }
            while true {
                skipSpace()
                guard let name = skipString() else { return nil }
                skipSpace()
                guard take(UInt8(ascii: ":")) else { return nil }
                skipSpace()
                let start = at
                let isString = at < text.count && text[at] == UInt8(ascii: "\"")
                guard skipValue() else { return nil }
                if Array(text[name.dropFirst().dropLast()]) == key {
                    guard isString, found == nil else { return nil }
                    found = start..<at
                }
                skipSpace()
                if take(UInt8(ascii: ",")) { continue }
                guard take(UInt8(ascii: "}")) else { return nil }
                skipSpace()
                return at == text.count ? found : nil
            }
        }

        private mutating func take(_ byte: UInt8) -> Bool {
            guard at < text.count, text[at] == byte else { return false }
            at += 1
            return true
        }

        private mutating func skipSpace() {
            while at < text.count, [0x20, 0x09, 0x0A, 0x0D].contains(text[at]) { at += 1 }
        }

        private mutating func skipString() -> Range<Int>? {
            let start = at
            guard take(UInt8(ascii: "\"")) else { return nil }
            while at < text.count {
                switch text[at] {
                case UInt8(ascii: "\\"): at += 2
                case UInt8(ascii: "\""):
                    at += 1
                    return start..<at
                default: at += 1
                }
            }
            return nil
        }

        private mutating func skipValue() -> Bool {
            var depth = 0
            let start = at
            while at < text.count {
                switch text[at] {
                case UInt8(ascii: "\""):
                    guard skipString() != nil else { return false }
                    if depth == 0 { return true }
                case UInt8(ascii: "{"), UInt8(ascii: "["):
                    depth += 1
                    at += 1
                case UInt8(ascii: "}"), UInt8(ascii: "]"):
                    if depth == 0 { return at > start }
                    depth -= 1
                    at += 1
                    if depth == 0 { return true }
                case UInt8(ascii: ","):
                    if depth == 0 { return at > start }
                    at += 1
                default: at += 1
                }
            }
            return false
        }
    }
}
