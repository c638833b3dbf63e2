import Clinical
import Devices
import Formats
import Store
import Wire

/// What is on a medium, before anything of it is copied: which files which importer recognises, what is left over, and what is
/// none of our business. Blocking, never on the cooperative pool.
struct MediaSurvey: Sendable {
    /// A recording that an importer recognised.
    struct Candidate: Sendable {
        var importer: any Importer
        var item: ImportItem
        /// The files that it consists of.
        var files: [MediumFile]
    }

    var candidates: [Candidate] = []
    /// Files that nobody understands: one bundle, and one for each day of a device's memory.
    var opaque: [MediumFile] = []
    /// Of which devices parts of the medium are the memory.
    var memories: [CardMemory] = []
    /// Programs, indexes, what operating systems leave behind (a folder of theirs counts once): never copied.
    var leftOut = 0
    /// Files that the medium's index announces and that aren't on it.
    var missing = 0
    /// False when a bound was met or a folder couldn't be listed: there is more on the medium.
    var isAll = true
    /// There is nothing to copy.
    var isEmpty: Bool { candidates.isEmpty && opaque.isEmpty }

    /// Bytes that an import would read.
    var bytes: Int { candidates.reduce(0) { $0 + $1.item.size } + opaque.reduce(0) { $0 + $1.size } }

    /// - Parameter only: the one file of the root that counts; nil for all.
    static func take(
        of tree: any Tree, only: String?, importers: [any Importer]
    ) throws(TreeError) -> MediaSurvey {
        var survey = MediaSurvey()
        var (files, isAll, systems) = try MediumFile.all(in: tree)
        if let only {
            // Whatever else lies in its folder nobody asked about.
            files.removeAll { $0.path != [only] }
            (isAll, systems) = (true, 0)
        }
        survey.isAll = isAll
        survey.leftOut = systems
        var byPath: [[String]: MediumFile] = [:]
        for file in files { byPath[file.path] = file }
        /// What earlier importers keep from later ones.
        var taken: Set<[String]> = []
        /// What is a part of a recording, or tells about one.
        var used: Set<[String]> = []
        for importer in importers {
            let found = try importer.look(in: tree)
            for item in found.items {
                if let only, item.path != [only] { continue }
                // What one importer took is not another's, and what has vanished since isn't there. Of one importer's items two may
                // share a file: a night's events are written into one for all of its sessions.
                let parts = item.parts.compactMap { byPath[$0] }
                guard parts.count == item.parts.count, !item.parts.contains(where: taken.contains) else { continue }
                used.formUnion(item.parts)
                used.formUnion(item.beside)
                survey.candidates.append(Candidate(importer: importer, item: item, files: parts))
            }
            survey.memories += found.memories
            taken.formUnion(used)
            for memory in found.memories { taken.formUnion(files.lazy.map(\.path).filter(memory.owns)) }
        }
        for file in files where !used.contains(file.path) {
            // An empty night of a recorder that was on for seconds is nobody's recording.
            if survey.memories.contains(where: { $0.empty.contains(file.path) }) {
                survey.leftOut += 1
                continue
            }
            switch LeftOver(file, in: tree) {
            case .data: survey.opaque.append(file)
            case .index:
                survey.leftOut += 1
                // Of one file alone, or of a part of a medium, nothing can be said to be missing.
                if only == nil, isAll { survey.missing += missing(by: file, of: files, in: tree) }
            case .other: survey.leftOut += 1
            }
        }
        return survey
    }

    /// A device's memory, and when what is in it was recorded.
    struct Origin: Sendable, Hashable {
        var device: DeviceIdentity
        var time: ClosedRange<LocalTime>?
    }

    /// Where a file that nobody understands comes from; nil when nothing tells.
    func origin(of file: MediumFile) -> Origin? {
        memories.first { $0.holds(file.path) }.map { Origin(device: $0.device, time: $0.time(of: file.path)) }
    }

    /// How many files an index names that aren't there; none when it can't be read: nothing is found by it anyway.
    private static func missing(by index: MediumFile, of files: [MediumFile], in tree: any Tree) -> Int {
        let folder = index.path.dropLast()
        guard let bytes = try? tree.read(index.path, limit: DicomDirectory.sizeLimit),
            let directory = try? DicomDirectory(decoding: bytes)
        else { return 0 }
        return directory.missing(
            among: files.lazy.filter { $0.size > 0 && $0.path.starts(with: folder) }.map {
                Array($0.path.dropFirst(folder.count))
            })
    }
}

/// What a file is that no importer took.
enum LeftOver {
    /// Of a device that nobody here knows.
    case data
    /// The medium's index (DICOMDIR).
    case index
    /// A program, a trace of an operating system, an empty file.
    case other

    private static let names: Set<String> = [
        ".ds_store", "thumbs.db", "desktop.ini", "autorun.inf", "indexervolumeguid", "wpsettings.dat",
    ]
    /// MZ, ELF, Mach-O in its kinds, a script.
    private static let programs: [[UInt8]] = [
        [0x4D, 0x5A], [0x7F, 0x45, 0x4C, 0x46], [0xFE, 0xED, 0xFA], [0xCE, 0xFA, 0xED, 0xFE], [0xCF, 0xFA, 0xED, 0xFE],
        [0xCA, 0xFE, 0xBA, 0xBE], [0x23, 0x21],
    ]

    init(_ file: MediumFile, in tree: any Tree) {
        guard file.size > 0, let name = file.path.last?.lowercased(), !Self.names.contains(name),
            !name.hasPrefix("._")
        else {
            self = .other
            return
        }
        // What can't be read now is said when it is copied.
        guard let start = try? tree.read(file.path, offset: 0, count: DicomHeader.signatureSize) else {
            self = .data
            return
        }
        if DicomHeader.isHeader(start), DicomHeader.isDirectory(start) {
            self = .index
        } else {
            self = Self.programs.contains { start.starts(with: $0) } ? .other : .data
        }
    }
}

extension MediumFile {
    /// 2000-01-01: a writer without a clock dates every file alike, some day before it.
    private static let firstTime: Int64 = 946_684_800 * 1_000_000_000

    /// What tells this file from every other, and from itself after it changed, without reading all of it: its place, size and times,
    /// its first and its last bytes. Where its time tells nothing, all of them.
    func mark(in tree: any Tree) throws(TreeError) -> String {
        let end = 4096
        var parts = [Array(path.joined(separator: "/").utf8), Array("\(size) \(modified) \(changed)".utf8)]
        if modified < Self.firstTime {
            let piece = 1 << 20
            for offset in stride(from: 0, to: size, by: piece) {
                let bytes = try tree.read(path, offset: offset, count: piece)
                parts.append(Array(DocumentHasher.sha256(bytes).utf8))
            }
        } else {
            parts.append(try tree.read(path, offset: 0, count: end))
            parts.append(try tree.read(path, offset: max(0, size - end), count: end))
        }
        return DocumentHasher.fingerprint(parts)
    }
}

extension MediaSurvey.Candidate {
    func mark(in tree: any Tree) throws(TreeError) -> String {
        var marks: [[UInt8]] = []
        for file in files { marks.append(Array(try file.mark(in: tree).utf8)) }
        return DocumentHasher.fingerprint(marks)
    }
}
