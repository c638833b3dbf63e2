public import Clinical
internal import GRDB

extension Store {
    /// A person decides whose a recording is, or corrects it. Adds to the history; documents that were frozen for
    /// another visit are dropped and built anew.
    /// - Parameters:
    ///   - why: in the person's words, or nil.
    ///   - others: the same decision for these, of `waitingOfMachine`.
    /// - Throws: `.notFound`; `.refused` once any of its documents was tried to be sent, when a complete recording
    ///   took its place, and when one of the others doesn't wait any more; then nothing is decided.
    public func attribute(
        _ id: RecordingID, to visit: String, by actor: String, why: String?, andOthers others: [RecordingID] = [],
        at time: Int64
    ) async throws(StoreError) {
        let binding = Binding(visit: visit, reason: .decision, by: actor, at: time, why: why)
        try await write { tx in
            let waiting = others.isEmpty ? [] : Set(try tx.waitingOfMachine(like: id.description))
            for other in others.map(\.description) where !waiting.contains(other) {
                throw StoreError.refused("recording \(other) does not wait for the same decision any more")
            }
            for uuid in [id.description] + others.map(\.description) { try tx.decide(uuid, binding) }
        }
    }

    /// What else waits because its machine was another patient's, and came in while the same visit was open: whose the machine is now may
    /// decide all of it. What came in another time may be of another owner.
    /// - Returns: nothing where this one doesn't wait for that.
    public func waitingOfMachine(like id: RecordingID) async throws(StoreError) -> [RecordingSummary] {
        try await read { tx in
            try tx.waitingOfMachine(like: id.description).map { try tx.summary(try tx.recordingRow($0)) }
        }
    }

    /// Binds what had to wait for the end of its session to the visit that was open at its start, by the rules of every recording's
    /// beginning. What a person decided meanwhile stays.
    @discardableResult
    public func settle(_ id: RecordingID, _ binding: Binding) async throws(StoreError) -> Attribution {
        try await write { tx in
            let uuid = id.description
            let row = try tx.recordingRow(uuid)
            let key = try tx.dataKey(row)
            if let decided = try tx.bindings(uuid, key).last { return .attributed(visit: decided.visit) }
            let attribution = try tx.attribute(
                try tx.recording(row, key), binding, .alone, StoredPeriod(), made: .asItsClockSays, key)
            try tx.revise(uuid)
            return attribution
        }
    }

    /// A person says when a recording began whose device has no clock. The raw facts are kept beside it.
    /// - Throws: `.notFound`; `.refused` when a clock said it, or when it is frozen already.
    public func setStart(_ id: RecordingID, _ start: LocalTime, by actor: String) async throws(StoreError) {
        try await write { tx in
            let uuid = id.description
            let row = try tx.recordingRow(uuid)
            let raw = try JSON.decode(ClockFacts.self, row["clock"] as String)
            guard raw.source == .unknown else {
                throw StoreError.refused("the start of recording \(uuid) is known from a clock")
            }
            guard try !tx.isFrozen(uuid) else {
                throw StoreError.refused("recording \(uuid) is already prepared with its start time")
            }
            try tx.db.execute(
                sql: "UPDATE recording SET said_start = ?, start_known = 1 WHERE uuid = ?",
                arguments: [start.description, uuid])
            try tx.revise(uuid)
            try tx.audit(by: actor, "recording.set-start", uuid, start.description)
        }
    }
}

extension Transaction {
    fileprivate func decide(_ uuid: String, _ binding: Binding) throws {
        let row = try recordingRow(uuid)
        guard try visit(binding.visit) != nil else { throw StoreError.notFound("visit \(binding.visit)") }
        try requireIdentity(of: binding.visit)
        if let successor = try row["superseded_by"] as String? {
            throw StoreError.refused("recording \(uuid) was replaced by \(successor), which is complete")
        }
        guard try !wasTried(uuid) else {
            throw StoreError.refused(
                "sending of recording \(uuid) has begun: only the centre can attribute it to somebody else now")
        }
        let key = try dataKey(row)
        let history = try bindings(uuid, key)
        if history.last?.visit != binding.visit { try thaw(uuid) }
        try write(binding, uuid, n: history.count, key)
        try revise(uuid)
        let decidesHold = try history.isEmpty && row["doubt"] as String? == UnattributedReason.contradiction.rawValue
        try audit(
            by: binding.by, AuditAction.attribute, uuid,
            "visit \(binding.visit)" + (history.last.map { ", was \($0.visit)" } ?? "")
                + (decidesHold ? ", decides the hold" : ""))
    }

    fileprivate func waitingOfMachine(like uuid: String) throws -> [String] {
        try String.fetchAll(
            db,
            sql: """
                SELECT DISTINCT one.uuid FROM recording one JOIN recording this ON this.uuid = ?
                JOIN opening ON this.begun_at BETWEEN opened_at AND COALESCE(closed_at, this.begun_at)
                AND one.begun_at BETWEEN opened_at AND COALESCE(closed_at, one.begun_at)
                WHERE one.uuid <> this.uuid AND one.visit IS NULL AND this.visit IS NULL
                AND one.doubt = ? AND this.doubt = one.doubt AND one.superseded_by IS NULL
                AND json_extract(one.device, '$.driver') = json_extract(this.device, '$.driver')
                AND json_extract(one.device, '$.serial') = json_extract(this.device, '$.serial')
                ORDER BY one.rowid
                """, arguments: [uuid, UnattributedReason.otherPatientsMachine.rawValue])
    }

    func isFrozen(_ uuid: String) throws -> Bool {
        try Bool.fetchOne(
            db, sql: "SELECT EXISTS (SELECT 1 FROM document WHERE recording = ?)", arguments: [uuid]) ?? false
    }

    func revise(_ uuid: String) throws {
        try db.execute(sql: "UPDATE recording SET revision = revision + 1 WHERE uuid = ?", arguments: [uuid])
    }
}
