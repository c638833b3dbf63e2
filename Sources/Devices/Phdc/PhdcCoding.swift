import Wire

/// The medical device encoding rules, MDER (phdc.md 3.1): reading. Nothing is allocated from a count or a length that the
/// bytes do not bear out.
extension ByteReader {
    /// `u16 length, bytes`: ANY, OCTET STRING.
    mutating func octets() throws(WireError) -> ArraySlice<UInt8> {
        let length: UInt16 = try bigEndian()
        return try bytes(Int(length))
    }

    /// `u16 count, u16 length, elements`: count and length must both be satisfied exactly.
    mutating func sequence<Element>(
        _ element: (inout ByteReader) throws(WireError) -> Element
    ) throws(WireError) -> [Element] {
        let count: UInt16 = try bigEndian()
        let start = offset
        var body = ByteReader(try octets())
        var elements: [Element] = []
        for _ in 0..<count {
            guard !body.isAtEnd else { throw .malformed(offset: start, "fewer elements than the count says") }
            elements.append(try element(&body))
        }
        guard body.isAtEnd else { throw .malformed(offset: start, "elements do not fill their length") }
        return elements
    }

    mutating func attributes() throws(WireError) -> [PhdcAttribute] {
        try sequence { reader throws(WireError) in
            PhdcAttribute(try reader.bigEndian(), Array(try reader.octets()))
        }
    }

    mutating func codes() throws(WireError) -> [UInt16] {
        try sequence { reader throws(WireError) in try reader.bigEndian() }
    }

    mutating func finish() throws(WireError) {
        guard isAtEnd else { throw .malformed(offset: offset, "\(remaining) bytes too many") }
    }
}

/// MDER: writing.
extension ByteWriter {
    mutating func octets(_ bytes: some Collection<UInt8>) {
        bigEndian(UInt16(clamping: bytes.count))
        append(contentsOf: bytes)
    }

    mutating func sequence<Element>(_ elements: [Element], _ write: (inout ByteWriter, Element) -> Void) {
        var body = ByteWriter()
        for element in elements { write(&body, element) }
        bigEndian(UInt16(clamping: elements.count))
        octets(body.bytes)
    }

    mutating func attributes(_ list: [PhdcAttribute]) {
        sequence(list) {
            $0.bigEndian($1.id)
            $0.octets($1.value)
        }
    }
}

/// An attribute id with its value, as the device sent it.
struct PhdcAttribute: Sendable, Equatable {
    var id: UInt16
    var value: [UInt8]

    init(_ id: UInt16, _ value: [UInt8]) {
        self.id = id
        self.value = value
    }

    init(_ id: UInt16, _ value: UInt16) { self.init(id, [UInt8(value >> 8), UInt8(value & 0xFF)]) }

    init(_ id: UInt16, long value: UInt32) {
        var writer = ByteWriter()
        writer.bigEndian(value)
        self.init(id, writer.bytes)
    }

    /// Nil unless it is exactly so wide.
    var u16: UInt16? { value.count == 2 ? UInt16(value[0]) << 8 | UInt16(value[1]) : nil }
    var u32: UInt32? { value.count == 4 ? value.reduce(0) { $0 << 8 | UInt32($1) } : nil }

    /// A printable OCTET STRING without its padding; nil when there is none or it isn't text.
    var text: String? {
        var reader = ByteReader(value)
        return (try? reader.octets()).flatMap(phdcText)
    }
}

extension [PhdcAttribute] {
    subscript(id id: UInt16) -> PhdcAttribute? { first { $0.id == id } }
}

/// Text of a device: NUL and spaces at its ends are padding. Nil when nothing is left or it isn't printable.
func phdcText(_ bytes: ArraySlice<UInt8>) -> String? {
    var rest = bytes.prefix { $0 != 0 }
    while rest.first == 0x20 { rest.removeFirst() }
    while rest.last == 0x20 { rest.removeLast() }
    guard !rest.isEmpty, rest.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else { return nil }
    // Marks that turn the direction of what stands around them would have a nurse read another number.
    let text = String(validating: rest, as: UTF8.self)?.unicodeScalars.filter {
        $0.properties.generalCategory != .format
    }
    return text.map { String(String.UnicodeScalarView($0.prefix(64))) }.flatMap { $0.isEmpty ? nil : $0 }
}
