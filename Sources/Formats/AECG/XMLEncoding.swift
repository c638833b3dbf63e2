/// Encodings of XML that are turned into UTF-8 before anything is read: what a byte order mark, the first characters or the
/// declaration say (XML 1.0 appendix F).
enum XMLEncoding {
    case utf16(isBigEndian: Bool)
    case latin1

    /// Nil for UTF-8, and for what nobody here reads.
    init?(of bytes: [UInt8]) {
        if Self.isUTF16(bytes) {
            self = .utf16(isBigEndian: bytes[0] == 0xFE || bytes[0] == 0)
            return
        }
        guard
            let head = String(validating: bytes.prefix(200).prefix { $0 != UInt8(ascii: ">") }, as: UTF8.self)?
                .lowercased(),
            head.hasPrefix("<?xml"),
            ["iso-8859-1", "iso_8859-1", "latin1", "windows-1252"].contains(where: {
                head.contains("encoding=\"\($0)\"") || head.contains("encoding='\($0)'")
            })
        else { return nil }
        self = .latin1
    }

    /// A byte order mark, or `<` in two bytes.
    static func isUTF16(_ bytes: [UInt8]) -> Bool {
        guard bytes.count >= 4 else { return false }
        return [[0xFF, 0xFE], [0xFE, 0xFF], [0x3C, 0], [0, 0x3C]].contains(Array(bytes.prefix(2)))
    }

    func utf8(_ bytes: [UInt8]) -> [UInt8] {
        switch self {
        case .latin1:
            var text: [UInt8] = []
            text.reserveCapacity(bytes.count + bytes.count / 8)
            for byte in bytes {
                if byte < 0x80 {
                    text.append(byte)
                } else {
                    text += UTF8.encode(SingleByteSet.latin1.scalar(byte)) ?? UTF8.encodedReplacementCharacter
                }
            }
            return text
        case .utf16(let isBigEndian):
            let high = isBigEndian ? 0 : 1
            let units = stride(from: 0, to: bytes.count - 1, by: 2).lazy.map {
                UInt16(bytes[$0 + high]) << 8 | UInt16(bytes[$0 + 1 - high])
            }
            var text: [UInt8] = []
            text.reserveCapacity(bytes.count / 2)
            // Two bytes that are no character become U+FFFD, which is no XML name and no digit.
            _ = transcode(units.makeIterator(), from: UTF16.self, to: UTF8.self, stoppingOnError: false) {
                text.append($0)
            }
            return text
        }
    }
}
