public import Clinical
public import FHIR
public import FoundationEssentials

/// What came back for the patients of this team.
public struct Answers: Sendable, Equatable {
    public var answers: [Answer]
    /// For the next pull of the same visits; nil when not everything could be asked for.
    public var cursor: Instant?
    /// Searches that this server doesn't know; they are not worth asking again before the next greeting.
    public var unsupported: Set<AnswersLane.Search>
    /// Why a search failed; what the others found is here all the same.
    public var failure: UplinkError?
}

/// W2 and W3: opinions, questions and care plans, by FHIR search (sync.md 4.2).
public struct AnswersLane: Sendable {
    public enum Search: String, Sendable, CaseIterable { case opinions, questions, carePlans }

    /// Orders or patients in one question: a URL has to end some time.
    static let chunk = 20
    static let pageLimit = 200

    private let link: ServerLink
    private let offer: Offer
    private let team: String
    private let namespace: String

    public init(_ link: ServerLink, offer: Offer, team: String, namespace: String = VisitFacts.namespace) {
        self.link = link
        self.offer = offer
        self.team = team
        self.namespace = namespace
    }

    /// - Parameters:
    ///   - visits: whose answers are wanted.
    ///   - cursor: of the previous pull with the same visits; nil asks for everything.
    ///   - searches: without those that the server doesn't know.
    public func pull(
        for visits: [Visit], since cursor: Instant? = nil, searches: Set<Search> = Set(Search.allCases)
    ) async throws(UplinkError) -> Answers {
        var collected = CollectedAnswers(visits: visits, latest: cursor)
        var unsupported: Set<Search> = []
        var failure: UplinkError?
        searches: for search in Search.allCases where searches.contains(search) {
            do throws(UplinkError) {
                for question in questions(search, visits, cursor) { try await collect(question, into: &collected) }
            } catch {
                // A region without care plans, or one that shows us none: the rest is still worth having.
                switch error {
                case .forbidden: unsupported.insert(search)
                case .permanent(let status, _) where [400, 404, 405, 501].contains(status): unsupported.insert(search)
                // This search is in trouble, and an opinion that another one finds must not wait for it.
                case .permanent, .conflict, .transient, .serverFull, .malformed: failure = failure ?? error
                default:
                    // The way there is: the others would only meet the same.
                    failure = error
                    break searches
                }
            }
        }
        return Answers(
            answers: collected.answers, cursor: failure == nil ? collected.latest : nil, unsupported: unsupported,
            failure: failure)
    }

    /// Those in a Bundle that came some other way.
    public static func answers(in bundle: Bundle, for visits: [Visit]) -> [Answer] {
        var collected = CollectedAnswers(visits: visits, latest: nil)
        for entry in bundle.entry { collected.add(entry) }
        return collected.answers
    }

    private func questions(_ search: Search, _ visits: [Visit], _ cursor: Instant?) -> [String] {
        let since =
            cursor.map {
                let from = $0.advanced(bySeconds: -WorklistLane.overlap)
                return "&_lastUpdated=ge\(Origin.escaped(from.description))"
            } ?? ""
        switch search {
        case .opinions:
            return chunks(visits.compactMap(\.order)).map {
                "/DiagnosticReport?based-on=\($0)\(since)&_include=DiagnosticReport:subject&_count=50"
            }
        case .questions:
            return [
                "/Communication?recipient=\(Origin.escaped(team))\(since)&_include=Communication:subject&_count=50"
            ]
        case .carePlans:
            return chunks(visits.map { "Patient/\($0.patient.id)" }).map {
                "/CarePlan?subject=\($0)&status=active&_count=50"
            }
        }
    }

    private func chunks(_ values: [String]) -> [String] {
        let values = Array(Set(values)).sorted()
        return stride(from: 0, to: values.count, by: Self.chunk).map { start in
            values[start..<min(values.count, start + Self.chunk)].map(Origin.escaped).joined(separator: ",")
        }
    }

    private func collect(_ path: String, into collected: inout CollectedAnswers) async throws(UplinkError) {
        var url: String? = try link.fhirURL(offer, path)
        var seen: Set<String> = []
        while let here = url {
            guard seen.insert(here).inserted, seen.count <= Self.pageLimit else {
                throw .malformed("the answers' pages do not end")
            }
            let page = try await link.fhir(Bundle.self, .get, here)
            guard page.type == "searchset" else { throw .malformed("not a searchset") }
            for entry in page.entry { collected.add(entry) }
            url = try page.next.map { next throws(UplinkError) in
                guard let resolved = link.origin.resolveOwn(next, against: here) else {
                    throw .malformed("the next page is on another host")
                }
                return resolved
            }
        }
    }

    /// The nurse's words back to whoever asked.
    /// - Parameters:
    ///   - id: of the Communication.
    ///   - team: who answers.
    public static func communication(
        _ reply: Answer.Reply, to question: Answer, id: UUID, team: String, namespace: String = VisitFacts.namespace
    ) -> Communication {
        var communication = Communication(id: id.text, status: "completed")
        communication.identifier = [FHIR.Identifier(system: "\(namespace)/reply", value: id.text)]
        communication.inResponseTo = [Reference(question.id, type: "Communication")]
        communication.basedOn = question.order.map { [Reference($0, type: "ServiceRequest")] } ?? []
        communication.subject = Reference("Patient/\(question.patient)", type: "Patient")
        communication.sender = Reference(team)
        communication.sent = Instant(milliseconds: reply.at).description
        communication.payload = [Communication.Payload(contentString: reply.text)]
        return communication
    }

    /// Written under an id of ours, so that a retry is the same write again.
    /// - Parameter id: of the Communication.
    public func send(_ reply: Answer.Reply, to question: Answer, id: UUID) async throws(UplinkError) {
        let communication = Self.communication(reply, to: question, id: id, team: team, namespace: namespace)
        let body: [UInt8]
        do {
            body = try FHIRCodec.encode(communication)
        } catch {
            throw .local("\(error)")
        }
        let url = try link.fhirURL(offer, "/Communication/\(id.text)")
        let response = try await link.exchange(
            .put, url,
            headers: [
                "Accept": "application/fhir+json; fhirVersion=4.0",
                "Content-Type": "application/fhir+json; fhirVersion=4.0; charset=utf-8",
            ], body: .bytes(body))
        if let error = UplinkError(response, from: link.origin) { throw error }
        // A portal says 200 to everything.
        if response.isHTML { throw .captivePortal("HTML to a reply") }
    }
}

/// The resources of all pages, each in its newest version.
private struct CollectedAnswers {
    private let byOrder: [String: Visit]
    private let byPatient: [String: Visit]
    private var found: [String: (answer: Answer, updated: Instant?)] = [:]
    private var patients: [String: Clinical.Patient] = [:]
    var latest: Instant?

    init(visits: [Visit], latest: Instant?) {
        byOrder = Dictionary(visits.compactMap { visit in visit.order.map { ($0, visit) } }) { $1 }
        byPatient = Dictionary(visits.map { ($0.patient.id, $0) }) { $1 }
        self.latest = latest
    }

    /// With the identity that was sent along, else the visit's own.
    var answers: [Answer] {
        found.values.map(\.answer).map { answer in
            var answer = answer
            answer.identity = patients[answer.patient] ?? byPatient[answer.patient]?.patient
            return answer
        }.sorted { ($0.issued ?? "", $0.id) < ($1.issued ?? "", $1.id) }
    }

    mutating func add(_ entry: Bundle.Entry) {
        switch entry.resource {
        case .patient(let person):
            if let patient = Clinical.Patient(person) { patients[patient.id] = patient }
        case .diagnosticReport(let report): keep(answer(report), report.meta)
        case .communication(let communication): keep(answer(communication), communication.meta)
        case .carePlan(let plan): keep(answer(plan), plan.meta)
        default: break
        }
    }

    private mutating func keep(_ answer: Answer?, _ meta: Meta?) {
        guard let answer else { return }
        if let time = meta?.lastUpdated { latest = max(latest ?? time, time) }
        if let before = found[answer.id]?.updated, let now = meta?.lastUpdated, now < before { return }
        found[answer.id] = (answer, meta?.lastUpdated)
    }

    private func base(_ kind: Answer.Kind, _ resource: some Resource, _ subject: FHIR.Reference?) -> Answer? {
        // Nobody's answer is nobody's: without a patient it can't be shown under one.
        guard let local = resource.local, let subject = subject?.local, subject.hasPrefix("Patient/") else {
            return nil
        }
        return Answer(
            id: local, kind: kind, version: resource.meta?.versionId ?? "",
            patient: String(subject.dropFirst("Patient/".utf8.count)))
    }

    /// The visit of the order, and only when both are about the same patient.
    private func visit(_ orders: [FHIR.Reference], _ patient: String) -> (order: String?, visit: String?) {
        let order = orders.lazy.compactMap(\.local).first { $0.hasPrefix("ServiceRequest/") }
        guard let order, let visit = byOrder[order], visit.patient.id == patient else { return (order, nil) }
        return (order, visit.id)
    }

    private func answer(_ report: DiagnosticReport) -> Answer? {
        guard var answer = base(.opinion, report, report.subject) else { return nil }
        (answer.order, answer.visit) = visit(report.basedOn, answer.patient)
        answer.status = report.status
        answer.issued = report.issued?.description ?? report.effectiveDateTime
        answer.author = (report.resultsInterpreter + report.performer).lazy.compactMap(\.display).first
        answer.title = report.code?.words
        answer.text =
            report.conclusion
            ?? report.conclusionCode.compactMap(\.words).reduce(nil) { $0.map { $0 + "\n" } ?? "" + $1 }
        answer.about = report.extension.compactMap(\.valueReference).compactMap(\.local).compactMap(Self.document)
        return answer
    }

    private func answer(_ communication: Communication) -> Answer? {
        guard var answer = base(.question, communication, communication.subject) else { return nil }
        (answer.order, answer.visit) = visit(communication.basedOn + communication.about, answer.patient)
        if answer.visit == nil { answer.visit = byPatient[answer.patient]?.id }
        answer.status = communication.status
        answer.issued = communication.sent
        answer.author = communication.sender?.display
        answer.title = communication.topic?.words
        answer.text = communication.payload.compactMap(\.contentString).joined(separator: "\n")
        answer.about = communication.about.compactMap(\.local).compactMap(Self.document)
        answer.isUrgent = ["urgent", "asap", "stat"].contains(communication.priority ?? "")
        return answer
    }

    private func answer(_ plan: CarePlan) -> Answer? {
        guard var answer = base(.carePlan, plan, plan.subject) else { return nil }
        answer.visit = byPatient[answer.patient]?.id
        answer.status = plan.status
        answer.issued = plan.created ?? plan.period?.start
        answer.author = plan.author?.display
        answer.title = plan.title
        answer.text = plan.description
        answer.steps = plan.activity.compactMap { activity in
            let detail = activity.detail
            guard let text = detail?.description ?? detail?.code?.words ?? activity.reference?.display else {
                return nil
            }
            return Answer.Step(
                text: text, status: detail?.status, due: detail?.scheduledPeriod?.start ?? detail?.scheduledString)
        }
        return answer
    }

    private static func document(_ local: String) -> String? {
        local.hasPrefix("DocumentReference/") ? String(local.dropFirst("DocumentReference/".utf8.count)) : nil
    }
}
