/// A small, strict XML reader: one event at a time over bytes that are already there. No DTD, no entities but the five, no
/// external anything; depth, names and attributes are bounded.
struct XMLPull {
    enum Event {
        case start(name: String, attributes: [String: String])
        /// Character data between two tags, entities resolved; may come in several pieces.
        case text(ArraySlice<UInt8>)
        case end(name: String)
        case finished
    }

    enum Failure: Error {
        /// Byte offset, and what is wrong there.
        case malformed(Int, String)
        case unsupported(String)
    }

    private let bytes: [UInt8]
    /// The declaration names the encoding that they were in.
    private let isTranscoded: Bool
    private var position = 0
    /// Names as written, of the elements that are open.
    private var open: [String] = []
    private var closing: String?
    private var hasRoot = false

    private static let deepest = 64
    private static let longestName = 128
    private static let mostAttributes = 64

    init(_ source: [UInt8]) {
        let encoding = XMLEncoding(of: source)
        bytes = encoding.map { $0.utf8(source) } ?? source
        isTranscoded = encoding != nil
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { position = 3 }
    }

    var depth: Int { open.count }

    /// After a failure: the bytes ended where more should have come.
    var isAtEnd: Bool { position >= bytes.count }

    /// Names come without their namespace prefix.
    mutating func next() throws(Failure) -> Event {
        if let name = closing {
            closing = nil
            open.removeLast()
            return .end(name: Self.local(name))
        }
        while position < bytes.count {
            guard bytes[position] == UInt8(ascii: "<") else {
                let text = try characters()
                if open.isEmpty {
                    guard text.allSatisfy(Self.isSpace) else { throw failure("text outside the root element") }
                    continue
                }
                return .text(text)
            }
            if has("<!--") {
                try skip(past: "-->")
            } else if has("<?") {
                try instruction()
            } else if has("<![CDATA[") {
                guard !open.isEmpty else { throw failure("text outside the root element") }
                position += 9
                let start = position
                try skip(past: "]]>")
                return .text(bytes[start..<position - 3])
            } else if has("<!") {
                throw .unsupported("a document type definition; export it without")
            } else if has("</") {
                position += 2
                let name = try name()
                space()
                try expect(">")
                guard open.last == name else { throw failure("an end tag without its start") }
                open.removeLast()
                return .end(name: Self.local(name))
            } else {
                return try start()
            }
        }
        guard open.isEmpty, hasRoot else { throw failure("it ends before its elements do") }
        return .finished
    }

    private mutating func start() throws(Failure) -> Event {
        guard !open.isEmpty || !hasRoot else { throw failure("two root elements") }
        position += 1
        let name = try name()
        var attributes: [String: String] = [:]
        var keys: Set<String> = []
        while true {
            let before = position
            space()
            guard position < bytes.count else { throw failure("it ends within a tag") }
            if bytes[position] == UInt8(ascii: ">") || has("/>") { break }
            guard position > before else { throw failure("no space before an attribute") }
            let key = try self.name()
            space()
            try expect("=")
            space()
            let value = try quoted()
            guard keys.count < Self.mostAttributes, keys.insert(key).inserted else {
                throw failure("too many attributes, or one twice")
            }
            // `type` and `xsi:type` may stand together: the one without prefix is the element's own.
            let name = Self.local(key)
            if name == key || attributes[name] == nil { attributes[name] = value }
        }
        guard open.count < Self.deepest else { throw failure("elements nested too deeply") }
        open.append(name)
        hasRoot = true
        if bytes[position] == UInt8(ascii: "/") {
            position += 2
            closing = name
        } else {
            position += 1
        }
        return .start(name: Self.local(name), attributes: attributes)
    }

    /// An XML declaration may say that these are no UTF-8.
    private mutating func instruction() throws(Failure) {
        let start = position
        try skip(past: "?>")
        guard !isTranscoded else { return }
        let text = String(decoding: bytes[start..<position], as: UTF8.self).lowercased()
        guard text.hasPrefix("<?xml "), let range = text.split(separator: "encoding", maxSplits: 1).dropFirst().first
        else {
            return
        }
        let name = range.drop { " =\"'\t\r\n".contains($0) }.prefix { $0.isLetter || $0.isNumber || $0 == "-" }
        guard ["utf-8", "utf8", "us-ascii"].contains(name) else {
            throw .unsupported("text that is neither Unicode nor Latin-1")
        }
    }

    private mutating func quoted() throws(Failure) -> String {
        guard position < bytes.count, bytes[position] == UInt8(ascii: "\"") || bytes[position] == UInt8(ascii: "'")
        else {
            throw failure("an attribute without quotes")
        }
        let quote = bytes[position]
        position += 1
        let start = position
        while position < bytes.count, bytes[position] != quote {
            guard bytes[position] != UInt8(ascii: "<") else { throw failure("a tag within an attribute") }
            position += 1
        }
        guard position < bytes.count else { throw failure("it ends within an attribute") }
        defer { position += 1 }
        return String(decoding: try resolved(bytes[start..<position]), as: UTF8.self)
    }

    private mutating func characters() throws(Failure) -> ArraySlice<UInt8> {
        let start = position
        while position < bytes.count, bytes[position] != UInt8(ascii: "<") { position += 1 }
        return try resolved(bytes[start..<position])
    }

    private func resolved(_ text: ArraySlice<UInt8>) throws(Failure) -> ArraySlice<UInt8> {
        guard text.contains(UInt8(ascii: "&")) else { return text }
        var result: [UInt8] = []
        var index = text.startIndex
        while index < text.endIndex {
            guard text[index] == UInt8(ascii: "&") else {
                result.append(text[index])
                index += 1
                continue
            }
            let rest = text[(index + 1)...].prefix(12)
            guard let end = rest.firstIndex(of: UInt8(ascii: ";")) else { throw failure("an entity without end") }
            guard let text = Self.entity(rest[..<end]) else { throw failure("an unknown entity") }
            result += text
            index = end + 1
        }
        return result[...]
    }

    private static func entity(_ name: ArraySlice<UInt8>) -> [UInt8]? {
        let text = String(decoding: name, as: UTF8.self)
        switch text {
        case "lt": return Array("<".utf8)
        case "gt": return Array(">".utf8)
        case "amp": return Array("&".utf8)
        case "quot": return Array("\"".utf8)
        case "apos": return Array("'".utf8)
        default:
            guard text.hasPrefix("#") else { return nil }
            let number = text.hasPrefix("#x") ? UInt32(text.dropFirst(2), radix: 16) : UInt32(text.dropFirst())
            guard let number, number > 0, let scalar = Unicode.Scalar(number) else { return nil }
            return Array(String(Character(scalar)).utf8)
        }
    }

    private mutating func name() throws(Failure) -> String {
        let start = position
        while position < bytes.count, Self.isNameByte(bytes[position]), position - start <= Self.longestName {
            position += 1
        }
        guard position > start, position - start <= Self.longestName else { throw failure("a name") }
        return String(decoding: bytes[start..<position], as: UTF8.self)
    }

    private static func local(_ name: String) -> String {
        guard let colon = name.lastIndex(of: ":") else { return name }
        return String(name[name.index(after: colon)...])
    }

    private static func isNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x3A, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x80...0xFF: true
        default: false
        }
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (9...13).contains(byte) }

    private mutating func space() {
        while position < bytes.count, Self.isSpace(bytes[position]) { position += 1 }
    }

    private func has(_ text: String) -> Bool {
        bytes[position...].starts(with: text.utf8)
    }

    private mutating func expect(_ text: String) throws(Failure) {
        guard position < bytes.count, has(text) else { throw failure("\(text) is missing") }
        position += text.utf8.count
    }

    private mutating func skip(past mark: String) throws(Failure) {
        while position < bytes.count {
            if has(mark) {
                position += mark.utf8.count
                return
            }
            position += 1
        }
        throw failure("\(mark) is missing")
    }

    private func failure(_ text: String) -> Failure { .malformed(position, text) }
}
