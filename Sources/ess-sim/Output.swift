import Glibc

/// Writes whole buffers through file descriptors.
enum Output {
    static func write(_ bytes: [UInt8], to descriptor: Int32) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            // The closure gets the bytes that are left, and their number.
            let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
            guard count > 0 else { throw SystemFailure("write") }
            rest = rest.dropFirst(count)
        }
    }

    /// A line on standard output, at once also into a pipe: who started us waits for it.
    static func say(_ line: String) throws { try write(Array("\(line)\n".utf8), to: STDOUT_FILENO) }
}
