extension JSON {
    /// What was wrong, and at which byte.
    struct ParseError: Error {
        var reason: String
        var offset: Int
    }

    /// Reads strict JSON (RFC 8259): UTF-8, no duplicate member, at most 64 levels.
    init(parsing bytes: [UInt8]) throws(ParseError) {
        var parser = Parser(bytes: bytes)
        self = try parser.document()
    }

    private struct Parser {
        let bytes: [UInt8]
        var at = 0

        init(bytes: [UInt8]) { self.bytes = bytes }

        func failure(_ reason: String) -> ParseError { ParseError(reason: reason, offset: at) }

        var next: UInt8? { at < bytes.count ? bytes[at] : nil }

        mutating func skipSpace() {
            while let byte = next, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { at += 1 }
        }

        mutating func document() throws(ParseError) -> JSON {
            let result = try value(depth: 0)
            skipSpace()
            guard at == bytes.count else { throw failure("something after the value") }
            return result
        }

        mutating func value(depth: Int) throws(ParseError) -> JSON {
            guard depth < 64 else { throw failure("too deep") }
            skipSpace()
            guard let byte = next else { throw failure("the text ends too early") }
            switch byte {
            case UInt8(ascii: "{"): return try members(depth: depth)
            case UInt8(ascii: "["): return try elements(depth: depth)
            case UInt8(ascii: "\""): return .string(try text())
            case UInt8(ascii: "t"): return try word("true", .bool(true))
            case UInt8(ascii: "f"): return try word("false", .bool(false))
            case UInt8(ascii: "n"): return try word("null", .null)
            default: return .number(try number())
            }
        }

        mutating func word(_ word: StaticString, _ value: JSON) throws(ParseError) -> JSON {
            for byte in "\(word)".utf8 {
                guard next == byte else { throw failure("not a JSON value") }
                at += 1
            }
            return value
        }

        mutating func members(depth: Int) throws(ParseError) -> JSON {
            at += 1
            var members: [String: JSON] = [:]
            skipSpace()
            if next == UInt8(ascii: "}") {
                at += 1
                return .object(members)
            }
            while true {
                skipSpace()
                guard next == UInt8(ascii: "\"") else { throw failure("a member name is missing") }
                let name = try text()
                skipSpace()
                guard next == UInt8(ascii: ":") else { throw failure("':' is missing") }
                at += 1
                let member = try value(depth: depth + 1)
                guard members.updateValue(member, forKey: name) == nil else { throw failure("a member is there twice") }
                skipSpace()
                switch next {
                case UInt8(ascii: ","): at += 1
                case UInt8(ascii: "}"):
                    at += 1
                    return .object(members)
                default: throw failure("',' or '}' is missing")
                }
            }
        }

        mutating func elements(depth: Int) throws(ParseError) -> JSON {
            at += 1
            var elements: [JSON] = []
            skipSpace()
            if next == UInt8(ascii: "]") {
                at += 1
                return .array(elements)
            }
            while true {
                elements.append(try value(depth: depth + 1))
                skipSpace()
                switch next {
                case UInt8(ascii: ","): at += 1
                case UInt8(ascii: "]"):
                    at += 1
                    return .array(elements)
                default: throw failure("',' or ']' is missing")
                }
            }
        }

        mutating func digits() -> Int {
            let start = at
            while let byte = next, (0x30...0x39).contains(byte) { at += 1 }
            return at - start
        }

        mutating func number() throws(ParseError) -> String {
            let start = at
            if next == UInt8(ascii: "-") { at += 1 }
            if next == UInt8(ascii: "0") {
                at += 1
            } else if digits() == 0 {
                throw failure("not a JSON value")
            }
            if next == UInt8(ascii: ".") {
                at += 1
                guard digits() > 0 else { throw failure("a number without decimals after its point") }
            }
            if next == UInt8(ascii: "e") || next == UInt8(ascii: "E") {
                at += 1
                if next == UInt8(ascii: "+") || next == UInt8(ascii: "-") { at += 1 }
                guard digits() > 0 else { throw failure("a number without an exponent") }
            }
            return String(decoding: bytes[start..<at], as: UTF8.self)
        }

        mutating func text() throws(ParseError) -> String {
            at += 1
            var raw: [UInt8] = []
            while let byte = next {
                at += 1
                switch byte {
                case UInt8(ascii: "\""):
                    guard let text = String(validating: raw, as: UTF8.self) else { throw failure("not UTF-8") }
                    return text
                case UInt8(ascii: "\\"): try escape(into: &raw)
                case ..<0x20: throw failure("a control character in a string")
                default: raw.append(byte)
                }
            }
            throw failure("a string without an end")
        }

        mutating func escape(into raw: inout [UInt8]) throws(ParseError) {
            guard let byte = next else { throw failure("a string without an end") }
            at += 1
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): raw.append(byte)
            case UInt8(ascii: "b"): raw.append(0x08)
            case UInt8(ascii: "f"): raw.append(0x0C)
            case UInt8(ascii: "n"): raw.append(0x0A)
            case UInt8(ascii: "r"): raw.append(0x0D)
            case UInt8(ascii: "t"): raw.append(0x09)
            case UInt8(ascii: "u"):
                var code = try unit()
                if (0xD800...0xDBFF).contains(code) {
                    guard next == UInt8(ascii: "\\") else { throw failure("half a surrogate pair") }
                    at += 1
                    guard next == UInt8(ascii: "u") else { throw failure("half a surrogate pair") }
                    at += 1
                    let low = try unit()
                    guard (0xDC00...0xDFFF).contains(low) else { throw failure("half a surrogate pair") }
                    code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
                }
                guard let scalar = Unicode.Scalar(code) else { throw failure("half a surrogate pair") }
                raw.append(contentsOf: Array(String(Character(scalar)).utf8))
            default: throw failure("an unknown escape")
            }
        }

        mutating func unit() throws(ParseError) -> UInt32 {
            guard at + 4 <= bytes.count else { throw failure("a string without an end") }
            var code: UInt32 = 0
            for byte in bytes[at..<at + 4] {
                let digit: UInt8
                switch byte {
                case 0x30...0x39: digit = byte - 0x30
                case 0x41...0x46: digit = byte - 0x41 + 10
                case 0x61...0x66: digit = byte - 0x61 + 10
                default: throw failure("an unknown escape")
                }
                code = code << 4 | UInt32(digit)
            }
            at += 4
            return code
        }
    }
}
