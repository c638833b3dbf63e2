public import Clinical
public import FHIR

/// What came down.
public struct Worklist: Sendable, Equatable {
    /// Something in the worklist that makes no visit. Never holds an identity; ids are the server's.
    public struct Problem: Sendable, Equatable {
        public enum Reason: Sendable, Equatable {
            /// The task names no patient, or the server did not send it.
            case noPatient
            /// The task names no order, or the server did not send it.
            case noOrder
            /// The patient has no family name.
            case noName
            case unreadable(String)
        }

        /// `Task/17`, or whatever resource it is about.
        public var resource: String
        public var reason: Reason

        public init(resource: String, reason: Reason) {
            self.resource = resource
            self.reason = reason
        }

        /// The visit that it would have been; nil when it isn't about one that can be named.
        public var visit: String? {
            let task = "Task/"
            return resource.hasPrefix(task) && resource != task ? String(resource.dropFirst(task.utf8.count)) : nil
        }

        /// It may be a task, and nothing says which.
        public var hidesVisit: Bool { visit == nil && ["", "Task"].contains(resource.prefix { $0 != "/" }) }
    }

    public var visits: [Visit]
    public var problems: [Problem]
    /// For the next pull; nil when the server told no time, and then the next pull is a whole one.
    public var cursor: Instant?
    /// The server did not understand the narrow question, and was asked for more than we need.
    public var wasWidened: Bool
    /// Why some of it may be missing: the first pages came, and the others didn't. The cursor is the old one then.
    public var failure: UplinkError?

    public init(visits: [Visit], problems: [Problem], cursor: Instant?, wasWidened: Bool = false) {
        self.visits = visits
        self.problems = problems
        self.cursor = cursor
        self.wasWidened = wasWidened
    }

    /// Of a Bundle that came some other way.
    public init(_ bundle: Bundle, namespace: String = VisitFacts.namespace) {
        var collected = Collected(cursor: nil)
        for entry in bundle.entry { collected.add(entry) }
        self = collected.worklist(pathwaySystem: "\(namespace)/pathway")
    }
}

/// W1: the visits of one team, by FHIR search (sync.md 4.2).
public struct WorklistLane: Sendable {
    /// Rows become visible at commit, up to minutes after their `lastUpdated` (sync.md 1.1).
    static let overlap: Int64 = 600
    static let pageLimit = 200
    static let active = ["requested", "received", "accepted", "ready", "in-progress", "on-hold"]
    static let ended = ["cancelled", "rejected", "entered-in-error", "completed", "failed"]

    private let link: ServerLink
    private let offer: Offer
    private let team: String
    private let pathwaySystem: String

    /// - Parameters:
    ///   - team: the owner of the tasks, as the server knows it: `CareTeam/equipe-7`.
    ///   - namespace: of the agent's own identifiers and codes; `{namespace}/pathway` is the system of pathway keys.
    public init(_ link: ServerLink, offer: Offer, team: String, namespace: String = VisitFacts.namespace) {
        self.link = link
        self.offer = offer
        self.team = team
        pathwaySystem = "\(namespace)/pathway"
    }

    /// - Parameter cursor: of the previous pull; nil asks for everything that is active.
    public func pull(since cursor: Instant? = nil) async throws(UplinkError) -> Worklist {
        let questions = Self.questions(team: team, since: cursor)
        for (index, question) in questions.enumerated() {
            do throws(UplinkError) {
                var collected = Collected(cursor: cursor)
                let failure = try await collect(link.fhirURL(offer, "/Task?\(question)"), into: &collected)
                var worklist = collected.worklist(pathwaySystem: pathwaySystem, team: team)
                worklist.wasWidened = index > 0
                worklist.failure = failure
                if failure != nil { worklist.cursor = cursor }
                return worklist
            } catch {
                // 400: a server that doesn't know a parameter and says so; ask for more, with fewer words.
                guard case .permanent(400, _) = error, index + 1 < questions.count else { throw error }
            }
        }
        throw .malformed("no question was understood")
    }

    /// From the narrowest to the widest.
    static func questions(team: String, since cursor: Instant?) -> [String] {
        let owner = "owner=\(Origin.escaped(team))"
        // With a cursor we must also hear what has ended since.
        let states = cursor == nil ? active : active + ended
        let status = "status=\(states.joined(separator: ","))"
        let tail = "_include=Task:focus&_include=Task:patient&_count=50"
        var questions: [String] = []
        if let cursor {
            let from = cursor.advanced(bySeconds: -overlap)
            questions.append("\(owner)&\(status)&_lastUpdated=ge\(Origin.escaped(from.description))&\(tail)")
        }
        questions.append("\(owner)&\(status)&\(tail)")
        questions.append("\(owner)&\(tail)")
        return questions
    }

    /// Throws when not even the first page comes.
    /// - Returns: why it isn't whole: visits that came are worth having also where the rest can't be had.
    private func collect(_ first: String, into collected: inout Collected) async throws(UplinkError) -> UplinkError? {
        var url: String? = first
        var seen: Set<String> = []
        while let here = url {
            guard seen.insert(here).inserted, seen.count <= Self.pageLimit else {
                return .malformed("the worklist's pages do not end")
            }
            let page: Bundle
            do throws(UplinkError) {
                page = try await link.fhir(Bundle.self, .get, here)
                guard page.type == "searchset" else { throw .malformed("not a searchset") }
            } catch {
                guard seen.count > 1 else { throw error }
                return error
            }
            for entry in page.entry { collected.add(entry) }
            guard let next = page.next else { return nil }
            guard let resolved = link.origin.resolveOwn(next, against: here) else {
                return .malformed("the next page is on another host")
            }
            url = resolved
        }
        return nil
    }
}
