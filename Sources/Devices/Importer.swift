public import Clinical
import Formats
public import Wire

/// A recording on a card that an importer recognised by its content: one file, or several that belong together.
public struct ImportItem: Sendable, Equatable {
    /// The file; the first of several.
    public var path: [String]
    /// Bytes of all parts.
    public var size: Int
    /// All files that the recording consists of, in the order in which they make up its original.
    public var parts: [[String]]
    /// Files that tell more about it (the card's identification, its statistics) and are no part of its original. They may be parts
    /// of the same importer's other items.
    public var beside: [[String]]

    public init(path: [String], size: Int) {
        self.path = path
        self.size = size
        parts = [path]
        beside = []
    }

    /// - Parameter parts: at least one.
    public init(parts: [[String]], beside: [[String]], size: Int) {
        path = parts[0]
        self.size = size
        self.parts = parts
        self.beside = beside
    }
}

/// A part of a medium that is one device's memory, so that what nobody understands of it is still known to be that device's: it
/// was lent, perhaps, to another patient than the one whose visit is open.
public struct CardMemory: Sendable, Equatable {
    public var device: DeviceIdentity
    /// All of what lies below here and nobody understands came with the card; nil where only `own` did.
    public var root: [String]?
    /// Files and directories that are nobody else's to read, however familiar they look.
    public var own: Set<[String]>
    /// Files that say of themselves that nothing was recorded.
    public var empty: Set<[String]>
    /// First and last start of what was recorded on the day of a file, by file.
    public var days: [[String]: ClosedRange<LocalTime>]

    public init(
        device: DeviceIdentity, root: [String]?, own: Set<[String]>, empty: Set<[String]>,
        days: [[String]: ClosedRange<LocalTime>]
    ) {
        self.device = device
        self.root = root
        self.own = own
        self.empty = empty
        self.days = days
    }

    public func owns(_ path: [String]) -> Bool {
        own.contains(path) || path.indices.contains { own.contains(Array(path[..<$0])) }
    }

    public func holds(_ path: [String]) -> Bool { owns(path) || root.map { path.starts(with: $0) } ?? false }

    /// When a file of it was written: on its day; with all of the recordings where it has none (settings, a journal). Nil where
    /// nothing tells.
    public func time(of path: [String]) -> ClosedRange<LocalTime>? {
        if let day = days[path] { return day }
        guard owns(path), let first = days.values.map(\.lowerBound).min(),
            let last = days.values.map(\.upperBound).max()
        else { return nil }
        return first...last
    }
}

/// One recording as read from a file: decoded, beside its original bytes.
public struct ImportedRecording: Sendable, Equatable {
    public var modality: Recording.Modality
    public var device: DeviceIdentity
    public var waveform: Waveform
    /// The file byte for byte; a ustar archive of the files where there are several.
    public var original: [UInt8]
    /// The start as the file says it.
    public var start: LocalTime?
    public var rawStart: String?
    /// `Recording.objectID`: a DICOM SOP Instance UID; nil for formats whose files have no identity of their own.
    public var objectID: String?
    public var claim: IdentityClaim?
    public var notes: [Note]

    public init(
        modality: Recording.Modality, device: DeviceIdentity, waveform: Waveform, original: [UInt8], start: LocalTime?,
        rawStart: String?, objectID: String? = nil, claim: IdentityClaim?, notes: [Note]
    ) {
        self.modality = modality
        self.device = device
        self.waveform = waveform
        self.original = original
        self.start = start
        self.rawStart = rawStart
        self.objectID = objectID
        self.claim = claim
        self.notes = notes
    }
}

/// What an importer makes of an item.
public enum Imported: Sendable, Equatable {
    case decoded(ImportedRecording)
    /// Carried as it is, however large: what is known of it.
    case carried(CarriedFile)
}

/// Why a file can't be imported. The text says what is wrong with it, in English, without any identity.
public enum ImportError: Error, Equatable, Sendable {
    /// Not this importer's kind of file.
    case notRecognised
    /// It is, but it is damaged.
    case damaged(String)
    /// It is, and whole as far as can be seen, but in a variant that nobody here reads: it is kept as it is.
    case unsupported(String)
    case tree(TreeError)
}

/// A kind of card, stick or vendor file. Pure over a `Tree`; blocking, never on the cooperative pool.
public protocol Importer: Sendable {
    /// Also the folder's and the fixtures' name: `contec-ecg-files`.
    var name: String { get }
    /// For people.
    var title: String { get }
    var support: SupportLevel { get }
    /// Recordings of this kind in the tree, recognised by content, never by name alone; in a stable order.
    func find(in tree: any Tree) throws(TreeError) -> [ImportItem]
    /// Devices whose memory the medium is, or a part of it, beside their recordings.
    func look(in tree: any Tree) throws(TreeError) -> (items: [ImportItem], memories: [CardMemory])
    /// What of an original tells that it is here already: all of it, but for what a device adds to later.
    func identity(of original: [UInt8]) -> [UInt8]
    /// The bytes that are kept of an item: its file, or a ustar archive of its files. Nothing of them is decoded, so that what is here
    /// already is known by their hash alone. Nil for an item that is carried as it is, however large.
    func original(of item: ImportItem, from tree: any Tree) throws(ImportError) -> [UInt8]?
    /// Decodes an item's original, with what the files beside it tell.
    func read(_ item: ImportItem, original: [UInt8], from tree: any Tree) throws(ImportError) -> ImportedRecording
    /// The item as it goes into the store. Of one that is carried at most 1 MiB is read, unless its header is longer.
    /// - Parameter original: what `original(of:from:)` gave.
    func take(_ item: ImportItem, original: [UInt8]?, from tree: any Tree) throws(ImportError) -> Imported
    /// Decodes one file's bytes, or an original that this importer made of several; `.notRecognised` when it is neither.
    func decode(_ bytes: [UInt8]) throws(ImportError) -> ImportedRecording
}

extension Importer {
    public func look(in tree: any Tree) throws(TreeError) -> (items: [ImportItem], memories: [CardMemory]) {
        (try find(in: tree), [])
    }

    public func identity(of original: [UInt8]) -> [UInt8] { original }

    public func original(of item: ImportItem, from tree: any Tree) throws(ImportError) -> [UInt8]? {
        do { return try tree.read(item.path, limit: FileWalk.sizeLimit) } catch { throw .tree(error) }
    }

    public func read(
        _ item: ImportItem, original: [UInt8], from tree: any Tree
    ) throws(ImportError) -> ImportedRecording {
        try decode(original)
    }

    public func take(_ item: ImportItem, original: [UInt8]?, from tree: any Tree) throws(ImportError) -> Imported {
        guard let original else { throw .notRecognised }
        return .decoded(try read(item, original: original, from: tree))
    }

    public func take(_ item: ImportItem, from tree: any Tree) throws(ImportError) -> Imported {
        try take(item, original: original(of: item, from: tree), from: tree)
    }

    /// Reads an item's original and decodes it; `.notRecognised` for one that is only carried.
    public func read(_ item: ImportItem, from tree: any Tree) throws(ImportError) -> ImportedRecording {
        guard let original = try original(of: item, from: tree) else { throw .notRecognised }
        return try read(item, original: original, from: tree)
    }

    /// `StoredItem.source` of what an original is decoded to.
    /// - Parameter sha256: of `identity(of:)`.
    public func source(ofHash sha256: String) -> String { "\(name)/\(sha256)" }

    /// The files of an item for an archive, together not larger than an importer reads.
    func entries(
        of item: ImportItem, from tree: any Tree, named name: ([String]) -> String
    ) throws(ImportError) -> [Ustar.Entry] {
        var entries: [Ustar.Entry] = []
        var left = FileWalk.sizeLimit
        for path in item.parts {
            do {
                let bytes = try tree.read(path, limit: left)
                left -= bytes.count
                entries.append(Ustar.Entry(name: name(path), bytes: bytes))
            } catch {
                throw .tree(error)
            }
        }
        return entries
    }
}
