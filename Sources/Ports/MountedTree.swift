import Glibc
public import Wire

/// A `Tree` over a directory: a mounted card or stick. Every component is opened below the one before (`openat`), no
/// symbolic link is followed, only regular files are read, and everything is bounded, because the medium may be
/// damaged or made to hurt.
public final class MountedTree: Tree {
    /// A longer directory throws `.tooLarge`.
    public static let mostEntries = 100_000
    public static let deepest = 64

    private let root: Int32

    /// The root itself may be reached through links: it is the operator's choice.
    public init(_ path: String) throws(TreeError) {
        root = unsafe open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK)
        guard root >= 0 else { throw treeError(errno, path) }
    }

    deinit { _ = close(root) }

    /// Sorted by the name. Links, devices and pipes are `.other`. Names that aren't UTF-8 are as `EntryName` says.
    public func list(_ path: [String]) throws(TreeError) -> [TreeEntry] {
        let name = path.joined(separator: "/")
        let directory = try openDirectory(path[...])
        // The stream owns the descriptor from here on, and closes it.
        guard let stream = unsafe fdopendir(directory.keep()) else { throw treeError(errno, name) }
        defer { _ = unsafe closedir(stream) }
        var entries: [TreeEntry] = []
        while true {
            errno = 0
            guard let next = unsafe readdir(stream) else {
                guard errno == 0 else { throw treeError(errno, name) }
                break
            }
            let bytes = unsafe nameBytes(of: next)
            if bytes == [0x2E] || bytes == [0x2E, 0x2E] { continue }
            guard entries.count < Self.mostEntries else {
                throw .tooLarge(name, size: entries.count + 1, limit: Self.mostEntries)
            }
            // What vanished meanwhile isn't there.
            var status = stat()
            if unsafe fstatat(dirfd(stream), EntryName.terminated(bytes), &status, AT_SYMLINK_NOFOLLOW) != 0 {
                if errno == ENOENT { continue }
                throw treeError(errno, name)
            }
            let kind = Self.kind(status)
            entries.append(
                TreeEntry(
                    name: EntryName.text(bytes), kind: kind, size: kind == .file ? max(0, Int(status.st_size)) : 0,
                    modified: nanoseconds(status.st_mtim), changed: nanoseconds(status.st_ctim)))
        }
        return entries.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    }

    public func read(_ path: [String], limit: Int) throws(TreeError) -> [UInt8] {
        let name = path.joined(separator: "/")
        let file = try openFile(path)
        var status = stat()
        guard unsafe fstat(file.number, &status) == 0 else { throw treeError(errno, name) }
        let size = Int(status.st_size)
        guard size <= limit else { throw .tooLarge(name, size: size, limit: limit) }
        let bytes = try read(file, name: name, offset: 0, count: limit)
        // It grew while we read, or its size was a lie.
        if bytes.count == limit, try !read(file, name: name, offset: limit, count: 1).isEmpty {
            throw .tooLarge(name, size: limit + 1, limit: limit)
        }
        return bytes
    }

    public func read(_ path: [String], offset: Int, count: Int) throws(TreeError) -> [UInt8] {
        let file = try openFile(path)
        return try read(file, name: path.joined(separator: "/"), offset: offset, count: count)
    }

    private func read(
        _ file: borrowing Descriptor, name: String, offset: Int, count: Int
    ) throws(TreeError) -> [UInt8] {
        guard offset >= 0, count > 0 else { return [] }
        var bytes: [UInt8] = []
        // A piece at a time: neither the file's size nor the caller's limit decides what is allocated.
        while bytes.count < count {
            let (position, overflow) = offset.addingReportingOverflow(bytes.count)
            if overflow { break }
            let piece = try piece(file, name: name, offset: position, count: min(Self.pieceSize, count - bytes.count))
            if piece.isEmpty { break }
            if bytes.isEmpty { bytes = piece } else { bytes += piece }
        }
        return bytes
    }

    private static let pieceSize = 1 << 20

    /// Straight into its place; shorter only at the end.
    private func piece(
        _ file: borrowing Descriptor, name: String, offset: Int, count: Int
    ) throws(TreeError) -> [UInt8] {
        let number = file.number
        var code: Int32 = 0
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            while filled < count {
                let got = unsafe pread(
                    number, buffer.baseAddress?.advanced(by: filled), count - filled, offset + filled)
                if got < 0 {
                    if errno == EINTR { continue }
                    code = errno
                    return
                }
                if got == 0 { return }
                filled += got
            }
        }
        // Beyond the end of anything.
        if code != 0, code != EINVAL, code != EOVERFLOW { throw treeError(code, name) }
        return bytes
    }

    private func openFile(_ path: [String]) throws(TreeError) -> Descriptor {
        let name = path.joined(separator: "/")
        guard let last = path.last else { throw .notAFile("/") }
        let directory = try openDirectory(path.dropLast())
        guard let last = plain(last) else { throw .notFound(name) }
        // Looked at before it is opened: opening a device or a pipe can already do something.
        var status = stat()
        guard unsafe fstatat(directory.number, last, &status, AT_SYMLINK_NOFOLLOW) == 0 else {
            throw treeError(errno, name)
        }
        guard Self.kind(status) == .file else { throw .notAFile(name) }
        let file = unsafe openat(directory.number, last, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
        guard file >= 0 else { throw errno == ELOOP ? .notAFile(name) : treeError(errno, name) }
        let descriptor = Descriptor(number: file)
        // And again, in case it was exchanged between the two.
        guard unsafe fstat(file, &status) == 0 else { throw treeError(errno, name) }
        guard Self.kind(status) == .file else { throw .notAFile(name) }
        return descriptor
    }

    private func openDirectory(_ path: ArraySlice<String>) throws(TreeError) -> Descriptor {
        let name = path.joined(separator: "/")
        guard path.count <= Self.deepest else { throw .notFound(name) }
        let flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK
        // A new open, not a duplicate: that one would share the place in the list.
        var number = unsafe openat(root, ".", flags)
        guard number >= 0 else { throw treeError(errno, name) }
        for component in path {
            let parent = Descriptor(number: number)
            guard let component = plain(component) else { throw .notFound(name) }
            number = unsafe openat(parent.number, component, flags)
            guard number >= 0 else { throw errno == ELOOP ? .notADirectory(name) : treeError(errno, name) }
        }
        return Descriptor(number: number)
    }

    /// What is at a path; its links are followed, as `init` does.
    public static func kind(of path: String) throws(TreeError) -> TreeEntry.Kind {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else { throw treeError(errno, path) }
        return kind(status)
    }

    private static func kind(_ status: stat) -> TreeEntry.Kind {
        switch status.st_mode & S_IFMT {
        case S_IFREG: .file
        case S_IFDIR: .directory
        default: .other
        }
    }

    /// One component as the system takes it; nil when it is a way out.
    private func plain(_ component: String) -> [CChar]? {
        let bytes = EntryName.bytes(component)
        guard (1...255).contains(bytes.count), bytes != [0x2E], bytes != [0x2E, 0x2E],
            bytes.allSatisfy({ $0 != 0 && $0 != UInt8(ascii: "/") })
        else { return nil }
        return EntryName.terminated(bytes)
    }
}

/// An open descriptor with one owner.
private struct Descriptor: ~Copyable {
    let number: Int32

    deinit { _ = close(number) }

    /// Somebody else closes it from now on.
    consuming func keep() -> Int32 {
        let number = number
        discard self
        return number
    }
}

/// Since 1970; a time that can't be is some other one, and the same each time.
private func nanoseconds(_ time: timespec) -> Int64 {
    Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
}

private func treeError(_ code: Int32, _ path: String) -> TreeError {
    switch code {
    case ENOENT, ENAMETOOLONG: .notFound(path)
    case ENOTDIR: .notADirectory(path)
    case EISDIR, ELOOP: .notAFile(path)
    case EACCES, EPERM: .denied(path)
    default: .unreadable(path, code)
    }
}

/// The name ends with a zero within the structure: the kernel's promise.
@unsafe private func nameBytes(of entry: UnsafeMutablePointer<dirent>) -> [UInt8] {
    let offset = MemoryLayout<dirent>.offset(of: \.d_name) ?? 19
    let name = unsafe UnsafeRawPointer(entry).advanced(by: offset).assumingMemoryBound(to: UInt8.self)
    return unsafe Array(
        UnsafeBufferPointer(start: name, count: strnlen(UnsafePointer<CChar>(OpaquePointer(name)), 255)))
}
