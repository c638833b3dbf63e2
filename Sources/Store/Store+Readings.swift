public import Clinical
internal import Crypto
internal import FoundationEssentials
internal import GRDB

extension Store {
    /// Keeps discrete values (blood pressures, weights) of a recording that is open; durable when it returns.
    /// - Throws: `.notFound`; `.refused` when the recording is sealed.
    public func add(_ readings: [Reading], to id: RecordingID) async throws(StoreError) {
        try await write { tx in
            try tx.requireSpace(.stopRunning)
            let uuid = id.description
            let row = try tx.recordingRow(uuid)
            guard try row["state"] as String == "open" else { throw StoreError.refused("recording \(uuid) is sealed") }
            let key = try tx.dataKey(row)
            var n =
                try Int.fetchOne(tx.db, sql: "SELECT COUNT(*) FROM reading WHERE recording = ?", arguments: [uuid]) ?? 0
            for reading in readings {
                try tx.db.execute(
                    sql: "INSERT INTO reading (recording, n, sealed) VALUES (?, ?, ?)",
                    arguments: [uuid, n, try key.seal(json: reading, at: "\(uuid)|reading|\(n)")])
                try tx.name(reading, uuid, n: n)
                n += 1
            }
        }
    }

    /// In the order in which they were added.
    public func readings(_ id: RecordingID) async throws(StoreError) -> [Reading] {
        try await read { tx in
            let key = try tx.dataKey(try tx.recordingRow(id.description))
            let rows = try Row.fetchAll(
                tx.db.cachedStatement(sql: "SELECT n, sealed FROM reading WHERE recording = ? ORDER BY n"),
                arguments: [id.description])
            return try rows.enumerated().map { index, row in
                guard try row["n"] as Int == index else {
                    throw StoreError.corrupt("reading \(index) of \(id) is missing")
                }
                return try key.open(json: Reading.self, row["sealed"], at: "\(id)|reading|\(index)")
            }
        }
    }
}
