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

/// When the measurements were made that one recording out of a memory holds, by the device's clock.
public struct StoredPeriod: Sendable, Equatable {
    /// When the last of several separate measurements was made, or what was recorded in one piece ended, where that is known.
    public var last: LocalTime?
    /// When each one was made; empty for what was recorded in one piece.
    public var times: [LocalTime]

    public init(last: LocalTime? = nil, times: [LocalTime] = []) {
        self.last = last ?? times.max()
        self.times = times
    }
}

/// Whether what is other people's, or may be, is near a recording.
public enum Company: Sendable, Equatable {
    case alone
    /// It is on the same medium: the open visit doesn't say whose this is. Loans do.
    case besideOthers
    /// It is in the same memory, or among the same files: nobody but a person says whose this is.
    case withOthers
}

/// Whose a recording is when it begins: a loan, the visit that is open, or nobody, with the reason. Never a guess.
extension Transaction {
    func attribute(
        _ recording: Recording, _ binding: Binding?, _ company: Company, _ period: StoredPeriod, made: MadeWhen,
        _ key: SymmetricKey
    ) throws -> Attribution {
        switch try proposal(recording, binding, company, period, made: made) {
        case .nobody(var reason):
            // The rarer reason is the one that a person has to know.
            if reason == .noVisit, try otherOfSameObject(recording) != nil { reason = .objectIdentity }
            try doubt(recording.id.description, reason)
            return .unattributed
        case .binding(let binding, let visit, let loan):
            return try bind(recording, binding, visit, loan, period, key)
        }
    }

    private enum Proposal {
        case binding(Binding, Visit, loan: Int64?)
        case nobody(UnattributedReason)
    }

    private func proposal(
        _ recording: Recording, _ binding: Binding?, _ company: Company, _ period: StoredPeriod, made: MadeWhen
    ) throws -> Proposal {
        let named = try binding.flatMap { try visit($0.visit) }
        let isDecided = binding?.reason == .decision && named != nil
        if company == .withOthers, !isDecided { return .nobody(.sharedMemory) }
        // What was recorded while nobody watched is asked about its device's loans; a card counts as the device's memory.
        if recording.kind != .live, !isDecided {
            switch try loanVerdict(recording, period, named, made) {
            case .unconcerned: break
            case .doubt(let reason): return .nobody(reason)
            case .lent(let loan):
                guard let visit = try visit(loan.visit) else { throw StoreError.corrupt("a loan's visit") }
                guard try !isOfOtherVisit(recording, period, beside: loan, to: visit) else {
                    return .nobody(.otherVisit)
                }
                return .binding(Binding(visit: visit.id, reason: .loan, by: loan.by, at: now), visit, loan: loan.id)
            }
        }
        if company == .besideOthers, !isDecided {
            let isMachines = try named.map { try isOfOtherPatientsMachine(recording, than: $0) } ?? false
            return .nobody(isMachines ? .otherPatientsMachine : .sharedMemory)
        }
        guard let binding, let named else { return .nobody(.noVisit) }
        guard try wasOpen(binding) else { return .nobody(.visitNotOpen) }
        return .binding(binding, named, loan: nil)
    }

    func loanVerdict(
        _ recording: Recording, _ period: StoredPeriod, _ openVisit: Visit?, _ made: MadeWhen = .asItsClockSays
    ) throws -> LoanVerdict {
        let (start, last) = loanPeriod(of: recording, period.last, made)
        return Binding.byLoan(
            of: recording.device, started: start, last: last,
            isUncompared: made != .asItsClockSays || isUncompared(recording), loans: try loans(of: recording.device),
            openVisitPatient: openVisit?.patient.id)
    }

    private func loanPeriod(
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
        _ recording: Recording, _ binding: Binding, _ visit: Visit, _ loan: Int64?, _ period: StoredPeriod,
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
        let other = try otherOfSameObject(recording) ?? halfOfSameObject(recording, than: visit)
        if let objectID = recording.objectID, let other {
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
        if recording.kind != .live, binding.reason == .openVisit, try isOfOtherVisit(recording, period, than: visit) {
            try doubt(uuid, .otherVisit)
            return .unattributed
        }
        if recording.kind != .live, binding.reason == .openVisit,
            try isOfOtherPatientsMachine(recording, than: visit)
        {
            try doubt(uuid, .otherPatientsMachine)
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

    /// A decision always holds; an "open visit" must have been open at that moment. A clock that was set back in
    /// between doesn't count against a visit that still is.
    private func wasOpen(_ binding: Binding) throws -> Bool {
        if binding.reason == .decision { return true }
        return try Bool.fetchOne(
            db,
            sql: """
                SELECT status = 'open' OR EXISTS (
                    SELECT 1 FROM opening WHERE visit = :id AND opened_at <= :at AND closed_at >= :at)
                FROM visit WHERE id = :id
                """, arguments: ["at": binding.at, "id": binding.visit]) ?? false
    }

    /// The patient to whom an earlier recording of the same source is bound, if that is another one: a device that was
    /// unplugged in one home and plugged in again in the next still holds the first patient's night.
    private func otherPatient(than visit: Visit, for source: String, except uuid: String) throws -> String? {
        let bound = try Row.fetchAll(
            db,
            sql: """
                SELECT source, state, binding.visit FROM recording JOIN binding ON binding.recording = recording.uuid
                WHERE source >= :from AND source < :to AND uuid <> :uuid
                AND n = (SELECT MAX(n) FROM binding WHERE binding.recording = recording.uuid)
                """, arguments: Self.placeArguments(source, uuid))
        return try bound.filter { row in
            let other: String = try row["source"]
            // What is in pieces may have lost something that nobody noticed, and so has another name.
            return try ContentMark.mayBeSame(source, other)
                || row["state"] as String != "complete" && ContentMark.areOfOnePlace(source, other)
        }
        .compactMap { try self.visit($0["visit"])?.patient.id }.first { $0 != visit.patient.id }
            ?? otherPatientOfUnmarked(than: visit, for: source, except: uuid)
    }

    /// The same where the earlier one was stored when names held no content (before 0.1.0 was released): one that the device dates like
    /// this one may be this one.
    private func otherPatientOfUnmarked(
        than visit: Visit, for source: String, except uuid: String
    ) throws -> String? {
        guard source.contains(ContentMark.separator) else { return nil }
        return try String.fetchAll(
            db,
            sql: """
                SELECT DISTINCT one.visit FROM recording one JOIN recording this ON this.uuid = ?
                WHERE one.visit IS NOT NULL AND INSTR(one.source, ?) = 0
                AND one.kind = this.kind AND one.modality = this.modality
                AND json_extract(one.device, '$.driver') = json_extract(this.device, '$.driver')
                AND json_extract(one.device, '$.serial') IS json_extract(this.device, '$.serial')
                AND json_extract(one.clock, '$.deviceRaw') IS json_extract(this.clock, '$.deviceRaw')
                """, arguments: [uuid, String(ContentMark.separator)]
        ).compactMap { try self.visit($0)?.patient.id }.first { $0 != visit.patient.id }
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

    /// Half a copy of the same object that is another patient's.
    private func halfOfSameObject(_ recording: Recording, than visit: Visit) throws -> String? {
        guard let objectID = recording.objectID else { return nil }
        return try Row.fetchAll(
            db, sql: "SELECT uuid, visit FROM recording WHERE object = ? AND uuid <> ? AND visit IS NOT NULL",
            arguments: [objectID, recording.id.description]
        ).first { try self.visit($0["visit"])?.patient.id != visit.patient.id }.map { try $0["uuid"] }
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
