import Agent
import ArgumentParser
import Glibc

/// Reads a whole file for `decode` and `replay`; a clear sentence when it can't be had.
func readFile(_ path: String, limit: Int = 1 << 31) throws -> [UInt8] {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw failInput("\(path): \(reason(errno)).") }
    defer { close(descriptor) }
    var facts = stat()
    guard unsafe fstat(descriptor, &facts) == 0, facts.st_mode & S_IFMT == S_IFREG else {
        throw failInput("\(path): not a regular file.")
    }
    guard facts.st_size <= limit else { throw failInput("\(path): larger than \(limit) bytes.") }
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
    let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw failInput("\(path): \(reason(errno)). Nothing was written.") }
    var written = 0
    while written < bytes.count {
        let count = unsafe bytes[written...].withUnsafeBytes { buffer in
            unsafe write(descriptor, buffer.baseAddress, buffer.count)
        }
        guard count > 0 else {
            let why = reason(errno)
            close(descriptor)
            unsafe unlink(path)
            throw failInput("\(path): \(why). Nothing was kept of it.")
        }
        written += count
    }
    guard fsync(descriptor) == 0, close(descriptor) == 0 else { throw failInput("\(path): \(reason(errno)).") }
}

func absolutePath(_ path: String) -> String {
    guard !path.hasPrefix("/") else { return path }
    guard let directory = unsafe getcwd(nil, 0) else { return path }
    defer { unsafe free(directory) }
    return unsafe String(cString: directory) + "/" + path
}

func reason(_ code: Int32) -> String { unsafe String(cString: strerror(code)) }
