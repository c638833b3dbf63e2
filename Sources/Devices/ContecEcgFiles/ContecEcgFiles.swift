public import Clinical
import Formats
public import Wire

/// The microSD card (or a copied folder) of a Contec ECG90A: `.ECG` files, one case each (devices.md 6.1).
public struct ContecEcgFiles: Importer {
    /// Bytes of one file: more than an hour and a half, where a case is some ten seconds.
    static let sizeLimit = FileWalk.sizeLimit

    public let name = "contec-ecg-files"
    public let title = "Contec ECG90A card (.ECG files)"
    /// Layout, scale and lead order from two sources and checked on three real files.
    public let support = SupportLevel.verified

    public init() {}

    public func find(in tree: any Tree) throws(TreeError) -> [ImportItem] {
        var items: [ImportItem] = []
        try FileWalk.files(in: tree) { path, size in
            guard (ContecECG.headerSize...Self.sizeLimit).contains(size),
                let header = try? tree.read(path, offset: 0, count: ContecECG.headerSize), ContecECG.isHeader(header)
            else { return }
            items.append(ImportItem(path: path, size: size))
        }
        return items
    }

    public func decode(_ bytes: [UInt8]) throws(ImportError) -> ImportedRecording {
        let file: ContecECG
        do {
            file = try ContecECG(decoding: bytes)
        } catch {
            switch error {
            case .notRecognised: throw .notRecognised
            case .damaged(_, let text), .unsupported(_, let text): throw .damaged(text)
            }
        }
        let serial = file.simulatedSerial
        return ImportedRecording(
            modality: .ecg,
            device: DeviceIdentity(
                driver: name, vendor: "Contec", model: "ECG90A", serial: serial, support: support),
            waveform: file.waveform12, original: bytes, start: file.start, rawStart: file.startText,
            claim: serial == nil ? file.claim : file.anonymousClaim, notes: file.notes)
    }
}
