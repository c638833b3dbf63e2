public import Clinical
internal import GRDB

/// The team's monitor was not plugged in at the patient's whom it measured, but at the next one's. What was made while another
/// patient's visit was open is not taken for the open visit's: a person says whose it is.
extension Transaction {
    /// A visit as far as its times matter; Unix time in seconds.
    private struct Opened {
        var id: String
        var times: ClosedRange<Int>
    }

    func isOfOtherVisit(_ recording: Recording, _ period: StoredPeriod, than visit: Visit) throws -> Bool {
        try otherVisits(recording, period, than: visit).contains { !$0.isEmpty }
    }

    /// Whether it may have been made in another patient's visit before or after the loan that its device's clock, which can't be asked,
    /// puts it in. What the nurse did elsewhere while the device was at this patient's says nothing.
    func isOfOtherVisit(_ recording: Recording, _ period: StoredPeriod, beside loan: Loan, to visit: Visit) throws
        -> Bool
    {
        guard isUncompared(recording) else { return false }
        return try otherVisits(recording, period, than: visit, beside: loan).contains { !$0.isEmpty }
    }

    func isUncompared(_ recording: Recording) -> Bool {
        recording.clock.correctedStart(zone: environment.zone)?.remarks.contains(.uncompared) == true
    }

    /// For each measurement, or for all that was recorded in one piece: the other patients' visits in which it was, or may have been made.
    fileprivate func otherVisits(
        _ recording: Recording, _ period: StoredPeriod, than visit: Visit, beside loan: Loan? = nil
    ) throws -> [Set<String>] {
        // The laptop's clock says when it was copied, not when it was made.
        guard recording.clock.source != .host, let start = recording.clock.correctedStart(zone: environment.zone) else {
            return []
        }
        let stretches = Self.stretches(of: period, recording.clock, from: start, environment.zone)
        var visits = try openedVisits(
            from: stretches.map(\.lowerBound).min() ?? 0, to: stretches.map(\.upperBound).max() ?? 0)
        if let loan { visits = visits.compactMap { outside(loan, $0) } }
        // A memory holds hundreds of measurements, most of them beside the same visits.
        let patients = try Dictionary(
            uniqueKeysWithValues: Set(visits.map(\.id)).map { ($0, try self.visit($0)?.patient) })
        // Whom a file names: not in the visit of whom it doesn't.
        if let claim = recording.claim {
            visits = visits.filter { opened in patients[opened.id]?.map { !claim.speaksAgainst($0) } ?? true }
        }
        // One whose identity was purged may be another's.
        func isAnothers(_ id: String) -> Bool { (patients[id] ?? nil)?.id != visit.patient.id }
        func during(_ stretch: ClosedRange<Int>) -> Set<String> {
            Set(visits.lazy.filter { $0.times.overlaps(stretch) }.map(\.id))
        }
        let isUncompared = start.remarks.contains(.uncompared)
        let found = stretches.map { stretch in
            let there = during(stretch)
            guard isUncompared else { return there.filter(isAnothers) }
            // A clock that can't be asked: what it says is right while it says that it was in this patient's visit, or minutes beside it
            // and in no other's.
            let about = during(UncomparedClock.aboutThen(stretch))
            let isHere = !there.allSatisfy(isAnothers) || !about.isEmpty && !about.contains(where: isAnothers)
            let may = isHere ? there : UncomparedClock.stretches(around: stretch).reduce(there) { $0.union(during($1)) }
            return may.filter(isAnothers)
        }
        guard found.contains(where: { !$0.isEmpty }), try !isOwn(recording, by: visit) else { return [] }
        return found
    }

    private static func stretches(
        of period: StoredPeriod, _ clock: ClockFacts, from start: CorrectedStart, _ zone: ZoneRule
    ) -> [ClosedRange<Int>] {
        // Each by itself: between two of them summer time may have ended.
        func instant(_ time: LocalTime) -> Int? {
            var clock = clock
            clock.deviceStart = time
            return clock.correctedStart(zone: zone)?.instant
        }
        guard period.times.isEmpty else {
            return period.times.map { instant($0) ?? start.instant }.map { $0...$0 }
        }
        return [start.instant...max(start.instant, period.last.flatMap(instant) ?? start.instant)]
    }

    /// What of a visit was before or after a loan.
    private func outside(_ loan: Loan, _ opened: Opened) -> Opened? {
        func isCovered(_ instant: Int) -> Bool { environment.zone.local(instant).map(loan.covers) ?? false }
        var (from, to) = (opened.times.lowerBound, opened.times.upperBound)
        if isCovered(from) {
            guard !isCovered(to), let end = loan.to.flatMap({ environment.zone.instants(of: $0).first }) else {
                return nil
            }
            from = max(from, end)
        } else if isCovered(to), let start = environment.zone.instants(of: loan.from).first {
            to = min(to, start)
        }
        return from <= to ? Opened(id: opened.id, times: from...to) : nil
    }

    /// Those that may matter between two moments, whatever is wrong with the clock that named them.
    private func openedVisits(from: Int, to: Int) throws -> [Opened] {
        let margin = UncomparedClock.most + 1
        let reading = environment.clocks()
        let rows = try Row.fetchAll(
            db,
            sql: """
                SELECT visit AS id, opened_at, COALESCE(closed_at, :now) AS closed_at, opened_clocks, closed_clocks
                FROM opening
                WHERE opened_at <= :to AND MAX(opened_at, COALESCE(closed_at, :now)) >= :from
                OR json_extract(opened_clocks, '$.bootID') = :boot
                """,
            arguments: [
                "now": now, "from": Int64(from - margin) * 1000, "to": Int64(to + margin) * 1000,
                "boot": reading?.bootID,
            ])
        let window = from - margin...to + margin
        return try rows.flatMap { row in
            try times(of: row, reading).filter { $0.overlaps(window) }.map { Opened(id: try row["id"], times: $0) }
        }
    }

    /// Of one opening. Where the wall clock was set during it or since, nobody knows when that clock was right: by each.
    private func times(of row: Row, _ reading: HostReading?) throws -> [ClosedRange<Int>] {
        func clocks(_ column: String) throws -> HostReading? {
            try (row[column] as String?).map { try JSON.decode(HostReading.self, $0) }
        }
        func range(_ from: Int64, _ to: Int64) -> ClosedRange<Int> { Int(from / 1000)...Int(max(from, to) / 1000) }
        let (from, to): (Int64, Int64) = (try row["opened_at"], try row["closed_at"])
        guard let opened = try clocks("opened_clocks") else { return [range(from, to)] }
        // Nil while it is open.
        let closed = try clocks("closed_clocks")
        let length = (closed ?? reading).flatMap { end in end.wall(of: opened).map { end.wall - $0 } }
        guard let length else { return [range(from, to)] }
        var all = [range(from, from + length), range(to - length, to)]
        if let begun = reading?.wall(of: opened) { all.append(range(begun, begun + length)) }
        return all
    }

    /// Whether it is known to be this patient's: what somebody's monitor recorded at home while the nurse was at another's is nobody
    /// else's. A device that nobody said anything of yet may be the team's.
    private func isOwn(_ recording: Recording, by visit: Visit) throws -> Bool {
        let arguments: StatementArguments = [recording.device.driver, recording.device.serial]
        let ofDevice = "json_extract(device, '$.driver') = ? AND json_extract(device, '$.serial') IS ?"
        switch recording.modality {
        // Nobody has one at home.
        case .ecg, .imaging: return false
        // Nobody carries one from bed to bed.
        case .sleep: break
        case .oximetry, .bloodPressure, .vitals, .other:
            guard recording.device.serial != nil else { return false }
            // Doubted in this patient's visit before, and a person said that it is theirs: once, of a clock that was asked; one that can't be
            // may have been wrong, so twice. (Of a loan that is over nothing follows; what one covers is its patient's without being asked.)
            let decided = try Row.fetchAll(
                db,
                sql: """
                    SELECT DISTINCT recording.visit AS whose, opening.visit AS during, opening.n AS n,
                    json_extract(clock, '$.deviceNow') IS NOT NULL AS isCompared
                    FROM recording JOIN opening ON opened_at <= begun_at AND COALESCE(closed_at, begun_at) >= begun_at
                    WHERE doubt = 'otherVisit' AND recording.visit IS NOT NULL AND \(ofDevice)
                    """, arguments: arguments
            ).filter { try !isAnothers($0["whose"], than: visit) && !isAnothers($0["during"], than: visit) }
            let isClear = try decided.contains { try $0["isCompared"] }
            guard try isClear || Set(decided.map { try $0["n"] as Int64 }).count > 1 else { return false }
        }
        let bound = try String.fetchAll(
            db, sql: "SELECT DISTINCT visit FROM recording WHERE visit IS NOT NULL AND \(ofDevice)",
            arguments: arguments)
        return try !bound.contains { try isAnothers($0, than: visit) }
    }

    /// Whether it comes from what stands by one patient's bed, and the last night of that which is anybody's is another patient's. Not only
    /// nights: what else is on its card is the machine's too. (A recorder that goes from patient to patient is lent; its loans are asked
    /// before.)
    func isOfOtherPatientsMachine(_ recording: Recording, than visit: Visit) throws -> Bool {
        guard [.sleep, .other].contains(recording.modality), let serial = recording.device.serial else { return false }
        // In the order in which they came in, not by a clock that may have been set since.
        let last = try String.fetchOne(
            db,
            sql: """
                SELECT visit FROM recording WHERE visit IS NOT NULL AND modality = ? AND uuid <> ?
                AND json_extract(device, '$.driver') = ? AND json_extract(device, '$.serial') = ?
                ORDER BY rowid DESC LIMIT 1
                """,
            arguments: [
                Recording.Modality.sleep.rawValue, recording.id.description, recording.device.driver, serial,
            ])
        guard let last, let owner = try self.visit(last)?.patient else { return false }
        return owner.id != visit.patient.id && recording.claim?.speaksAgainst(owner) != true
    }

    /// Whether the visit is another patient's; one whose identity was purged may be.
    private func isAnothers(_ id: String, than visit: Visit) throws -> Bool {
        try self.visit(id)?.patient.id != visit.patient.id
    }
}

extension Store {
    /// The measurements of one memory, sorted by the other patients' visits in which they may have been made, those of none first: whose
    /// each part is can be said by itself. All of them in one where there is nothing to tell apart.
    /// - Parameters:
    ///   - times: by the device's clock.
    ///   - recording: as it would begin with all of them.
    public func parts(
        of times: [LocalTime], in recording: Recording, for binding: Binding?
    ) async throws(StoreError) -> [[LocalTime]] {
        try await read { tx in
            guard let binding, binding.reason == .openVisit, let visit = try tx.visit(binding.visit) else {
                return [times]
            }
            // What a loan covers is its patient's, all of it.
            let period = StoredPeriod(times: times)
            if case .lent = try tx.loanVerdict(recording, period, visit) { return [times] }
            let others = try tx.otherVisits(recording, period, than: visit)
            guard others.count == times.count else { return [times] }
            let sorted = Dictionary(grouping: times.indices) { others[$0].sorted() }
            return sorted.sorted { ($0.key.count, $0.key.first ?? "") < ($1.key.count, $1.key.first ?? "") }
                .map { $0.value.map { times[$0] } }
        }
    }
}
