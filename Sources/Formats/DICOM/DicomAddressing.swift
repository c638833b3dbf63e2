import Clinical
import Wire

/// The identities under which an archive files a DICOM object, read from its head without reading the object.
public struct DicomIdentity: Sendable, Equatable {
    public var study: String
    public var series: String
    public var instance: String

    /// How much of a file is enough: these elements come first, before any pixel or sample.
    public static let headSize = 64 << 10

    /// - Parameter head: the beginning of a Part 10 file, Little Endian; the whole of a short one.
    public init?(head: [UInt8]) {
        guard DicomWaveformFile.isPart10(head) else { return nil }
        var found: [UInt32: String] = [:]
        var reader = ByteReader(head[132...])
        var syntax = ""
        while found[DicomTag.seriesInstance] == nil || found[DicomTag.studyInstance] == nil
            || found[DicomTag.sopInstance] == nil
        {
            guard let (tag, bytes) = try? Self.element(&reader, isImplicit: syntax == "1.2.840.10008.1.2"),
                tag <= DicomTag.seriesInstance
            else { break }
            let text = String(decoding: bytes.filter { $0 != 0 && $0 != 0x20 }, as: UTF8.self)
            if tag == 0x0002_0010 { syntax = text }
            found[tag] = text
        }
        guard let study = found[DicomTag.studyInstance], let series = found[DicomTag.seriesInstance],
            let instance = found[DicomTag.sopInstance], [study, series, instance].allSatisfy(Self.isUID)
        else { return nil }
        self.study = study
        self.series = series
        self.instance = instance
    }

    /// One element's value; empty for a sequence, which is stepped over.
    private static func element(_ reader: inout ByteReader, isImplicit: Bool) throws(WireError) -> (
        UInt32, ArraySlice<UInt8>
    ) {
        let group = try reader.littleEndian(UInt16.self)
        let tag = UInt32(group) << 16 | UInt32(try reader.littleEndian(UInt16.self))
        let length: UInt32
        // The file meta information is explicit whatever follows it.
        if isImplicit, group != 2 {
            length = try reader.littleEndian(UInt32.self)
        } else {
            let representation = String(decoding: try reader.bytes(2), as: UTF8.self)
            if ["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "UC", "UN", "UR", "UT", "SV", "UV"].contains(representation) {
                try reader.skip(2)
                length = try reader.littleEndian(UInt32.self)
            } else {
                length = UInt32(try reader.littleEndian(UInt16.self))
            }
        }
        guard length != 0xFFFF_FFFF else {
            try skipSequence(&reader)
            return (tag, [])
        }
        return (tag, try reader.bytes(Int(length)))
    }

    /// To the delimiter of this sequence; what is nested brings its own.
    private static func skipSequence(_ reader: inout ByteReader) throws(WireError) {
        var depth = 1
        while depth > 0 {
            let tag = UInt32(try reader.littleEndian(UInt16.self)) << 16 | UInt32(try reader.littleEndian(UInt16.self))
            switch tag {
            case 0xFFFE_E0DD:
                depth -= 1
                try reader.skip(4)
            case 0xFFFE_E000:
                let length = try reader.littleEndian(UInt32.self)
                if length != 0xFFFF_FFFF { try reader.skip(Int(length)) }
            case 0xFFFE_E00D: try reader.skip(4)
            default:
                // Inside an item of undefined length, explicit.
                let representation = String(decoding: try reader.bytes(2), as: UTF8.self)
                if ["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "UC", "UN", "UR", "UT"].contains(representation) {
                    try reader.skip(2)
                    let length = try reader.littleEndian(UInt32.self)
                    if length == 0xFFFF_FFFF { depth += 1 } else { try reader.skip(Int(length)) }
                } else {
                    try reader.skip(Int(try reader.littleEndian(UInt16.self)))
                }
            }
        }
    }

    /// PS3.5 9.1; also what may stand in a URL.
    private static func isUID(_ text: String) -> Bool {
        (1...64).contains(text.utf8.count) && text.utf8.allSatisfy { (0x30...0x39).contains($0) || $0 == 0x2E }
    }
}

/// A file that is no DICOM object as one, for an archive that takes nothing else: Raw Data Storage (PS3.3 A.37) with the bytes,
/// unchanged, in a private element that comes last. The same input always gives the same bytes.
public struct DicomRawData: Sendable {
    public static let sopClass = "1.2.840.10008.5.1.4.1.1.66"
    static let creator = "ESS FIELD AGENT 1"

    /// The object up to its payload; then come the payload and, after an odd one, a zero.
    public let head: [UInt8]
    public let payloadSize: Int
    public var size: Int { head.count + payloadSize + payloadSize % 2 }

    /// - Parameters:
    ///   - header: whose it is, and from when.
    ///   - mediaType: of the payload.
    ///   - payloadSize: bytes, below 2^32 - 2.
    public init(_ header: DicomECGHeader, mediaType: String, payloadSize: Int) throws(EncodeError) {
        guard payloadSize >= 0, payloadSize < 0xFFFF_FFFE else { throw .invalid("a payload of \(payloadSize) bytes") }
        var elements = try header.elements(sopClass: .general)
        let replaced = [DicomTag.sopClass, DicomTag.modality, DicomTag.seriesDescription]
        elements.removeAll { replaced.contains($0.tag) }
        elements.append(.text(DicomTag.sopClass, "UI", Self.sopClass))
        elements.append(.text(DicomTag.modality, "CS", "OT"))
        let warnings = header.warnings.isEmpty ? "" : "; " + header.warnings.joined(separator: "; ")
        elements.append(.text(DicomTag.seriesDescription, "LO", String(("Original file" + warnings).prefix(64))))
        // Creator-Version UID, type 1: who can read the payload.
        elements.append(.text(0x0008_9123, "UI", DicomName.implementation))
        elements.append(.text(0x7FE3_0010, "LO", Self.creator))
        elements.append(.text(0x7FE3_1000, "LO", mediaType))
        elements.append(.text(0x7FE3_1001, "LO", "\(payloadSize)"))
        var writer = ByteWriter()
        writer.append(contentsOf: DicomECGWriter.preamble(sopClass: Self.sopClass, instance: header.sopInstance))
        writer.append(contentsOf: DicomElement.encode(elements))
        // (7FE3,1002) OB: explicit, its length even.
        let length = UInt32(payloadSize + payloadSize % 2)
        writer.append(contentsOf: [0xE3, 0x7F, 0x02, 0x10, 0x4F, 0x42, 0, 0])
        writer.append(contentsOf: (0..<4).map { UInt8(truncatingIfNeeded: length >> (8 * UInt32($0))) })
        head = writer.bytes
        self.payloadSize = payloadSize
    }
}
