import Clinical
import Store

/// What came back from the centre: an opinion, or a question.
public struct OpinionView: Codable, Sendable, Equatable {
    /// For the API's paths: `DiagnosticReport~17`.
    public var id: String
    /// `opinion` or `question`.
    public var kind: String
    /// The server's: `final`, `amended`, `corrected`, `entered-in-error`, …
    public var status: String?
    /// FHIR dateTime.
    public var issued: String?
    /// When it came down, RFC 3339.
    public var arrived: String
    /// Somebody has looked at it.
    public var isSeen: Bool
    public var isUrgent: Bool
    public var author: String?
    public var title: String?
    /// The conclusion, or what is asked.
    public var text: String?
    public var visit: String?
    public var patient: VisitView.PatientView?
    /// Recordings here that it is about.
    public var recordings: [String]
    public var reply: ReplyView?

    public struct ReplyView: Codable, Sendable, Equatable {
        public var text: String
        public var by: String
        public var at: String
        /// The server has it.
        public var isSent: Bool
    }
}

/// The PPS of a visit's patient.
public struct CarePlanView: Codable, Sendable, Equatable {
    public var title: String?
    public var status: String?
    public var text: String?
    public var author: String?
    public var steps: [StepView]

    public struct StepView: Codable, Sendable, Equatable {
        public var text: String
        public var status: String?
        public var due: String?
    }
}

public struct ReplyRequest: Codable, Sendable {
    public var text: String
    public var by: String?

    public init(text: String, by: String?) {
        self.text = text
        self.by = by
    }
}

extension Verbs {
    /// Opinions and questions, the newest first. There offline.
    /// - Parameter visit: only this one's.
    public func opinions(visit: String? = nil) async throws -> [OpinionView] {
        try await guarded {
            let recordings = try await recordingsByDocument()
            return try await store.answers().filter { $0.answer.kind != .carePlan }
                .filter { visit == nil || $0.answer.visit == visit }.map { OpinionView($0, recordings) }
        }
    }

    /// Somebody has looked at it.
    public func seeOpinion(_ id: String, by person: String?) async throws -> OpinionView {
        try await guarded {
            let kept = try await keptAnswer(id)
            try await store.markSeen(answer: kept.answer.id, by: who(person), at: clock.wall)
            return OpinionView(try await keptAnswer(id), try await recordingsByDocument())
        }
    }

    /// The nurse's words to a question; they go with the next sync.
    public func reply(_ id: String, _ request: ReplyRequest) async throws -> OpinionView {
        try await guarded {
            let kept = try await keptAnswer(id)
            guard kept.answer.kind == .question else { throw Problem.notAQuestion }
            guard kept.answer.reply == nil else { throw Problem.alreadyReplied }
            let text = request.text
            guard !text.allSatisfy(\.isWhitespace), text.utf8.count <= 10_000 else { throw Problem.replyEmpty }
            try await store.reply(
                to: kept.answer.id, Answer.Reply(text: text, by: who(request.by), at: clock.wall))
            _ = await syncNow()
            return OpinionView(try await keptAnswer(id), try await recordingsByDocument())
        }
    }

    /// The newest care plan of a visit's patient; an empty one when there is none.
    public func carePlan(visit id: String) async throws -> CarePlanView {
        try await guarded {
            guard let visit = try await store.visit(id) else { throw Problem.visitNotFound(id) }
            let plan = try await store.answers().map(\.answer)
                .filter { $0.kind == .carePlan && $0.patient == visit.patient.id }
                .max { ($0.issued ?? "") < ($1.issued ?? "") }
            return CarePlanView(
                title: plan?.title, status: plan?.status, text: plan?.text, author: plan?.author,
                steps: (plan?.steps ?? []).map { CarePlanView.StepView(text: $0.text, status: $0.status, due: $0.due) })
        }
    }

    private func keptAnswer(_ id: String) async throws -> KeptAnswer {
        let parts = id.split(separator: "~", maxSplits: 1)
        guard parts.count == 2, let kept = try await store.answer("\(parts[0])/\(parts[1])"),
            kept.answer.kind != .carePlan
        else { throw Problem.opinionNotFound }
        return kept
    }

    private func recordingsByDocument() async throws -> [String: String] {
        var found: [String: String] = [:]
        for summary in try await store.recordings() {
            found["\(summary.id)"] = "\(summary.id)"
            for document in summary.documents { found["\(document.document.id)".lowercased()] = "\(summary.id)" }
        }
        return found
    }
}

extension OpinionView {
    init(_ kept: KeptAnswer, _ recordings: [String: String]) {
        let answer = kept.answer
        var about: [String] = []
        for id in answer.about.compactMap({ recordings[$0.lowercased()] }) where !about.contains(id) {
            about.append(id)
        }
        self.init(
            id: answer.id.split(separator: "/").joined(separator: "~"), kind: answer.kind.rawValue,
            status: answer.status,
            issued: answer.issued, arrived: rfc3339(unixMilliseconds: kept.arrivedAt), isSeen: kept.seenAt != nil,
            isUrgent: answer.isUrgent, author: answer.author, title: answer.title, text: answer.text,
            visit: answer.visit, patient: answer.identity.map(VisitView.PatientView.init), recordings: about,
            reply: answer.reply.map {
                ReplyView(text: $0.text, by: $0.by, at: rfc3339(unixMilliseconds: $0.at), isSent: $0.isSent)
            })
    }
}

extension Problem {
    public static let opinionNotFound = Problem(
        "opinion-not-found", "Cet avis n'est pas ici. `ess-agent opinions` montre ceux qui sont arrivés.")
    public static let notAQuestion = Problem(
        "not-a-question", "Le centre n'attend pas de réponse ici : ce n'est pas une question.")
    public static let alreadyReplied = Problem("already-replied", "Une réponse a déjà été donnée à cette question.")
    public static let replyEmpty = Problem(
        "reply-empty", exit: .usage, "Écrivez une réponse (10 000 caractères au plus).")
}
