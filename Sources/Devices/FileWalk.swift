import Wire

/// Every file below a root, directory by directory in the order of the names, so that the same card always gives the same
/// list. Bounded: a medium that holds more is somebody's hard disk, or was made to hurt.
struct FileWalk {
    /// Directories below the root.
    static let depthLimit = 8
    /// Entries looked at.
    static let entryLimit = 10_000
    /// Bytes of one file that an importer reads.
    static let sizeLimit = 64 << 20

    private let tree: any Tree
    private var entriesLeft = Self.entryLimit

    private init(_ tree: any Tree) { self.tree = tree }

    /// Throws when the root can't be listed. A directory or file below it that can't be read is left to the person who looks
    /// at the card; the others still count.
    static func files(in tree: any Tree, _ visit: (_ path: [String], _ size: Int) -> Void) throws(TreeError) {
        var walk = FileWalk(tree)
        walk.look(in: [], entries: try tree.list([]), visit)
    }

    private mutating func look(in path: [String], entries: [TreeEntry], _ visit: ([String], Int) -> Void) {
        for entry in entries.sorted(by: { $0.name < $1.name }) {
            guard entriesLeft > 0 else { return }
            entriesLeft -= 1
            let inner = path + [entry.name]
            switch entry.kind {
            case .file: visit(inner, entry.size)
            case .directory:
                guard path.count < Self.depthLimit, let below = try? tree.list(inner) else { continue }
                look(in: inner, entries: below, visit)
            case .other: continue
            }
        }
    }
}
