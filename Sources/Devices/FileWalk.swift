public import Wire

/// A file of a medium, as its directory lists it.
public struct MediumFile: Sendable, Equatable {
    public var path: [String]
    /// Bytes.
    public var size: Int
    /// As `TreeEntry.modified`.
    public var modified: Int64
    /// As `TreeEntry.changed`.
    public var changed: Int64
    /// Deleted, or an operating system's own.
    public var isInSystemFolder: Bool { path.dropLast().contains(where: FileWalk.isSystems) }

    public init(path: [String], size: Int, modified: Int64, changed: Int64) {
        self.path = path
        self.size = size
        self.modified = modified
        self.changed = changed
    }

    /// Every regular file of a tree, in the order in which importers see them.
    /// - Returns: whether that is all: a medium with more files or deeper folders than any card has is read up to the bound, and a
    ///   folder that can't be listed is left out.
    public static func all(in tree: any Tree) throws(TreeError) -> (files: [MediumFile], isAll: Bool) {
        var files: [MediumFile] = []
        let isAll = try FileWalk.entries(in: tree) { path, entry in
            files.append(MediumFile(path: path, size: entry.size, modified: entry.modified, changed: entry.changed))
        }
        return (files, isAll)
    }
}

/// Every file below a root, directory by directory in the order of the names, so that the same card always gives the same
/// list. Bounded: a medium that holds more is somebody's hard disk, or was made to hurt.
struct FileWalk {
    /// Directories below the root.
    static let depthLimit = 16
    /// Entries looked at.
    static let entryLimit = 50_000
    /// Bytes of one file that an importer reads.
    static let sizeLimit = 64 << 20

    private let tree: any Tree
    private var entriesLeft = Self.entryLimit
    private var isAll = true

    private init(_ tree: any Tree) { self.tree = tree }

    /// What somebody deleted, and what operating systems keep for themselves, is none of it. Throws when the root can't be listed. A
    /// directory or file below it that can't be read is left to the person who looks at the card; the others still count.
    static func files(in tree: any Tree, _ visit: (_ path: [String], _ size: Int) -> Void) throws(TreeError) {
        _ = try entries(in: tree) { path, entry in
            if !path.dropLast().contains(where: isSystems) { visit(path, entry.size) }
        }
    }

    private static let systems: Set<String> = [
        "system volume information", "$recycle.bin", "recycler", ".trashes", ".spotlight-v100", ".fseventsd",
        ".temporaryitems", "lost+found",
    ]

    /// A folder of an operating system's, recycle bins among them.
    static func isSystems(_ folder: String) -> Bool {
        let name = folder.lowercased()
        return systems.contains(name) || name.hasPrefix(".trash-")
    }

    /// - Returns: whether no bound was met, and every directory could be listed.
    static func entries(in tree: any Tree, _ visit: ([String], TreeEntry) -> Void) throws(TreeError) -> Bool {
        var walk = FileWalk(tree)
        walk.look(in: [], entries: try tree.list([]), visit)
        return walk.isAll
    }

    private mutating func look(in path: [String], entries: [TreeEntry], _ visit: ([String], TreeEntry) -> Void) {
        for entry in entries.sorted(by: { $0.name < $1.name }) {
            guard entriesLeft > 0 else {
                isAll = false
                return
            }
            entriesLeft -= 1
            let inner = path + [entry.name]
            switch entry.kind {
            case .file: visit(inner, entry)
            case .directory:
                guard path.count < Self.depthLimit else {
                    isAll = false
                    continue
                }
                guard let below = try? tree.list(inner) else {
                    // What an operating system keeps for itself is missed by nobody.
                    if !Self.isSystems(entry.name) { isAll = false }
                    continue
                }
                look(in: inner, entries: below, visit)
            case .other: continue
            }
        }
    }
}
