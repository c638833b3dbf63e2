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
    ///   - isShared: it is out of a memory in which other people's are as well: it is nobody's before a person decides.
    /// - Returns: whose it is. A binding that does not hold never stops a recording: it begins unattributed.
    /// - Throws: `.diskLow` below the policy's limit; `.refused` for an id that exists.
    @discardableResult
    public func begin(
        _ recording: Recording, binding: Binding?, isShared: Bool = false
    ) async throws(StoreError) -> Attribution {
        try await write { tx in
            try tx.requireSpace(.refuseStart)
            return try tx.begin(recording, binding, isShared: isShared)
        }
    }

    /// Adds samples in one transaction; they are on the disk when it returns. Blocks are merged into chunks; a block's
    /// `gap` becomes a note at the moment of its first sample (callers need not add one).
    /// - Throws: `.refused` when the recording is sealed or a block has another number of channels; `.diskLow` when the
    ///   last reserve is reached, `.diskFull` when SQLite says so: then seal with `.storageFailed`.
    public func append(_ id: RecordingID, blocks: [Block]) async throws(StoreError) {
        try await write { tx in
            try tx.requireSpace(.stopRunning)
            try tx.append(id.description, blocks)
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
        try await write { tx in
            if let source = recording.source, let known = try tx.completeRecording(of: source) {
                try tx.audit(by: binding?.by ?? "agent", "recording.known-source", known)
                return .alreadyStored(try tx.recordingID(known))
            }
            try tx.requireSpace(.refuseStart)
            guard waveform.channels == recording.channels else {
                throw StoreError.refused("the waveform's channels are not the recording's")
            }
            let attribution = try tx.begin(recording, binding)
            let id = recording.id.description
            for block in Self.pieces(of: waveform, original, at: recording.clock.hostMonotonic) {
                try tx.append(id, [block])
            }
            let key = try tx.dataKey(try tx.recordingRow(id))
            for note in notes { try tx.add(note, id, key: key) }
            try tx.seal(id, reason: .finished, at: tx.now)
            return .stored(attribution)
        }
    }

    /// Sources of everything that is here completely; an interrupted download isn't, so that it is fetched again.
    public func knownSources() async throws(StoreError) -> Set<String> {
        try await read { tx in
            try String.fetchSet(
                tx.db, sql: "SELECT source FROM recording WHERE state = 'complete' AND source IS NOT NULL")
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

/// What a recording's channels are, by the text in which they are kept: a live recording asks each second, and decoding twelve of them
/// costs more than sealing what they brought.
private enum ChannelTexts {
    /// More than any number of devices that record at once.
    private static let most = 32
    private static let known = Mutex<[String: [Channel]]>([:])

    static func channels(_ text: String) throws(StoreError) -> [Channel] {
        if let channels = known.withLock({ $0[text] }) { return channels }
        let channels = try JSON.decode([Channel].self, text)
        known.withLock {
            if $0.count >= most { $0 = [:] }
            $0[text] = channels
        }
        return channels
    }
}

/// Bytes of payload in one row, about.
private let chunkLimit = 1 << 20

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

    func begin(_ recording: Recording, _ binding: Binding?, isShared: Bool = false) throws -> Attribution {
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
        return try attribute(recording, binding, isShared: isShared, key)
    }

    func append(_ uuid: String, _ blocks: [Block]) throws {
        let row = try recordingRow(uuid)
        guard try row["state"] as String == "open" else { throw StoreError.refused("recording \(uuid) is sealed") }
        let key = try dataKey(row)
        var counts = try JSON.decode([Int].self, row["counts"] as String)
        guard blocks.allSatisfy({ $0.samples.count == counts.count }) else {
            throw StoreError.refused("a block has another number of channels than its recording")
        }
        let channels = try ChannelTexts.channels(row["channels"])
        let rates = channels.map(\.rate.value)
        var n: Int = try row["chunks"]
        var bytes: Int = try row["bytes"]
        guard (0..<1 << 40).contains(n), (0..<1 << 48).contains(bytes),
            counts.allSatisfy({ (0..<1 << 40).contains($0) })
        else { throw StoreError.corrupt("the counts of \(uuid)") }
        for chunk in Self.merged(blocks) {
            if let gap = chunk.gap {
                let position = zip(counts, rates).map { Double($0) / $1 }.max() ?? 0
                try add(Note(kind: .gap, at: position, text: gap), uuid, key: key)
            }
            try db.cachedStatement(
                sql: """
                    INSERT INTO chunk (recording, n, first, arrived, created, decoder, raw, decoded)
                    VALUES (?, ?, ?, ?, ?, ?, ?, ?)
                    """
            ).execute(
                arguments: [
                    uuid, n, try JSON.text(counts), Int64(bitPattern: chunk.at), now, environment.decoder,
                    try key.seal(packing: chunk.raw, environment.coding, at: "\(uuid)|chunk.raw|\(n)"),
                    try key.seal(
                        environment.coding.encode(chunk.samples, of: channels), at: "\(uuid)|chunk.decoded|\(n)"),
                ])
            counts = zip(counts, chunk.samples).map { $0 + $1.count }
            bytes += chunk.raw.count
            n += 1
        }
        try db.cachedStatement(sql: "UPDATE recording SET chunks = ?, bytes = ?, counts = ? WHERE uuid = ?").execute(
            arguments: [n, bytes, try JSON.text(counts), uuid])
    }

    /// Blocks without a gap between them, up to the size of a row.
    private static func merged(_ blocks: [Block]) -> [Block] {
        var chunks: [Block] = []
        for block in blocks {
            guard block.gap == nil, let last = chunks.last, last.raw.count + block.raw.count <= chunkLimit else {
                chunks.append(block)
                continue
            }
            let end = chunks.count - 1
            for channel in block.samples.indices { chunks[end].samples[channel] += block.samples[channel] }
            chunks[end].raw += block.raw
            chunks[end].at = block.at
        }
        return chunks
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

    /// - Parameter uuid: just sealed, and no complete recording of its source was there.
    private func supersede(others source: String, _ uuid: String, _ row: Row, isComplete: Bool) throws {
        guard try isComplete || row["kind"] as String == Recording.Kind.stored.rawValue else { return }
        let others = try Row.fetchAll(
            db,
            sql: """
                SELECT * FROM recording
                WHERE source = ? AND uuid <> ? AND state = 'interrupted' AND superseded_by IS NULL
                """, arguments: [source, uuid])
        for other in others {
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
