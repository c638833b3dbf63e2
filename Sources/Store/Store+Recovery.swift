public import Clinical
internal import GRDB

/// What `recover` found and did.
public struct RecoveryReport: Sendable, Equatable, Codable {
    /// Recordings that were still open when the agent last ended; now sealed as interrupted.
    public var sealed: [RecordingID]
    /// Documents whose upload had begun without a receipt: ask the server before sending.
    public var uploadsInFlight: Int
    /// What SQLite's check complained about; empty when the file is sound.
    public var problems: [String]

    public init(sealed: [RecordingID], uploadsInFlight: Int, problems: [String]) {
        self.sealed = sealed
        self.uploadsInFlight = uploadsInFlight
        self.problems = problems
    }
}

extension Store {
    /// To be called once at start, before anything else: nothing is recording yet, so whatever is open was cut.
    public func recover() async throws(StoreError) -> RecoveryReport {
        let problems = try await read { tx in
            try String.fetchAll(tx.db, sql: "PRAGMA quick_check").filter { $0 != "ok" }
        }
        return try await write { tx in
            let open = try String.fetchAll(
                tx.db, sql: "SELECT uuid FROM recording WHERE state = 'open' ORDER BY uuid")
            for uuid in open {
                // The last thing that is known of its life.
                let last = try Int64.fetchOne(
                    tx.db, sql: "SELECT created FROM chunk WHERE recording = ? ORDER BY n DESC LIMIT 1",
                    arguments: [uuid])
                try tx.seal(uuid, reason: .agentStopped, at: last ?? tx.now)
                try tx.audit(by: "agent", "recording.recover", uuid)
            }
            let inFlight = try Int.fetchOne(
                tx.db,
                sql: "SELECT COUNT(*) FROM outgoing WHERE begun_at IS NOT NULL "
                    + "AND NOT EXISTS (SELECT 1 FROM receipt WHERE receipt.document = outgoing.document)")
            return RecoveryReport(
                sealed: try open.map { try tx.recordingID($0) }, uploadsInFlight: inFlight ?? 0, problems: problems)
        }
    }
}
