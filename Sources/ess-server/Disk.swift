import Crypto
import Foundation
import Glibc
import NIOCore

/// File operations whose point is that they are still true after a power cut.
enum Disk {
    /// What tells that a file was touched since it was last hashed.
    struct Fingerprint: Equatable, Sendable {
        var size: Int
        var inode: Int
        var modified: Date
    }

    static func exists(_ url: URL) -> Bool { FileManager.default.fileExists(atPath: url.path) }

    static func fingerprint(_ url: URL) -> Fingerprint? {
        guard let facts = try? FileManager.default.attributesOfItem(atPath: url.path),
            let size = facts[.size] as? NSNumber, let inode = facts[.systemFileNumber] as? NSNumber,
            let modified = facts[.modificationDate] as? Date
        else { return nil }
        return Fingerprint(size: size.intValue, inode: inode.intValue, modified: modified)
    }

    static func size(_ url: URL) -> Int? { fingerprint(url)?.size }

    /// Bytes that may still be written to the file system of `url`.
    static func free(at url: URL) -> Int? {
        let facts = try? FileManager.default.attributesOfFileSystem(forPath: url.path)
        return (facts?[.systemFreeSize] as? NSNumber)?.intValue
    }

    /// Writes a whole file by way of a temporary one: a reader sees the whole file or none.
    static func write(_ data: Data, to url: URL, mode: Int) throws {
        let draft = url.deletingLastPathComponent().appendingPathComponent(".\(UUID().uuidString)")
        guard
            FileManager.default.createFile(
                atPath: draft.path, contents: nil, attributes: [.posixPermissions: mode])
        else { throw Trouble("cannot write in \(url.deletingLastPathComponent().path)") }
        do {
            let handle = try FileHandle(forUpdating: draft)
            defer { try? handle.close() }
            try handle.write(contentsOf: data)
            try handle.synchronize()
            if exists(url) { try FileManager.default.removeItem(at: url) }
            try FileManager.default.moveItem(at: draft, to: url)
            try synchronize(directory: url.deletingLastPathComponent())
        } catch {
            try? FileManager.default.removeItem(at: draft)
            throw error
        }
    }

    /// A rename or a removal is only certain when its directory has been synchronised.
    static func synchronize(directory: URL) throws {
        let handle = try FileHandle(forReadingFrom: directory)
        defer { try? handle.close() }
        guard fsync(handle.fileDescriptor) == 0 else { throw Trouble("cannot synchronise \(directory.path)") }
    }

    static func remove(_ url: URL) throws {
        guard exists(url) else { return }
        try FileManager.default.removeItem(at: url)
        try synchronize(directory: url.deletingLastPathComponent())
    }

    /// Adds bytes of a request where the file stands, without a copy of them.
    /// - Throws: `CocoaError` as `FileHandle` does.
    static func write(_ bytes: ByteBuffer, to handle: FileHandle) throws {
        try unsafe bytes.withUnsafeReadableBytes { pointer in
            guard let start = pointer.baseAddress, pointer.count > 0 else { return }
            try unsafe handle.write(
                contentsOf: Data(
                    bytesNoCopy: UnsafeMutableRawPointer(mutating: start), count: pointer.count, deallocator: .none))
        }
    }

    /// Hashes a file as it is read back, in one buffer that stays in the processor's cache.
    ///
    /// The kernel is asked to forget its cached pages first, so that what is hashed is what the disk gives back.
    /// - Returns: lower-case hexadecimal SHA-256, and the number of bytes.
    static func hash(_ url: URL) throws -> (sha256: String, size: Int) {
        let handle = try FileHandle(forReadingFrom: url)
        defer { try? handle.close() }
        _ = posix_fadvise(handle.fileDescriptor, 0, 0, Int32(POSIX_FADV_DONTNEED))
        var hasher = SHA256()
        var size = 0
        var piece = [UInt8](repeating: 0, count: 128 << 10)
        while true {
            let count = unsafe piece.withUnsafeMutableBytes { piece in
                let count = unsafe read(handle.fileDescriptor, piece.baseAddress, piece.count)
                if count > 0 { unsafe hasher.update(bufferPointer: UnsafeRawBufferPointer(rebasing: piece[..<count])) }
                return count
            }
            if count < 0 {
                guard errno == EINTR else { throw Trouble("cannot read \(url.lastPathComponent)") }
                continue
            }
            guard count > 0 else { break }
            size += count
        }
        return (hexadecimal(hasher.finalize()), size)
    }

    static func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        for byte in bytes {
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// - Returns: nil when `text` is not an even number of hexadecimal digits.
    static func bytes(hexadecimal text: String) -> [UInt8]? {
        let digits = Array(text.utf8)
        guard digits.count.isMultiple(of: 2) else { return nil }
        var bytes: [UInt8] = []
        for at in stride(from: 0, to: digits.count, by: 2) {
            guard let byte = UInt8(String(decoding: digits[at..<at + 2], as: UTF8.self), radix: 16) else { return nil }
            bytes.append(byte)
        }
        return bytes
    }
}
