import Clinical
public import Devices
public import Logging
public import Ports
public import Store
public import Wire

/// What is plugged in, and what each device is doing. Arrival makes a candidate, the probe a device; a capture starts only
/// when a person says so.
public actor DeviceHub {
    struct Plugged {
        var candidate: PortCandidate
        var state: State
        var profile: DialogueProfile?
        var identity: DeviceIdentity?
        var session: Session?
        /// A session is about to begin.
        var isOpening = false
        /// Pauses between probes of something that doesn't answer: the interface cable of an oximeter is there before
        /// the instrument is switched on (devices.md 3.1).
        var probes = 0
        /// A probe had the device begin anew, and it wasn't recognised since: not again before it is plugged in again.
        var isRenewed = false
    }

    enum State: Equatable {
        case probing, ready, notRecognised, busy, denied
    }

    struct Session {
        var id: Int
        var goal: String
        var acquisition: Acquisition
        var recorder: SessionRecorder
        var feed: LiveFeed
        var task: Task<Acquisition.Outcome, Never>
        var outcome: Acquisition.Outcome?
    }

    let store: Store
    let clock: HostClock
    let logger: Logger
    let openPort: @Sendable (PortCandidate, DialogueProfile) async throws(PortError) -> any Port
    private let changed: @Sendable () -> Void
    var plugged: [String: Plugged] = [:]
    private var sessions = 0
    var probeTasks: [String: Task<Void, Never>] = [:]
    /// Who may be asked at which port.
    var register: PortRegister

    /// - Parameters:
    ///   - openPort: opens a candidate's port for a driver; in the product a guarded kernel tty.
    ///   - changed: called after a recording was sealed, so that freezing looks at once.
    public init(
        store: Store, clock: HostClock, profiles: [DialogueProfile] = Registry.dialogues, logger: Logger,
        openPort: @escaping @Sendable (PortCandidate, DialogueProfile) async throws(PortError) -> any Port,
        changed: @escaping @Sendable () -> Void
    ) {
        self.store = store
        self.clock = clock
        register = PortRegister(profiles: profiles)
        self.logger = logger
        self.openPort = openPort
        self.changed = changed
    }

    /// Follows arrivals and departures until cancelled, then ends all sessions.
    public func run(_ events: AsyncStream<DeviceEvent>) async {
        do {
            register.choices = try await store.portChoices()
        } catch {
            logger.error("what was said of the ports can't be read", metadata: ["error": "\(error)"])
        }
        for await event in events {
            switch event {
            case .arrived(let candidate): arrived(candidate)
            case .departed(let path): await departed(path)
            }
        }
        await shutdown()
    }

    /// Ends every session and waits until each is sealed.
    public func shutdown() async {
        for task in probeTasks.values { task.cancel() }
        let running = plugged.values.compactMap(\.session).filter { $0.outcome == nil }
        for session in running { session.acquisition.stop() }
        for session in running { _ = await session.task.value }
    }

    // MARK: Arrival

    private func arrived(_ candidate: PortCandidate) {
        guard plugged[candidate.id] == nil else { return }
        plugged[candidate.id] = Plugged(candidate: candidate, state: .probing)
        logger.info("candidate arrived", metadata: ["port": "\(candidate.devnode)"])
        probe(candidate.id, after: .zero)
    }

    private func departed(_ id: String) async {
        probeTasks.removeValue(forKey: id)?.cancel()
        guard let gone = plugged.removeValue(forKey: id) else { return }
        logger.info("port departed", metadata: ["port": "\(gone.candidate.devnode)"])
        // The session notices by itself (hang-up); waiting here would hold up other arrivals.
    }

    // MARK: Sessions

    /// Starts a live capture or a download. Returns the session as it is right after the start.
    func start(_ name: String, _ ability: DialogueProfile.Ability, by person: String) async throws(Problem)
        -> SessionView
    {
        // A device with a memory may report from it also when it is asked to stream.
        let hasMemory = plugged[try find(name)]?.profile?.goals.contains(.download) ?? false
        let (binding, known): (Binding?, KnownItems)
        do {
            let visit = try await store.currentVisit()
            binding = visit.map { Binding(visit: $0.id, reason: .openVisit, by: person, at: clock.wall) }
            known = hasMemory ? try await store.knownItems() : []
        } catch {
            throw Problem(error)
        }
        let goal: SessionGoal = ability == .live ? .live : .download(known: known)
        return await view(of: try await launch(name, ability, goal, binding, known))
    }

    /// A session with a device that was recognised and does nothing else.
    func launch(
        _ name: String, _ ability: DialogueProfile.Ability, _ goal: SessionGoal, _ binding: Binding?,
        _ known: KnownItems = []
    ) async throws(Problem) -> Session {
        let id = try find(name)
        guard let entry = plugged[id] else { throw .deviceNotFound(name) }
        guard !isCapturing(entry) else { throw .deviceBusy(name) }
        switch entry.state {
        case .ready: break
        case .probing: throw .deviceNotReady(name, "reconnaissance en cours, réessayez dans quelques secondes")
        case .busy: throw .portBusy
        case .denied: throw .portDenied
        case .notRecognised:
            probe(id, after: .zero)
            throw .notThisDevice
        }
        guard let profile = entry.profile, let identity = entry.identity else { throw .notThisDevice }
        guard profile.goals.contains(ability) else { throw .deviceCannot(name, ability.rawValue) }
        let port: any Port
        // The actor is free while the port opens: somebody else may want to start in the meantime.
        plugged[id]?.isOpening = true
        do throws(PortError) {
            port = try await openPort(entry.candidate, profile.allowing(goal))
            plugged[id]?.isOpening = false
        } catch {
            plugged[id]?.isOpening = false
            throw Problem(error)
        }
        guard let now = plugged[id], !isCapturing(now) else {
            await port.close()
            throw .deviceBusy(name)
        }
        sessions += 1
        let feed = LiveFeed()
        let recorder = SessionRecorder(
            store: store, clock: clock, device: identity, binding: binding, known: known, feed: feed,
            logger: logger)
        let acquisition = Acquisition(port: port, clock: clock, sink: recorder)
        let number = sessions
        let task = Task {
            let outcome = await acquisition.run(profile.makeDialogue(goal))
            await recorder.close(outcome.reason)
            self.ended(id, number, outcome)
            return outcome
        }
        let session = Session(
            id: number, goal: ability.rawValue, acquisition: acquisition, recorder: recorder, feed: feed, task: task)
        plugged[id]?.session = session
        probeTasks[id]?.cancel()
        return session
    }

    /// Ends the running session and waits until it is sealed.
    func stop(_ name: String) async throws(Problem) -> SessionView {
        let id = try find(name)
        guard let session = plugged[id]?.session, session.outcome == nil else { throw .deviceIdle(name) }
        session.acquisition.stop()
        _ = await session.task.value
        return await view(of: plugged[id]?.session ?? session)
    }

    /// A screen's view of the running session, from now on.
    func live(_ name: String) throws(Problem) -> AsyncStream<LiveEvent> {
        guard let session = plugged[try find(name)]?.session, session.outcome == nil else { throw .deviceIdle(name) }
        guard let stream = session.feed.follow() else { throw .tooManyScreens }
        return stream
    }

    /// True while any device records, live or from its memory.
    var isAnyCapturing: Bool { plugged.values.contains(where: isCapturing) }

    /// True while any device records for another visit: one that the server cancelled meanwhile.
    func isAnyCapturing(beside visit: String) -> Bool {
        plugged.values.contains { entry in
            isCapturing(entry) && (entry.isOpening || entry.session?.recorder.visit.map { $0 != visit } ?? false)
        }
    }

    private func ended(_ id: String, _ number: Int, _ outcome: Acquisition.Outcome) {
        if plugged[id]?.session?.id == number { plugged[id]?.session?.outcome = outcome }
        logger.info("session ended", metadata: ["session": "\(number)", "outcome": "\(outcome)"])
        if case .finished(.notThisDevice) = outcome { probe(id, after: .zero) }
        changed()
    }

    func isCapturing(_ entry: Plugged) -> Bool {
        entry.isOpening || entry.session.map { $0.outcome == nil } ?? false
    }

    /// The device that a name means, once it is recognised.
    func identity(of name: String) throws(Problem) -> DeviceIdentity {
        guard let identity = plugged[try find(name)]?.identity else { throw .notThisDevice }
        return identity
    }

    /// By the last part of the node's path or the whole path, which are one device's; else by the serial number, else by the driver's
    /// name. Two devices may have the same of both: which one is meant, nobody guesses.
    func find(_ name: String) throws(Problem) -> String {
        if let port = plugged.first(where: { $0.value.candidate.name == name || $0.value.candidate.devnode == name }) {
            return port.key
        }
        var hits = plugged.filter { $0.value.identity?.serial == name }
        if hits.isEmpty { hits = plugged.filter { $0.value.profile?.name == name } }
        guard hits.count <= 1 else { throw .deviceAmbiguous(name, hits.values.map(\.candidate.name).sorted()) }
        guard let only = hits.first else { throw .deviceNotFound(name) }
        return only.key
    }
}
