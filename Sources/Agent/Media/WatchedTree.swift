import Glibc
import Wire

/// What says that a mounted medium is still the one that was mounted: the kernel numbers media (diskseq), and whoever mounts one below
/// the media directory notes the number beside it. A card that is exchanged in a reader leaves the old one's files to be read out of
/// the cache, and the new one's bytes below the old one's names.
struct MediumMark: Equatable, Sendable {
    /// Where the kernel shows the number of the medium that is in there now.
    let source: String
    let number: String

    /// The note beside a medium; nil for what nobody mounted for us (a folder, a test's card).
    /// - Parameter directory: the one below which media are mounted. The note is its owner's, never out of a medium.
    init?(of path: String, below directory: String) {
        guard path.hasPrefix(directory + "/") else { return nil }
        let name = path.dropFirst(directory.count + 1).prefix { $0 != "/" }
        guard !name.isEmpty, let text = Self.text("\(directory)/\(name).medium") else { return nil }
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.count >= 2 else { return nil }
        source = String(lines[0])
        number = String(lines[1])
    }

    /// Without the device there is no number either.
    var isThere: Bool { Self.text(source)?.split(separator: "\n").first.map(String.init) == number }

    private static func text(_ path: String) -> String? {
        let file = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = unsafe buffer.withUnsafeMutableBytes { unsafe read(file, $0.baseAddress, $0.count) }
        return count < 0 ? nil : String(decoding: buffer.prefix(count), as: UTF8.self)
    }
}

/// A medium's tree that gives nothing any more as soon as another medium is in its place.
struct WatchedTree: Tree {
    let tree: any Tree
    let mark: MediumMark

    func list(_ path: [String]) throws(TreeError) -> [TreeEntry] { try checked(try tree.list(path)) }

    func read(_ path: [String], limit: Int) throws(TreeError) -> [UInt8] {
        try checked(try tree.read(path, limit: limit))
    }

    func read(_ path: [String], offset: Int, count: Int) throws(TreeError) -> [UInt8] {
        try checked(try tree.read(path, offset: offset, count: count))
    }

    /// Looked at after reading: what was read before the exchange is the old medium's.
    private func checked<Value>(_ value: Value) throws(TreeError) -> Value {
        guard mark.isThere else { throw .unreadable("medium", ENOMEDIUM) }
        return value
    }
}
