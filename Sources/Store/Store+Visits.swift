public import Clinical
internal import FoundationEssentials
internal import GRDB

/// What a worklist brought for one visit.
public struct VisitChange: Sendable, Equatable, Codable {
    public enum Kind: String, Sendable, Codable {
        case added, updated, cancelled
        /// The server now names another patient for a visit that was opened or has recordings: kept as it was, because
        /// what was recorded belongs to the patient that was there.
        case refusedPatientChange
    }

    public var visit: String
    public var kind: Kind

    public init(visit: String, kind: Kind) {
        self.visit = visit
        self.kind = kind
    }
}

extension Store {
    /// Takes a worklist in that may be older than another one: by id, a newer version wins, what the nurse did (open, closed) is
    /// kept, and a cancellation by the server always wins. Visits that aren't named stay as they are.
    /// - Returns: what changed, in the given order.
    @discardableResult
    public func merge(visits: [Visit]) async throws(StoreError) -> [VisitChange] {
        try await merge(visits: visits, isWhole: false)
    }

    /// - Parameters:
    ///   - isWhole: the worklist names every visit that there is: what isn't in it has left it.
    ///   - areCurrent: it says what holds now, so that whatever differs is taken: a visit changes also with its order or its patient, and
    ///     a server that was restored counts its versions again.
    ///   - unreadable: visits that are in it, and can't be read.
    @discardableResult
    public func merge(
        visits: [Visit], isWhole: Bool, areCurrent: Bool = false, unreadable: Set<String> = []
    ) async throws(StoreError) -> [VisitChange] {
        try await write { tx in
            let changes = try visits.compactMap { try tx.merge($0, isCurrent: areCurrent) }
            let named = Set(visits.map(\.id)).union(unreadable)
            for row in try Row.fetchAll(tx.db, sql: "SELECT id, left_at FROM visit") {
                let id: String = try row["id"]
                let hasLeft = try (row["left_at"] as Int64?) != nil
                if named.contains(id), hasLeft {
                    try tx.db.execute(sql: "UPDATE visit SET left_at = NULL WHERE id = ?", arguments: [id])
                } else if isWhole, !named.contains(id), !hasLeft {
                    try tx.db.execute(sql: "UPDATE visit SET left_at = ? WHERE id = ?", arguments: [tx.now, id])
                }
            }
            return changes
        }
    }

    /// All visits, by planned time.
    public func visits() async throws(StoreError) -> [Visit] {
        try await read { tx in
            try Row.fetchAll(tx.db, sql: "SELECT * FROM visit").map { try tx.visit($0) }
                .sorted { ($0.plannedAt ?? "9", $0.id) < ($1.plannedAt ?? "9", $1.id) }
        }
    }

    public func visit(_ id: String) async throws(StoreError) -> Visit? {
        try await read { tx in try tx.visit(id) }
    }

    /// The one visit that is open, if any.
    public func currentVisit() async throws(StoreError) -> Visit? {
        try await read { tx in try tx.openVisit() }
    }

    /// Opens a visit: from now on, what is captured is this patient's. Opening the open one again changes nothing; a
    /// closed one may be opened again.
    /// - Throws: `.notFound`; `.refused` when another visit is open or this one is cancelled.
    @discardableResult
    public func openVisit(_ id: String, by actor: String, at time: Int64) async throws(StoreError) -> Visit {
        try await write { tx in
            guard var visit = try tx.visit(id) else { throw StoreError.notFound("visit \(id)") }
            guard visit.status != .open else { return visit }
            guard visit.status != .cancelled else { throw StoreError.refused("visit \(id) was cancelled") }
            try tx.requireIdentity(of: id)
            if let other = try tx.openVisit() {
                throw StoreError.refused("visit \(other.id) is still open: close it first")
            }
            try tx.db.execute(
                sql: "UPDATE visit SET status = 'open', opened_at = ?, closed_at = NULL WHERE id = ?",
                arguments: [time, id])
            try tx.readClocks(into: "opened_clocks", of: id)
            try tx.audit(by: actor, "visit.open", id)
            visit.status = .open
            return visit
        }
    }

    /// Closes the open visit. Closing a closed one changes nothing.
    /// - Throws: `.notFound`; `.refused` when it was never opened or is cancelled.
    public func closeVisit(_ id: String, by actor: String, at time: Int64) async throws(StoreError) {
        try await write { tx in
            guard let visit = try tx.visit(id) else { throw StoreError.notFound("visit \(id)") }
            guard visit.status != .closed else { return }
            guard visit.status == .open else { throw StoreError.refused("visit \(id) is not open") }
            try tx.readClocks(into: "closed_clocks", of: id)
            try tx.db.execute(
                sql: "UPDATE visit SET status = 'closed', closed_at = ? WHERE id = ?", arguments: [time, id])
            try tx.audit(by: actor, "visit.close", id)
        }
    }
}

extension Transaction {
    func visit(_ row: Row) throws -> Visit {
        var visit = try worded(row)
        visit.status = try parse(row["status"])
        return visit
    }

    /// As the server said it, whatever the nurse has done since.
    private func worded(_ row: Row) throws -> Visit {
        let id: String = try row["id"]
        return try vault.identity.open(json: Visit.self, row["sealed"], at: "visit|\(id)")
    }

    func visit(_ id: String) throws -> Visit? {
        try Row.fetchOne(db.cachedStatement(sql: "SELECT * FROM visit WHERE id = ?"), arguments: [id]).map(visit)
    }

    func isPurged(_ visit: String) throws -> Bool {
        try Bool.fetchOne(
            db, sql: "SELECT purged_at IS NOT NULL FROM visit WHERE id = ?", arguments: [visit]) ?? false
    }

    /// Nothing can be compared with an identity that was destroyed.
    func requireIdentity(of visit: String) throws {
        guard try !isPurged(visit) else {
            throw StoreError.refused("visit \(visit) has left the worklist, and its patient's identity was destroyed")
        }
    }

    func openVisit() throws -> Visit? {
        try Row.fetchOne(db, sql: "SELECT * FROM visit WHERE status = 'open'").map(visit)
    }

    fileprivate func merge(_ incoming: Visit, isCurrent: Bool) throws -> VisitChange? {
        let row = try Row.fetchOne(db, sql: "SELECT * FROM visit WHERE id = ?", arguments: [incoming.id])
        guard let row else {
            // A visit is opened here, by a person; never by the server.
            let status = incoming.status == .open ? Visit.Status.planned : incoming.status
            try write(incoming, status: status)
            return VisitChange(visit: incoming.id, kind: .added)
        }
        let known = try visit(row)
        // A visit that came back after its identity was destroyed is as good as new.
        let isHollow = try isPurged(incoming.id)
        // A cancellation that was taken without the rest of its visit is taken back by whatever isn't one.
        let differs =
            isCurrent
            ? try worded(row) != incoming || known.status == .cancelled && incoming.status != .cancelled
            : Self.isNewer(incoming.version, than: known.version)
        guard isHollow || differs else { return nil }
        if incoming.patient.id != known.patient.id {
            let bound = try Bool.fetchOne(
                db,
                sql: """
                    SELECT EXISTS (SELECT 1 FROM binding WHERE visit = :id)
                        OR EXISTS (SELECT 1 FROM loan WHERE visit = :id)
                        OR EXISTS (SELECT 1 FROM entry WHERE visit = :id)
                        OR EXISTS (SELECT 1 FROM opening WHERE visit = :id)
                    """, arguments: ["id": known.id])
            if known.status == .open || bound == true {
                // Nobody is to go there, whoever it was about; the patient stays who was there.
                if incoming.status == .cancelled {
                    guard known.status != .cancelled else { return nil }
                    try db.execute(sql: "UPDATE visit SET status = 'cancelled' WHERE id = ?", arguments: [known.id])
                    return try cancelled(known)
                }
                // The server says it again with each look: told once.
                let key = "refused-patient|\(known.id)"
                let refused = "\(incoming.version) \(incoming.patient.id)"
                guard try setting(key) != refused else { return nil }
                try set(refused, forKey: key)
                try audit(by: "server", "visit.refuse-patient-change", known.id)
                return VisitChange(visit: known.id, kind: .refusedPatientChange)
            }
        }
        if incoming.status == .cancelled {
            try write(incoming, status: .cancelled)
            guard known.status != .cancelled else { return VisitChange(visit: known.id, kind: .updated) }
            return try cancelled(known)
        }
        let local = known.status == .open || known.status == .closed
        let status: Visit.Status = local ? known.status : incoming.status == .open ? .planned : incoming.status
        try write(incoming, status: status)
        return VisitChange(visit: known.id, kind: .updated)
    }

    /// Of the visit that is open: beside the times by the wall clock, which may be set before the next visit.
    fileprivate func readClocks(into column: String, of visit: String) throws {
        guard let reading = environment.clocks() else { return }
        try db.execute(
            sql: "UPDATE opening SET \(column) = ? WHERE visit = ? AND closed_at IS NULL",
            arguments: [try JSON.text(reading), visit])
    }

    private func cancelled(_ known: Visit) throws -> VisitChange {
        if known.status == .open {
            try readClocks(into: "closed_clocks", of: known.id)
            try db.execute(sql: "UPDATE visit SET closed_at = ? WHERE id = ?", arguments: [now, known.id])
        }
        try audit(by: "server", "visit.cancel", known.id)
        return VisitChange(visit: known.id, kind: .cancelled)
    }

    /// FHIR versions are opaque, but counted by every server that was seen: counted ones are compared, others are
    /// newer when they differ.
    private static func isNewer(_ version: String, than known: String) -> Bool {
        if let version = UInt64(version), let known = UInt64(known) { return version > known }
        return version != known
    }

    private func write(_ visit: Visit, status: Visit.Status) throws {
        try db.execute(
            sql: """
                INSERT INTO visit (id, version, status, sealed) VALUES (?, ?, ?, ?)
                ON CONFLICT (id) DO UPDATE
                SET version = excluded.version, status = excluded.status, sealed = excluded.sealed, purged_at = NULL
                """,
            arguments: [
                visit.id, visit.version, status.rawValue,
                try vault.identity.seal(json: visit, at: "visit|\(visit.id)"),
            ])
    }

    /// A stored word as its enum.
    func parse<T: RawRepresentable>(_ text: String) throws -> T where T.RawValue == String {
        guard let value = T(rawValue: text) else { throw StoreError.corrupt("an unknown \(T.self)") }
        return value
    }

    func recordingID(_ text: String) throws -> RecordingID {
        guard let id = RecordingID(text) else { throw StoreError.corrupt("a recording's id") }
        return id
    }
}
