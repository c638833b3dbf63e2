public import Clinical
import Formats
public import Wire

/// Nights as the vendors' own programs save them: Contec's `.SpO2` (devices.md 3.11), ChoiceMMed's `.dat` (rank 20), Viatom's
/// and Wellue's files (rank 19).
public struct OximeterFiles: Importer {
    /// Bytes that tell the kinds apart: what the longest header needs.
    private static let headerSize = ContecSpO2.dataStart

    public let name = "oximeter-files"
    public let title = "Oximeter files (Contec .SpO2, ChoiceMMed .dat, Viatom)"
    /// The weakest of the three: `.SpO2` has two sources, the others one.
    public let support = SupportLevel.singleSource

    public init() {}

    public func find(in tree: any Tree) throws(TreeError) -> [ImportItem] {
        var items: [ImportItem] = []
        try FileWalk.files(in: tree) { path, size in
            guard (14...FileWalk.sizeLimit).contains(size),
                let header = try? tree.read(path, offset: 0, count: Self.headerSize),
                ContecSpO2.isHeader(header) || ChoiceMMedFile.isHeader(header, size: size)
                    || ViatomFile.isHeader(header, size: size)
            else { return }
            items.append(ImportItem(path: path, size: size))
        }
        return items
    }

    public func decode(_ bytes: [UInt8]) throws(ImportError) -> ImportedRecording {
        if ContecSpO2.isHeader(bytes) { return try contec(bytes) }
        if ViatomFile.isHeader(bytes, size: bytes.count) { return try viatom(bytes) }
        let file = try ChoiceMMedFile(bytes)
        return ImportedRecording(
            modality: .oximetry,
            device: DeviceIdentity(
                driver: name, vendor: "ChoiceMMed", model: "MD300", serial: file.simulatedSerial, support: .singleSource
            ),
            waveform: file.waveform, original: bytes, start: file.start, rawStart: file.startText, claim: nil,
            notes: file.notes)
    }

    private func viatom(_ bytes: [UInt8]) throws(ImportError) -> ImportedRecording {
        let file = try ViatomFile(bytes)
        return ImportedRecording(
            modality: .oximetry,
            device: DeviceIdentity(
                driver: name, vendor: "Viatom", model: "O2Ring", serial: nil, support: .singleSource),
            waveform: file.waveform, original: bytes, start: file.start, rawStart: file.startText, claim: nil,
            notes: file.notes)
    }

    private func contec(_ bytes: [UInt8]) throws(ImportError) -> ImportedRecording {
        do {
            let file = try ContecSpO2(decoding: bytes)
            return ImportedRecording(
                modality: .oximetry,
                device: DeviceIdentity(
                    driver: name, vendor: "Contec", model: "CMS50", serial: file.simulatedSerial, support: .verified),
                waveform: file.waveform, original: bytes, start: file.start, rawStart: file.startText, claim: nil,
                notes: file.notes)
        } catch {
            switch error {
            case .notRecognised: throw .notRecognised
            case .damaged(_, let text), .unsupported(_, let text): throw .damaged(text)
            }
        }
    }
}
