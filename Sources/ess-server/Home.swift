import Foundation
import Glibc

/// The server's directory: everything that it keeps is in here.
struct Home: Sendable {
    let root: URL

    init(_ path: String) { root = URL(fileURLWithPath: path, isDirectory: true) }

    /// Keys and certificates.
    var authority: URL { root.appendingPathComponent("authority", isDirectory: true) }
    /// Bytes under way, one file per upload.
    var uploads: URL { root.appendingPathComponent("uploads", isDirectory: true) }
    /// Bytes with a receipt, one file per recording, named by its rid.
    var recordings: URL { root.appendingPathComponent("recordings", isDirectory: true) }
    /// FHIR Binary, one file each.
    var binaries: URL { root.appendingPathComponent("binaries", isDirectory: true) }
    var database: URL { root.appendingPathComponent("ess.db") }
    var lockFile: URL { root.appendingPathComponent("lock") }

    func upload(_ id: String) -> URL { uploads.appendingPathComponent(id) }
    func recording(_ rid: String) -> URL { recordings.appendingPathComponent(rid) }

    /// Makes the directories, readable by their owner only.
    func prepare() throws {
        for directory in [root, authority, uploads, recordings, binaries] {
            try FileManager.default.createDirectory(
                at: directory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        }
    }

    func requireInitialised() throws {
        guard Disk.exists(database), Disk.exists(authority) else {
            throw Trouble("\(root.path) is not initialised: run `ess-server init` first")
        }
    }

    /// Holds the directory for this process until the returned handle is closed: locks on uploads live in memory, so two
    /// servers on one directory would not see each other's.
    func lock() throws -> FileHandle {
        if !Disk.exists(lockFile) { try Disk.write(Data(), to: lockFile, mode: 0o600) }
        let handle = try FileHandle(forUpdating: lockFile)
        guard flock(handle.fileDescriptor, LOCK_EX | LOCK_NB) == 0 else {
            throw Trouble("another ess-server already serves \(root.path)")
        }
        return handle
    }
}
