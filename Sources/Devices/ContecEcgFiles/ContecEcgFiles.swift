public import Clinical
import Formats
public import Wire

/// The microSD card (or a copied folder) of a Contec ECG90A: `.ECG` files, one case each (devices.md 6.1).
public struct ContecEcgFiles: Importer {
    /// Directories below the root.
    static let depthLimit = 8
    /// Entries looked at on one card; a card that holds more is somebody's hard disk.
    static let entryLimit = 10_000
    /// Bytes of one file: more than an hour and a half, where a case is some ten seconds.
    static let sizeLimit = 64 << 20

    public let name = "contec-ecg-files"
    public let title = "Contec ECG90A card (.ECG files)"
    /// Layout, scale and lead order from two sources and checked on three real files.
    public let support = SupportLevel.verified

    public init() {}

    public func find(in tree: any Tree) throws(TreeError) -> [ImportItem] {
        var items: [ImportItem] = []
        var entriesLeft = Self.entryLimit
        try look(in: [], entries: tree.list([]), of: tree, &entriesLeft, &items)
        return items
    }

    /// Directory by directory in the order of the names, so that the same card always gives the same list.
    private func look(
        in path: [String], entries: [TreeEntry], of tree: any Tree, _ entriesLeft: inout Int,
        _ items: inout [ImportItem]
    ) throws(TreeError) {
        for entry in entries.sorted(by: { $0.name < $1.name }) {
            guard entriesLeft > 0 else { return }
            entriesLeft -= 1
            let inner = path + [entry.name]
            switch entry.kind {
            case .file:
                guard (ContecECG.headerSize...Self.sizeLimit).contains(entry.size),
                    // A file that can't be read is left to the person who looks at the card; the others still count.
                    let header = try? tree.read(inner, offset: 0, count: ContecECG.headerSize),
                    ContecECG.isHeader(header)
                else { continue }
                items.append(ImportItem(path: inner, size: entry.size))
            case .directory:
                guard path.count < Self.depthLimit, let below = try? tree.list(inner) else { continue }
                try look(in: inner, entries: below, of: tree, &entriesLeft, &items)
            case .other: continue
            }
        }
    }

    public func read(_ item: ImportItem, from tree: any Tree) throws(ImportError) -> ImportedRecording {
        let bytes: [UInt8]
        do {
            bytes = try tree.read(item.path, limit: Self.sizeLimit)
        } catch {
            throw .tree(error)
        }
        return try decode(bytes)
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
