public import Clinical
import Formats
public import Wire

/// Examinations that an echograph exported onto a stick or card: every DICOM file in the tree, found by its content. The index
/// (DICOMDIR) is missing, stale or wrong too often to be asked (formats.md 2.2); it is not an examination, and stays on the medium.
///
/// Files are carried as they are, in any transfer syntax: nothing is decoded, nothing is re-encoded.
public struct DicomMedia: Importer {
    public let name = "dicom-media"
    public let title = "DICOM sticks and cards (echography: images, loops, reports), any transfer syntax, byte for byte"
    public let support = SupportLevel.verified

    public init() {}

    public func find(in tree: any Tree) throws(TreeError) -> [ImportItem] {
        var items: [ImportItem] = []
        try FileWalk.files(in: tree) { path, size in
            guard size >= 32, let start = try? tree.read(path, offset: 0, count: DicomHeader.signatureSize),
                DicomHeader.isHeader(start)
            else { return }
            // The index is recognised by what it is: a file of any name may be one, and one may have any name.
            guard !DicomHeader.isDirectory(start) else { return }
            items.append(ImportItem(path: path, size: size))
        }
        return items
    }

    public func original(of item: ImportItem, from tree: any Tree) throws(ImportError) -> [UInt8]? { nil }

    public func take(_ item: ImportItem, original: [UInt8]?, from tree: any Tree) throws(ImportError) -> Imported {
        .carried(try carried(item, from: tree))
    }

    /// What an object's header says, read without its pixels.
    public func carried(_ item: ImportItem, from tree: any Tree) throws(ImportError) -> CarriedFile {
        var failure: TreeError?
        let header: DicomHeader
        do throws(DecodeError) {
            header = try DicomHeader(size: item.size) { offset, count throws(DecodeError) in
                do throws(TreeError) {
                    return try tree.read(item.path, offset: offset, count: count)
                } catch {
                    failure = error
                    throw .damaged(format: "dicom", "it can't be read")
                }
            }
        } catch {
            if let failure { throw .tree(failure) }
            throw .notRecognised
        }
        return carried(header)
    }

    func carried(_ header: DicomHeader) -> CarriedFile {
        CarriedFile(
            modality: .imaging, device: device(header), mediaType: "application/dicom", start: header.start,
            rawStart: header.startText, claim: header.claim, objectID: header.objectID, study: study(header),
            notes: notes(header))
    }

    public func decode(_ bytes: [UInt8]) throws(ImportError) -> ImportedRecording {
        let header: DicomHeader
        do { header = try DicomHeader(bytes) } catch { throw .notRecognised }
        return ImportedRecording(
            modality: .imaging, device: device(header), waveform: Waveform(channels: [], samples: []), original: bytes,
            start: header.start, rawStart: header.startText, claim: header.claim, notes: notes(header))
    }

    private func device(_ header: DicomHeader) -> DeviceIdentity {
        DeviceIdentity(
            driver: name, vendor: header.manufacturer ?? "?", model: header.model ?? "?",
            serial: header.isSimulated ? "SIM-\(header.serial ?? "DICOM")" : header.serial,
            firmware: header.software, support: support)
    }

    private func study(_ header: DicomHeader) -> StudyObject {
        StudyObject(
            study: header.studyInstance, series: header.seriesInstance, objectClass: header.sopClass,
            transferSyntax: header.transferSyntax, modality: header.modality,
            studyDescription: header.studyDescription, seriesDescription: header.seriesDescription,
            frames: header.frames, rows: header.rows, columns: header.columns, burnedIn: header.burnedIn,
            privateElements: header.privateElements, isTruncated: header.ending == .truncated)
    }

    private func notes(_ header: DicomHeader) -> [Note] {
        var notes = header.surprises.map { Note(kind: .surprise, text: $0) }
        if header.ending == .truncated {
            notes.append(
                Note(kind: .gap, text: "the file ends before what it announces: cut while it was recorded or copied"))
        }
        // Absent proves nothing (formats.md 2.5); an SR has no pixels to draw into.
        if header.pixelOffset != nil, header.burnedIn != false {
            notes.append(Note(kind: .device, text: "a name may be drawn in the pixels"))
        }
        if header.start == nil {
            notes.append(Note(kind: .device, text: "no date and time of the examination in the file"))
        }
        return notes
    }
}
