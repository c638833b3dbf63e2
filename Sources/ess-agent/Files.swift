import Agent
import ArgumentParser
import Glibc

/// Reads a whole file for `decode` and `replay`; a clear sentence when it can't be had.
/// - Parameter remedy: what to do with one that is too large.
func readFile(_ path: String, limit: Int = 1 << 31, remedy: String = "give a smaller file") throws -> [UInt8] {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else {
        let code = errno
        // An argument that is no UTF-8 reaches us with its bytes replaced: no file has that name.
        guard code == ENOENT, path.unicodeScalars.contains("\u{FFFD}") else {
            throw failInput("\(path): \(reason(code)).")
        }
        throw failInput("\(path): the name has bytes that are no UTF-8; rename the file, or copy it to another name.")
    }
    defer { close(descriptor) }
    var facts = stat()
    guard unsafe fstat(descriptor, &facts) == 0, facts.st_mode & S_IFMT == S_IFREG else {
        let isFolder = facts.st_mode & S_IFMT == S_IFDIR
        throw failInput(
            isFolder
                ? "\(path): a folder; give a file that lies in it."
                : "\(path): not a regular file; give a file, such as a copy of what comes from there.")
    }
    guard facts.st_size <= limit else { throw failInput("\(path): larger than \(limit) bytes; \(remedy).") }
    var bytes = [UInt8](repeating: 0, count: Int(facts.st_size))
    var filled = 0
    while filled < bytes.count {
        let count = unsafe bytes[filled...].withUnsafeMutableBytes { buffer in
            unsafe read(descriptor, buffer.baseAddress, buffer.count)
        }
        guard count > 0 else { break }
        filled += count
    }
    bytes.removeLast(bytes.count - filled)
    return bytes
}

/// Writes a new file, mode 0600; never over an existing one.
func writeNew(_ bytes: [UInt8], to path: String) throws {
    let file = try NewFile(path)
    _ = file.append(bytes)
    try file.close()
}

/// A file that comes into being: whole, or not at all.
///
/// `@unchecked Sendable`: the writing is one thread's at a time - libcurl's while an answer arrives, or whoever holds a lock around it while
/// a device talks; the command's before and after.
final class NewFile: @unchecked Sendable {
    private let path: String
    private var descriptor: Int32
    private var trouble: Int32 = 0
    private(set) var size = 0

    init(_ path: String) throws {
        self.path = path
        descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw failInput("\(path): \(reason(errno)). Nothing was written.") }
    }

    /// - Returns: false when there is no sense in going on; `close` then says why.
    func append(_ bytes: [UInt8]) -> Bool {
        var written = 0
        while written < bytes.count, trouble == 0 {
            let count = unsafe bytes[written...].withUnsafeBytes { buffer in
                unsafe write(descriptor, buffer.baseAddress, buffer.count)
            }
            if count > 0 {
                written += count
            } else if count == 0 || errno != EINTR {
                trouble = count == 0 ? EIO : errno
            }
        }
        size += written
        return trouble == 0
    }

    /// On the disk, or gone.
    func close() throws {
        if trouble == 0, fsync(descriptor) != 0 { trouble = errno }
        if Glibc.close(descriptor) != 0, trouble == 0 { trouble = errno }
        descriptor = -1
        guard trouble == 0 else {
            unsafe unlink(path)
            throw failInput("\(path): \(reason(trouble)). Nothing was kept of it.")
        }
    }

    /// Nothing is kept of it.
    func discard() {
        guard descriptor >= 0 else { return }
        Glibc.close(descriptor)
        descriptor = -1
        unsafe unlink(path)
    }

    /// The disk's trouble, not the daemon's.
    var hasFailed: Bool { trouble != 0 }
}

func absolutePath(_ path: String) -> String {
    guard !path.hasPrefix("/") else { return path }
    guard let directory = unsafe getcwd(nil, 0) else { return path }
    defer { unsafe free(directory) }
    return unsafe String(cString: directory) + "/" + path
}

func reason(_ code: Int32) -> String { unsafe String(cString: strerror(code)) }
