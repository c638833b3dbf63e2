import Clinical
public import Formats

/// Decodes one file of any kind that the agent knows, recognised by its content: standard formats, vendors' files, and the
/// originals that importers make of several files.
/// - Parameters:
///   - named: its name, for formats that spread over several files; plays no part in recognising it.
///   - beside: the content of another file in the same folder; nil when there is none.
/// - Throws: `.notRecognised` when it is of none.
public func decodeAnyFile(
    _ bytes: [UInt8], named: String = "", beside: (String) throws -> [UInt8]? = { _ in nil }
) throws(DecodeError) -> DecodedFile {
    // These look like SCP-ECG and are not.
    if EasyEcgFile.model(of: bytes.prefix(EasyEcgFile.headerSize)) != nil {
        if let file = try decode(bytes, with: EasyEcgFiles()) { return file }
    }
    // An EDF whose own conventions no other reader knows.
    if ResmedFile.isOne(bytes), let file = try decode(bytes, with: ResmedCard()) { return file }
    let unknown: DecodeError
    do throws(DecodeError) {
        return try FileDecoder.decode(bytes, named: named, beside: beside)
    } catch {
        switch error {
        case .notRecognised: unknown = error
        case .unsupported(_, let text):
            // An image, a loop, an object that nobody has a reader for: carried as it is, and its header says something.
            guard var file = try decode(bytes, with: DicomMedia()) else { throw error }
            file.notes.append(Note(kind: .surprise, text: text))
            return file
        case .damaged: throw error
        }
    }
    for importer in Registry.importers {
        if let file = try decode(bytes, with: importer) { return file }
    }
    guard !bytes.isEmpty else { throw unknown }
    throw .notRecognised(
        "neither DICOM, EDF, BDF, SCP-ECG, HL7 aECG, a WFDB header, nor a file of a Contec (.ECG, .SpO2), PC-80B, PC-180D, "
            + "ChoiceMMed, Viatom or ResMed device; export it in one of these from where it came")
}

/// Nil when it is no file of this importer's.
private func decode(_ bytes: [UInt8], with importer: any Importer) throws(DecodeError) -> DecodedFile? {
    do throws(ImportError) {
        let recording = try importer.decode(bytes)
        return DecodedFile(
            format: importer.name, groups: [.init(waveform: recording.waveform)], start: recording.start,
            startText: recording.rawStart, claim: recording.claim, isSimulated: recording.device.isSimulated,
            notes: recording.notes)
    } catch {
        switch error {
        case .notRecognised: return nil
        case .damaged(let text): throw .damaged(format: importer.name, text)
        case .unsupported(let text): throw .unsupported(format: importer.name, text)
        // Only trees throw this; bytes have none.
        case .tree: return nil
        }
    }
}
