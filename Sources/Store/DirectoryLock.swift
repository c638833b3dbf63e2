internal import Glibc
internal import Synchronization

/// The store's directory: private, and one process's at a time. The kernel lets go of the lock however a process ends.
final class DirectoryLock: Sendable {
    private let file: Mutex<Int32?>

    init(directory: String) throws(StoreError) {
        try Self.prepare(directory)
        // unsafe: C string bridging for the call only.
        let opened = unsafe open("\(directory)/lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard opened >= 0 else {
            if errno == EROFS { throw .readOnly }
            if errno == ENOSPC { throw .diskFull }
            if errno == EACCES || errno == EPERM { throw .denied("the lock file") }
            throw .system("the lock file can't be opened: error \(errno)")
        }
        var patience = 100
        while flock(opened, LOCK_EX | LOCK_NB) != 0 {
            let reason = errno
            let owner = Self.owner(opened)
            // A process that is killed, or was about to start another program, lets go a moment later than it ends.
            if reason == EWOULDBLOCK, patience > 0, Self.isGone(owner) {
                patience -= 1
                usleep(20_000)
                continue
            }
            close(opened)
            throw reason == EWOULDBLOCK ? .inUse(owner) : .system("the store can't be locked: error \(reason)")
        }
        Self.sign(opened)
        file = Mutex(opened)
    }

    deinit { release() }

    func release() {
        file.withLock {
            if let opened = $0 { close(opened) }
            $0 = nil
        }
    }

    private static func prepare(_ directory: String) throws(StoreError) {
        if unsafe mkdir(directory, 0o700) == 0 { return }
        if errno == EACCES || errno == EPERM { throw .denied("the store's directory") }
        if errno == EROFS { throw .readOnly }
        guard errno == EEXIST else { throw .system("the store's directory can't be made: error \(errno)") }
        var status = stat()
        guard unsafe stat(directory, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
            throw .system("the store's directory is not a directory")
        }
        if status.st_mode & 0o077 != 0, unsafe chmod(directory, 0o700) != 0 {
            if errno == EACCES || errno == EPERM { throw .denied("the store's directory") }
            if errno == EROFS { throw .readOnly }
            throw .system("the store's directory can't be made private: error \(errno)")
        }
    }

    /// An empty database file with mode 0600; SQLite gives its WAL and shared memory the same mode.
    static func prepareFile(_ path: String) throws(StoreError) {
        let file = unsafe open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard file >= 0 else {
            if errno == EACCES || errno == EPERM { throw .denied("the database file") }
            if errno == EROFS { throw .readOnly }
            if errno == ENOSPC { throw .diskFull }
            throw .system("the database file can't be opened: error \(errno)")
        }
        defer { close(file) }
        guard fchmod(file, 0o600) == 0 else {
            if errno == EPERM { throw .denied("the database file") }
            if errno == EROFS { throw .readOnly }
            throw .system("the database file can't be made private: error \(errno)")
        }
    }

    /// Whether the last one that is known to have had the lock has ended.
    private static func isGone(_ owner: Int32?) -> Bool {
        guard let owner, owner > 0 else { return false }
        return kill(owner, 0) != 0 && errno == ESRCH
    }

    private static func sign(_ file: Int32) {
        let text = Array("\(getpid())\n".utf8)
        // Only a courtesy for the message of a second process: the lock holds without it.
        guard ftruncate(file, 0) == 0 else { return }
        _ = unsafe text.withUnsafeBytes { unsafe pwrite(file, $0.baseAddress, $0.count, 0) }
    }

    private static func owner(_ file: Int32) -> Int32? {
        var buffer = [UInt8](repeating: 0, count: 16)
        let count = unsafe buffer.withUnsafeMutableBytes { unsafe pread(file, $0.baseAddress, $0.count, 0) }
        guard count > 0 else { return nil }
        return Int32(String(decoding: buffer.prefix(count).prefix { $0 != 0x0A }, as: UTF8.self))
    }
}
