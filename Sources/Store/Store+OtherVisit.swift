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

    /// Seconds that a clock which nobody compared may be off, beside the hour of summer time: nurses set them by their own watch.
    private static let drift = 600
    private static let summerTime = 3600

    func isOfOtherVisit(_ recording: Recording, _ period: StoredPeriod, than visit: Visit) throws -> Bool {
        // Whom a file names was compared with the visit's patient.
        guard recording.claim?.namesSomebody != true else { return false }
        return try otherVisits(recording, period, than: visit).contains { !$0.isEmpty }
    }

    /// For each measurement, or for all that was recorded in one piece: the other patients' visits in which it was, or may have been made.
    fileprivate func otherVisits(
        _ recording: Recording, _ period: StoredPeriod, than visit: Visit
    ) throws -> [Set<String>] {
        guard let start = recording.clock.correctedStart(zone: environment.zone) else { return [] }
        let stretches = Self.stretches(of: period, recording.clock, from: start, environment.zone)
        let visits = try openedVisits(
            from: stretches.map(\.lowerBound).min() ?? 0, to: stretches.map(\.upperBound).max() ?? 0)
        // A memory holds hundreds of measurements, most of them beside the same visits.
        var whose: [String: Bool] = [:]
        func isAnothers(_ id: String) throws -> Bool {
            if let known = whose[id] { return known }
            let isAnothers = try self.isAnothers(id, than: visit)
            whose[id] = isAnothers
            return isAnothers
        }
        let found = try stretches.map { stretch in
            func during(_ shift: Int, _ margin: Int) -> [String] {
                visits.filter {
                    $0.times.lowerBound - margin <= stretch.upperBound + shift
                        && $0.times.upperBound + margin >= stretch.lowerBound + shift
                }.map(\.id)
            }
            let there = during(0, 0)
            var others = Set(there)
            // A clock that can't be asked: what it says is right while it says that it was in this patient's visit.
            if start.remarks.contains(.uncompared), try there.allSatisfy(isAnothers) {
                for shift in [-Self.summerTime, 0, Self.summerTime] { others.formUnion(during(shift, Self.drift)) }
            }
            return try others.filter(isAnothers)
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

    /// Those that may matter between two moments, whatever is wrong with the clock that named them.
    private func openedVisits(from: Int, to: Int) throws -> [Opened] {
        let margin = Self.summerTime + Self.drift + 1
        let rows = try Row.fetchAll(
            db,
            sql: """
                SELECT visit AS id, opened_at, COALESCE(closed_at, :now) AS closed_at FROM opening
                WHERE opened_at <= :to AND MAX(opened_at, COALESCE(closed_at, :now)) >= :from
                """,
            arguments: ["now": now, "from": Int64(from - margin) * 1000, "to": Int64(to + margin) * 1000])
        return try rows.map { row in
            let (from, to): (Int64, Int64) = (try row["opened_at"], try row["closed_at"])
            return Opened(id: try row["id"], times: Int(from / 1000)...Int(max(from, to) / 1000))
        }
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
            let isLent = try loans(of: recording.device).contains { $0.patient == visit.patient.id }
            // Doubted in this patient's visit before, and a person said that it is theirs.
            let decided = try Row.fetchAll(
                db,
                sql: """
                    SELECT DISTINCT recording.visit AS whose, opening.visit AS during
                    FROM recording JOIN opening ON opened_at <= begun_at AND COALESCE(closed_at, begun_at) >= begun_at
                    WHERE doubt = 'otherVisit' AND recording.visit IS NOT NULL AND \(ofDevice)
                    """, arguments: arguments)
            guard
                try isLent
                    || decided.contains(where: {
                        try !isAnothers($0["whose"], than: visit) && !isAnothers($0["during"], than: visit)
                    })
            else { return false }
        }
        let bound = try String.fetchAll(
            db, sql: "SELECT DISTINCT visit FROM recording WHERE visit IS NOT NULL AND \(ofDevice)",
            arguments: arguments)
        return try !bound.contains { try isAnothers($0, than: visit) }
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
            // A loan is asked about all of them together.
            guard let binding, binding.reason == .openVisit, let visit = try tx.visit(binding.visit),
                try tx.loans(of: recording.device).isEmpty
            else { return [times] }
            let others = try tx.otherVisits(recording, StoredPeriod(times: times), than: visit)
            guard others.count == times.count else { return [times] }
            let sorted = Dictionary(grouping: times.indices) { others[$0].sorted() }
            return sorted.sorted { ($0.key.count, $0.key.first ?? "") < ($1.key.count, $1.key.first ?? "") }
                .map { $0.value.map { times[$0] } }
        }
    }
}
