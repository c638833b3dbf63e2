import Wire

/// POSIX ustar archives of regular files: how several files that make up one recording become one original. The same files
/// always give the same bytes: no owner, no time, mode 0644, entries in the order given.
public struct Ustar: Sendable, Equatable {
    public struct Entry: Sendable, Equatable {
        /// Relative, `/` between components, at most 100 bytes.
        public var name: String
        public var bytes: [UInt8]

        public init(name: String, bytes: [UInt8]) {
            self.name = name
            self.bytes = bytes
        }
    }

    private static let blockSize = 512

    public var entries: [Entry]

    public init(_ entries: [Entry]) { self.entries = entries }

    /// True when the first block says `ustar`.
    public static func isArchive(_ bytes: [UInt8]) -> Bool {
        bytes.count >= blockSize && bytes[257..<262].elementsEqual("ustar".utf8)
    }

    /// - Throws: `.cannotRepresent` for a name of more than 100 bytes or a file of 8 GiB, `.invalid` for an empty name.
    public func encoded() throws(EncodeError) -> [UInt8] {
        var writer = ByteWriter(reserving: entries.reduce(1024) { $0 + $1.bytes.count + 1023 })
        for entry in entries {
            writer.append(contentsOf: try Self.header(name: entry.name, size: entry.bytes.count))
            writer.append(contentsOf: entry.bytes)
            writer.append(contentsOf: Self.padding(after: entry.bytes.count))
        }
        writer.append(contentsOf: repeatElement(0, count: 2 * Self.blockSize))
        return writer.bytes
    }

    /// - Throws: `.notRecognised`, or `.damaged` when a checksum is wrong or a file is cut. Only regular files are read;
    ///   anything else is `.unsupported`.
    public init(decoding bytes: [UInt8]) throws(DecodeError) {
        guard Self.isArchive(bytes) else { throw .notRecognised("no ustar header at the start") }
        entries = []
        var reader = ByteReader(bytes)
        do {
            while true {
                let header = Array(try reader.bytes(Self.blockSize))
                if header.allSatisfy({ $0 == 0 }) { return }
                guard let size = Self.number(header[124..<136]), let stated = Self.number(header[148..<156]),
                    stated == Self.checksum(header)
                else { throw DecodeError.damaged(format: "ustar", "the checksum of an entry's header is wrong") }
                guard header[156] == UInt8(ascii: "0") || header[156] == 0, header[345] == 0 else {
                    throw DecodeError.unsupported(format: "ustar", "an entry is no regular file or has a long name")
                }
                let name = String(decoding: header[0..<100].prefix { $0 != 0 }, as: UTF8.self)
                entries.append(Entry(name: name, bytes: Array(try reader.bytes(size))))
                try reader.skip(Self.padding(after: size).count)
            }
        } catch let error as DecodeError {
            throw error
        } catch {
            throw .damaged(format: "ustar", "the archive is cut short")
        }
    }

    /// The block before a file's bytes, for an archive that is too large to be built in memory.
    /// - Throws: as `encoded`.
    public static func header(name: String, size: Int) throws(EncodeError) -> [UInt8] {
        let name = Array(name.utf8)
        guard !name.isEmpty, !name.contains(0) else { throw .invalid("a file in an archive has no name") }
        guard name.count <= 100, size < 1 << 33 else {
            throw .cannotRepresent("a file's name or size is too long for a ustar archive")
        }
        var header = [UInt8](repeating: 0, count: blockSize)
        func put(_ bytes: some Collection<UInt8>, at offset: Int) {
            header.replaceSubrange(offset..<offset + bytes.count, with: bytes)
        }
        put(name, at: 0)
        put("0000644\0".utf8, at: 100)
        put("0000000\0".utf8, at: 108)
        put("0000000\0".utf8, at: 116)
        put(octal(size, digits: 11), at: 124)
        put(octal(0, digits: 11), at: 136)
        put("0".utf8, at: 156)
        put("ustar\u{0}00".utf8, at: 257)
        put(octal(checksum(header), digits: 6) + [0x20], at: 148)
        return header
    }

    /// The sum of all bytes, those of the checksum's own field taken as spaces.
    private static func checksum(_ header: [UInt8]) -> Int {
        header.enumerated().reduce(0) { $0 + ((148..<156).contains($1.offset) ? 0x20 : Int($1.element)) }
    }

    private static func octal(_ value: Int, digits: Int) -> [UInt8] {
        let text = String(value, radix: 8)
        return Array(String(repeating: "0", count: max(0, digits - text.utf8.count)).utf8) + Array(text.utf8) + [0]
    }

    /// Octal digits up to a NUL or space; nil for anything else.
    private static func number(_ field: ArraySlice<UInt8>) -> Int? {
        let digits = field.prefix { $0 != 0 && $0 != 0x20 }
        guard !digits.isEmpty, digits.count <= 11, digits.allSatisfy({ (0x30...0x37).contains($0) }) else { return nil }
        return digits.reduce(0) { $0 << 3 | Int($1 - 0x30) }
    }

    /// What fills a file's last block.
    public static func padding(after size: Int) -> [UInt8] {
        [UInt8](repeating: 0, count: (blockSize - size % blockSize) % blockSize)
    }
}
