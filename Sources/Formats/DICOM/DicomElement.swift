import Wire

/// One data element to write, Explicit VR Little Endian (formats.md 1.2).
struct DicomElement {
    enum Value {
        case bytes([UInt8])
        case items([[DicomElement]])
    }

    var tag: UInt32
    /// Two letters.
    var representation: String
    var value: Value

    var isEmpty: Bool {
        switch value {
        case .bytes(let bytes): bytes.isEmpty
        case .items(let items): items.isEmpty
        }
    }

    /// Text: padded to even length, with NUL for UI and a space otherwise.
    static func text(_ tag: UInt32, _ representation: String, _ text: String) -> DicomElement {
        var bytes = Array(text.utf8)
        if !bytes.count.isMultiple(of: 2) { bytes.append(representation == "UI" ? 0 : 0x20) }
        return DicomElement(tag: tag, representation: representation, value: .bytes(bytes))
    }

    static func unsigned16(_ tag: UInt32, _ values: UInt16...) -> DicomElement {
        DicomElement(tag: tag, representation: "US", value: .bytes(values.flatMap { littleEndian($0) }))
    }

    static func unsigned32(_ tag: UInt32, _ value: UInt32) -> DicomElement {
        DicomElement(tag: tag, representation: "UL", value: .bytes(littleEndian(value)))
    }

    /// 16-bit words, already little-endian.
    static func words(_ tag: UInt32, _ bytes: [UInt8]) -> DicomElement {
        DicomElement(tag: tag, representation: "OW", value: .bytes(bytes))
    }

    static func sequence(_ tag: UInt32, _ items: [[DicomElement]]) -> DicomElement {
        DicomElement(tag: tag, representation: "SQ", value: .items(items))
    }

    /// A sequence with the one item that names a concept.
    static func code(_ tag: UInt32, _ value: String, _ scheme: String, _ meaning: String) -> DicomElement {
        .sequence(
            tag,
            [
                [
                    .text(DicomTag.codeValue, "SH", value), .text(DicomTag.codingScheme, "SH", scheme),
                    .text(DicomTag.codeMeaning, "LO", meaning),
                ]
            ])
    }

    /// Elements in ascending order of their tags, sequences and items with exact lengths.
    static func encode(_ elements: [DicomElement]) -> [UInt8] {
        var writer = ByteWriter()
        for element in elements.sorted(by: { $0.tag < $1.tag }) {
            let content: [UInt8]
            switch element.value {
            case .bytes(let bytes): content = bytes
            case .items(let items):
                var inner = ByteWriter()
                for item in items {
                    let encoded = encode(item)
                    inner.append(contentsOf: tagBytes(DicomTag.item))
                    inner.littleEndian(UInt32(encoded.count))
                    inner.append(contentsOf: encoded)
                }
                content = inner.bytes
            }
            writer.append(contentsOf: tagBytes(element.tag))
            writer.append(contentsOf: Array(element.representation.utf8))
            if ["OB", "OW", "SQ", "UN", "UT"].contains(element.representation) {
                writer.littleEndian(UInt16(0))
                writer.littleEndian(UInt32(content.count))
            } else {
                writer.littleEndian(UInt16(content.count))
            }
            writer.append(contentsOf: content)
        }
        return writer.bytes
    }

    private static func tagBytes(_ tag: UInt32) -> [UInt8] {
        littleEndian(UInt16(tag >> 16)) + littleEndian(UInt16(tag & 0xFFFF))
    }

    private static func littleEndian<T: FixedWidthInteger>(_ value: T) -> [UInt8] {
        var writer = ByteWriter()
        writer.littleEndian(value)
        return writer.bytes
    }
}
