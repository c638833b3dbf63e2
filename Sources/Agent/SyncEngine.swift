import Clinical
import FHIR
import FoundationEssentials
public import Logging
public import Store
import Uplink

/// Carries out what `SyncStateMachine` decides. The database is the outbox: nothing waits in memory, so a kill at any
/// moment only means that the same question is asked again.
public actor SyncEngine {
    let store: Store
    let clock: HostClock
    let configuration: Configuration
    let bell: Bell
    let logger: Logger
    var link: ServerLink?
    /// Of ours, those that the server refused since the last one that it took; paths.
    var refusedCertificates: Set<String> = []
    private let linkProblem: String?
    var machine: SyncStateMachine
    var offer = Offer()
    var offerTag: String?
    var lane: BytesLane?
    var underway = Underway()
    var rate = SendingRate()
    /// How large a chunk the line bears.
    let pace = PaceMemory()
    var lastContact: Int64?
    private var lastError: UplinkError?
    var isSettled = false
    /// What was set aside and waits for a person, when nothing else was left to do.
    private var setAside = 0
    /// The last look at the worklist didn't see all of it, or nothing.
    private var isWorklistLacking = false
    /// Of the exchange folder, where that is the way; a key of `SyncSentence`.
    var folderState: String?
    var folder: ExchangeFolder?
    /// What connection and battery allow, when it was looked at, and why something waits for a better one.
    var policy = NetworkPolicy()
    var policyLookedAt = -Double.infinity
    var held: NetworkPolicy.Hold?
    var watch: NetworkWatch?
    /// The way out became another one under a request: what fails then says nothing about the server.
    var wasInterrupted = false
    /// When the client certificate's life is looked at again; monotonic seconds.
    var renewalDue = -Double.infinity
    var withheld = 0
    var rehashed: Set<UUID> = []
    /// Complete uploads whose receipts weren't ready.
    var unreceipted: [UUID: ReceiptWait] = [:]
    /// Uploads under which our own connection broke, and when (monotonic seconds).
    var cuts: [UUID: Double] = [:]
    /// Uploads whose bytes were all sent, and that the server knows no more: it may have them, and a lost answer said so.
    var cleared: Set<UUID> = []
    var pulls = 0
    /// What this server doesn't know how to search for.
    var unsupported: Set<AnswersLane.Search> = []
    /// Visit states that the server knows or refused: not told again.
    var told: [String: String] = [:]
    var reports: [String: TaskLane.State] = [:]
    private var reportsLookedAt = -Double.infinity
    /// Wall clock minus monotonic clock, milliseconds, when it was last looked at.
    private var wallOffset: Int64?

    public init(store: Store, clock: HostClock, configuration: Configuration, bell: Bell, logger: Logger) {
        self.store = store
        self.clock = clock
        self.configuration = configuration
        self.bell = bell
        self.logger = logger
        machine = SyncStateMachine(
            shortestPause: configuration.retryMinimum, longestPause: configuration.retryMaximum,
            worklistInterval: configuration.worklistInterval, refusalWindow: configuration.refusalWindow)
        do throws(UplinkError) {
            link = configuration.server == nil ? nil : try configuration.makeLink()
            linkProblem = nil
        } catch {
            // A server that can't be reached at all must not keep the agent from recording.
            link = nil
            linkProblem = "\(error)"
        }
    }

    /// Works until cancelled.
    public func run() async {
        if configuration.region.profile == .drop { return await runFolder() }
        guard link != nil else {
            logger.warning("nothing will be sent", metadata: ["reason": "\(linkProblem ?? "no server is configured")"])
            return await untilCancelled()
        }
        startWatching()
        defer { watch?.stop() }
        while !Task.isCancelled {
            guard let link else { break }
            do {
                try await turn(link)
            } catch {
                // The store failed: it says so by itself elsewhere; look again later.
                logger.error("sync can't read the store", metadata: ["error": "\(error)"])
                await bell.wait(atMost: .seconds(configuration.retryMinimum))
            }
        }
        link?.client.close()
    }

    /// Try at once, whatever pause was running.
    public func nudge() {
        isSettled = false
        machine.nudge()
        bell.ring()
    }

    // MARK: One step

    private func turn(_ link: ServerLink) async throws {
        try await lookAtClock()
        let items = try await outbox()
        let facts = try await pendingFacts()
        let work = try await work(items, facts)
        let step = machine.next(work, now: now)
        if case .rest(let until) = step {
            isSettled = machine.link == .online && work.isEmpty && held == nil
            if isSettled { setAside = try await store.setAsideCount() }
            // A battery is charged without anybody saying so.
            let until = held == nil ? until : min(until ?? .infinity, now + 60)
            let pause = until.map { Duration.seconds(max(0.01, $0 - now)) }
            return await bell.wait(atMost: pause)
        }
        isSettled = false
        wasInterrupted = false
        if case .bytes = step {
            let sendable = Set(machine.sendable(work))
            return try await sendTogether(items.filter { sendable.contains($0.document.id) }, link, facts)
        }
        do throws(UplinkError) {
            switch step {
            case .greet: try await greet(link)
            case .knock: try await link.knock(configuration.region.profile, offer: offer)
            case .worklist:
                try await pullWorklist(link)
                await takeLateReceipts(link)
            case .answers: try await pullAnswers(link)
            case .announce(let visit), .finish(let visit):
                let state: FactsState = step == .announce(visit: visit) ? .preliminary : .final
                if let pending = facts.first(where: { $0.visit.id == visit && $0.state == state }) {
                    try await send(pending, link)
                }
            case .reply(let id): try await sendReply(id, link)
            case .entries(let visit): try await sendEntries(visit, link)
            case .confirm(let id): try await confirm(id, link)
            case .bytes: break
            case .receipt(let id): try await askAgain(id, link)
            case .report(let visit, let state): try await report(visit, state, link)
            case .rest: break
            }
            succeeded(step)
        } catch {
            guard !Task.isCancelled else { return }
            if wasInterrupted, case .link = error {
                lane = nil
                return
            }
            try await handle(error, step, facts)
        }
    }

    func succeeded(_ step: SyncStateMachine.Step) {
        machine.succeeded(step, now: now)
        if step == .worklist { isWorklistLacking = false }
        lastContact = clock.wall
        lastError = nil
    }

    /// The wall clock was set: pauses that it ended in the far future don't hold.
    private func lookAtClock() async throws {
        let offset = clock.wall - Int64(now * 1000)
        if let before = wallOffset, abs(offset - before) < 60_000 { return }
        wallOffset = offset
        // A server may ask for an hour (sync.md 4.4).
        let longest = max(configuration.retryMaximum, 3600) + 60
        try await store.forgetPauses(beyond: clock.wall + Int64(longest * 1000))
    }

    private func work(_ items: [OutboxItem], _ facts: [PendingFacts]) async throws -> SyncStateMachine.Work {
        var work = SyncStateMachine.Work(
            unannounced: facts.filter { $0.state == .preliminary }.map(\.visit.id),
            documents: items.map { ($0.document.id, $0.visit.id) },
            unfinished: facts.filter { $0.state == .final }.map(\.visit.id), wake: try await wake())
        work.unreceipted = unreceipted.mapValues(\.due)
        work.replies = try await store.unsentReplies().map(\.id)
        work.entries = try await store.entriesPending().map(\.visit.id)
        if let epoch = offer.storeEpoch { work.unconfirmed = try await store.receiptsToConfirm(epoch: epoch).map(\.id) }
        // Looking through all visits costs more than the rest: when there is nothing else, or now and then.
        if items.isEmpty || now - reportsLookedAt > 5 {
            reports = try await dueReports()
            reportsLookedAt = now
        }
        work.reports = reports
        return work
    }

    func handle(_ error: UplinkError, _ step: SyncStateMachine.Step, _ facts: [PendingFacts]) async throws {
        lastError = error
        lane = nil
        // The error's text may hold a server's words: only its kind goes into the log (PRODUCT.md, rule 9).
        logger.info("sync step failed", metadata: ["step": "\(step.kind)", "error": "\(error.kind)"])
        if case .certificateRefused = error { await tryOtherCertificate() }
        let consequence = machine.failed(step, error, now: now, jitter: Double.random(in: 0..<1))
        if step == .worklist, machine.link == .online { isWorklistLacking = true }
        switch (consequence, step) {
        case (.retry(let at), .bytes(let id)):
            try await store.failed(id, error: "\(error)", notBefore: clock.wall + Int64((at - now) * 1000))
        case (.retry(let at), .receipt(let id)):
            unreceipted[id]?.due = at
        case (.quarantine, .bytes(let id)), (.quarantine, .receipt(let id)):
            try await quarantine(id, SetAsideSentence.refused(error))
        case (.quarantine, .announce(let visit)), (.quarantine, .finish(let visit)):
            for pending in facts where pending.visit.id == visit {
                for document in pending.documents { try await quarantine(document.id, SetAsideSentence.refused(error)) }
            }
        case (.quarantine, .entries(let visit)): try await refuseEntries(visit)
        case (.quarantine, .report(let visit, let state)):
            // The region doesn't let laptops write tasks; everything else is as good as before.
            told[visit] = state.rawValue
            reports[visit] = nil
        default: break
        }
    }

    /// Set aside, told loudly, never retried silently; the others go on.
    func quarantine(_ document: UUID, _ reason: String) async throws {
        unreceipted[document] = nil
        logger.error("a document is set aside: to be told to the centre", metadata: ["document": "\(document)"])
        try await store.quarantine(document, reason: reason)
    }

    /// Reachability, identity, contract: `/.well-known/ess-agent` answers all three, over mTLS.
    private func greet(_ link: ServerLink) async throws(UplinkError) {
        link.client.dropConnections()
        _ = try await link.ping(configuration.region.profile, offer: configuration.region.offer)
        unsupported = []
        offerTag = nil
        try await discover(link)
        lane = nil
        await renewCertificate(link)
    }

    /// Also while online: a server that was restored from a backup says so by another epoch.
    func discover(_ link: ServerLink) async throws(UplinkError) {
        let found: Offer
        var tag: String?
        switch try await link.discover(etag: offerTag, for: configuration.region.profile) {
        case .unchanged: return
        // A server that knows nothing of us: what the configuration says of it.
        case .absent: found = configuration.region.offer
        case .offer(let offer, let etag):
            found = configuration.region.completed(offer)
            tag = etag
        }
        if found != offer { lane = nil }
        offer = found
        offerTag = tag
        do {
            // Receipts count only as long as the server is the one that gave them.
            if let epoch = offer.storeEpoch {
                let before = try await store.value(forKey: Store.storeEpochKey)
                if let before, before != epoch {
                    logger.notice("the server was restored from a backup: its receipts are asked for again")
                }
                try await store.setValue(epoch, forKey: Store.storeEpochKey)
            }
        } catch {
            throw .local("\(error)")
        }
    }

    // MARK: What waits

    /// The most urgent documents; simulated data leave this laptop only for a server that is declared a test server.
    func outbox() async throws -> [OutboxItem] {
        await lookAtNetwork()
        // What is held back is not always the less urgent.
        let items = try await store.outbox(
            now: clock.wall, limit: unreceipted.count + (policy.isRestricted ? 500 : Self.mostInATurn),
            includingSimulated: configuration.isTestServer)
        withheld = configuration.isTestServer ? 0 : try await store.pendingCount(origin: .simulated)
        return allowed(items).filter { unreceipted[$0.document.id] == nil }
    }

    func pendingFacts() async throws -> [PendingFacts] {
        try await store.factsPending(
            now: clock.wall, limit: Self.documentsPerBundle, includingSimulated: configuration.isTestServer)
    }

    /// A Bundle that a slow server can take before anybody's patience ends (sync.md 1.1: 1.5 MB took 44 s).
    static let documentsPerBundle = 50

    private func wake() async throws -> Double? {
        try await store.nextWake(after: clock.wall).map { now + Double(max(0, $0 - clock.wall)) / 1000 }
    }

    var now: Double { Double(clock.monotonic) / 1e9 }

    // MARK: What people see

    public func view() -> SyncView {
        var view = SyncView(state: "offline", sentence: SyncSentence.offline, isSettled: isSettled)
        view.lastContact = lastContact.map(rfc3339(unixMilliseconds:))
        view.detail = lastError.map { "\($0.kind)" } ?? linkProblem
        if configuration.region.profile == .drop { return folderView(view) }
        guard link != nil else {
            view.state = "unconfigured"
            view.sentence = linkProblem == nil ? Problem.noServer.text : SyncSentence.configuration
            view.problem = linkProblem == nil ? Problem.noServer.key : "configuration"
            return view
        }
        switch machine.link {
        case .unknown: break
        case .paused(_, let reason):
            view.problem = reason
            view.state = reason == "offline" ? "offline" : "stopped"
            view.sentence = lastError?.isAboutDates == true ? SyncSentence.clock : SyncSentence.paused(reason)
        case .online:
            view.state = "online"
            view.problem = held.map { "held-\($0.rawValue)" } ?? (isWorklistLacking ? "worklist" : nil)
            view.sentence =
                held == .battery
                ? SyncSentence.battery
                : held == .metered
                    ? SyncSentence.metered
                    : withheld > 0 ? SyncSentence.testOnly : isSettled ? settledSentence : SyncSentence.waiting
        }
        if let until = machine.bytesPausedUntil, until > now, view.state == "online" {
            view.problem = "server-full"
            view.sentence = SyncSentence.serverFull
        }
        if let item = underway.first {
            view.state = "sending"
            view.sentence = SyncSentence.sending
            view.document = "\(item.document)".lowercased()
            view.sentBytes = item.sent
            view.totalBytes = item.total
        }
        return view
    }

    /// Nothing is left to do for the agent; that is all right only where nothing is left for a person either.
    private var settledSentence: String {
        setAside > 0
            ? SyncSentence.setAside : isWorklistLacking ? SyncSentence.worklistLacking : SyncSentence.upToDate
    }
}
