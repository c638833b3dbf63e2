public import Clinical
internal import Crypto
internal import FoundationEssentials
internal import GRDB
internal import Synchronization

extension Store {
    /// Begins a recording; durable before it returns. Simulated devices' recordings become `.simulated` whatever the
    /// caller says.
    /// - Parameters:
    ///   - binding: the visit that was open when the capture was started, or nil.
    ///   - company: whether other people's are in the memory that it is out of.
    ///   - period: of several separate measurements.
    /// - Returns: whose it is. A binding that does not hold never stops a recording: it begins unattributed.
    /// - Throws: `.diskLow` below the policy's limit; `.refused` for an id that exists.
    @discardableResult
    public func begin(
        _ recording: Recording, binding: Binding?, company: Company = .alone, period: StoredPeriod = StoredPeriod()
    ) async throws(StoreError) -> Attribution {
        try await write { tx in
            try tx.requireSpace(.refuseStart)
            return try tx.begin(recording, binding, company, period)
        }
    }

    public func add(_ note: Note, to id: RecordingID) async throws(StoreError) {
        try await write { tx in
            let row = try tx.recordingRow(id.description)
            try tx.add(note, id.description, key: try tx.dataKey(row))
        }
    }

    /// Ends a recording for good. Sealing with the same reason again changes nothing.
    ///
    /// Of several recordings of one source, one remains to be sent: a complete one supersedes interrupted ones, a
    /// longer interrupted download a shorter one; never one that was tried to be sent. All are kept.
    public func seal(_ id: RecordingID, reason: Recording.EndReason) async throws(StoreError) {
        growing.withLock { $0[id.description] = nil }
        try await write { tx in
            let row = try tx.recordingRow(id.description)
            if try (row["end_reason"] as String?) == reason.rawValue { return }
            guard try row["state"] as String == "open" else {
                throw StoreError.refused("recording \(id) is already sealed")
            }
            try tx.seal(id.description, reason: reason, at: tx.now)
        }
    }

    /// Stores a file's recording, complete and sealed, in one transaction: all of it or nothing.
    /// - Parameter original: the file, byte for byte.
    public func importRecording(
        _ recording: Recording, waveform: Waveform, original: [UInt8], notes: [Note] = [], binding: Binding?
    ) async throws(StoreError) -> ImportOutcome {
        let pieces = Self.pieces(of: waveform, original, at: recording.clock.hostMonotonic)
        // Coded before the one writer is taken: a day of an ECG takes long, and what is recorded meanwhile must not wait for it.
        let coded: [[UInt8]] =
            waveform.channels == recording.channels
            ? try await outside { [environment] in
                pieces.map { environment.coding.encode($0.samples, of: recording.channels) }
            } : []
        return try await write { tx in
            if let source = recording.source, let known = try tx.completeRecording(of: source) {
                try tx.audit(by: binding?.by ?? "agent", "recording.known-source", known)
                return .alreadyStored(try tx.recordingID(known))
            }
            try tx.requireSpace(.refuseStart)
            guard waveform.channels == recording.channels else {
                throw StoreError.refused("the waveform's channels are not the recording's")
            }
            let attribution = try tx.begin(recording, binding, .alone)
            let id = recording.id.description
            var growing = try tx.growing(id)
            for (block, coded) in zip(pieces, coded) {
                WriterSteps.step()
                try tx.append([block], to: &growing, coded: coded)
            }
            for note in notes { try tx.add(note, id, key: growing.key) }
            try tx.seal(id, reason: .finished, at: tx.now)
            return .stored(attribution)
        }
    }

    /// A file in rows of about 1 MiB at most, each with its share of the samples. An ECG in rows of at most 10 s: each is
    /// coded and sealed by itself, so that a damaged one costs only itself.
    private static func pieces(of waveform: Waveform, _ original: [UInt8], at time: UInt64) -> [Block] {
        let samples = waveform.samples.reduce(0) { $0 + $1.count }
        let isECG = waveform.channels.contains { $0.unit == "uV" || $0.unit == "mV" }
        let stretches = isECG ? Int((waveform.seconds / 10).rounded(.up)) : 1
        let count = max(1, stretches, (max(original.count, samples * 4) + chunkLimit - 1) / chunkLimit)
        func share<T>(_ all: [T], _ n: Int) -> [T] { Array(all[all.count * n / count..<all.count * (n + 1) / count]) }
        return (0..<count).map { n in
            Block(samples: waveform.samples.map { share($0, n) }, raw: share(original, n), at: time)
        }
    }
}

extension Transaction {
    /// - Parameter limit: the verdict from which on it is refused.
    func requireSpace(_ limit: DiskPolicy.Verdict, for bytes: Int64 = 0) throws {
        guard let free = environment.freeSpace() else { return }
        let needed = (limit == .refuseStart ? environment.disk.refuseBelow : environment.disk.stopBelow) + bytes
        if free < needed { throw StoreError.diskLow(free: free, needed: needed) }
    }

    func recordingRow(_ uuid: String) throws -> Row {
        // Asked with every second of every device: compiled once.
        let statement = try db.cachedStatement(sql: "SELECT * FROM recording WHERE uuid = ?")
        guard let row = try Row.fetchOne(statement, arguments: [uuid]) else {
            throw StoreError.notFound("recording \(uuid)")
        }
        return row
    }

    /// - Throws: `.refused` after purging.
    func dataKey(_ row: Row) throws -> SymmetricKey {
        guard let key = try keptKey(row) else {
            throw StoreError.refused(
                "the data of recording \(try row["uuid"] as String) are on the server only: purged here")
        }
        return key
    }

    /// Nil after purging: what it sealed can't be read by anybody.
    func keptKey(_ row: Row) throws -> SymmetricKey? {
        let wrapped: Data = try row["data_key"]
        return wrapped.isEmpty ? nil : try vault.unwrap(wrapped, for: row["uuid"])
    }

    func completeRecording(of source: String) throws -> String? {
        try String.fetchOne(
            db,
            sql: "SELECT uuid FROM recording WHERE source = ? AND state = 'complete' AND superseded_by IS NULL",
            arguments: [source])
    }

    func begin(
        _ recording: Recording, _ binding: Binding?, _ company: Company, _ period: StoredPeriod = StoredPeriod(),
        made: MadeWhen = .asItsClockSays
    ) throws -> Attribution {
        let uuid = recording.id.description
        let (key, wrapped) = try vault.makeDataKey(for: uuid)
        // What comes from a simulator can never pass for real.
        let origin = recording.device.isSimulated ? Recording.Origin.simulated : recording.origin
        let (device, channels) = (try JSON.text(recording.device), try JSON.text(recording.channels))
        let (clock, time) = (try JSON.text(recording.clock), now)
        // In the order of `facts(of:)`.
        let facts =
            [
                uuid, recording.kind.rawValue, recording.modality.rawValue, origin.rawValue, recording.source, device,
                channels, clock, "\(time)",
            ] + (recording.objectID.map { [$0] } ?? [])
        try db.execute(
            sql: """
                INSERT INTO recording (uuid, state, kind, modality, origin, source, device, channels, clock, start_known,
                    begun_at, counts, data_key, claim, mark, object)
                VALUES (?, 'open', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                """,
            arguments: [
                uuid, recording.kind.rawValue, recording.modality.rawValue, origin.rawValue, recording.source, device,
                channels, clock, recording.clock.source != .unknown, time,
                try JSON.text(recording.channels.map { _ in 0 }), wrapped,
                try recording.claim.map { try key.seal(json: $0, at: "\(uuid)|claim") },
                try key.seal([UInt8](), at: Self.joined("recording", facts)), recording.objectID,
            ])
        if let other = try otherOfSameObject(recording) {
            // Without the identity itself: devices have been seen to build it from the patient's number.
            let text = "recording \(other) has the same object identity and other bytes"
            try add(Note(kind: .surprise, text: text), uuid, key: key)
        }
        return try attribute(recording, binding, company, period, made: made, key)
    }

    func add(_ note: Note, _ uuid: String, key: SymmetricKey) throws {
        let n = try Int.fetchOne(db, sql: "SELECT COUNT(*) FROM note WHERE recording = ?", arguments: [uuid]) ?? 0
        try db.execute(
            sql: "INSERT INTO note (recording, n, sealed) VALUES (?, ?, ?)",
            arguments: [uuid, n, try key.seal(json: note, at: "\(uuid)|note|\(n)")])
    }

    func seal(_ uuid: String, reason: Recording.EndReason, at time: Int64) throws {
        let row = try recordingRow(uuid)
        let source: String? = try row["source"]
        // Before the state changes: of one source, one complete recording holds.
        let successor = try source.flatMap { try completeRecording(of: $0) }
        try db.execute(
            sql: """
                UPDATE recording SET state = ?, end_reason = ?, ended_at = ?, superseded_by = ?, revision = revision + 1
                WHERE uuid = ?
                """, arguments: [reason.state.rawValue, reason.rawValue, time, successor, uuid])
        // An open recording has no documents: nothing to take out of the outbox.
        if let successor { try audit(by: "agent", "recording.supersede", uuid, "by \(successor)") }
        if let source, successor == nil {
            try supersede(others: source, uuid, row, isComplete: reason.state == .complete)
        }
    }

    /// A part of a night that one device dates is the whole one's of the same visit, whatever its name says: it was cut before that was
    /// certain, or lost something. Without a number or a date it may be another device's, or another night.
    private func isPart(_ other: Row, of source: String, _ row: Row, isComplete: Bool) throws -> Bool {
        let name: String = try other["source"]
        if name == source { return true }
        let (one, two): (String?, String?) = (try other["visit"], try row["visit"])
        let device = try JSON.decode(DeviceIdentity.self, row["device"] as String)
        return try isComplete && one != nil && one == two && device.serial != nil && row["start_known"]
            && ContentMark.areOfOnePlace(name, source)
    }

    /// For all recordings whose names begin like this one: a range of the index on sources.
    static func placeArguments(_ source: String, _ uuid: String) -> StatementArguments {
        let beginning = ContentMark.beginning(of: source)
        return ["from": beginning, "to": beginning + "\u{10FFFF}", "uuid": uuid]
    }

    /// - Parameter uuid: just sealed, and no complete recording of its source was there.
    private func supersede(others source: String, _ uuid: String, _ row: Row, isComplete: Bool) throws {
        guard try isComplete || row["kind"] as String == Recording.Kind.stored.rawValue else { return }
        let others = try Row.fetchAll(
            db,
            sql: """
                SELECT * FROM recording
                WHERE source >= :from AND source < :to AND uuid <> :uuid AND state = 'interrupted'
                AND superseded_by IS NULL
                """, arguments: Self.placeArguments(source, uuid))
        for other in others where try isPart(other, of: source, row, isComplete: isComplete) {
            let otherID: String = try other["uuid"]
            let isShorter = try (other["bytes"] as Int) <= (row["bytes"] as Int)
            if isComplete || isShorter {
                guard try !wasTried(otherID) else { continue }
                try supersede(otherID, by: uuid)
            } else {
                try supersede(uuid, by: otherID)
                return
            }
        }
    }

    func supersede(_ uuid: String, by successor: String) throws {
        try db.execute(
            sql: "UPDATE recording SET superseded_by = ?, revision = revision + 1 WHERE uuid = ?",
            arguments: [successor, uuid])
        try db.execute(
            sql:
                "UPDATE outgoing SET is_superseded = 1 WHERE document IN (SELECT id FROM document WHERE recording = ?)",
            arguments: [uuid])
        try audit(by: "agent", "recording.supersede", uuid, "by \(successor)")
    }

    /// Whether the server may have heard of any document of the recording.
    func wasTried(_ uuid: String) throws -> Bool {
        try Bool.fetchOne(
            db,
            sql: """
                SELECT EXISTS (SELECT 1 FROM document JOIN outgoing ON outgoing.document = document.id
                WHERE recording = ? AND (begun_at IS NOT NULL OR facts_begun_at IS NOT NULL))
                """, arguments: [uuid]) ?? false
    }
}
