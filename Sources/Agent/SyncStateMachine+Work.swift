public import FoundationEssentials
public import Uplink

extension SyncStateMachine {
    /// What waits in the store.
    public struct Work: Sendable, Equatable {
        /// Visits with documents that the server has not been told of.
        public var unannounced: [String]
        /// Documents whose bytes may go now, most urgent first, each with its visit.
        public var documents: [(id: UUID, visit: String)]
        /// Visits with received documents that are not yet declared final.
        public var unfinished: [String]
        /// When the next held-back document may be tried.
        public var wake: Double?
        /// Documents whose receipts are of another epoch than the server's present one.
        public var unconfirmed: [UUID] = []
        /// Uploads that are complete, and whose receipt wasn't ready yet: when to ask again.
        public var unreceipted: [UUID: Double] = [:]
        /// Questions with an answer that the server doesn't have.
        public var replies: [String] = []
        /// Visits with something typed that the server doesn't have.
        public var entries: [String] = []
        /// Visits whose state the server doesn't know yet.
        public var reports: [String: TaskLane.State] = [:]

        public init(
            unannounced: [String] = [], documents: [(id: UUID, visit: String)] = [], unfinished: [String] = [],
            wake: Double? = nil
        ) {
            self.unannounced = unannounced
            self.documents = documents
            self.unfinished = unfinished
            self.wake = wake
        }

        /// Nothing that the server should have is still here alone.
        public var isEmpty: Bool {
            unannounced.isEmpty && documents.isEmpty && unfinished.isEmpty && unconfirmed.isEmpty
                && unreceipted.isEmpty && replies.isEmpty && entries.isEmpty && reports.isEmpty
        }

        public static func == (left: Work, right: Work) -> Bool {
            left.unannounced == right.unannounced && left.unfinished == right.unfinished && left.wake == right.wake
                && left.documents.map(\.id) == right.documents.map(\.id) && left.unconfirmed == right.unconfirmed
                && left.unreceipted == right.unreceipted && left.replies == right.replies
                && left.entries == right.entries && left.reports == right.reports
        }
    }

    public enum Step: Sendable, Equatable {
        /// Is the server there, is it the right one, does it know us? Nothing else is tried before.
        case greet
        /// Is it still there? It was, a while ago.
        case knock
        case worklist
        /// Opinions, questions and care plans.
        case answers
        case announce(visit: String)
        /// What the nurse answered to a question.
        case reply(String)
        /// What the nurse typed at a visit.
        case entries(visit: String)
        /// Was it restored from a backup without this document?
        case confirm(UUID)
        case bytes(UUID)
        /// The bytes are there: is the receipt?
        case receipt(UUID)
        case finish(visit: String)
        /// How far a visit is.
        case report(visit: String, TaskLane.State)
        /// Nothing to do until then (nil: until the bell rings).
        case rest(until: Double?)
    }

    /// What is to be done about one item after a failure; the link's own state is kept inside.
    public enum Consequence: Sendable, Equatable {
        /// Not the item's fault: it stays as it is, the whole link pauses.
        case none
        /// Try this item again at that time.
        case retry(at: Double)
        /// The server refuses it for good: set it aside, tell, go on with the others.
        case quarantine
    }

    public enum Link: Sendable, Equatable {
        case unknown
        case online
        /// Pausing; `reason` is a stable key for the status (`offline`, `portal`, `certificate`, `unauthorised`, …).
        case paused(until: Double, reason: String)
    }
}

extension SyncStateMachine.Step {
    var kind: String {
        switch self {
        case .greet: "greet"
        case .knock: "knock"
        case .worklist: "worklist"
        case .answers: "answers"
        case .reply: "reply"
        case .entries: "entries"
        case .confirm: "confirm"
        case .receipt: "receipt"
        case .report: "report"
        case .announce: "announce"
        case .bytes: "bytes"
        case .finish: "finish"
        case .rest: "rest"
        }
    }
}
