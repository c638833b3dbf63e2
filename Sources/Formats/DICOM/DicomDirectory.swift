/// What a medium's index (DICOMDIR, PS3.3 F) says should be on it. A hint and nothing more: the index is missing, stale or wrong
/// too often for anything to be refused or found by it (formats.md 2.2).
public struct DicomDirectory: Sendable, Equatable {
    /// Bytes of an index that is looked into; a full DVD's has some megabytes.
    public static let sizeLimit = 16 << 20

    /// The files that records in use name, each as its components below the index's folder; each once, in the order of the file.
    public var files: [[String]]

    /// Every record counts wherever it stands: offsets between records are zero, wrong or circular often enough.
    /// - Throws: `.notRecognised` when it is no DICOM file; `.damaged`; `.unsupported` without any record.
    public init(decoding bytes: [UInt8]) throws(DecodeError) {
        // A cut index still names what it names.
        let dataset = try DicomPart10.content(bytes).dataset
        let records = dataset.items(DicomTag.directoryRecords)
        guard !records.isEmpty else { throw .unsupported(format: "dicom", "it is no index of a medium") }
        files = []
        var seen: Set<[String]> = []
        for record in records where record.unsigned(DicomTag.recordInUse) != 0 {
            guard let id = record.text(DicomTag.referencedFile) else { continue }
            let path = id.split(separator: "\\").map { String($0).trimmed }.filter { !$0.isEmpty }
            // Names that lead elsewhere are nobody's file.
            guard !path.isEmpty, !path.contains(".."), seen.insert(path).inserted else { continue }
            files.append(path)
        }
    }

    /// How many of the files aren't among these.
    ///
    /// Names come back from other systems in lower case, with an extension, a version (`;1`) or a point at their end (ISO 9660): a
    /// file is there when its name is, whatever was hung on.
    /// - Parameter present: paths below the index's folder.
    public func missing(among present: some Sequence<[String]>) -> Int {
        let names = Set(present.map { Self.key($0) })
        return files.count { !names.contains(Self.key($0)) }
    }

    private static func key(_ path: [String]) -> [String] {
        path.map { part in
            // An identifier of the index has no point; neither do folders that it names.
            let stem = part.prefix { $0 != "." && $0 != ";" }
            return (stem.isEmpty ? part : String(stem)).lowercased()
        }
    }
}
