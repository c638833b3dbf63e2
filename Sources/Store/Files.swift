internal import Glibc

/// The few things that are done to whole files, each durable when it returns.
enum Files {
    static func exists(_ path: String) -> Bool { unsafe access(path, F_OK) == 0 }

    /// Bytes; nil when there is no such file.
    static func size(_ path: String) -> Int64? {
        var status = stat()
        // unsafe: C string bridging and an out parameter, both for the call only.
        return unsafe stat(path, &status) == 0 ? Int64(status.st_size) : nil
    }

    /// A new, private file with these bytes, on the disk.
    static func create(_ path: String, _ bytes: [UInt8]) throws(StoreError) {
        let file = unsafe open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw failure("a new file can't be made") }
        defer { close(file) }
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes { unsafe write(file, $0.baseAddress, $0.count) }
            guard count > 0 else { throw failure("a new file can't be written") }
            rest = rest.dropFirst(count)
        }
        guard fsync(file) == 0 else { throw failure("a new file can't be written") }
    }

    /// Takes the other one's place in one step.
    static func rename(_ path: String, to other: String) throws(StoreError) {
        guard unsafe Glibc.rename(path, other) == 0 else { throw failure("a file can't be renamed") }
        try syncDirectory(of: other)
    }

    /// A second name for a file; never over another file.
    static func link(_ path: String, as other: String) throws(StoreError) {
        guard unsafe Glibc.link(path, other) == 0 else {
            if errno == EEXIST { throw .refused("there is a file of that name already") }
            throw failure("a file can't be named")
        }
        try syncDirectory(of: other)
    }

    /// Nothing happens when there is no such file.
    static func remove(_ path: String) throws(StoreError) {
        guard unsafe unlink(path) == 0 || errno == ENOENT else { throw failure("a file can't be removed") }
        try syncDirectory(of: path)
    }

    static func sync(_ path: String) throws(StoreError) {
        let file = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw failure("a file can't be opened") }
        defer { close(file) }
        guard fsync(file) == 0 else { throw failure("a file can't be written") }
    }

    static func copy(_ path: String, to new: String) throws(StoreError) {
        let source = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard source >= 0 else {
            if errno == ENOENT { throw .notFound("the file") }
            throw failure("a file can't be opened")
        }
        defer { close(source) }
        let file = unsafe open(new, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw failure("a new file can't be made") }
        defer { close(file) }
        while true {
            let count = sendfile(file, source, nil, 1 << 24)
            if count == 0 { break }
            guard count > 0 else { throw failure("a file can't be copied") }
        }
        guard fsync(file) == 0 else { throw failure("a file can't be copied") }
    }

    private static func syncDirectory(of path: String) throws(StoreError) {
        try sync(path.lastIndex(of: "/").map { String(path[...$0]) } ?? "./")
    }

    /// Without the path: a person may have put a name into it.
    private static func failure(_ what: String) -> StoreError {
        switch errno {
        case ENOSPC, EDQUOT: .diskFull
        case EROFS: .readOnly
        default: .system("\(what): error \(errno)")
        }
    }
}
