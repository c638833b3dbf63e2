import Formats

/// The files of one folder, by their names in any case, as cards that were copied lose it.
struct SignalFolder {
    /// Of a header, which is text.
    static let headerLimit = 1 << 20
    /// Annotation files that programs write beside a record, under its name.
    private static let annotators = ["atr", "qrs", "ecg", "ann", "apn", "ari", "st"]

    private var files: [String: (path: [String], size: Int)] = [:]

    mutating func add(_ path: [String], _ size: Int) {
        guard let name = path.last?.lowercased() else { return }
        // Two names that differ in case only: the first one, always.
        if files[name] == nil { files[name] = (path, size) }
    }

    struct Record {
        /// The header first, then what it names, then annotations.
        var parts: [[String]]
        var size: Int
        /// Headers that are no records of their own.
        var segments: [[String]]
    }

    /// All files of a WFDB record; nil when one of them is missing, or the header says nonsense.
    /// - Parameter read: a header's bytes.
    func record(of path: [String], _ read: ([String]) -> [UInt8]?) -> Record? {
        var parts = [path]
        var names: [String] = [path.last ?? ""]
        var segments: [[String]] = []
        guard let header = read(path), let named = try? WFDBRecord.files(namedBy: header) else { return nil }
        var signals = named.signals
        for segment in named.segments {
            guard let file = files[segment.lowercased()], let bytes = read(file.path),
                let inner = try? WFDBRecord.files(namedBy: bytes), inner.segments.isEmpty
            else { return nil }
            parts.append(file.path)
            names.append(segment)
            segments.append(file.path)
            signals += inner.signals
        }
        for signal in signals {
            guard let file = files[signal.lowercased()] else { return nil }
            if !parts.contains(file.path) { parts.append(file.path) }
        }
        for name in names {
            let stem = name.lowercased().hasSuffix(".hea") ? name.dropLast(4) : name[...]
            for annotator in Self.annotators {
                if let file = files["\(stem.lowercased()).\(annotator)"], !parts.contains(file.path) {
                    parts.append(file.path)
                }
            }
        }
        let sizes = parts.map { files[($0.last ?? "").lowercased()]?.size ?? 0 }
        return Record(parts: parts, size: sizes.reduce(0, +), segments: segments)
    }
}
