public import Clinical
internal import Crypto
internal import FoundationEssentials
internal import GRDB
internal import Synchronization

/// What a thorough look at the store found: which recordings are whole, and what is damaged.
public struct IntegrityReport: Sendable, Equatable, Codable {
    public struct Damage: Sendable, Equatable, Codable {
        public var recording: RecordingID
        /// English, without any identity.
        public var what: String
    }

    /// What SQLite said of the file itself.
    public var problems: [String]
    /// Recordings of which everything that was written is there and unchanged.
    public var readable: [RecordingID]
    public var damaged: [Damage]
    /// Visits that can't be read; the next worklist brings them again.
    public var damagedVisits: [String]
    /// Nil when it can't even be read.
    public var audit: AuditVerdict?

    public var isSound: Bool {
        guard case .intact = audit else { return false }
        return problems.isEmpty && damaged.isEmpty && damagedVisits.isEmpty
    }
}

/// Damage that was met while the store was in use.
public struct KnownDamage: Sendable, Equatable {
    /// How many recordings the last listing had to leave out.
    public var recordings = 0
    /// SQLite found something wrong in the file (`checkFile`).
    public var isFileDamaged = false
    public var isAny: Bool { recordings > 0 || isFileDamaged }
}

extension Store {
    public var knownDamage: KnownDamage { damage.withLock { $0 } }

    /// Under this setting a start finds that the file has to be checked, however large it is.
    static let checkKey = "check-at-start"

    /// Looks at every page of the file while it is in use: what `recover` leaves out where the file is large. What it finds is
    /// repaired at the next start.
    /// - Returns: what SQLite said, English, without any identity; empty when the file is sound.
    public func checkFile() async throws(StoreError) -> [String] {
        let problems = await problems()
        damage.withLock { $0.isFileDamaged = !problems.isEmpty }
        if !problems.isEmpty { try await setValue("1", forKey: Self.checkKey) }
        return problems
    }

    /// Looks at every page and opens everything that is sealed. Takes as long as reading the whole file: for `doctor`, and
    /// for the background after a start that found damage. Never fails because of damage: names it and goes on.
    public func salvage() async throws(StoreError) -> IntegrityReport {
        var report = IntegrityReport(problems: [], readable: [], damaged: [], damagedVisits: [], audit: nil)
        report.problems = await problems()
        let ids = await survivors("recording", key: "uuid", also: ["chunk", "binding", "document", "note"])
        for uuid in ids {
            guard let id = RecordingID(uuid) else {
                report.problems.append("a recording whose identity can't be read")
                continue
            }
            do throws(StoreError) {
                try await read { tx in try tx.openEverything(of: uuid) }
                report.readable.append(id)
            } catch {
                report.damaged.append(IntegrityReport.Damage(recording: id, what: "\(error)"))
            }
        }
        for visit in await survivors("visit", key: "id", also: []) {
            do throws(StoreError) {
                guard try await self.visit(visit) != nil else { throw .corrupt("it is gone") }
            } catch {
                report.damagedVisits.append(visit)
            }
        }
        do throws(StoreError) {
            _ = try await loans()
        } catch {
            report.problems.append("loans: \(error)")
        }
        do throws(StoreError) { report.audit = try await verifyAudit() } catch { report.audit = nil }
        return report
    }

    /// What can be said without opening every recording: what SQLite says of the file, and whether the audit trail holds.
    public func glance() async throws(StoreError) -> IntegrityReport {
        var report = IntegrityReport(problems: [], readable: [], damaged: [], damagedVisits: [], audit: nil)
        report.problems = await problems()
        do throws(StoreError) { report.audit = try await verifyAudit() } catch { report.audit = nil }
        return report
    }

    /// What SQLite says of the file itself; empty when it is sound.
    func problems() async -> [String] {
        do throws(StoreError) {
            return try await read { tx in
                // It looks at pages without `cell_size_check` (sqlite3BtreeIntegrityCheck switches that off).
                defer { tx.forgetPages() }
                return try String.fetchAll(tx.db, sql: "PRAGMA quick_check(100)").filter { $0 != "ok" }
            }
        } catch {
            return ["\(error)"]
        }
    }

    /// Every key that is found in any of the tables or their indexes, as far as each can be read.
    private func survivors(_ table: String, key: String, also others: [String]) async -> [String] {
        var found: Set<String> = []
        // Once by the table itself, forwards and backwards up to the damage; once by an index.
        var sources = ["", " ORDER BY rowid DESC", " ORDER BY \(key)"].map { "SELECT \(key) FROM \(table)\($0)" }
        sources[0] = "SELECT \(key) FROM \(table) NOT INDEXED"
        sources += others.map { "SELECT DISTINCT recording FROM \($0)" }
        for sql in sources {
            let keys = try? await read { tx in
                var keys: Set<String> = []
                do {
                    let rows = try String.fetchCursor(tx.db, sql: sql)
                    while let key = try rows.next() { keys.insert(key) }
                } catch is DatabaseError {
                    // What came before the damage counts.
                    tx.forgetPages()
                }
                return keys
            }
            found.formUnion(keys ?? [])
        }
        return found.sorted()
    }
}

extension Transaction {
    /// Reads and checks everything that belongs to a recording.
    fileprivate func openEverything(of uuid: String) throws {
        let row = try recordingRow(uuid)
        let detail = try detail(row)
        guard let key = try keptKey(row) else { return }
        let channels = detail.recording.channels
        var counts = [Int](repeating: 0, count: channels.count)
        var bytes = 0
        try forEachChunk(row, column: "decoded") { opened in
            let samples = try environment.coding.decode(opened, of: channels)
            for (channel, more) in samples.enumerated() { counts[channel] += more.count }
        }
        try forEachChunk(row, column: "raw") { bytes += $0.count }
        guard counts == detail.summary.samples, bytes == detail.summary.bytes else {
            throw StoreError.corrupt("the number of samples or bytes of \(uuid)")
        }
        let readings = try Row.fetchAll(
            db, sql: "SELECT * FROM reading WHERE recording = ? ORDER BY n", arguments: [uuid])
        for reading in readings {
            _ = try key.open(json: Reading.self, reading["sealed"], at: "\(uuid)|reading|\(reading["n"] as Int)")
        }
        guard try detail.summary.binding?.visit == row["visit"] as String? else {
            throw StoreError.corrupt("the visit of \(uuid)")
        }
        for status in detail.summary.documents { try verify(status.document, key) }
    }

    func verify(_ document: Document, _ key: SymmetricKey) throws {
        var hash = SHA256()
        for n in 0..<(document.size + documentPartSize - 1) / documentPartSize {
            hash.update(data: try part(n, of: document, key))
        }
        let digest = hash.finalize().map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        guard digest == document.sha256 else { throw StoreError.corrupt("document \(document.id.text)") }
    }
}
