public import Clinical
import Formats
public import Wire

/// Recordings that another system exported in a standard form: DICOM waveforms, SCP-ECG, HL7 aECG, EDF and BDF, WFDB. Found by
/// their content wherever they lie; each file is a recording of its own, and a WFDB record is its header with all files that
/// it names, kept as a ustar archive.
public struct SignalFiles: Importer {
    public let name = "signal-files"
    public let title = "ECGs and nights in standard files (DICOM waveforms, SCP-ECG, HL7 aECG, EDF/BDF, WFDB)"
    /// Each reader gives what independent readers give for real files (Tests/Interop).
    public let support = SupportLevel.verified

    public init() {}

    public func find(in tree: any Tree) throws(TreeError) -> [ImportItem] {
        var items: [ImportItem] = []
        var folders: [[String]: SignalFolder] = [:]
        var headers: [[String]] = []
        try FileWalk.files(in: tree) { path, size in
            folders[Array(path.dropLast()), default: SignalFolder()].add(path, size)
            guard size > 0, let head = try? tree.read(path, offset: 0, count: SignalFileKind.headSize),
                let kind = SignalFileKind(head)
            else { return }
            switch kind {
            case .wfdb: headers.append(path)
            // However long: what can't be decoded is carried.
            case .dicom: items.append(ImportItem(path: path, size: size))
            case .edf, .scp, .annotated:
                if size <= FileWalk.sizeLimit { items.append(ImportItem(path: path, size: size)) }
            }
        }
        items += records(headers, folders, in: tree)
        return items.sorted { $0.path.lexicographicallyPrecedes($1.path) }
    }

    /// A record for each header that is no segment of another's; none where a file is missing or there is too much of it.
    private func records(
        _ headers: [[String]], _ folders: [[String]: SignalFolder], in tree: any Tree
    ) -> [ImportItem] {
        var segments: Set<[String]> = []
        var items: [ImportItem] = []
        for path in headers {
            guard let folder = folders[Array(path.dropLast())],
                let record = folder.record(of: path, { try? tree.read($0, limit: SignalFolder.headerLimit) })
            else { continue }
            segments.formUnion(record.segments)
            if record.size <= FileWalk.sizeLimit {
                items.append(ImportItem(parts: record.parts, beside: [], size: record.size))
            }
        }
        return items.filter { !segments.contains($0.path) }
    }

    /// Nil for a DICOM waveform that is too long to be decoded in one piece.
    public func original(of item: ImportItem, from tree: any Tree) throws(ImportError) -> [UInt8]? {
        guard item.size <= FileWalk.sizeLimit else { return nil }
        let entries = try entries(of: item, from: tree) { $0.last ?? "" }
        guard let first = entries.first else { throw .notRecognised }
        guard SignalFileKind(first.bytes) == .wfdb else { return first.bytes }
        do throws(EncodeError) { return try Ustar(entries).encoded() } catch { throw .unsupported("\(error)") }
    }

    /// A DICOM waveform that is too long, or of a kind that isn't decoded, is carried like an image.
    public func take(_ item: ImportItem, original: [UInt8]?, from tree: any Tree) throws(ImportError) -> Imported {
        if let original {
            do throws(ImportError) {
                return .decoded(try read(item, original: original, from: tree))
            } catch {
                guard SignalFileKind(original) == .dicom else { throw error }
            }
        }
        return .carried(try DicomMedia().carried(item, from: tree))
    }

    /// One file, or the archive that `read` makes of a WFDB record.
    public func decode(_ bytes: [UInt8]) throws(ImportError) -> ImportedRecording {
        // An EDF whose own conventions no other reader knows, of a machine that may be lent.
        if ResmedFile.isOne(bytes) { return try ResmedCard().decode(bytes) }
        let content: SignalContent
        do throws(DecodeError) {
            content = try SignalContent(bytes)
        } catch {
            switch error {
            case .notRecognised: throw .notRecognised
            case .damaged(_, let text): throw .damaged(text)
            case .unsupported(_, let text): throw .unsupported(text)
            }
        }
        return ImportedRecording(
            modality: content.modality,
            device: DeviceIdentity(
                driver: name, vendor: content.maker.vendor ?? "?", model: content.maker.model ?? "?",
                serial: content.isSimulated ? "SIM-\(content.maker.serial ?? "FILE")" : content.maker.serial,
                firmware: content.maker.software, support: support),
            waveform: content.waveform, original: bytes, start: content.start, rawStart: content.startText,
            objectID: content.objectID, claim: content.claim, notes: content.notes)
    }
}

/// What a file is, by its first bytes.
enum SignalFileKind {
    case dicom, edf, scp, annotated, wfdb

    /// Bytes that tell it.
    static let headSize = 4096
    /// Waveform storage but for voice (PS3.4 B.5: 9.4.x), with which nobody here can do anything.
    private static let waveformClass = Array("1.2.840.10008.5.1.4.1.1.9.".utf8)

    init?(_ head: [UInt8]) {
        if DicomHeader.isHeader(head) {
            guard let place = head.prefix(1024).firstRange(of: Self.waveformClass)?.upperBound, place < head.count,
                head[place] != UInt8(ascii: "4")
            else { return nil }
            self = .dicom
        } else if EDFFile.isHeader(head) {
            self = .edf
        } else if SCPFile.isHeader(head), EasyEcgFile.model(of: head.prefix(EasyEcgFile.headerSize)) == nil {
            self = .scp
        } else if AnnotatedECG.isHeader(head) {
            self = .annotated
        } else if WFDBRecord.isHeader(head) {
            self = .wfdb
        } else {
            return nil
        }
    }
}
