import Clinical
import FoundationEssentials
import Store

/// A form, filled in.
public struct EntryRequest: Codable, Sendable {
    public var block: String
    /// By field, as typed: `72,5`, an option's value, `oui` or `non`, any text. Empty is absent.
    public var values: [String: String]
    /// She has seen what is beyond plausible, and it is so.
    public var confirmed: Bool?
    public var by: String?
}

public struct CloseVisitRequest: Codable, Sendable {
    public var by: String?
    /// By the key of the plan's item: why it is missing.
    public var reasons: [String: String]?
}

public struct PathwayNameView: Codable, Sendable, Equatable {
    public var code: String
    public var title: String
    public var aliases: [String]
}

/// How far what was typed at a visit is.
public struct EntryCountsView: Codable, Sendable, Equatable {
    public var visit: String
    public var waiting: Int
    public var received: Int
    public var quarantined: Int
}

extension Verbs {
    public func entryCounts() async throws -> [EntryCountsView] {
        try await guarded {
            try await store.entryCounts().map {
                EntryCountsView(
                    visit: $0.visit, waiting: $0.waiting, received: $0.received, quarantined: $0.quarantined)
            }
        }
    }

    /// The pathways that are known here, in the order of the files.
    public func pathways() -> [PathwayNameView] {
        catalogue.pathways.map { PathwayNameView(code: $0.code, title: $0.title, aliases: $0.aliases) }
    }

    /// What the pathway asks for, and what is there.
    public func plan(visit id: String) async throws -> PlanView {
        try await guarded {
            guard let visit = try await store.visit(id) else { throw Problem.visitNotFound(id) }
            let recordings = try await store.recordings().filter { $0.binding?.visit == id }
            var readings: [RecordingID: [Reading]] = [:]
            for recording in recordings
            where recording.purgedAt == nil && [.bloodPressure, .vitals].contains(recording.modality) {
                readings[recording.id] = try await store.readings(recording.id)
            }
            return PlanProgress(
                catalogue: catalogue, visit: visit, recordings: recordings, readings: readings,
                entries: try await store.entries(visit: id)
            ).view
        }
    }

    /// Keeps a filled-in form of the open visit. What is beyond plausible is asked for again, never refused.
    public func enter(visit id: String, _ request: EntryRequest) async throws -> PlanView {
        try await guarded {
            let visit = try await openVisitForEntry(id)
            guard let block = catalogue.blocks[request.block], let form = block.form else {
                throw Problem.badRequest("Ce formulaire n'existe pas dans les parcours de cet ordinateur.")
            }
            let values = try FormReading(form: form).values(request.values)
            let warnings = FormReading(form: form).warnings(values)
            guard warnings.isEmpty || request.confirmed == true else { throw Problem.implausible(warnings) }
            try await store.add(
                Entry(
                    id: UUID(), visit: visit.id, block: block.key, title: block.title, form: form,
                    values: values, warnings: warnings, by: who(request.by), at: clock.wall))
            await sync.nudge()
            return try await plan(visit: id)
        }
    }

    /// It was wrong. What stands in the record stays there, marked so.
    public func withdraw(visit id: String, entry: String, by person: String?) async throws -> PlanView {
        try await guarded {
            guard let uuid = UUID(uuidString: entry) else { throw Problem.badRequest("Cette saisie n'existe pas.") }
            try await store.withdrawEntry(uuid, visit: id, by: who(person), at: clock.wall)
            await sync.nudge()
            return try await plan(visit: id)
        }
    }

    /// Closes the open visit.
    /// - Parameter demandsReasons: what the plan requires and isn't there needs a reason; the command line is for support.
    public func closeVisit(_ request: CloseVisitRequest, demandsReasons: Bool) async throws -> VisitView {
        try await guarded {
            guard let visit = try await store.currentVisit() else { throw Problem.noOpenVisit }
            guard await !hub.isAnyCapturing else { throw Problem.captureRunning }
            if demandsReasons {
                let plan = try await plan(visit: visit.id)
                let reasons = request.reasons ?? [:]
                let items = plan.items.filter { plan.missing.contains($0.key) }
                let open = items.filter { (reasons[$0.key] ?? "").allSatisfy(\.isWhitespace) }
                guard open.isEmpty else { throw Problem.planIncomplete(open.compactMap { $0.blocks.first?.title }) }
                guard reasons.values.allSatisfy({ $0.utf8.count <= 1000 }) else {
                    throw Problem.badRequest("Une raison a au plus 1000 caractères.")
                }
                for item in items {
                    try await store.add(
                        Entry(
                            id: UUID(), visit: visit.id, block: item.key, title: item.blocks.first?.title ?? item.key,
                            form: nil, values: [:], reason: reasons[item.key], by: who(request.by), at: clock.wall))
                }
            }
            return try await closeVisit(by: request.by)
        }
    }

    private func openVisitForEntry(_ id: String) async throws -> Visit {
        guard let visit = try await store.currentVisit() else { throw Problem.noOpenVisit }
        // What is typed belongs to the visit that is open, as what is recorded does.
        guard visit.id == id else { throw Problem.anotherVisitOpen }
        return visit
    }
}

extension Problem {
    static func implausible(_ warnings: [String]) -> Problem {
        Problem("implausible", exit: .badInput, warnings.joined(separator: " "))
    }
    static func planIncomplete(_ titles: [String]) -> Problem {
        Problem("plan-incomplete", "Il manque encore : \(titles.joined(separator: ", ")). Dites pourquoi.")
    }
    static func fieldMissing(_ label: String) -> Problem {
        Problem("field-missing", exit: .badInput, "Remplissez « \(label) ».")
    }
    static func notANumber(_ label: String, _ decimals: Int) -> Problem {
        let digits = decimals == 0 ? "sans virgule" : "avec au plus \(decimals) chiffre(s) après la virgule"
        return Problem("not-a-number", exit: .badInput, "« \(label) » est un nombre, \(digits).")
    }
}
