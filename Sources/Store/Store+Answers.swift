public import Clinical
internal import GRDB

/// An answer, and whether somebody has looked at it.
public struct KeptAnswer: Sendable, Equatable {
    public var answer: Answer
    /// Unix time in milliseconds.
    public var arrivedAt: Int64
    public var seenAt: Int64?
}

extension Store {
    /// Takes answers in: by id, another version replaces the one that is here and is news again.
    /// - Returns: the ids of those that are new or changed.
    @discardableResult
    public func merge(answers: [Answer]) async throws(StoreError) -> [String] {
        try await write { tx in try answers.compactMap { try tx.merge($0) ? $0.id : nil } }
    }

    /// The newest first.
    public func answers() async throws(StoreError) -> [KeptAnswer] {
        try await read { tx in
            try Row.fetchAll(tx.db, sql: "SELECT * FROM answer ORDER BY arrived_at DESC, id").map { try tx.kept($0) }
        }
    }

    public func answer(_ id: String) async throws(StoreError) -> KeptAnswer? {
        try await read { tx in try tx.answer(id) }
    }

    /// A person has looked at it. Again changes nothing.
    public func markSeen(answer id: String, by actor: String, at time: Int64) async throws(StoreError) {
        try await write { tx in
            guard let kept = try tx.answer(id) else { throw StoreError.notFound("answer \(id)") }
            guard kept.seenAt == nil else { return }
            try tx.db.execute(sql: "UPDATE answer SET seen_at = ? WHERE id = ?", arguments: [time, id])
            try tx.audit(by: actor, "answer.seen", id)
        }
    }

    /// Keeps what the nurse answers to a question, until the server has it.
    /// - Throws: `.refused` when it is no question, or was answered already.
    public func reply(to id: String, _ reply: Answer.Reply) async throws(StoreError) {
        try await write { tx in
            guard var answer = try tx.answer(id)?.answer else { throw StoreError.notFound("answer \(id)") }
            guard answer.kind == .question else { throw StoreError.refused("\(id) is no question") }
            guard answer.reply == nil else { throw StoreError.refused("\(id) was answered already") }
            answer.reply = reply
            try tx.rewrite(answer)
            try tx.db.execute(
                sql: "UPDATE answer SET has_reply = 1, seen_at = COALESCE(seen_at, ?) WHERE id = ?",
                arguments: [reply.at, id])
            try tx.audit(by: reply.by, "answer.reply", id)
        }
    }

    /// Questions with an answer of ours that the server doesn't have yet.
    public func unsentReplies() async throws(StoreError) -> [Answer] {
        try await read { tx in
            try Row.fetchAll(tx.db, sql: "SELECT * FROM answer WHERE has_reply = 1 ORDER BY arrived_at, id")
                .map { try tx.kept($0).answer }
        }
    }

    public func replySent(to id: String) async throws(StoreError) {
        try await write { tx in
            guard var answer = try tx.answer(id)?.answer else { return }
            answer.reply?.isSent = true
            try tx.rewrite(answer)
            try tx.db.execute(sql: "UPDATE answer SET has_reply = 0 WHERE id = ?", arguments: [id])
            try tx.audit(by: "server", "answer.reply-received", id)
        }
    }

    /// Answers are personal data: they go some time after they were seen, and after a longer time in any case; the care
    /// plan with its visit's identity. What the nurse wrote and the server doesn't have yet stays.
    /// - Returns: how many went.
    @discardableResult
    public func purgeAnswers(
        now: Int64, afterSeen: Int64 = 15 * 86_400_000, afterArrival: Int64 = 90 * 86_400_000
    ) async throws(StoreError) -> Int {
        try await write { tx in
            let gone = try String.fetchAll(
                tx.db,
                sql: """
                    SELECT id FROM answer WHERE has_reply = 0 AND (seen_at <= ? OR arrived_at <= ? OR (
                        kind = 'carePlan' AND visit IS NOT NULL
                        AND EXISTS (SELECT 1 FROM visit v WHERE v.id = answer.visit AND v.purged_at IS NOT NULL)))
                    """, arguments: [now - afterSeen, now - afterArrival])
            for id in gone {
                try tx.db.execute(sql: "DELETE FROM answer WHERE id = ?", arguments: [id])
                try tx.audit(by: "agent", "answer.purge", id)
            }
            return gone.count
        }
    }
}

extension Transaction {
    fileprivate func kept(_ row: Row) throws -> KeptAnswer {
        let id: String = try row["id"]
        return KeptAnswer(
            answer: try vault.identity.open(json: Answer.self, row["sealed"], at: "answer|\(id)"),
            arrivedAt: try row["arrived_at"], seenAt: try row["seen_at"])
    }

    fileprivate func answer(_ id: String) throws -> KeptAnswer? {
        try Row.fetchOne(db, sql: "SELECT * FROM answer WHERE id = ?", arguments: [id]).map(kept)
    }

    fileprivate func rewrite(_ answer: Answer) throws {
        try db.execute(
            sql: "UPDATE answer SET sealed = ? WHERE id = ?",
            arguments: [try vault.identity.seal(json: answer, at: "answer|\(answer.id)"), answer.id])
    }

    fileprivate func merge(_ incoming: Answer) throws -> Bool {
        var incoming = incoming
        if let known = try answer(incoming.id)?.answer {
            guard known.version != incoming.version else { return false }
            // The same thing is never somebody else's afterwards.
            guard known.patient == incoming.patient else {
                try audit(by: "server", "answer.refuse-patient-change", incoming.id)
                return false
            }
            incoming.reply = known.reply
        }
        try db.execute(
            sql: """
                INSERT INTO answer (id, kind, visit, arrived_at, sealed) VALUES (?, ?, ?, ?, ?)
                ON CONFLICT (id) DO UPDATE SET visit = excluded.visit, arrived_at = excluded.arrived_at,
                    seen_at = NULL, sealed = excluded.sealed
                """,
            arguments: [
                incoming.id, incoming.kind.rawValue, incoming.visit, now,
                try vault.identity.seal(json: incoming, at: "answer|\(incoming.id)"),
            ])
        return true
    }
}

extension Migrations {
    /// What comes back from the centre. Everything that says something of a person is in `sealed`.
    static let answers = """
        CREATE TABLE answer (
            id TEXT PRIMARY KEY,
            kind TEXT NOT NULL CHECK (kind IN ('opinion', 'question', 'carePlan')),
            visit TEXT,
            arrived_at INTEGER NOT NULL,
            seen_at INTEGER,
            has_reply INTEGER NOT NULL DEFAULT 0,
            sealed BLOB NOT NULL
        ) STRICT;
        CREATE INDEX answer_arrived ON answer (arrived_at);
        CREATE INDEX answer_reply ON answer (arrived_at) WHERE has_reply = 1;
        """
}
