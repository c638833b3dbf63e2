public import Clinical
internal import Crypto
internal import FoundationEssentials
internal import GRDB

extension Store {
    /// All recordings, newest first.
    public func recordings() async throws(StoreError) -> [RecordingSummary] {
        try await read { tx in
            try Row.fetchAll(tx.db, sql: "SELECT * FROM recording ORDER BY begun_at DESC, uuid DESC")
                .map { try tx.summary($0) }
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
                let decoded = try SampleCoding.decode(bytes)
                guard decoded.count == samples.count else { throw StoreError.corrupt("a chunk's channels") }
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
            original.reserveCapacity(row["bytes"])
            try tx.forEachChunk(row, column: "raw") { original += $0 }
            return original
        }
    }

    public func notes(_ id: RecordingID) async throws(StoreError) -> [Note] {
        try await read { tx in
            let row = try tx.recordingRow(id.description)
            return try tx.notes(id.description, try tx.dataKey(row))
        }
    }

    public func statusCounts() async throws(StoreError) -> StatusCounts {
        try await read { tx in
            var counts = StatusCounts()
            for row in try Row.fetchAll(tx.db, sql: "SELECT * FROM recording") {
                let summary = try tx.summary(row)
                if summary.state == .open { counts.open += 1 }
                guard summary.supersededBy == nil, !summary.isEmpty else { continue }
                if summary.binding == nil { counts.unattributed += 1 }
                if summary.isHeld { counts.held += 1 }
                if summary.needsStart { counts.needingStart += 1 }
                for document in summary.documents {
                    switch document.stage {
                    case .waiting: counts.waiting += 1
                    case .sending: counts.sending += 1
                    case .received: counts.received += 1
                    case .quarantined: counts.quarantined += 1
                    }
                }
            }
            counts.toFreeze = try tx.awaitingFreeze().count
            return counts
        }
    }
}

extension Transaction {
    func summary(_ row: Row) throws -> RecordingSummary {
        let uuid: String = row["uuid"]
        let key = try dataKey(row)
        let channels = try JSON.decode([Channel].self, row["channels"] as String)
        let samples = try JSON.decode([Int].self, row["counts"] as String)
        let binding = try bindings(uuid, key).last
        let hasHold = try Bool.fetchOne(
            db, sql: "SELECT EXISTS (SELECT 1 FROM held WHERE recording = ?)", arguments: [uuid])
        return RecordingSummary(
            id: try recordingID(uuid), kind: try parse(row["kind"]), modality: try parse(row["modality"]),
            origin: try parse(row["origin"]), device: try JSON.decode(DeviceIdentity.self, row["device"] as String),
            state: try parse(row["state"]), endReason: try (row["end_reason"] as String?).map { try parse($0) },
            clock: try clock(row), binding: binding, isHeld: hasHold == true && binding == nil,
            supersededBy: try (row["superseded_by"] as String?).map { try recordingID($0) }, samples: samples,
            seconds: zip(channels, samples).map { Double($1) / $0.rate.value }.max() ?? 0, bytes: row["bytes"],
            documents: try documents(of: uuid, key), revision: row["revision"])
    }

    func detail(_ row: Row) throws -> RecordingDetail {
        let uuid: String = row["uuid"]
        let key = try dataKey(row)
        let summary = try summary(row)
        let hold = try Data.fetchOne(db, sql: "SELECT sealed FROM held WHERE recording = ?", arguments: [uuid])
            .map { try key.open(json: Hold.self, $0, at: "\(uuid)|held") }
        return RecordingDetail(
            summary: summary, recording: try recording(row, key),
            rawClock: try JSON.decode(ClockFacts.self, row["clock"] as String), bindings: try bindings(uuid, key),
            hold: hold, notes: try notes(uuid, key))
    }

    func recording(_ row: Row, _ key: SymmetricKey) throws -> Recording {
        let uuid: String = row["uuid"]
        return Recording(
            id: try recordingID(uuid), kind: try parse(row["kind"]), modality: try parse(row["modality"]),
            origin: try parse(row["origin"]), device: try JSON.decode(DeviceIdentity.self, row["device"] as String),
            channels: try JSON.decode([Channel].self, row["channels"] as String), clock: try clock(row),
            source: row["source"],
            claim: try (row["claim"] as Data?).map {
                try key.open(json: IdentityClaim.self, $0, at: "\(uuid)|claim")
            },
            state: try parse(row["state"]), endReason: try (row["end_reason"] as String?).map { try parse($0) })
    }

    /// What a person said stands in for what no clock could say; the raw facts stay in their column.
    func clock(_ row: Row) throws -> ClockFacts {
        var clock = try JSON.decode(ClockFacts.self, row["clock"] as String)
        if let said = row["said_start"] as String? {
            guard let start = LocalTime(said) else { throw StoreError.corrupt("a start time") }
            clock.deviceStart = start
            clock.source = .person
        }
        return clock
    }

    func bindings(_ uuid: String, _ key: SymmetricKey) throws -> [Binding] {
        try Row.fetchAll(db, sql: "SELECT * FROM binding WHERE recording = ? ORDER BY n", arguments: [uuid]).map {
            let n: Int = $0["n"]
            return Binding(
                visit: $0["visit"], reason: try parse($0["reason"]), by: $0["by"], at: $0["at"],
                why: try ($0["why"] as Data?).map { try key.openText($0, at: "\(uuid)|binding.why|\(n)") })
        }
    }

    func notes(_ uuid: String, _ key: SymmetricKey) throws -> [Note] {
        try Row.fetchAll(db, sql: "SELECT n, sealed FROM note WHERE recording = ? ORDER BY n", arguments: [uuid])
            .map { try key.open(json: Note.self, $0["sealed"], at: "\(uuid)|note|\($0["n"] as Int)") }
    }

    /// Opens one column of every chunk in order; there must be exactly as many as were written.
    func forEachChunk(_ row: Row, column: String, _ body: ([UInt8]) throws -> Void) throws {
        let uuid: String = row["uuid"]
        let key = try dataKey(row)
        let chunks = try Row.fetchCursor(
            db, sql: "SELECT n, \(column) AS sealed FROM chunk WHERE recording = ? ORDER BY n", arguments: [uuid])
        var next = 0
        while let chunk = try chunks.next() {
            guard chunk["n"] as Int == next else { throw StoreError.corrupt("chunk \(next) of \(uuid) is missing") }
            try body([UInt8](try key.open(chunk["sealed"], at: "\(uuid)|chunk.\(column)|\(next)")))
            next += 1
        }
        guard next == row["chunks"] as Int else { throw StoreError.corrupt("chunk \(next) of \(uuid) is missing") }
    }
}
