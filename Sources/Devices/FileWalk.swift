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

    public init(path: [String], size: Int, modified: Int64, changed: Int64) {
        self.path = path
        self.size = size
        self.modified = modified
        self.changed = changed
    }

    /// Every regular file of a tree, in the order in which importers see them.
    /// - Returns: whether that is all: a medium with more files or deeper folders than any card has is read up to the bound, and a
    ///   folder that can't be listed is left out. And how many folders of operating systems were passed by.
    public static func all(
        in tree: any Tree
    ) throws(TreeError) -> (files: [MediumFile], isAll: Bool, systems: Int) {
        var files: [MediumFile] = []
        let (isAll, systems) = try FileWalk.entries(in: tree) { path, entry in
            files.append(MediumFile(path: path, size: entry.size, modified: entry.modified, changed: entry.changed))
        }
        return (files, isAll, systems)
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
    private var systemFolders = 0

    private init(_ tree: any Tree) { self.tree = tree }

    /// What somebody deleted, and what operating systems keep for themselves, is none of it. Throws when the root can't be listed. A
    /// directory or file below it that can't be read is left to the person who looks at the card; the others still count.
    static func files(in tree: any Tree, _ visit: (_ path: [String], _ size: Int) -> Void) throws(TreeError) {
        _ = try entries(in: tree) { visit($0, $1.size) }
    }

    private static let systems: Set<String> = [
        "system volume information", "$recycle.bin", "recycler", "recycled", ".trash", ".trashes", ".spotlight-v100",
        ".fseventsd", ".temporaryitems",
    ]
    /// What a check of the file system recovered is data (FOUND.000 of FAT as well), but every ext4 has this folder, mostly an empty one
    /// that only root may list.
    private static let recovered = "lost+found"

    /// A folder of an operating system's, recycle bins among them. Never entered: thousands of deleted files, however deep, neither use
    /// up the bound nor make anybody believe that something of the card is missing.
    static func isSystems(_ folder: String) -> Bool {
        let name = folder.lowercased()
        return systems.contains(name) || name.hasPrefix(".trash-")
    }

    /// - Returns: whether no bound was met, and every directory could be listed; how many folders were passed by.
    static func entries(
        in tree: any Tree, _ visit: ([String], TreeEntry) -> Void
    ) throws(TreeError) -> (isAll: Bool, systems: Int) {
        var walk = FileWalk(tree)
        walk.look(in: [], entries: try tree.list([]), visit)
        return (walk.isAll, walk.systemFolders)
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
                guard !Self.isSystems(entry.name) else {
                    systemFolders += 1
                    continue
                }
                guard path.count < Self.depthLimit else {
                    isAll = false
                    continue
                }
                guard let below = try? tree.list(inner) else {
                    if entry.name != Self.recovered { isAll = false }
                    continue
                }
                look(in: inner, entries: below, visit)
            case .other: continue
            }
        }
    }
}
