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
    /// Whether there was time for the check: a large file is left to `ess-agent doctor`.
    public var isChecked: Bool

    public init(sealed: [RecordingID], uploadsInFlight: Int, problems: [String], isChecked: Bool = true) {
        self.sealed = sealed
        self.uploadsInFlight = uploadsInFlight
        self.problems = problems
        self.isChecked = isChecked
    }
}

extension Store {
    /// To be called once at start, before anything else: nothing is recording yet, so whatever is open was cut.
    /// - Parameter checkUpTo: bytes of the largest file that is checked page by page right now.
    /// - Throws: nothing for a damaged recording: what can't be repaired is named in `problems`, the rest goes on.
    public func recover(checkUpTo limit: Int64 = 64 << 20) async throws(StoreError) -> RecoveryReport {
        let isSmall = (Files.size("\(directory)/\(Self.fileName)") ?? 0) <= limit
        // A large one only when it was found to be damaged while it was in use.
        let wasDamaged = try await value(forKey: Self.checkKey) != nil
        let isChecked = isSmall || wasDamaged
        let problems = isChecked ? await problems() : []
        if wasDamaged, problems.isEmpty { try await setValue(nil, forKey: Self.checkKey) }
        let open = try await read { tx in
            try String.fetchAll(tx.db, sql: "SELECT uuid FROM recording WHERE state = 'open' ORDER BY uuid")
        }
        var report = RecoveryReport(sealed: [], uploadsInFlight: 0, problems: problems, isChecked: isChecked)
        for uuid in open {
            do throws(StoreError) {
                try await write { tx in
                    // The last thing that is known of its life.
                    let last = try Int64.fetchOne(
                        tx.db, sql: "SELECT created FROM chunk WHERE recording = ? ORDER BY n DESC LIMIT 1",
                        arguments: [uuid])
                    try tx.seal(uuid, reason: .agentStopped, at: last ?? tx.now)
                    try tx.audit(by: "agent", "recording.recover", uuid)
                }
                if let id = RecordingID(uuid) { report.sealed.append(id) }
            } catch .corrupt(let what) {
                report.problems.append("recording \(uuid): \(what)")
            }
        }
        report.uploadsInFlight = try await read { tx in
            try Int.fetchOne(
                tx.db, sql: "SELECT COUNT(*) FROM outgoing WHERE \(Transaction.isPending) AND begun_at IS NOT NULL")
                ?? 0
        }
        return report
    }
}
