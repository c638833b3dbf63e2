/// Why a file of a tree can't be had.
public enum TreeError: Error, Equatable, Sendable {
    case notFound(String)
    case notAFile(String)
    case notADirectory(String)
    case denied(String)
    /// Larger than the caller was ready to read.
    case tooLarge(String, size: Int, limit: Int)
    /// The medium was pulled or can't be read.
    case unreadable(String, Int32)
}

public struct TreeEntry: Sendable, Equatable {
    public enum Kind: Sendable, Equatable { case file, directory, other }
    public var name: String
    public var kind: Kind
    /// Bytes; 0 for what isn't a file.
    public var size: Int
    /// When its content last changed, by the clock of whoever wrote it: Unix time in nanoseconds; 0 when nobody knows.
    public var modified: Int64
    /// When its content or its entry last changed, the same way. Unlike `modified` no program that copies can set it.
    public var changed: Int64

    public init(name: String, kind: Kind, size: Int, modified: Int64 = 0, changed: Int64 = 0) {
        self.name = name
        self.kind = kind
        self.size = size
        self.modified = modified
        self.changed = changed
    }
}

/// A read-only tree of files: a card, a stick, a folder. Paths are component lists relative to the root, so `..` and
/// absolute paths can't be expressed. Calls block: never on the cooperative pool.
public protocol Tree: Sendable {
    func list(_ path: [String]) throws(TreeError) -> [TreeEntry]
    /// The whole file; throws `.tooLarge` before reading when it is larger than `limit` bytes.
    func read(_ path: [String], limit: Int) throws(TreeError) -> [UInt8]
    /// At most `count` bytes from `offset`.
    func read(_ path: [String], offset: Int, count: Int) throws(TreeError) -> [UInt8]
}
