import Clinical
import FHIR

/// The resources of all pages, each in its newest version.
struct Collected {
    private var tasks: [String: TaskResource] = [:]
    private var orders: [String: ServiceRequest] = [:]
    private var patients: [String: FHIR.Patient] = [:]
    private var problems: [Worklist.Problem] = []
    private var latest: Instant?

    init(cursor: Instant?) { latest = cursor }

    mutating func add(_ entry: Bundle.Entry) {
        guard let resource = entry.resource else { return }
        // The cursor follows the tasks alone: the search's `_lastUpdated` is about them, and patients change too.
        switch resource {
        case .task(let task):
            keep(task, in: \.tasks)
            if let time = task.meta?.lastUpdated { latest = max(latest ?? time, time) }
        case .serviceRequest(let order): keep(order, in: \.orders)
        case .patient(let patient): keep(patient, in: \.patients)
        case .unreadable(let type, let id, let reason):
            let name = id.map { "\(type)/\($0)" } ?? type
            problems.append(.init(resource: name, reason: .unreadable(reason)))
        default: break
        }
    }

    /// The same resource may come on several pages, in several versions (sync.md 1.1).
    private mutating func keep<R: Resource>(_ resource: R, in table: WritableKeyPath<Self, [String: R]>) {
        guard let id = resource.id else {
            problems.append(.init(resource: R.typeName, reason: .unreadable("no id")))
            return
        }
        if let old = self[keyPath: table][id], let before = old.meta?.lastUpdated,
            let now = resource.meta?.lastUpdated, now < before
        {
            return
        }
        self[keyPath: table][id] = resource
    }

    /// - Parameter team: whose tasks are ours; nil for all.
    func worklist(pathwaySystem: String, team: String? = nil) -> Worklist {
        var list = Worklist(visits: [], problems: problems, cursor: latest)
        let ours = Reference(team).local
        for id in tasks.keys.sorted() {
            guard let task = tasks[id] else { continue }
            // A server that doesn't know `owner=` gives every team's: their patients have no business on this laptop.
            if let ours, let owner = task.owner?.local, owner != ours { continue }
            switch visit(task, id: id, pathwaySystem: pathwaySystem) {
            case .success(let visit): list.visits.append(visit)
            case .failure(let missing):
                list.problems.append(.init(resource: "Task/\(id)", reason: missing.reason))
            }
        }
        return list
    }

    private struct Missing: Error { var reason: Worklist.Problem.Reason }

    private func visit(_ task: TaskResource, id: String, pathwaySystem: String) -> Result<Visit, Missing> {
        guard let person = find(task.for, in: patients) else { return .failure(Missing(reason: .noPatient)) }
        guard let order = find(task.focus, in: orders) else { return .failure(Missing(reason: .noOrder)) }
        // An order for one patient and a task for another is nobody's visit.
        if let subject = order.subject?.local, subject != person.local {
            return .failure(Missing(reason: .unreadable("the order is for another patient than the task")))
        }
        guard let patient = Clinical.Patient(person) else { return .failure(Missing(reason: .noName)) }
        let concepts = order.category + [order.code, task.code].compactMap { $0 } + order.reasonCode
        return .success(
            Visit(
                id: id, version: task.meta?.versionId ?? "", patient: patient, order: order.local,
                reason: order.code?.words ?? order.reasonCode.lazy.compactMap(\.words).first ?? task.description,
                pathway: concepts.lazy.flatMap(\.coding).first { $0.system == pathwaySystem }?.code,
                plannedAt: task.restriction?.period?.start ?? order.occurrenceDateTime
                    ?? order.occurrencePeriod?.start ?? task.executionPeriod?.start,
                place: task.location?.display ?? order.locationReference.first?.display
                    ?? order.locationCode.first?.words,
                // A request that was taken back takes its visit with it, also where nobody has touched the task.
                status: ["revoked", "entered-in-error"].contains(order.status ?? "")
                    ? .cancelled : Visit.Status(task: task.status),
                // The more urgent word holds.
                priority: [task.priority, order.priority].compactMap { $0 }.first { $0 != "routine" }))
    }

    private func find<R: Resource>(_ reference: FHIR.Reference?, in table: [String: R]) -> R? {
        guard let local = reference?.local, local.hasPrefix(R.typeName + "/") else { return nil }
        return table[String(local.dropFirst(R.typeName.count + 1))]
    }
}

extension CodeableConcept {
    /// As the server words it.
    var words: String? { text ?? coding.lazy.compactMap(\.display).first }
}

extension Visit.Status {
    /// FHIR's task status as a visit's. `open` is the nurse's doing, never the server's.
    init(task status: String?) {
        self =
            switch status {
            case "cancelled", "rejected", "entered-in-error", "failed": .cancelled
            case "completed": .closed
            default: .planned
            }
    }
}

extension Clinical.Patient {
    /// Nil without an id or a family name.
    init?(_ patient: FHIR.Patient) {
        // The strict traits are those of birth: FR Core's `official` name (sync.md 2.1).
        let names = patient.name.filter { $0.use != "old" }
        let name = names.first { $0.use == "official" } ?? names.first { $0.use == nil } ?? names.first
        guard let id = patient.id, let name, let family = name.family, !family.trimmed.isEmpty else { return nil }
        let all = name.extension.first(Systems.birthGivenNamesExtension)?.valueString
        let birthPlace = patient.extension.first(Systems.birthPlaceExtension)?.valueAddress
        let status = patient.extension.first(Systems.identityReliabilityExtension)?.extension
            .first("identityStatus")?.valueCoding
        self.init(
            id: id, ins: patient.identifier.lazy.compactMap(Self.ins).first,
            identityStatus: status.flatMap { coding in
                guard let system = coding.system, let code = coding.code else { return nil }
                return Clinical.Identifier(system: system, value: code)
            },
            family: family, given: all.map { $0.split(separator: " ").map(String.init) } ?? name.given,
            birthDate: patient.birthDate, sex: Sex(gender: patient.gender),
            birthPlace: birthPlace?.extension.first(Systems.inseeCodeExtension)?.valueCoding?.code)
    }

    /// An INS only when the system and the type coding say the same. The billing number (`NH`) sits in INS-NIR's very system and
    /// may be a parent's (sync.md 2.1, trap 2).
    private static func ins(_ identifier: FHIR.Identifier) -> Clinical.Identifier? {
        let expected =
            switch identifier.system {
            case Systems.insNIR: "INS-NIR"
            case Systems.insNIA: "INS-NIA"
            case Systems.insTest: "INS-NIR-TEST"
            case Systems.insDemo: "INS-NIR-DEMO"
            default: ""
            }
        let codes = identifier.type?.coding.compactMap(\.code) ?? []
        guard let system = identifier.system, let value = identifier.value, identifier.use != "old",
            !expected.isEmpty, codes.contains(expected), !codes.contains("NH")
        else { return nil }
        return Clinical.Identifier(system: system, value: value)
    }
}

extension Sex {
    init(gender: String?) {
        self =
            switch gender {
            case "female": .female
            case "male": .male
            default: .unknown
            }
    }
}
