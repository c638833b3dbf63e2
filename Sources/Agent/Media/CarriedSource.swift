import Devices
import Formats
import FoundationEssentials
import Store
import Wire

/// Bytes that are carried as they are, piece by piece. Blocking.
protocol CarriedSource: Sendable {
    /// Exactly `count` bytes, fewer at the end.
    mutating func next(_ count: Int) throws(TreeError) -> [UInt8]
    /// Files that could not be read to their end, and were gone on from.
    var damaged: [MediumFile] { get }
    /// What the others are, as `MediumFile.mark(ofContent:)`.
    var contents: [String] { get }
}

extension MediumFile {
    /// Known again wherever it stands, and whatever its date: that moves by an hour with summer time, and with a copy.
    static func mark(ofContent content: CarriedContent) -> String { "\(mark(ofSize: content.size))\(content.sha256)" }

    /// What the marks of all contents of that size begin with.
    static func mark(ofSize size: Int) -> String { "content/\(size)/" }

    /// A copy of it began: whose it was then, it is, should it come again before all is there.
    static func mark(begun mark: String) -> String { "begun/\(mark)" }
}

/// One file.
struct FileSource: CarriedSource {
    let tree: any Tree
    let file: MediumFile
    /// It is whole or an error.
    var damaged: [MediumFile] { [] }
    /// Known by the recording's own hash.
    var contents: [String] { [] }
    private var offset = 0

    init(_ file: MediumFile, in tree: any Tree) {
        self.file = file
        self.tree = tree
    }

    mutating func next(_ count: Int) throws(TreeError) -> [UInt8] {
        let wanted = min(count, file.size - offset)
        guard wanted > 0 else { return [] }
        let bytes = try tree.read(file.path, offset: offset, count: wanted)
        // Shorter than its directory says: the medium is damaged, or somebody writes to it.
        guard bytes.count == wanted else { throw .unreadable("file", 0) }
        offset += wanted
        return bytes
    }
}

/// Files that nobody understands as one ustar archive, ending with a manifest that names, measures and hashes each. A file that
/// can't be read to its end is filled up with zeros, and the manifest says so: the others are worth having.
struct BundleSource: CarriedSource {
    static let mediaType = "application/x-tar"
    static let manifestName = "ess-agent-manifest.json"

    private struct Manifest: Encodable {
        struct Entry: Encodable {
            /// Where it was on the medium.
            var path: String
            /// Where it is in the archive.
            var name: String
            var size: Int
            var sha256: String
            /// As the medium says it: Unix time in seconds.
            var modified: Int64
            /// Bytes from which on it could not be read; missing where all of it was.
            var unreadableFrom: Int?
        }
        var format = "ess-agent bundle 1"
        var files: [Entry] = []
    }

    private let tree: any Tree
    private let files: [MediumFile]
    private var index = 0
    private var offset = 0
    private var digest = CarriedDigest()
    private var unreadableFrom: Int?
    private var buffer: [UInt8] = []
    private var manifest = Manifest()
    private var isFinished = false
    private(set) var damaged: [MediumFile] = []
    private(set) var contents: [String] = []

    init(_ files: [MediumFile], in tree: any Tree) {
        self.files = files
        self.tree = tree
    }

    mutating func next(_ count: Int) throws(TreeError) -> [UInt8] {
        while buffer.count < count, !isFinished { try advance() }
        let piece = Array(buffer.prefix(count))
        buffer.removeFirst(piece.count)
        return piece
    }

    private mutating func advance() throws(TreeError) {
        guard index < files.count else {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes, .prettyPrinted]
            let text = (try? encoder.encode(manifest)).map { Array($0) } ?? []
            buffer += header(Self.manifestName, text.count) + text + Ustar.padding(after: text.count)
            buffer += [UInt8](repeating: 0, count: 1024)
            isFinished = true
            return
        }
        let file = files[index]
        let name = Self.name(of: file, index)
        if offset == 0 { buffer += header(name, file.size) }
        let wanted = min(1 << 20, file.size - offset)
        if wanted > 0 {
            let bytes = try piece(of: file, wanted)
            digest.add(bytes)
            buffer += bytes
            offset += wanted
        }
        guard offset == file.size else { return }
        buffer += Ustar.padding(after: file.size)
        let content = digest.content(mediaType: "")
        manifest.files.append(
            Manifest.Entry(
                path: file.path.joined(separator: "/"), name: name, size: file.size,
                sha256: content.sha256, modified: file.modified / 1_000_000_000,
                unreadableFrom: unreadableFrom))
        if unreadableFrom == nil {
            contents.append(MediumFile.mark(ofContent: content))
        } else {
            damaged.append(file)
        }
        (index, offset, digest, unreadableFrom) = (index + 1, 0, CarriedDigest(), nil)
    }

    private mutating func piece(of file: MediumFile, _ wanted: Int) throws(TreeError) -> [UInt8] {
        if unreadableFrom == nil {
            do throws(TreeError) {
                let bytes = try tree.read(file.path, offset: offset, count: wanted)
                guard bytes.count < wanted else { return bytes }
                unreadableFrom = offset + bytes.count
                return bytes + [UInt8](repeating: 0, count: wanted - bytes.count)
            } catch {
                // Everything is unreadable once the medium is out.
                guard try !tree.list([]).isEmpty else { throw error }
                unreadableFrom = offset
            }
        }
        return [UInt8](repeating: 0, count: wanted)
    }

    /// Its path where ustar has room for it, else its number; the manifest has the whole path.
    private static func name(of file: MediumFile, _ index: Int) -> String {
        let path = "files/" + file.path.joined(separator: "/")
        return path.utf8.count <= 100 ? path : "long-names/\(index + 1)"
    }

    /// No name is too long or empty, and no file reaches 8 GiB.
    private func header(_ name: String, _ size: Int) -> [UInt8] { (try? Ustar.header(name: name, size: size)) ?? [] }
}
