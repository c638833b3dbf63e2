public import Clinical
public import FoundationEssentials
internal import GRDB

extension Store {
    /// The setting under which the agent keeps the server's present `storeEpoch`. Nothing is purged without it.
    public static let storeEpochKey = "store-epoch"

    /// What `purge` would do at this moment with every recording whose data are still here, the oldest first.
    public func purgeable(now: Int64, policy: PurgePolicy = PurgePolicy()) async throws(StoreError) -> [PurgeVerdict] {
        let rule = rule(policy)
        return try await read { tx in
            let epoch = try tx.setting(Self.storeEpochKey)
            return try tx.keptRecordings().map { try tx.verdict($0, now: now, rule, epoch: epoch) }
        }
    }

    /// Destroys the data and the key of what may go; what it was, its receipts and the audit trail stay. One transaction
    /// per recording, judged again inside it; interrupted at any point, the rest simply goes the next time.
    /// - Returns: what went.
    @discardableResult
    public func purge(
        now: Int64, policy: PurgePolicy = PurgePolicy(), by actor: String
    ) async throws(StoreError) -> [RecordingID] {
        let rule = rule(policy)
        var gone: [RecordingID] = []
        var page = PurgePage(receivedUntil: now - rule.retention)
        // Page by page: a long memory must not hold up the end of the agent, nor fill the laptop's.
        while !page.isLast, !Task.isCancelled {
            let (candidates, next) = try await read { [page] tx in
                var next = page
                let epoch = try tx.setting(Self.storeEpochKey)
                return (
                    try tx.received(&next).map { try tx.verdict($0, now: now, rule, epoch: epoch) }.filter(\.goes)
                        .map(\.recording), next
                )
            }
            page = next
            for id in candidates where try await purge(id, now: now, rule, by: actor) { gone.append(id) }
        }
        if !gone.isEmpty { try await giveSpaceBack() }
        return gone
    }

    private func purge(
        _ id: RecordingID, now: Int64, _ rule: PurgeRule, by actor: String
    ) async throws(StoreError) -> Bool {
        try await write { tx in
            let row = try tx.recordingRow(id.description)
            let epoch = try tx.setting(Self.storeEpochKey)
            guard try (row["purged_at"] as Int64?) == nil, try tx.verdict(row, now: now, rule, epoch: epoch).goes else {
                return false
            }
            try tx.destroy(id.description, by: actor)
            return true
        }
    }

    /// Sources (`StoredItem.source`) whose recordings the server holds whole, by receipts that match and are of its present epoch:
    /// what a device's memory may lose. Stricter than "downloaded": an unattributed, held or refused recording isn't among them.
    public func receivedSources(policy: PurgePolicy = PurgePolicy()) async throws(StoreError) -> Set<String> {
        let rule = rule(policy)
        return try await read { tx in
            let epoch = try tx.setting(Self.storeEpochKey)
            let rows = try Row.fetchAll(
                tx.db,
                sql: """
                    SELECT uuid, state, superseded_by, visit, bytes, chunks, begun_at, source, purged_at FROM recording
                    WHERE source IS NOT NULL AND state = 'complete'
                    """)
            var sources: Set<String> = []
            for row in rows {
                // What was purged had its receipts; a trigger sees to that.
                let isPurged = try (row["purged_at"] as Int64?) != nil
                if try isPurged
                    || tx.verdict(row, now: .max, rule, epoch: epoch).reasons.allSatisfy({ $0 == .visitOpen })
                {
                    sources.insert(try row["source"])
                }
            }
            return sources
        }
    }

    /// Destroys the identities of visits that left the worklist a while ago, unless something of theirs still has to be
    /// sent or may still come: bound or held recordings that aren't finished, and devices lent to their patients.
    /// The patient's server id stays: without a name to it, it keeps recordings apart.
    /// - Parameter grace: milliseconds since it left; a worklist that was wrong for a moment must not cost anything.
    /// - Returns: the visits.
    @discardableResult
    public func purgeIdentities(
        now: Int64, grace: Int64 = 12 * 3_600_000, by actor: String
    ) async throws(StoreError) -> [String] {
        try await write { tx in
            let rows = try Row.fetchAll(
                tx.db,
                sql: """
                    SELECT * FROM visit WHERE left_at <= ? AND purged_at IS NULL AND status <> 'open'
                    AND NOT EXISTS (SELECT 1 FROM recording r WHERE r.visit = visit.id AND r.superseded_by IS NULL
                        AND r.purged_at IS NULL AND (r.state = 'open' OR \(Transaction.isSomething))
                        AND (r.is_frozen = 0 OR EXISTS (
                            SELECT 1 FROM document d JOIN outgoing o ON o.document = d.id WHERE d.recording = r.uuid
                            AND (o.received_at IS NULL OR o.facts <> 'final'))))
                    AND NOT EXISTS (SELECT 1 FROM entry WHERE entry.visit = visit.id
                        AND (\(Transaction.isPendingEntry) OR sent = 'refused'))
                    ORDER BY id
                    """, arguments: [now - grace])
            let held = try tx.heldVisits()
            var gone: [String] = []
            for row in rows {
                let id: String = try row["id"]
                guard !held.contains(id), try !tx.mayStillCome(for: id, now: now) else { continue }
                var visit = try tx.visit(row)
                visit.patient = Patient(
                    id: visit.patient.id, family: "", given: [], birthDate: nil, sex: .unknown)
                visit.reason = nil
                visit.place = nil
                try tx.db.execute(
                    sql: "UPDATE visit SET sealed = ?, purged_at = ? WHERE id = ?",
                    arguments: [try tx.vault.identity.seal(json: visit, at: "visit|\(id)"), now, id])
                try tx.db.execute(sql: "DELETE FROM entry WHERE visit = ?", arguments: [id])
                try tx.audit(by: actor, AuditAction.purgeIdentity, id)
                gone.append(id)
            }
            return gone
        }
    }

    /// Documents whose data are still here and whose receipts are of another epoch than the server's present one: it was
    /// restored from a backup, so ask again for each; then `record` the new receipt, or say that it is lost.
    public func receiptsToConfirm(epoch: String) async throws(StoreError) -> [Document] {
        try await read { tx in
            try tx.heldDocuments(
                where: """
                    o.received_at IS NOT NULL
                    AND (SELECT store_epoch FROM receipt WHERE document = d.id ORDER BY id DESC LIMIT 1) <> :epoch
                    """, ["epoch": epoch, "limit": Int.max])
        }
    }

    /// The server has no more what it had acknowledged: the same bytes are sent again, under the same identity.
    /// - Throws: `.notFound`; `.refused` when there is no receipt, or the data are destroyed here.
    public func receiptLost(_ id: UUID, by actor: String) async throws(StoreError) {
        try await write { tx in
            let (document, _) = try tx.document(id)
            let last = try Int64.fetchOne(
                tx.db, sql: "SELECT MAX(id) FROM receipt WHERE document = ?", arguments: [id.text])
            guard let last else { throw StoreError.refused("document \(document.id.text) has no receipt") }
            try tx.db.execute(
                sql: """
                    UPDATE outgoing SET received_at = NULL, lost = ?, state = 'none', location = NULL, confirmed = 0,
                        facts = 'none', facts_key = NULL, facts_key_state = NULL
                    WHERE document = ?
                    """, arguments: [last, id.text])
            try tx.progressed(id)
            try tx.audit(by: actor, AuditAction.loseReceipt, id.text)
        }
    }

    private func rule(_ policy: PurgePolicy) -> PurgeRule {
        let isShort = policy.isDiskShort ?? (diskVerdict() != .ample)
        return PurgeRule(
            retention: isShort ? min(policy.shortRetention, policy.retention) : policy.retention,
            durabilities: policy.durabilities)
    }

    /// Free pages leave the file, and the log that still holds them is emptied.
    private func giveSpaceBack() async throws(StoreError) {
        try await write { tx in try tx.db.execute(sql: "PRAGMA incremental_vacuum") }
        try await emptyLog()
    }
}

/// Where a look through the recordings has come to.
private struct PurgePage: Sendable {
    /// Only what the server had by then.
    let receivedUntil: Int64
    var begun = Int64.min
    var uuid = ""
    var isLast = false
    static let size = 500
}

struct PurgeRule: Sendable {
    var retention: Int64
    var durabilities: Set<String>
}

extension Transaction {
    func set(_ value: String?, forKey key: String) throws {
        guard let value else {
            try db.execute(sql: "DELETE FROM setting WHERE key = ?", arguments: [key])
            return
        }
        try db.execute(
            sql: "INSERT INTO setting (key, sealed) VALUES (?, ?) "
                + "ON CONFLICT (key) DO UPDATE SET sealed = excluded.sealed",
            arguments: [key, try vault.identity.seal(text: value, at: "setting|\(key)")])
    }

    func setting(_ key: String) throws -> String? {
        try Data.fetchOne(db.cachedStatement(sql: "SELECT sealed FROM setting WHERE key = ?"), arguments: [key])
            .map { try vault.identity.openText($0, at: "setting|\(key)") }
    }

    fileprivate func keptRecordings() throws -> [Row] {
        try Row.fetchAll(
            db,
            sql: """
                SELECT uuid, state, superseded_by, visit, bytes, chunks, begun_at FROM recording
                WHERE purged_at IS NULL ORDER BY begun_at
                """)
    }

    /// The next recordings that could go at all: everything of theirs was received long enough ago. What else keeps them, the verdict says.
    fileprivate func received(_ page: inout PurgePage) throws -> [Row] {
        let rows = try Row.fetchAll(
            db,
            sql: """
                SELECT uuid, state, superseded_by, visit, bytes, chunks, begun_at FROM recording
                WHERE purged_at IS NULL AND state <> 'open' AND (begun_at, uuid) > (?, ?)
                AND EXISTS (SELECT 1 FROM document WHERE document.recording = recording.uuid)
                AND NOT EXISTS (SELECT 1 FROM document d JOIN outgoing o ON o.document = d.id
                    WHERE d.recording = recording.uuid AND (o.received_at IS NULL OR o.received_at > ?))
                ORDER BY begun_at, uuid LIMIT ?
                """, arguments: [page.begun, page.uuid, page.receivedUntil, PurgePage.size])
        page.isLast = rows.count < PurgePage.size
        if let last = rows.last { (page.begun, page.uuid) = (try last["begun_at"], try last["uuid"]) }
        return rows
    }

    fileprivate func verdict(_ row: Row, now: Int64, _ rule: PurgeRule, epoch: String?) throws -> PurgeVerdict {
        let uuid: String = try row["uuid"]
        var verdict = PurgeVerdict(recording: try recordingID(uuid), reasons: [], bytes: try row["bytes"], due: nil)
        if try row["state"] as String == "open" { verdict.reasons.append(.open) }
        if try (row["superseded_by"] as String?) != nil { verdict.reasons.append(.superseded) }
        if let visit = try row["visit"] as String? {
            let isOpen = try Bool.fetchOne(
                db.cachedStatement(sql: "SELECT status = 'open' FROM visit WHERE id = ?"), arguments: [visit])
            if isOpen == true { verdict.reasons.append(.visitOpen) }
        } else {
            verdict.reasons.append(.unattributed)
        }
        let documents = try Row.fetchAll(
            db.cachedStatement(
                sql: """
                    SELECT d.*, o.received_at, o.facts, o.is_quarantined, o.lost, x.sha256 AS receipt_sha256,
                        x.size AS receipt_size, x.durability, x.store_epoch, x.id AS receipt
                    FROM document d JOIN outgoing o ON o.document = d.id
                    LEFT JOIN receipt x ON x.id = (SELECT MAX(id) FROM receipt WHERE document = d.id)
                    WHERE d.recording = ? ORDER BY d.role
                    """), arguments: [uuid])
        if documents.isEmpty { verdict.reasons.append(.notPrepared) }
        var reasons: Set<PurgeVerdict.Reason> = []
        var received: Int64 = 0
        for document in documents {
            if try document["is_quarantined"] as Bool { reasons.insert(.quarantined) }
            if try document["facts"] as String != FactsState.final.rawValue { reasons.insert(.factsNotFinal) }
            guard let receivedAt = try document["received_at"] as Int64?,
                let receipt = try document["receipt"] as Int64?,
                try receipt > document["lost"] as Int64
            else {
                reasons.insert(.noReceipt)
                continue
            }
            received = max(received, receivedAt)
            if try document["receipt_sha256"] as String != document["sha256"] as String
                || document["receipt_size"] as Int != document["size"] as Int
            {
                reasons.insert(.receiptForOtherBytes)
            }
            if !rule.durabilities.contains(try document["durability"]) { reasons.insert(.durabilityNotAllowed) }
            if let epoch {
                if try document["store_epoch"] as String != epoch { reasons.insert(.epochChanged) }
            } else {
                reasons.insert(.epochUnknown)
            }
        }
        if !documents.isEmpty, !reasons.contains(.noReceipt) {
            let due = min(received, .max - rule.retention) + rule.retention
            verdict.due = due
            if now < due { reasons.insert(.withinRetention) }
        }
        verdict.reasons += PurgeVerdict.Reason.allCases.filter { reasons.contains($0) }
        return verdict
    }

    /// A trigger looks for the receipts once more.
    fileprivate func destroy(_ uuid: String, by actor: String) throws {
        let documents = try Row.fetchAll(
            db, sql: "SELECT id, sha256 FROM document WHERE recording = ? ORDER BY role", arguments: [uuid])
        // Audited first: the chain must tell of it whatever happens to the rest.
        try audit(
            by: actor, AuditAction.purge, uuid,
            try documents.map { "\(try $0["id"] as String) \(try $0["sha256"] as String)" }.joined(separator: ", "))
        try db.execute(
            sql: "UPDATE recording SET purged_at = ?, data_key = zeroblob(0), claim = NULL, revision = revision + 1 "
                + "WHERE uuid = ?", arguments: [now, uuid])
        for table in ["chunk", "note", "held", "reading"] {
            try db.execute(sql: "DELETE FROM \(table) WHERE recording = ?", arguments: [uuid])
        }
        for document in documents {
            let id: String = try document["id"]
            try db.execute(sql: "DELETE FROM document_part WHERE document = ?", arguments: [id])
            try db.execute(
                sql: "UPDATE outgoing SET state = 'none', location = NULL, confirmed = 0 WHERE document = ?",
                arguments: [id])
            try db.execute(
                sql: "UPDATE attempt SET last_error = NULL, quarantine = NULL WHERE document = ?", arguments: [id])
        }
    }

    /// Visits whose identity a person needs to decide a hold.
    fileprivate func heldVisits() throws -> Set<String> {
        let rows = try Row.fetchAll(
            db,
            sql: """
                SELECT h.sealed, r.uuid, r.data_key FROM recording r JOIN held h ON h.recording = r.uuid
                WHERE r.visit IS NULL AND r.superseded_by IS NULL
                """)
        return Set(
            try rows.map {
                let uuid: String = try $0["uuid"]
                return try dataKey($0).open(json: Hold.self, $0["sealed"], at: "\(uuid)|held").visit
            })
    }

    /// A device that is lent to the patient, or came back only lately, may still hold nights.
    fileprivate func mayStillCome(for visit: String, now: Int64) throws -> Bool {
        try Row.fetchAll(db, sql: "SELECT * FROM loan WHERE visit = ?", arguments: [visit]).map(loan)
            .contains { $0.returnedAt.map { $0 > now - 14 * 86_400_000 } ?? true }
    }
}
