public import FoundationEssentials
public import Uplink

/// What the sync engine does next, decided without a clock, a socket or a database (sync.md section 4; order of 4.2:
/// facts first, then bytes, then final). Times are seconds of any monotonic clock.
public struct SyncStateMachine: Sendable {
    public private(set) var link = Link.unknown
    private let shortest: Double
    private let longest: Double
    private let worklistInterval: Double
    private var pause: Double
    /// When the server last answered.
    private var heardAt: Double?
    /// Seconds after which it is asked whether it is still there before it is told of anything new.
    private static let silence = 5.0
    private var worklistDue: Double?
    private var answersDue: Double?
    /// The server has no room for bytes until then (507); facts go on.
    public private(set) var bytesPausedUntil: Double?
    /// The server is too busy for bytes until then (429, or 5xx to several documents in a row).
    private var bytesHeldUntil: Double?
    private var busyPause: Double
    private var busy = 0
    /// Items in a row that were forbidden: one is poison, three are us (sync.md 4.4).
    private var forbidden = 0
    /// Visits whose facts failed: when to try again, and how often they did.
    private var visits: [String: (notBefore: Double, failures: Int)] = [:]
    /// First time that an item got a permanent answer, and which (sync.md 4.4: the same answer twice, ten minutes apart).
    private var refusals: [String: (first: Double, status: Int)] = [:]
    private var itemPause: [String: Double] = [:]
    /// How often in a row an upload was found locked.
    private var locks: [UUID: Int] = [:]

    /// How often in a row the line broke under the same step, though the server answered a greeting in between.
    private var breaks: [String: Int] = [:]

    private let refusalWindow: Double
    /// When an item that is not a document may be tried again: `report …`, `reply …`, `confirm …`.
    private var others: [String: Double] = [:]

    /// - Parameter refusalWindow: a permanent answer counts only when it was given again after this many seconds.
    public init(
        shortestPause: Double, longestPause: Double, worklistInterval: Double, refusalWindow: Double = 600
    ) {
        self.refusalWindow = refusalWindow
        shortest = shortestPause
        longest = max(longestPause, shortestPause)
        self.worklistInterval = worklistInterval
        pause = shortestPause
        busyPause = shortestPause
    }

    public func next(_ work: Work, now: Double) -> Step {
        switch link {
        case .unknown: return .greet
        case .paused(let until, _): return now >= until ? .greet : .rest(until: until)
        case .online: break
        }
        if now >= worklistDue ?? -.infinity { return .worklist }
        if let visit = work.unannounced.first(where: { isFree($0, now) }) {
            return isSilent(now) ? .knock : .announce(visit: visit)
        }
        if now >= answersDue ?? -.infinity { return .answers }
        if let id = work.replies.first(where: { isFree(.reply($0), now) }) { return .reply(id) }
        if let visit = work.entries.first(where: { isFree(.entries(visit: $0), now) }) { return .entries(visit: visit) }
        if let id = work.unconfirmed.first(where: { isFree(.confirm($0), now) }) { return .confirm(id) }
        if let due = work.unreceipted.filter({ $0.value <= now }).min(by: { $0.value < $1.value }) {
            return .receipt(due.key)
        }
        let opening = max(bytesPausedUntil ?? -.infinity, bytesHeldUntil ?? -.infinity)
        let isOpen = now >= opening
        if isOpen, let document = sendable(work).first {
            let isNew = work.documents.contains { $0.id == document && work.unannounced.contains($0.visit) }
            return isNew && isSilent(now) ? .knock : .bytes(document)
        }
        if let visit = work.unfinished.first(where: { isFree($0, now) }) { return .finish(visit: visit) }
        for (visit, state) in work.reports.sorted(by: { $0.key < $1.key }) {
            let step = Step.report(visit: visit, state)
            if isFree(step, now) { return step }
        }
        var times = [worklistDue, answersDue, work.wake, work.unreceipted.values.min()]
        times += (work.unannounced + work.unfinished).map { visits[$0]?.notBefore }
        times +=
            work.replies.map { others[Self.key(.reply($0))] } + work.unconfirmed.map { others[Self.key(.confirm($0))] }
        times += work.entries.map { others[Self.key(.entries(visit: $0))] }
        times += work.reports.map { others[Self.key(.report(visit: $0.key, $0.value))] }
        if !isOpen, !work.documents.isEmpty { times.append(opening) }
        return .rest(until: times.compactMap { $0 }.min())
    }

    /// The first word about a document binds it to its visit for good: it is not spoken into a line that was silent for a while.
    private func isSilent(_ now: Double) -> Bool { now - (heardAt ?? -.infinity) > Self.silence }

    /// Documents whose bytes may go, in their order. Bytes follow their facts; but when the facts were refused the bytes go on: at the
    /// centre they are safer than here.
    public func sendable(_ work: Work) -> [UUID] {
        let waiting = Set(work.unannounced)
        return work.documents.lazy.filter { !waiting.contains($0.visit) || visits[$0.visit] != nil }.map(\.id)
    }

    /// The bell rang or the nurse asked: a pause of the link ends now.
    public mutating func nudge() {
        if case .paused = link { link = .unknown }
        worklistDue = nil
        answersDue = nil
        bytesPausedUntil = nil
        bytesHeldUntil = nil
    }

    /// The network has changed: whatever pause was running, the server may be there now.
    public mutating func networkChanged() {
        link = .unknown
        // What cut a connection may have stayed behind with the old way.
        breaks = [:]
    }

    /// Something about the network is better, perhaps: a pause because of it ends.
    public mutating func networkHinted() {
        if case .paused(_, let reason) = link, reason == "offline" || reason == "portal" { link = .unknown }
    }

    /// The server knows something of the visits that we don't.
    public mutating func wantWorklist() { worklistDue = nil }

    /// The visits are others: their answers too.
    public mutating func wantAnswers() { answersDue = nil }

    public mutating func succeeded(_ step: Step, now: Double) {
        heardAt = now
        refusals[Self.key(step)] = nil
        itemPause[Self.key(step)] = nil
        others[Self.key(step)] = nil
        breaks[Self.key(step)] = nil
        switch step {
        case .greet:
            link = .online
            pause = shortest
        case .worklist: worklistDue = now + worklistInterval
        case .answers: answersDue = now + worklistInterval
        case .announce(let visit), .finish(let visit):
            visits[visit] = nil
            forbidden = 0
        case .bytes(let id):
            locks[id] = nil
            bytesPausedUntil = nil
            bytesHeldUntil = nil
            busyPause = shortest
            busy = 0
            forbidden = 0
        case .knock, .reply, .entries, .confirm, .receipt, .report, .rest: break
        }
    }

    /// - Parameter jitter: uniform in 0..<1.
    public mutating func failed(_ step: Step, _ error: UplinkError, now: Double, jitter: Double) -> Consequence {
        if error.status != nil { heardAt = now }
        if step == .greet || step == .knock {
            // Nothing gets through: what broke before was the line, whatever was on it.
            breaks = [:]
            pauseLink(Self.reason(error), now, jitter, asked: error.retryAfter)
            return .none
        }
        switch error {
        case .link:
            pauseLink(Self.reason(error), now, jitter, asked: nil)
            return broke(step, now, jitter)
        case .tls, .certificateRefused, .captivePortal, .unauthorised, .version, .cancelled, .configuration:
            pauseLink(Self.reason(error), now, jitter, asked: nil)
            return .none
        case .serverFull:
            let consequence = itemRetry(step, now, jitter, atLeast: max(error.retryAfter ?? 0, 30))
            if case (.bytes, .retry(let at)) = (step, consequence) { bytesPausedUntil = at }
            return consequence
        case .transient(let status, _):
            guard case .bytes(let id) = step else {
                return itemRetry(step, now, jitter, atLeast: error.retryAfter ?? 0)
            }
            if status == 423 { return locked(id, error.retryAfter, now) }
            let consequence = itemRetry(step, now, jitter, atLeast: error.retryAfter ?? 0)
            // A complete upload that was cleared away: its receipt is asked for, and the server is as good as before.
            if status == 404 { return consequence }
            // It is the server that is too busy, not this document: the others would only get the same answer.
            busy += 1
            if status == 429 || busy >= 3 {
                busyPause = max(grown(busyPause, jitter), error.retryAfter ?? 0)
                bytesHeldUntil = now + busyPause
            }
            return consequence
        case .permanent(let status, _): return refused(step, status, now, jitter)
        case .forbidden:
            forbidden += 1
            guard forbidden < 3 else {
                forbidden = 0
                pauseLink("unauthorised", now, jitter, asked: nil)
                return .none
            }
            return refused(step, 403, now, jitter)
        case .conflict(let status, _): return refused(step, status, now, jitter)
        case .malformed, .local: return itemRetry(step, now, jitter, atLeast: 0)
        }
    }

    /// More bytes of it arrived than ever before: what broke was the line.
    public mutating func progressed(_ document: UUID) {
        breaks[Self.key(.bytes(document))] = nil
        itemPause[Self.key(.bytes(document))] = nil
    }

    /// Something in between may cut this one request each time (a filter that dislikes its content): it waits, ever longer, so that
    /// the others get their turn. It is never refused for it, because nobody said no.
    private mutating func broke(_ step: Step, _ now: Double, _ jitter: Double) -> Consequence {
        let key = Self.key(step)
        breaks[key, default: 0] += 1
        guard breaks[key, default: 0] > 1, case .paused(let until, _) = link else { return .none }
        // Counted from the end of the link's pause: else it would be the first one again.
        return itemRetry(step, now, jitter, atLeast: until - now + shortest)
    }

    /// The facts of one document were refused, while those of others of its visit were taken.
    public mutating func factsRefused(
        _ document: UUID, _ error: UplinkError, now: Double, jitter: Double
    ) -> Consequence {
        refused(key: "facts \(document)", nil, error.status ?? 0, now, jitter)
    }

    private mutating func refused(_ step: Step, _ status: Int, _ now: Double, _ jitter: Double) -> Consequence {
        refused(key: Self.key(step), step, status, now, jitter)
    }

    private mutating func refused(
        key: String, _ step: Step?, _ status: Int, _ now: Double, _ jitter: Double
    ) -> Consequence {
        if let before = refusals[key], before.status == status, now - before.first >= refusalWindow {
            refusals[key] = nil
            if let step { _ = itemRetry(step, now, jitter, atLeast: 0) }
            return .quarantine
        }
        if refusals[key]?.status != status { refusals[key] = (now, status) }
        guard let step else {
            let delay = grown(itemPause[key] ?? shortest, jitter)
            itemPause[key] = delay
            return .retry(at: now + delay)
        }
        return itemRetry(step, now, jitter, atLeast: 0)
    }

    private mutating func itemRetry(_ step: Step, _ now: Double, _ jitter: Double, atLeast floor: Double) -> Consequence
    {
        let key = Self.key(step)
        let delay = max(grown(itemPause[key] ?? shortest, jitter), floor)
        itemPause[key] = min(delay, longest)
        switch step {
        case .worklist: worklistDue = now + delay
        case .answers: answersDue = now + delay
        case .announce(let visit), .finish(let visit):
            visits[visit] = (now + delay, (visits[visit]?.failures ?? 0) + 1)
        case .reply, .entries, .confirm, .report: others[key] = now + delay
        case .bytes, .receipt, .greet, .knock, .rest: break
        }
        return .retry(at: now + delay)
    }

    /// A lock on the server outlives its request (sync.md 1.2.2): half a minute, unless the server or the upload itself, whose
    /// own connection broke, knows better; then soon, and later each time.
    private mutating func locked(_ id: UUID, _ asked: Double?, _ now: Double) -> Consequence {
        let times = locks[id] ?? 0
        locks[id] = times + 1
        return .retry(at: now + max(asked ?? Self.lockLife, min(Self.lockLife, Double(1 << min(times, 5)))))
    }

    private static let lockLife = 30.0

    private mutating func pauseLink(_ reason: String, _ now: Double, _ jitter: Double, asked: Double?) {
        pause = grown(pause, jitter)
        link = .paused(until: now + max(pause, asked ?? 0), reason: reason)
    }

    /// Decorrelated jitter (sync.md 4.4): between the shortest pause and three times the last one.
    private func grown(_ last: Double, _ jitter: Double) -> Double {
        min(longest, shortest + jitter * (max(last * 3, shortest) - shortest))
    }

    private func isFree(_ visit: String, _ now: Double) -> Bool { now >= visits[visit]?.notBefore ?? -.infinity }

    private func isFree(_ step: Step, _ now: Double) -> Bool { now >= others[Self.key(step)] ?? -.infinity }

    private static func key(_ step: Step) -> String {
        switch step {
        case .greet, .knock: "greet"
        case .worklist: "worklist"
        case .announce(let visit): "announce \(visit)"
        case .answers: "answers"
        case .reply(let id): "reply \(id)"
        case .entries(let visit): "entries \(visit)"
        case .confirm(let id): "confirm \(id)"
        case .bytes(let id), .receipt(let id): "bytes \(id)"
        case .report(let visit, let state): "report \(visit) \(state)"
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
