public import Clinical
internal import Crypto
internal import FoundationEssentials
internal import GRDB
internal import Synchronization

extension Store {
    /// All recordings, newest first. One that can't be read doesn't hide the others: it is counted in `knownDamage`.
    public func recordings() async throws(StoreError) -> [RecordingSummary] {
        let (summaries, unreadable) = try await read { tx in
            var summaries: [RecordingSummary] = []
            var unreadable = 0
            for row in try Row.fetchAll(tx.db, sql: "SELECT * FROM recording ORDER BY begun_at DESC, uuid DESC") {
                do {
                    summaries.append(try tx.summary(row))
                } catch {
                    guard case .corrupt = StoreError(error) else { throw error }
                    unreadable += 1
                }
            }
            if unreadable > 0 { tx.forgetPages() }
            return (summaries, unreadable)
        }
        damage.withLock { $0.recordings = unreadable }
        return summaries
    }

    /// A page of all recordings, newest first.
    public func recordings(limit: Int, offset: Int = 0) async throws(StoreError) -> [RecordingSummary] {
        try await read { tx in
            try Row.fetchAll(
                tx.db, sql: "SELECT * FROM recording ORDER BY begun_at DESC, uuid DESC LIMIT ? OFFSET ?",
                arguments: [max(0, limit), max(0, offset)]
            ).map { try tx.summary($0) }
        }
    }

    /// Everything but the samples; nil when there is no such recording.
    public func recording(_ id: RecordingID) async throws(StoreError) -> RecordingDetail? {
        try await read { tx in
            try Row.fetchOne(
                tx.db, sql: "SELECT * FROM recording WHERE uuid = ?", arguments: [id.description]
            ).map { try tx.detail($0) }
        }
    }

    /// All samples, decoded; also of a recording that is still open.
    /// - Throws: `.corrupt` when a chunk is missing or was tampered with.
    public func waveform(_ id: RecordingID) async throws(StoreError) -> Waveform {
        try await read { tx in
            let row = try tx.recordingRow(id.description)
            let channels = try JSON.decode([Channel].self, row["channels"] as String)
            var samples = [[Sample]](repeating: [], count: channels.count)
            try tx.forEachChunk(row, column: "decoded") { bytes in
                let decoded = try tx.environment.coding.decode(bytes, of: channels)
                for (channel, more) in decoded.enumerated() { samples[channel] += more }
            }
            return Waveform(channels: channels, samples: samples)
        }
    }

    /// The bytes as the device or the file delivered them.
    /// - Throws: `.corrupt` when a chunk is missing or was tampered with.
    public func original(_ id: RecordingID) async throws(StoreError) -> [UInt8] {
        try await read { tx in
            let row = try tx.recordingRow(id.description)
            var original: [UInt8] = []
            original.reserveCapacity(min(max(0, try row["bytes"]), 1 << 26))
            try tx.forEachChunk(row, column: "raw") { original += $0 }
            return original
        }
    }

    /// A part of the original: whole chunks, as they were written, until they come to `size` bytes.
    /// - Parameter first: number of the first chunk.
    /// - Returns: its bytes, none behind the last chunk, and the number of the chunk that follows.
    public func original(
        _ id: RecordingID, from first: Int, about size: Int
    ) async throws(StoreError) -> (bytes: [UInt8], next: Int) {
        try await read { tx in
            let row = try tx.recordingRow(id.description)
            var bytes: [UInt8] = []
            var next = first
            try tx.forEachChunk(row, column: "raw", from: first) {
                bytes += $0
                next += 1
                return bytes.count < size
            }
            return (bytes, next)
        }
    }

    public func notes(_ id: RecordingID) async throws(StoreError) -> [Note] {
        try await read { tx in
            let row = try tx.recordingRow(id.description)
            return try tx.notes(id.description, try tx.dataKey(row))
        }
    }
}

extension Transaction {
    func summary(_ row: Row) throws -> RecordingSummary {
        let uuid: String = try row["uuid"]
        let key = try keptKey(row)
        if let key { try key.verify(row["mark"], at: try Self.facts(of: row), of: "recording \(uuid)") }
        let channels = try JSON.decode([Channel].self, row["channels"] as String)
        let samples = try JSON.decode([Int].self, row["counts"] as String)
        let binding = try bindings(uuid, key).last
        let beside = try Row.fetchOne(
            db.cachedStatement(
                sql: """
                    SELECT EXISTS (SELECT 1 FROM held WHERE recording = :uuid) AS hold,
                        EXISTS (SELECT 1 FROM reading WHERE recording = :uuid) AS readings
                    """), arguments: ["uuid": uuid])
        let hasHold = try beside?["hold"] as Bool? == true
        let hasReadings = try beside?["readings"] as Bool? == true
        return RecordingSummary(
            id: try recordingID(uuid), kind: try parse(row["kind"]), modality: try parse(row["modality"]),
            origin: try parse(row["origin"]), device: try JSON.decode(DeviceIdentity.self, row["device"] as String),
            state: try parse(row["state"]), endReason: try (row["end_reason"] as String?).map { try parse($0) },
            clock: try clock(row), binding: binding, isHeld: hasHold && binding == nil,
            unattributed: binding == nil
                ? try (row["doubt"] as String?).map { try parse($0) } ?? UnattributedReason.noVisit : nil,
            supersededBy: try (row["superseded_by"] as String?).map { try recordingID($0) }, samples: samples,
            seconds: zip(channels, samples).map { Double($1) / $0.rate.value }.max() ?? 0, bytes: try row["bytes"],
            hasReadings: hasReadings,
            documents: try documents(of: uuid, key), purgedAt: try row["purged_at"], revision: try row["revision"])
    }

    func detail(_ row: Row) throws -> RecordingDetail {
        let uuid: String = try row["uuid"]
        let key = try keptKey(row)
        let summary = try summary(row)
        var hold: Hold?
        if let key {
            hold = try Data.fetchOne(
                db.cachedStatement(sql: "SELECT sealed FROM held WHERE recording = ?"), arguments: [uuid]
            ).map { try key.open(json: Hold.self, $0, at: "\(uuid)|held") }
        }
        return RecordingDetail(
            summary: summary, recording: try recording(row, key),
            rawClock: try JSON.decode(ClockFacts.self, row["clock"] as String), bindings: try bindings(uuid, key),
            hold: hold, notes: try key.map { try notes(uuid, $0) } ?? [])
    }

    func recording(_ row: Row, _ key: SymmetricKey?) throws -> Recording {
        let uuid: String = try row["uuid"]
        return Recording(
            id: try recordingID(uuid), kind: try parse(row["kind"]), modality: try parse(row["modality"]),
            origin: try parse(row["origin"]), device: try JSON.decode(DeviceIdentity.self, row["device"] as String),
            channels: try JSON.decode([Channel].self, row["channels"] as String), clock: try clock(row),
            source: try row["source"], objectID: try row["object"],
            claim: try (row["claim"] as Data?).flatMap {
                try key?.open(json: IdentityClaim.self, $0, at: "\(uuid)|claim")
            },
            state: try parse(row["state"]), endReason: try (row["end_reason"] as String?).map { try parse($0) })
    }

    /// What a person said stands in for what no clock could say; the raw facts stay in their column.
    func clock(_ row: Row) throws -> ClockFacts {
        var clock = try JSON.decode(ClockFacts.self, row["clock"] as String)
        if let said = try row["said_start"] as String? {
            guard let start = LocalTime(said) else { throw StoreError.corrupt("a start time") }
            clock.deviceStart = start
            clock.source = .person
        }
        return clock
    }

    /// - Parameter key: nil after purging: then nothing vouches for them, and why isn't known any more.
    func bindings(_ uuid: String, _ key: SymmetricKey?) throws -> [Binding] {
        let rows = try Row.fetchAll(
            db.cachedStatement(sql: "SELECT * FROM binding WHERE recording = ? ORDER BY n"), arguments: [uuid])
        return try rows.enumerated().map { index, row in
            let n: Int = try row["n"]
            if let key { try key.verify(row["mark"], at: try Self.facts(ofBinding: row), of: "a binding of \(uuid)") }
            guard n == index else { throw StoreError.corrupt("binding \(index) of \(uuid) is missing") }
            return Binding(
                visit: try row["visit"], reason: try parse(try row["reason"]), by: try row["by"], at: try row["at"],
                why: try (row["why"] as Data?).flatMap { try key?.openText($0, at: "\(uuid)|binding.why|\(n)") })
        }
    }

    func notes(_ uuid: String, _ key: SymmetricKey) throws -> [Note] {
        try Row.fetchAll(
            db.cachedStatement(sql: "SELECT n, sealed FROM note WHERE recording = ? ORDER BY n"), arguments: [uuid]
        ).map { try key.open(json: Note.self, $0["sealed"], at: "\(uuid)|note|\($0["n"] as Int)") }
    }

    /// Opens one column of every chunk in order; there must be exactly as many as were written.
    func forEachChunk(_ row: Row, column: String, _ body: ([UInt8]) throws -> Void) throws {
        try forEachChunk(row, column: column, from: 0) {
            try body($0)
            return true
        }
    }

    /// - Parameter body: whether it wants the next one.
    func forEachChunk(_ row: Row, column: String, from first: Int, _ body: ([UInt8]) throws -> Bool) throws {
        let uuid: String = try row["uuid"]
        let key = try dataKey(row)
        let chunks = try Row.fetchCursor(
            db, sql: "SELECT n, \(column) AS sealed FROM chunk WHERE recording = ? AND n >= ? ORDER BY n",
            arguments: [uuid, first])
        var next = first
        while let chunk = try chunks.next() {
            guard try chunk["n"] as Int == next else { throw StoreError.corrupt("chunk \(next) of \(uuid) is missing") }
            let place = "\(uuid)|chunk.\(column)|\(next)"
            // Decoded samples say in their first byte how they are coded.
            let isWanted = try body(
                column == "raw"
                    ? key.open(packed: chunk["sealed"], environment.coding, at: place)
                    : [UInt8](key.open(chunk["sealed"], at: place)))
            next += 1
            if !isWanted { return }
        }
        guard try next == row["chunks"] as Int else { throw StoreError.corrupt("chunk \(next) of \(uuid) is missing") }
    }
}
