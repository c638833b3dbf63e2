import Clinical
import Crypto
import FHIR
import FoundationEssentials
public import Logging
public import Store
import Uplink

/// Carries out what `SyncStateMachine` decides. The database is the outbox: nothing waits in memory, so a kill at any
/// moment only means that the same question is asked again.
public actor SyncEngine {
    private let store: Store
    private let clock: HostClock
    private let configuration: Configuration
    private let bell: Bell
    private let logger: Logger
    private let link: ServerLink?
    private let linkProblem: String?
    private var machine: SyncStateMachine
    private var offer = Offer()
    private var lane: BytesLane?
    private var progress: (document: UUID, sent: Int, total: Int)?
    private var lastContact: Int64?
    private var lastError: UplinkError?
    private var isSettled = false
    private var withheld = 0
    private var rehashed: Set<UUID> = []
    private var pulls = 0

    public init(store: Store, clock: HostClock, configuration: Configuration, bell: Bell, logger: Logger) {
        self.store = store
        self.clock = clock
        self.configuration = configuration
        self.bell = bell
        self.logger = logger
        machine = SyncStateMachine(
            shortestPause: configuration.retryMinimum, longestPause: configuration.retryMaximum,
            worklistInterval: configuration.worklistInterval)
        do throws(UplinkError) {
            link = try configuration.server.map { server throws(UplinkError) in
                try ServerLink(
                    UplinkConfiguration(
                        baseURL: server,
                        tls: TLSFiles(
                            authorities: configuration.serverCA, certificate: configuration.clientCertificate,
                            key: configuration.clientKey),
                        version: agentVersion))
            }
            linkProblem = nil
        } catch {
            // A server that can't be reached at all must not keep the agent from recording.
            link = nil
            linkProblem = "\(error)"
        }
    }

    /// Works until cancelled.
    public func run() async {
        guard let link else {
            logger.warning("nothing will be sent", metadata: ["reason": "\(linkProblem ?? "no server is configured")"])
            return await untilCancelled()
        }
        while !Task.isCancelled {
            do {
                try await turn(link)
            } catch {
                // The store failed: it says so by itself elsewhere; look again later.
                logger.error("sync can't read the store", metadata: ["error": "\(error)"])
                await bell.wait(atMost: .seconds(configuration.retryMinimum))
            }
        }
        link.client.close()
    }

    /// Try at once, whatever pause was running.
    public func nudge() {
        isSettled = false
        machine.nudge()
        bell.ring()
    }

    // MARK: One step

    private func turn(_ link: ServerLink) async throws {
        let items = try await outbox()
        let facts = try await pendingFacts()
        let work = SyncStateMachine.Work(
            unannounced: facts.filter { $0.state == .preliminary }.map(\.visit.id),
            documents: items.map { ($0.document.id, $0.visit.id) },
            unfinished: facts.filter { $0.state == .final }.map(\.visit.id), wake: try await wake())
        let step = machine.next(work, now: now)
        if case .rest(let until) = step {
            isSettled =
                machine.link == .online && work.unannounced.isEmpty && work.documents.isEmpty && work.unfinished.isEmpty
            let pause = until.map { Duration.seconds(max(0.01, $0 - now)) }
            return await bell.wait(atMost: pause)
        }
        isSettled = false
        do throws(UplinkError) {
            switch step {
            case .greet: try await greet(link)
            case .worklist: try await pullWorklist(link)
            case .announce(let visit), .finish(let visit):
                let state: FactsState = step == .announce(visit: visit) ? .preliminary : .final
                if let pending = facts.first(where: { $0.visit.id == visit && $0.state == state }) {
                    try await send(pending, link)
                }
            case .bytes(let id):
                if let item = items.first(where: { $0.document.id == id }) { try await send(item, link) }
            case .rest: break
            }
            machine.succeeded(step, now: now)
            lastContact = clock.wall
            lastError = nil
        } catch {
            guard !Task.isCancelled else { return }
            try await handle(error, step, facts)
        }
        progress = nil
    }

    private func handle(_ error: UplinkError, _ step: SyncStateMachine.Step, _ facts: [PendingFacts]) async throws {
        lastError = error
        lane = nil
        // The error's text may hold a server's words: only its kind goes into the log (PRODUCT.md, rule 9).
        logger.info("sync step failed", metadata: ["step": "\(step.kind)", "error": "\(error.kind)"])
        switch (machine.failed(step, error, now: now, jitter: Double.random(in: 0..<1)), step) {
        case (.retry(let at), .bytes(let id)):
            try await store.failed(id, error: "\(error)", notBefore: clock.wall + Int64((at - now) * 1000))
        case (.quarantine, .bytes(let id)):
            try await store.quarantine(id, reason: "\(error)")
        case (.quarantine, .announce(let visit)), (.quarantine, .finish(let visit)):
            for pending in facts where pending.visit.id == visit {
                for document in pending.documents { try await store.quarantine(document.id, reason: "\(error)") }
            }
        default: break
        }
    }

    /// Reachability, identity, contract: `/.well-known/ess-agent` answers all three, over mTLS.
    private func greet(_ link: ServerLink) async throws(UplinkError) {
        link.client.dropConnections()
        _ = try await link.ping()
        if case .offer(let found, _) = try await link.discover() { offer = found }
        lane = nil
        do {
            // Receipts count only as long as the server is the one that gave them.
            if let epoch = offer.storeEpoch { try await store.setValue(epoch, forKey: Store.storeEpochKey) }
        } catch {
            throw .local("\(error)")
        }
    }

    private func pullWorklist(_ link: ServerLink) async throws(UplinkError) {
        let key = "worklist-cursor"
        do {
            // A whole look from time to time finds what the server's clock or a missed page hid.
            let cursor = pulls % 20 == 0 ? nil : try await store.value(forKey: key).flatMap { Instant($0) }
            pulls += 1
            let worklist = try await WorklistLane(link, offer: offer, team: configuration.team).pull(since: cursor)
            let changes = try await store.merge(visits: worklist.visits)
            for problem in worklist.problems {
                logger.warning("a task of the worklist makes no visit", metadata: ["resource": "\(problem.resource)"])
            }
            if let cursor = worklist.cursor { try await store.setValue("\(cursor)", forKey: key) }
            if !changes.isEmpty { logger.info("worklist changed", metadata: ["visits": "\(changes.count)"]) }
        } catch let error as UplinkError {
            throw error
        } catch {
            throw .local("\(error)")
        }
    }

    // MARK: Facts

    private func send(_ pending: PendingFacts, _ link: ServerLink) async throws(UplinkError) {
        do {
            let facts = try await visitFacts(pending)
            let documents = pending.documents.map(\.id)
            // Written down before the first attempt: from here on these documents never change.
            try await store.beginFacts(documents, state: pending.state, key: facts.batch)
            _ = try await FactsLane(link, offer: offer).send(facts, key: facts.batch)
            try await store.markFactsSent(documents, state: pending.state)
            logger.info("facts received", metadata: ["documents": "\(documents.count)", "state": "\(pending.state)"])
        } catch let error as UplinkError {
            throw error
        } catch {
            throw .local("\(error)")
        }
    }

    private func visitFacts(_ pending: PendingFacts) async throws -> VisitFacts {
        var sensors: [VisitFacts.Sensor] = []
        var entries: [VisitFacts.Entry] = []
        var measured: [VisitFacts.Measured] = []
        var recorded: Int64 = 0
        var fingerprint: [[UInt8]] = [Array("\(pending.state) \(pending.visit.id) \(pending.visit.version)".utf8)]
        for document in pending.documents {
            guard let detail = try await store.recording(document.recording) else { continue }
            let recording = detail.recording
            let sensor = VisitFacts.Sensor(id: Identity.of(recording.device), identity: recording.device)
            if !sensors.contains(where: { $0.id == sensor.id }) { sensors.append(sensor) }
            let start = recording.zonedStart
            entries.append(
                VisitFacts.Entry(
                    document: document, recording: recording, sensor: sensor.id, start: start, end: nil,
                    original: DocumentHasher.identity(of: .original, in: recording.id)))
            recorded = max(recorded, recording.clock.hostWall)
            if document.role == .original, recording.channels.isEmpty {
                measured.append(Self.measured(recording, sensor.id, try await store.readings(recording.id)))
            }
            fingerprint.append(Array("\(document.id) \(document.sha256) \(start ?? "-")".utf8))
        }
        // Another content is another batch; the same content the same, over any number of attempts and restarts.
        let batch = Identity.of("batch", DocumentHasher.fingerprint(fingerprint))
        var facts = VisitFacts(
            visit: pending.visit, state: pending.state == .final ? .final : .preliminary,
            encounter: Identity.of("encounter", pending.visit.id), provenance: Identity.of("provenance", "\(batch)"),
            batch: batch,
            laptop: VisitFacts.Laptop(
                id: Identity.of("laptop", configuration.laptop), identifier: configuration.laptop, version: agentVersion
            ),
            nurse: nil, sensors: sensors, entries: entries, opened: nil, closed: nil,
            recorded: Instant(milliseconds: recorded))
        facts.measured = measured
        return facts
    }

    private static func measured(_ recording: Recording, _ sensor: UUID, _ readings: [Reading]) -> VisitFacts.Measured {
        var ids: [Int: UUID] = [:]
        var times: [Int: String] = [:]
        for reading in readings {
            ids[reading.sequence] = DocumentHasher.uuid5(
                namespace: recording.id.uuid, name: "reading/\(reading.sequence)")
            if let at = reading.at {
                times[reading.sequence] = rfc3339(at, utcOffsetMinutes: utcOffsetMinutes(at: at))
            }
        }
        return VisitFacts.Measured(recording: recording, sensor: sensor, readings: readings, ids: ids, times: times)
    }

    // MARK: Bytes

    private func send(_ item: OutboxItem, _ link: ServerLink) async throws(UplinkError) {
        let document = item.document
        do {
            // After a crash or a lost answer the server may have it already: ask before sending.
            var verdict = Verdict.missing
            if item.upload != .none || item.attempts > 0 { verdict = try await settle(item, link, isUploaded: false) }
            guard verdict != .settled else { return }
            let lane = try await openLane(link)
            var location: String?
            if case .created(let known, _) = item.upload, verdict == .missing {
                location = known
            } else {
                try await store.beginUpload(document.id)
            }
            progress = (document.id, 0, document.size)
            try await lane.upload(
                BytesLane.Item(
                    rid: document.id, fileExtension: Self.fileExtension(document.mediaType),
                    mediaType: document.mediaType,
                    size: document.size, sha256: document.sha256, visit: item.visit.id, location: location),
                BytesLane.Hooks(
                    read: { [store] in try await store.documentBytes(document.id, offset: $0, count: $1) },
                    didCreate: { [store] in try await store.uploadCreated(document.id, location: $0) },
                    didConfirm: { [store] offset in
                        try await store.uploadConfirmed(document.id, offset: offset)
                        await self.confirmed(document.id, offset)
                    }))
            guard try await settle(item, link, isUploaded: true) == .settled else {
                throw UplinkError.transient(status: 202, retryAfter: .seconds(1))
            }
        } catch let error as UplinkError {
            throw error
        } catch {
            throw .local("\(error)")
        }
    }

    private enum Verdict { case settled, missing, otherBytes }

    /// Asks for the receipt. Settled: received or set aside, no more sending is needed.
    /// - Parameter isUploaded: the server has all bytes: "not yet" then means that it is still checking them. Before that it
    ///   may as well mean that bytes are missing, which tus tells.
    private func settle(_ item: OutboxItem, _ link: ServerLink, isUploaded: Bool) async throws -> Verdict {
        let document = item.document
        for _ in 0..<10 {
            let other: String
            switch try await link.receipt(for: document.id, offer: offer) {
            case .stored(let receipt):
                if receipt.covers(rid: document.id, sha256: document.sha256, size: document.size) {
                    try await store.record(receipt)
                    logger.notice(
                        "receipt", metadata: ["document": "\(document.id)", "bytes": "\(document.size)"])
                    return .settled
                }
                other = receipt.sha256
            case .pending where !isUploaded: return .missing
            case .pending(let after):
                try await Task.sleep(for: min(after ?? .milliseconds(200), .seconds(5)))
                continue
            case .unknown: return .missing
            case .otherHash(let hash): other = hash
            }
            // One clean re-upload, then a person's matter (ARCHITECTURE.md, failure table): never retried silently.
            guard item.restarts == 0, rehashed.insert(document.id).inserted else {
                logger.error("the server holds other bytes", metadata: ["document": "\(document.id)"])
                try await store.quarantine(document.id, reason: "the server's receipt names SHA-256 \(other)")
                return .settled
            }
            try await store.uploadForgotten(document.id)
            return .otherBytes
        }
        return .missing
    }

    private func openLane(_ link: ServerLink) async throws(UplinkError) -> BytesLane {
        if let lane { return lane }
        let lane = try await BytesLane.open(
            link, offer: offer,
            digest: { algorithm, bytes in
                switch algorithm {
                case .sha256: Array(SHA256.hash(data: bytes))
                case .sha1: Array(Insecure.SHA1.hash(data: bytes))
                }
            })
        self.lane = lane
        return lane
    }

    private func confirmed(_ document: UUID, _ offset: Int) {
        if progress?.document == document { progress?.sent = offset }
    }

    private static func fileExtension(_ mediaType: String) -> String {
        switch mediaType {
        case "application/dicom": "dcm"
        case "application/edf": "edf"
        default: "bin"
        }
    }

    // MARK: What waits

    /// Simulated data leave this laptop only for a server that is declared a test server.
    private func outbox() async throws -> [OutboxItem] {
        let items = try await store.outbox(now: clock.wall)
        guard !configuration.isTestServer else { return items }
        let allowed = items.filter { $0.origin != .simulated }
        withheld = items.count - allowed.count
        return allowed
    }

    private func pendingFacts() async throws -> [PendingFacts] {
        let pending = try await store.factsPending(now: clock.wall)
        guard !configuration.isTestServer else { return pending }
        var allowed: [PendingFacts] = []
        for var facts in pending {
            var kept: [Document] = []
            for document in facts.documents {
                if try await store.recording(document.recording)?.recording.origin != .simulated {
                    kept.append(document)
                }
            }
            if kept != facts.documents { facts.key = nil }
            facts.documents = kept
            if !kept.isEmpty { allowed.append(facts) }
        }
        return allowed
    }

    private func wake() async throws -> Double? {
        try await store.nextWake(after: clock.wall).map { now + Double(max(0, $0 - clock.wall)) / 1000 }
    }

    private var now: Double { Double(clock.monotonic) / 1e9 }

    // MARK: What people see

    public func view() -> SyncView {
        var view = SyncView(state: "offline", sentence: SyncSentence.offline, isSettled: isSettled)
        view.lastContact = lastContact.map(rfc3339(unixMilliseconds:))
        view.detail = lastError.map { "\($0.kind)" } ?? linkProblem
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
            view.sentence = SyncSentence.paused(reason)
        case .online:
            view.state = "online"
            view.sentence =
                withheld > 0 ? SyncSentence.testOnly : isSettled ? SyncSentence.upToDate : SyncSentence.waiting
        }
        if let progress {
            view.state = "sending"
            view.sentence = SyncSentence.sending
            view.document = "\(progress.document)".lowercased()
            view.sentBytes = progress.sent
            view.totalBytes = progress.total
        }
        return view
    }
}

/// Names under which the same thing is the same resource on the server, over crashes and reinstalls (PRODUCT.md, rule 5).
enum Identity {
    /// Chosen once for this agent; a namespace of RFC 9562 section 5.5.
    private static let namespace = UUID(uuidString: "6d0a5f0e-7f0f-4b63-9a55-0d7c6b2f9e11")

    static func of(_ kind: String, _ name: String) -> UUID {
        guard let namespace else { preconditionFailure("the namespace above is a UUID") }
        return DocumentHasher.uuid5(namespace: namespace, name: "\(kind)/\(name)")
    }

    static func of(_ device: DeviceIdentity) -> UUID {
        of("device", "\(device.driver)/\(device.vendor)/\(device.model)/\(device.serial ?? "-")")
    }
}

extension SyncStateMachine.Step {
    fileprivate var kind: String {
        switch self {
        case .greet: "greet"
        case .worklist: "worklist"
        case .announce: "announce"
        case .bytes: "bytes"
        case .finish: "finish"
        case .rest: "rest"
        }
    }
}

extension UplinkError {
    /// Without the server's own words.
    fileprivate var kind: String {
        switch self {
        case .link(let text), .tls(let text), .configuration(let text), .malformed(let text): text
        case .transient(let status, _), .conflict(let status, _), .permanent(let status, _): "status \(status)"
        default: String("\(self)".prefix { $0 != "(" })
        }
    }
}
