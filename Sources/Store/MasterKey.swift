internal import Crypto
internal import FoundationEssentials
internal import Glibc

/// The laptop's 32-byte master key. Comes from a systemd credential or a file; never written anywhere else.
public struct MasterKey: Sendable {
    let key: SymmetricKey

    /// - Throws: `.badKey` unless there are exactly 32 bytes.
    public init(bytes: [UInt8]) throws(StoreError) {
        guard bytes.count == 32 else { throw .badKey("a master key has 32 bytes, not \(bytes.count)") }
        key = SymmetricKey(data: bytes)
    }

    /// Reads a key file: exactly 32 bytes, not open to everybody.
    /// - Parameter createIfMissing: makes a new random key, mode 0600, complete and on the disk before it has its name.
    public static func load(from path: String, createIfMissing: Bool) throws(StoreError) -> MasterKey {
        if let bytes = try read(path) { return try MasterKey(bytes: bytes) }
        guard createIfMissing else { throw .notFound("master key file \(path)") }
        try create(path)
        guard let bytes = try read(path) else { throw .notFound("master key file \(path)") }
        return try MasterKey(bytes: bytes)
    }

    private static func read(_ path: String) throws(StoreError) -> [UInt8]? {
        // unsafe: C string bridging; the pointer lives for the call only.
        let file = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else {
            if errno == ENOENT { return nil }
            throw .badKey("master key file can't be opened: error \(errno)")
        }
        defer { close(file) }
        var status = stat()
        guard unsafe fstat(file, &status) == 0 else { throw .system("master key file: error \(errno)") }
        // Only "others" count: a systemd credential shows its access list as group bits.
        guard status.st_mode & 0o007 == 0 else { throw .badKey("the master key file is open to everybody") }
        var buffer = [UInt8](repeating: 0, count: 33)
        // unsafe: the buffer outlives the call and its length is given.
        let count = unsafe buffer.withUnsafeMutableBytes { unsafe Glibc.read(file, $0.baseAddress, $0.count) }
        guard count >= 0 else { throw .system("master key file can't be read: error \(errno)") }
        return Array(buffer.prefix(count))
    }

    /// Written beside, synced, then linked to its name: a crash leaves a whole key or none, and of two processes that
    /// create at once the first one's key holds.
    private static func create(_ path: String) throws(StoreError) {
        let directory = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "./"
        let temporary = "\(path).\(getpid()).\(UInt64.random(in: .min ... .max)).new"
        let file = unsafe open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard file >= 0 else {
            switch errno {
            case EACCES, EPERM: throw .denied("master key file")
            case EROFS: throw .readOnly
            case ENOSPC, EDQUOT: throw .diskFull
            default: throw .system("master key file can't be created: error \(errno)")
            }
        }
        defer { unsafe unlink(temporary) }
        let bytes = unsafe SymmetricKey(size: .bits256).withUnsafeBytes { unsafe Array($0) }
        let count = unsafe bytes.withUnsafeBytes { unsafe Glibc.write(file, $0.baseAddress, $0.count) }
        let synced = fsync(file) == 0
        close(file)
        guard count == bytes.count, synced else { throw .system("master key file can't be written: error \(errno)") }
        guard unsafe link(temporary, path) == 0 || errno == EEXIST else {
            throw .system("master key file can't be named: error \(errno)")
        }
        let parent = unsafe open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard parent >= 0 else { throw .system("master key directory: error \(errno)") }
        defer { close(parent) }
        guard fsync(parent) == 0 else { throw .system("master key directory: error \(errno)") }
    }
}

extension MasterKey: CustomStringConvertible {
    /// Says nothing, so that no log can.
    public var description: String { "MasterKey" }
}
