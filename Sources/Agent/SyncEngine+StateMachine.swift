public import FoundationEssentials
public import Uplink

/// What the sync engine does next, decided without a clock, a socket or a database (sync.md section 4; order of 4.2:
/// facts first, then bytes, then final). Times are seconds of any monotonic clock.
public struct SyncStateMachine: Sendable {
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

        public init(
            unannounced: [String] = [], documents: [(id: UUID, visit: String)] = [], unfinished: [String] = [],
            wake: Double? = nil
        ) {
            self.unannounced = unannounced
            self.documents = documents
            self.unfinished = unfinished
            self.wake = wake
        }

        public static func == (left: Work, right: Work) -> Bool {
            left.unannounced == right.unannounced && left.unfinished == right.unfinished && left.wake == right.wake
                && left.documents.map(\.id) == right.documents.map(\.id)
        }
    }

    public enum Step: Sendable, Equatable {
        /// Is the server there, is it the right one, does it know us? Nothing else is tried before.
        case greet
        case worklist
        case announce(visit: String)
        case bytes(UUID)
        case finish(visit: String)
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

    public private(set) var link = Link.unknown
    private let shortest: Double
    private let longest: Double
    private let worklistInterval: Double
    private var pause: Double
    private var worklistDue: Double?
    /// Visits whose facts failed: when to try again, and how often they did.
    private var visits: [String: (notBefore: Double, failures: Int)] = [:]
    /// First time that an item got a permanent answer, and which (sync.md 4.4: the same answer twice, ten minutes apart).
    private var refusals: [String: (first: Double, status: Int)] = [:]
    private var itemPause: [String: Double] = [:]

    /// A permanent answer counts only when it was given again after this many seconds.
    public static let refusalWindow = 600.0

    public init(shortestPause: Double, longestPause: Double, worklistInterval: Double) {
        shortest = shortestPause
        longest = max(longestPause, shortestPause)
        self.worklistInterval = worklistInterval
        pause = shortestPause
    }

    public func next(_ work: Work, now: Double) -> Step {
        switch link {
        case .unknown: return .greet
        case .paused(let until, _): return now >= until ? .greet : .rest(until: until)
        case .online: break
        }
        if now >= worklistDue ?? -.infinity { return .worklist }
        if let visit = work.unannounced.first(where: { isFree($0, now) }) { return .announce(visit: visit) }
        // Bytes follow their facts; but when the facts were refused the bytes go on: at the centre they are safer than here.
        let waiting = Set(work.unannounced)
        if let document = work.documents.first(where: { !waiting.contains($0.visit) || visits[$0.visit] != nil }) {
            return .bytes(document.id)
        }
        if let visit = work.unfinished.first(where: { isFree($0, now) }) { return .finish(visit: visit) }
        let times = [worklistDue, work.wake] + (work.unannounced + work.unfinished).map { visits[$0]?.notBefore }
        return .rest(until: times.compactMap { $0 }.min())
    }

    /// The bell rang or the nurse asked: a pause of the link ends now.
    public mutating func nudge() {
        if case .paused = link { link = .unknown }
        worklistDue = nil
    }

    public mutating func succeeded(_ step: Step, now: Double) {
        switch step {
        case .greet:
            link = .online
            pause = shortest
        case .worklist: worklistDue = now + worklistInterval
        case .announce(let visit), .finish(let visit): visits[visit] = nil
        case .bytes(let id):
            refusals[Self.key(id)] = nil
            itemPause[Self.key(id)] = nil
        case .rest: break
        }
    }

    /// - Parameter jitter: uniform in 0..<1.
    public mutating func failed(_ step: Step, _ error: UplinkError, now: Double, jitter: Double) -> Consequence {
        if case .greet = step {
            pauseLink(Self.reason(error), now, jitter, asked: error.retryAfter)
            return .none
        }
        switch error {
        case .link, .tls, .certificateRefused, .captivePortal, .unauthorised, .version, .cancelled, .configuration:
            pauseLink(Self.reason(error), now, jitter, asked: nil)
            return .none
        case .serverFull:
            return itemRetry(step, now, jitter, atLeast: max(error.retryAfter ?? 0, 30))
        case .transient(let status, _):
            // A lock on the server lives longer than its request (sync.md 1.2.2): at least 30 s after 423 on bytes.
            let floor: Double = if case .bytes = step, status == 423 { 30 } else { 0 }
            return itemRetry(step, now, jitter, atLeast: max(error.retryAfter ?? 0, floor))
        case .permanent(let status, _): return refused(step, status, now, jitter)
        case .forbidden: return refused(step, 403, now, jitter)
        case .conflict(let status, _): return refused(step, status, now, jitter)
        case .malformed, .local: return itemRetry(step, now, jitter, atLeast: 0)
        }
    }

    private mutating func refused(_ step: Step, _ status: Int, _ now: Double, _ jitter: Double) -> Consequence {
        let key = Self.key(step)
        if let before = refusals[key], before.status == status, now - before.first >= Self.refusalWindow {
            refusals[key] = nil
            return .quarantine
        }
        if refusals[key]?.status != status { refusals[key] = (now, status) }
        return itemRetry(step, now, jitter, atLeast: 0)
    }

    private mutating func itemRetry(_ step: Step, _ now: Double, _ jitter: Double, atLeast floor: Double) -> Consequence
    {
        let key = Self.key(step)
        let delay = max(grown(itemPause[key] ?? shortest, jitter), floor)
        itemPause[key] = min(delay, longest)
        switch step {
        case .worklist: worklistDue = now + delay
        case .announce(let visit), .finish(let visit):
            visits[visit] = (now + delay, (visits[visit]?.failures ?? 0) + 1)
        case .bytes, .greet, .rest: break
        }
        return .retry(at: now + delay)
    }

    private mutating func pauseLink(_ reason: String, _ now: Double, _ jitter: Double, asked: Double?) {
        pause = grown(pause, jitter)
        link = .paused(until: now + max(pause, asked ?? 0), reason: reason)
    }

    /// Decorrelated jitter (sync.md 4.4): between the shortest pause and three times the last one.
    private func grown(_ last: Double, _ jitter: Double) -> Double {
        min(longest, shortest + jitter * (max(last * 3, shortest) - shortest))
    }

    private func isFree(_ visit: String, _ now: Double) -> Bool { now >= visits[visit]?.notBefore ?? -.infinity }

    private static func key(_ id: UUID) -> String { id.uuidString }

    private static func key(_ step: Step) -> String {
        switch step {
        case .greet: "greet"
        case .worklist: "worklist"
        case .announce(let visit): "announce \(visit)"
        case .bytes(let id): key(id)
        case .finish(let visit): "finish \(visit)"
        case .rest: "rest"
        }
    }

    private static func reason(_ error: UplinkError) -> String {
        switch error {
        case .tls: "certificate"
        case .certificateRefused, .unauthorised, .forbidden: "unauthorised"
        case .captivePortal: "portal"
        case .version: "version"
        case .serverFull: "server-full"
        case .configuration: "configuration"
        default: "offline"
        }
    }
}

extension UplinkError {
    /// Seconds that the server asked to wait.
    var retryAfter: Double? {
        switch self {
        case .transient(_, let after), .serverFull(let after):
            after.map { Double($0.components.seconds) + Double($0.components.attoseconds) * 1e-18 }
        default: nil
        }
    }
}
