public import Clinical
internal import Crypto
internal import GRDB

/// When a device wrote something, where its loans are asked whose it is.
public enum MadeWhen: Sendable, Equatable {
    /// From the recording's start on.
    case asItsClockSays
    /// It has no start of its own: within these times. Nil: nobody knows, whatever its clock says of the import.
    case between(ClosedRange<LocalTime>?)
}

/// Whose a recording is when it begins: a loan, the visit that is open, or nobody, with the reason. Never a guess.
extension Transaction {
    func attribute(
        _ recording: Recording, _ binding: Binding?, isShared: Bool, last: LocalTime?, made: MadeWhen,
        _ key: SymmetricKey
    ) throws -> Attribution {
        switch try proposal(recording, binding, isShared: isShared, last: last, made: made) {
        case .nobody(var reason):
            // The rarer reason is the one that a person has to know.
            if reason == .noVisit, try otherOfSameObject(recording) != nil { reason = .objectIdentity }
            try doubt(recording.id.description, reason)
            return .unattributed
        case .binding(let binding, let visit, let loan):
            return try bind(recording, binding, visit, loan, last: last, key)
        }
    }

    private enum Proposal {
        case binding(Binding, Visit, loan: Int64?)
        case nobody(UnattributedReason)
    }

    private func proposal(
        _ recording: Recording, _ binding: Binding?, isShared: Bool, last: LocalTime?, made: MadeWhen
    ) throws -> Proposal {
        let named = try binding.flatMap { try visit($0.visit) }
        let isDecided = binding?.reason == .decision && named != nil
        if isShared, !isDecided { return .nobody(.sharedMemory) }
        // What was recorded while nobody watched is asked about its device's loans; a card counts as the device's memory.
        if recording.kind != .live, !isDecided {
            let (start, last) = period(of: recording, last, made)
            let verdict = Binding.byLoan(
                of: recording.device, started: start, last: last, loans: try loans(of: recording.device),
                openVisitPatient: named?.patient.id)
            switch verdict {
            case .unconcerned: break
            case .doubt(let reason): return .nobody(reason)
            case .lent(let loan):
                guard let visit = try visit(loan.visit) else { throw StoreError.corrupt("a loan's visit") }
                return .binding(Binding(visit: visit.id, reason: .loan, by: loan.by, at: now), visit, loan: loan.id)
            }
        }
        guard let binding, let named else { return .nobody(.noVisit) }
        guard try wasOpen(binding) else { return .nobody(.visitNotOpen) }
        return .binding(binding, named, loan: nil)
    }

    private func period(
        of recording: Recording, _ last: LocalTime?, _ made: MadeWhen
    ) -> (start: LocalTime?, last: LocalTime?) {
        switch made {
        case .between(let times): return (times?.lowerBound, times?.upperBound)
        case .asItsClockSays:
            let start = recording.clock.correctedStart(zone: environment.zone)
            let correction = start?.correction ?? 0
            return (start?.local, last.map { LocalTime(civilSeconds: $0.civilSeconds + correction) ?? $0 })
        }
    }

    private func bind(
        _ recording: Recording, _ binding: Binding, _ visit: Visit, _ loan: Int64?, last: LocalTime?,
        _ key: SymmetricKey
    ) throws -> Attribution {
        let uuid = recording.id.description
        var contradictions =
            recording.claim.map {
                $0.contradictions(
                    with: visit.patient, on: recording.clock.correctedStart(zone: environment.zone)?.local.date)
            } ?? []
        if let source = recording.source, let earlier = try otherPatient(than: visit, for: source, except: uuid) {
            contradictions.append(
                Contradiction(kind: .earlierBinding, claimed: earlier, expected: visit.patient.id))
        }
        if let objectID = recording.objectID, let other = try otherOfSameObject(recording) {
            contradictions.append(Contradiction(kind: .objectIdentity, claimed: objectID, expected: other))
        }
        guard contradictions.isEmpty else {
            let hold = Hold(visit: visit.id, contradictions: contradictions, at: now)
            try db.execute(
                sql: "INSERT INTO held (recording, at, sealed) VALUES (?, ?, ?)",
                arguments: [uuid, hold.at, try key.seal(json: hold, at: "\(uuid)|held")])
            try doubt(uuid, .contradiction)
            try audit(
                by: binding.by, AuditAction.hold, uuid,
                contradictions.map(\.kind.rawValue).joined(separator: ","))
            return .held(contradictions)
        }
        if recording.kind != .live, binding.reason == .openVisit, try isOfOtherVisit(recording, last, than: visit) {
            try doubt(uuid, .otherVisit)
            return .unattributed
        }
        try write(binding, uuid, n: 0, key)
        if let loan { try audit(by: binding.by, AuditAction.bindByLoan, uuid, "loan \(loan)") }
        return .attributed(visit: visit.id)
    }

    private func doubt(_ uuid: String, _ reason: UnattributedReason) throws {
        try db.execute(sql: "UPDATE recording SET doubt = ? WHERE uuid = ?", arguments: [reason.rawValue, uuid])
        if reason != .noVisit, reason != .visitNotOpen, reason != .contradiction {
            try audit(by: "agent", AuditAction.leaveUnattributed, uuid, reason.rawValue)
        }
    }

    /// The team's monitor was not plugged in at the patient's whom it measured, but at the next one's: what it recorded while another
    /// patient's visit was open is not taken for the open visit's. Only of what no patient has at home, and of a device that has recorded
    /// somebody else before: what a patient's own monitor recorded at that time is nobody else's.
    private func isOfOtherVisit(
        _ recording: Recording, _ last: LocalTime?, than visit: Visit
    ) throws -> Bool {
        // Whom a file names was compared with the visit's patient.
        guard recording.claim?.namesSomebody != true,
            let start = recording.clock.correctedStart(zone: environment.zone)
        else { return false }
        let length = last.map { $0.civilSeconds + (start.correction ?? 0) - start.local.civilSeconds } ?? 0
        let during = try String.fetchAll(
            db,
            sql: """
                SELECT id FROM visit WHERE id <> :visit AND opened_at <= :to AND COALESCE(closed_at, :now) >= :from
                """,
            arguments: [
                "visit": visit.id, "from": Int64(start.instant) * 1000,
                "to": Int64(start.instant + max(0, length)) * 1000, "now": now,
            ])
        guard try areOthers(during, than: visit) else { return false }
        if recording.modality == .ecg || recording.modality == .imaging { return true }
        let elsewhere = try String.fetchAll(
            db,
            sql: """
                SELECT DISTINCT visit FROM recording WHERE visit <> ?
                AND json_extract(device, '$.driver') = ? AND json_extract(device, '$.serial') IS ?
                """, arguments: [visit.id, recording.device.driver, recording.device.serial])
        return try areOthers(elsewhere, than: visit)
    }

    /// Whether one of these visits is another patient's; one whose identity was purged may be.
    private func areOthers(_ visits: [String], than visit: Visit) throws -> Bool {
        for id in visits where try self.visit(id)?.patient.id != visit.patient.id { return true }
        return false
    }

    /// A decision always holds; an "open visit" must have been open at that moment. A clock that was set back in
    /// between doesn't count against a visit that still is.
    private func wasOpen(_ binding: Binding) throws -> Bool {
        if binding.reason == .decision { return true }
        return try Bool.fetchOne(
            db,
            sql: """
                SELECT status = 'open' OR (opened_at <= :at AND closed_at >= :at) FROM visit WHERE id = :id
                """, arguments: ["at": binding.at, "id": binding.visit]) ?? false
    }

    /// The patient to whom an earlier recording of the same source is bound, if that is another one: a device that was
    /// unplugged in one home and plugged in again in the next still holds the first patient's night.
    private func otherPatient(than visit: Visit, for source: String, except uuid: String) throws -> String? {
        let visits = try String.fetchAll(
            db,
            sql: """
                SELECT binding.visit FROM recording JOIN binding ON binding.recording = recording.uuid
                WHERE source = ? AND uuid <> ?
                AND n = (SELECT MAX(n) FROM binding WHERE binding.recording = recording.uuid)
                """, arguments: [source, uuid])
        return try visits.compactMap { try self.visit($0)?.patient.id }.first { $0 != visit.patient.id }
    }

    /// An earlier recording whose file gave itself the same identity and had other bytes (the same bytes are the same
    /// source, and were recognised before).
    func otherOfSameObject(_ recording: Recording) throws -> String? {
        guard let objectID = recording.objectID else { return nil }
        return try String.fetchOne(
            db,
            // Half a copy contradicts nothing: it is a part of the whole one that comes now.
            sql: """
                SELECT uuid FROM recording WHERE object = ? AND uuid <> ? AND source IS NOT ?
                AND NOT EXISTS (SELECT 1 FROM carried WHERE recording = uuid AND sha256 IS NULL)
                ORDER BY begun_at LIMIT 1
                """,
            arguments: [objectID, recording.id.description, recording.source])
    }

    func write(_ binding: Binding, _ uuid: String, n: Int, _ key: SymmetricKey) throws {
        let facts = [uuid, "\(n)", binding.visit, binding.reason.rawValue, binding.by, "\(binding.at)"]
        try db.execute(
            sql: "INSERT INTO binding (recording, n, visit, reason, by, at, why, mark) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            arguments: [
                uuid, n, binding.visit, binding.reason.rawValue, binding.by, binding.at,
                try binding.why.map { try key.seal(text: $0, at: "\(uuid)|binding.why|\(n)") },
                try key.seal([UInt8](), at: Self.joined("binding", facts)),
            ])
        try db.execute(sql: "UPDATE recording SET visit = ? WHERE uuid = ?", arguments: [binding.visit, uuid])
    }
}
