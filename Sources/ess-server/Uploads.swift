import Foundation
import GRDB
import NIOCore
import Synchronization

/// One upload, as its row says it.
struct Upload: Sendable {
    enum State: String, Sendable {
        /// Bytes are missing.
        case receiving
        /// All bytes are on the disk; their hash is not known yet.
        case checking
        /// The bytes on the disk are not the ones that were announced.
        case wrong
        /// Moved to the recordings, with a receipt.
        case stored
    }

    var id: String
    var rid: String
    var sha256: String
    var length: Int
    /// Bytes that are known to be on the disk.
    var position: Int
    var state: State
    /// The hash that was found instead, when `wrong`.
    var found: String?
    /// `Upload-Metadata` as it came.
    var metadata: String

    init(_ row: Row) {
        id = row["id"]
        rid = row["rid"]
        sha256 = row["sha256"]
        length = row["length"]
        position = row["position"]
        state = State(rawValue: row["state"]) ?? .receiving
        found = row["found"]
        metadata = row["metadata"]
    }
}

/// The rows of uploads. Each change is committed, with `synchronous = FULL`, when the call returns.
struct Uploads: Sendable {
    let ledger: Ledger

    func with(id: String) throws -> Upload? {
        try ledger.queue.read {
            try Row.fetchOne($0, sql: "SELECT * FROM upload WHERE id = ?", arguments: [id]).map(Upload.init)
        }
    }

    func with(rid: String) throws -> Upload? {
        try ledger.queue.read {
            try Row.fetchOne($0, sql: "SELECT * FROM upload WHERE rid = ?", arguments: [rid]).map(Upload.init)
        }
    }

    func all() throws -> [Upload] {
        try ledger.queue.read { try Row.fetchAll($0, sql: "SELECT * FROM upload ORDER BY created").map(Upload.init) }
    }

    /// - Returns: nil when the rid came in between.
    func create(rid: String, sha256: String, length: Int, metadata: String) throws -> Upload? {
        let id = UUID().uuidString.lowercased()
        return try ledger.queue.write { db in
            try db.execute(
                sql: """
                    INSERT INTO upload (id, rid, sha256, length, position, state, metadata, created)
                    VALUES (?, ?, ?, ?, 0, 'receiving', ?, ?) ON CONFLICT (rid) DO NOTHING
                    """, arguments: [id, rid, sha256, length, metadata, Instant.now()])
            return try Row.fetchOne(db, sql: "SELECT * FROM upload WHERE id = ?", arguments: [id]).map(Upload.init)
        }
    }

    /// Call only after the file was synchronised up to `position`.
    func commit(_ upload: Upload, position: Int) throws {
        let state = position == upload.length ? Upload.State.checking : .receiving
        try ledger.queue.write {
            try $0.execute(
                sql: "UPDATE upload SET position = ?, state = ? WHERE id = ?",
                arguments: [position, state.rawValue, upload.id])
        }
    }

    func mark(_ upload: Upload, wrong found: String) throws {
        try ledger.queue.write {
            try $0.execute(
                sql: "UPDATE upload SET state = 'wrong', found = ? WHERE id = ?", arguments: [found, upload.id])
        }
    }

    /// Forgets an upload, and its recording if it had one.
    func forget(_ upload: Upload) throws {
        try ledger.queue.write {
            try $0.execute(sql: "DELETE FROM upload WHERE id = ?", arguments: [upload.id])
            try $0.execute(sql: "DELETE FROM recording WHERE rid = ?", arguments: [upload.rid])
        }
    }
}

/// Who is writing to which upload at this moment. One writer each.
final class Desk: Sendable {
    private struct Writer {
        var token: UUID
        var lastByte: ContinuousClock.Instant
        var channel: any Channel
    }

    /// A connection that is dead without having said so is given up after this time, when somebody else asks.
    static let patience = Duration.seconds(10)

    private let writers = Mutex<[String: Writer]>([:])

    /// - Returns: nil while somebody else writes.
    func take(_ id: String, _ channel: any Channel) -> UUID? {
        let stalled: (any Channel)? = writers.withLock { writers in
            guard let writer = writers[id], ContinuousClock.now - writer.lastByte > Self.patience else { return nil }
            return writer.channel
        }
        // Its reader fails, keeps what it has and lets go; the next attempt gets in.
        stalled?.close(promise: nil)
        return writers.withLock { writers in
            guard writers[id] == nil else { return nil }
            let token = UUID()
            writers[id] = Writer(token: token, lastByte: .now, channel: channel)
            return token
        }
    }

    func progress(_ id: String) {
        writers.withLock { $0[id]?.lastByte = .now }
    }

    func leave(_ id: String, _ token: UUID) {
        writers.withLock { if $0[id]?.token == token { $0[id] = nil } }
    }
}
