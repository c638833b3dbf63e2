import Dispatch
import Foundation
import GRDB
import Logging
import Synchronization

/// Turns complete uploads into recordings, and says what is true about them.
final class Recordings: Sendable {
    /// What can be said about a rid.
    enum Standing: Sendable {
        case unknown
        /// Bytes are missing, or are being read back.
        case underway(Upload)
        /// What is on the disk is not what was announced.
        case wrong(announced: String, found: String, size: Int)
        case stored(Recording)
    }

    struct Recording: Sendable {
        var rid: String
        var sha256: String
        var size: Int
        /// Milliseconds since 1970.
        var stored: Int
        var filename: String?
        var filetype: String?
        var visit: String?

        init(_ row: Row) {
            rid = row["rid"]
            sha256 = row["sha256"]
            size = row["size"]
            stored = row["stored"]
            filename = row["filename"]
            filetype = row["filetype"]
            visit = row["visit"]
        }
    }

    let home: Home
    let ledger: Ledger
    let uploads: Uploads
    private let logger: Logger
    /// One file at a time: hashing is bound by the disk.
    private let line = DispatchQueue(label: "recordings")
    /// Files whose hash was seen to be right, and have not been touched since.
    private let verified = Mutex<[String: Disk.Fingerprint]>([:])

    init(home: Home, ledger: Ledger, logger: Logger) {
        self.home = home
        self.ledger = ledger
        self.logger = logger
        uploads = Uploads(ledger: ledger)
    }

    // MARK: Finishing

    /// Checks a complete upload, some time soon. If the process ends first, the next start does it.
    func finish(_ id: String) {
        line.async { [self] in
            do { try finishNow(id) } catch {
                logger.error("an upload could not be finished", metadata: ["error": "\(Swift.type(of: error))"])
            }
        }
    }

    /// Reads the file back, and only when its hash is the announced one: rename, synchronise, commit.
    private func finishNow(_ id: String) throws {
        guard let upload = try uploads.with(id: id), upload.state == .checking else { return }
        let source = home.upload(id)
        let target = home.recording(upload.rid)
        if Disk.exists(source) {
            let found = try Disk.hash(source)
            guard found.sha256 == upload.sha256, found.size == upload.length else {
                return try uploads.mark(upload, wrong: found.sha256)
            }
            if Disk.exists(target) { try setAside(upload.rid) }
            try FileManager.default.moveItem(at: source, to: target)
            try Disk.synchronize(directory: home.recordings)
            try Disk.synchronize(directory: home.uploads)
        } else if Disk.exists(target) {
            // Renamed, but the process ended before the row was there.
            let found = try Disk.hash(target)
            guard found.sha256 == upload.sha256, found.size == upload.length else {
                return try uploads.mark(upload, wrong: found.sha256)
            }
            try Disk.synchronize(directory: home.recordings)
        } else {
            logger.error("the bytes of a complete upload are gone: it starts again")
            return try restart(upload)
        }
        let metadata = try UploadMetadata(upload.metadata)
        let fingerprint = Disk.fingerprint(target)
        try ledger.queue.write { db in
            try db.execute(
                sql: """
                    INSERT OR REPLACE INTO recording (rid, sha256, size, stored, filename, filetype, visit)
                    VALUES (?, ?, ?, ?, ?, ?, ?)
                    """,
                arguments: [
                    upload.rid, upload.sha256, upload.length, Instant.now(), metadata.filename, metadata.filetype,
                    metadata.visit,
                ])
            try db.execute(sql: "UPDATE upload SET state = 'stored' WHERE id = ?", arguments: [id])
        }
        verified.withLock { $0[upload.rid] = fingerprint }
    }

    private func restart(_ upload: Upload) throws {
        try Disk.remove(home.upload(upload.id))
        try Disk.write(Data(), to: home.upload(upload.id), mode: 0o600)
        try uploads.commit(upload, position: 0)
        if upload.length == 0 { finish(upload.id) }
    }

    /// Bytes that are not what they should be are kept for whoever wants to look, under another name.
    private func setAside(_ rid: String) throws {
        let target = home.recording(rid)
        guard Disk.exists(target) else { return }
        let aside = home.recordings.appendingPathComponent("\(rid).damaged-\(UUID().uuidString.lowercased())")
        try FileManager.default.moveItem(at: target, to: aside)
        try Disk.synchronize(directory: home.recordings)
    }

    /// Clears the way for another attempt with the same rid.
    func discard(_ upload: Upload) throws {
        try uploads.forget(upload)
        verified.withLock { $0[upload.rid] = nil }
        try Disk.remove(home.upload(upload.id))
        try setAside(upload.rid)
    }

    // MARK: Standing

    /// What is true now. A file that was touched, or that this process has not seen yet, is hashed again.
    func standing(_ rid: String) async throws -> Standing {
        try await withCheckedThrowingContinuation { continuation in
            DispatchQueue.global().async { [self] in
                continuation.resume(with: Result { try standingNow(rid) })
            }
        }
    }

    func standingNow(_ rid: String) throws -> Standing {
        let recording = try ledger.queue.read {
            try Row.fetchOne($0, sql: "SELECT * FROM recording WHERE rid = ?", arguments: [rid]).map(Recording.init)
        }
        guard let recording else {
            guard let upload = try uploads.with(rid: rid) else { return .unknown }
            switch upload.state {
            case .receiving, .checking, .stored: return .underway(upload)
            case .wrong:
                return .wrong(announced: upload.sha256, found: upload.found ?? "", size: upload.position)
            }
        }
        let file = home.recording(rid)
        guard let now = Disk.fingerprint(file) else {
            logger.error("a recording's file is gone from the disk")
            return .unknown
        }
        if verified.withLock({ $0[rid] }) == now { return .stored(recording) }
        let found = try Disk.hash(file)
        guard found.sha256 == recording.sha256, found.size == recording.size else {
            logger.error("a recording's file was changed on the disk")
            return .wrong(announced: recording.sha256, found: found.sha256, size: found.size)
        }
        verified.withLock { $0[rid] = now }
        return .stored(recording)
    }

    func all() throws -> [Recording] {
        try ledger.queue.read {
            try Row.fetchAll($0, sql: "SELECT * FROM recording ORDER BY stored, rid").map(Recording.init)
        }
    }

    // MARK: Repair

    /// Makes disk and database agree again after any end of the process. Runs before the server listens.
    func repair() throws {
        let known = try uploads.all()
        for upload in known {
            switch upload.state {
            case .receiving: try repair(receiving: upload)
            case .checking: try finishNow(upload.id)
            case .wrong, .stored: break
            }
        }
        let ids = Set(known.map(\.id))
        for name in try FileManager.default.contentsOfDirectory(atPath: home.uploads.path) where !ids.contains(name) {
            try Disk.remove(home.uploads.appendingPathComponent(name))
            logger.notice("removed a file that belongs to no upload")
        }
    }

    private func repair(receiving upload: Upload) throws {
        let file = home.upload(upload.id)
        let size = Disk.size(file)
        if let size, size > upload.position {
            let handle = try FileHandle(forUpdating: file)
            defer { try? handle.close() }
            try handle.truncate(atOffset: UInt64(upload.position))
            try handle.synchronize()
            logger.notice("cut the tail that was never acknowledged", metadata: ["bytes": "\(size - upload.position)"])
        } else if size == nil || size ?? 0 < upload.position {
            if upload.position > 0 { logger.error("acknowledged bytes of an upload are gone: it starts again") }
            return try restart(upload)
        }
        if upload.position == upload.length {
            try uploads.commit(upload, position: upload.length)
            try finishNow(upload.id)
        }
    }
}
