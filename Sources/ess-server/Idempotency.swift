import Crypto
import Foundation
import GRDB

/// `Idempotency-Key`: the answer to a request is kept in the same transaction as its effect, so that a client that lost
/// the answer gets it again, and the effect happens once.
///
/// Only successes are kept. A refusal changed nothing, and the same request may be right later.
struct Idempotency {
    let db: Database

    /// Days that an answer is kept.
    static let days = 60

    static func digest(_ path: String, _ body: [UInt8]) -> String {
        var hasher = SHA256()
        hasher.update(data: Array(path.utf8) + [0])
        hasher.update(data: body)
        return Disk.hexadecimal(hasher.finalize())
    }

    /// - Returns: the kept answer to the very same request, or nil.
    func recall(_ key: String, request: String) throws -> Answer? {
        guard let row = try Row.fetchOne(db, sql: "SELECT * FROM answer WHERE key = ?", arguments: [key]) else {
            return nil
        }
        guard row["request"] == request else {
            throw Refusal.unprocessable("this Idempotency-Key was used for another body")
        }
        let headers = try JSON(parsing: Array((row["headers"] as String).utf8))
        let body: String = row["body"]
        return Answer(
            status: row["status"], headers: (headers.object ?? [:]).compactMapValues(\.string),
            body: body.isEmpty ? nil : try JSON(parsing: Array(body.utf8)))
    }

    func keep(_ answer: Answer, _ key: String, request: String) throws {
        try db.execute(
            sql: "DELETE FROM answer WHERE at < ?", arguments: [Instant.now() - Self.days * 86_400_000])
        try db.execute(
            sql: "INSERT INTO answer (key, request, status, headers, body, at) VALUES (?, ?, ?, ?, ?, ?)",
            arguments: [
                key, request, answer.status, JSON.object(answer.headers.mapValues(JSON.string)).text,
                answer.body?.text ?? "", Instant.now(),
            ])
    }
}
