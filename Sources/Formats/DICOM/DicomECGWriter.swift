public import Clinical
import Wire

/// Writes ECG waveform objects as Part 10 files, Explicit VR Little Endian (formats.md 1.1-1.4). The same input always gives
/// the same bytes: identities and times are passed in.
public enum DicomECGWriter {
    /// - Parameters:
    ///   - waveform: ECG leads; samples without value become the padding value -32768.
    ///   - notes: become waveform annotations (text, with the sample position where there is one).
    /// - Throws: `.empty` without samples, `.invalid` for a malformed header, `.cannotRepresent` where DICOM would need
    ///   rounding or clipping.
    public static func write(
        _ waveform: Waveform, header: DicomECGHeader, notes: [Note] = []
    ) throws(EncodeError) -> [UInt8] {
        let groups = try DicomGroup.groups(waveform)
        let sopClass = try DicomSOPClass.fitting(groups)
        var elements = try header.elements(sopClass: sopClass)
        var items: [[DicomElement]] = []
        for group in groups { items.append(try group.elements()) }
        elements.append(.sequence(DicomTag.waveforms, items))
        let annotations =
            header.warnings.map { annotation($0, at: nil, in: groups[0]) }
            + notes.map { annotation("\($0.kind.rawValue): \($0.text)", at: $0.at, in: groups[0]) }
        if !annotations.isEmpty { elements.append(.sequence(DicomTag.annotations, annotations)) }

        var writer = ByteWriter()
        writer.append(contentsOf: preamble(sopClass: sopClass.rawValue, instance: header.sopInstance))
        writer.append(contentsOf: DicomElement.encode(elements))
        return writer.bytes
    }

    /// What every Part 10 file begins with (PS3.10 7.1), its file meta information included.
    static func preamble(sopClass: String, instance: String) -> [UInt8] {
        let meta = DicomElement.encode([
            DicomElement(tag: 0x0002_0001, representation: "OB", value: .bytes([0, 1])),
            .text(0x0002_0002, "UI", sopClass),
            .text(0x0002_0003, "UI", instance),
            .text(0x0002_0010, "UI", DicomName.explicitLittleEndian),
            .text(0x0002_0012, "UI", DicomName.implementation),
            .text(0x0002_0013, "SH", DicomName.implementationVersion),
        ])
        return [UInt8](repeating: 0, count: 128) + Array("DICM".utf8)
            + DicomElement.encode([.unsigned32(0x0002_0000, UInt32(meta.count))]) + meta
    }

    /// About the first group: a point in time where the note has one inside it, otherwise the whole of it.
    private static func annotation(_ text: String, at seconds: Double?, in group: DicomGroup) -> [DicomElement] {
        let clean = text.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7F ? " " : $0 }
        var elements: [DicomElement] = [
            .text(DicomTag.unformattedText, "ST", String(String.UnicodeScalarView(clean.prefix(1024)))),
            // Pairs of group and channel; channel 0 stands for all.
            .unsigned16(DicomTag.referencedChannels, 1, 0),
        ]
        let position = ((seconds ?? -1) * group.rate.value).rounded(.down)
        if position >= 0, position < Double(group.count) {
            elements.append(.text(DicomTag.temporalRangeType, "CS", "POINT"))
            elements.append(.unsigned32(DicomTag.referencedSamples, UInt32(position) + 1))
        }
        return elements
    }
}
