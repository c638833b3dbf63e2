import Clinical
public import Devices
public import Logging
public import Ports
public import Store
public import Wire

/// What is plugged in, and what each device is doing. Arrival makes a candidate, the probe a device; a capture starts only
/// when a person says so.
public actor DeviceHub {
    private struct Plugged {
        var candidate: PortCandidate
        var state: State
        var profile: DialogueProfile?
        var identity: DeviceIdentity?
        var session: Session?
        /// Pauses between probes of something that doesn't answer: the interface cable of an oximeter is there before
        /// the instrument is switched on (devices.md 3.1).
        var probes = 0
        /// A probe had the device begin anew, and it wasn't recognised since: not again before it is plugged in again.
        var isRenewed = false
    }

    private enum State: Equatable {
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
    private let profiles: [DialogueProfile]
    private let logger: Logger
    private let openPort: @Sendable (PortCandidate, DialogueProfile) async throws(PortError) -> any Port
    private let changed: @Sendable () -> Void
    private var plugged: [String: Plugged] = [:]
    private var sessions = 0
    private var probeTasks: [String: Task<Void, Never>] = [:]
    /// What people said is at a port.
    private var choices: [PortChoice] = []

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
        self.profiles = profiles
        self.logger = logger
        self.openPort = openPort
        self.changed = changed
    }

    /// Follows arrivals and departures until cancelled, then ends all sessions.
    public func run(_ events: AsyncStream<DeviceEvent>) async {
        do {
            choices = try await store.portChoices()
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

    // MARK: Arrival and probing

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

    private func probe(_ id: String, after delay: Duration) {
        probeTasks[id]?.cancel()
        probeTasks[id] = Task {
            if delay > .zero { guard (try? await Task.sleep(for: delay)) != nil else { return } }
            await probeNow(id)
        }
    }

    private func probeNow(_ id: String) async {
        guard let entry = plugged[id], !isCapturing(entry) else { return }
        plugged[id]?.state = .probing
        var verdict = State.notRecognised
        // In the registry's order: no probe sends a byte that another candidate forbids (checked by a test over the registry).
        for profile in probed(entry.candidate) {
            let mayRenew = plugged[id].map { !$0.isRenewed } ?? false
            let (outcome, sink) = await identify(entry.candidate, profile, mayRenew: mayRenew)
            guard plugged[id] != nil else { return }
            if await sink?.isRenewed == true { plugged[id]?.isRenewed = true }
            await remember(sink, profile)
            switch outcome {
            case .finished(.done):
                plugged[id]?.profile = profile
                plugged[id]?.identity = await sink?.identity
                plugged[id]?.state = .ready
                plugged[id]?.probes = 0
                plugged[id]?.isRenewed = false
                logger.notice(
                    "device recognised",
                    metadata: ["port": "\(entry.candidate.devnode)", "driver": "\(profile.name)"])
                return
            case .portFailed(.busy): verdict = .busy
            case .portFailed(.denied): verdict = .denied
            default: break
            }
        }
        plugged[id]?.state = verdict
        guard !Task.isCancelled else { return }
        let probes = (plugged[id]?.probes ?? 0) + 1
        plugged[id]?.probes = probes
        if probes == 1 {
            logger.info("not recognised yet", metadata: ["port": "\(entry.candidate.devnode)", "state": "\(verdict)"])
        }
        // Switched on later, released by another program: look again, ever more rarely.
        probe(id, after: .seconds(min(5 << min(probes, 4), 60)))
    }

    /// Whose probe may be tried: what a person said, or what udev's facts allow.
    private func probed(_ candidate: PortCandidate) -> [DialogueProfile] {
        if candidate.profile == nil, let choice = choice(for: candidate) {
            return profiles.filter { $0.name == choice.driver }
        }
        return profiles.filter { candidate.fits($0) }
    }

    private func choice(for candidate: PortCandidate) -> PortChoice? {
        choices.last { $0.isFor(path: candidate.usbPath, cable: candidate.usbSerial) }
    }

    private func identify(_ candidate: PortCandidate, _ profile: DialogueProfile, mayRenew: Bool) async -> (
        Acquisition.Outcome, IdentitySink?
    ) {
        do throws(PortError) {
            let port = try await openPort(candidate, profile)
            let sink = IdentitySink()
            let outcome = await Acquisition(port: port, clock: clock, sink: sink, mayRenew: mayRenew)
                .run(profile.makeDialogue(.identify))
            return (outcome, sink)
        } catch {
            return (.portFailed(error), nil)
        }
    }

    /// The device, and what it said that nobody knew; both for support.
    private func remember(_ sink: IdentitySink?, _ profile: DialogueProfile) async {
        guard let sink else { return }
        let identity = await sink.identity
        let surprises = await sink.surprises
        guard identity != nil || !surprises.isEmpty else { return }
        let device =
            identity
            ?? DeviceIdentity(
                driver: profile.name, vendor: "?", model: "not recognised", serial: nil, support: profile.support)
        do {
            try await store.seen(device, at: clock.wall)
            for text in surprises where try await store.surprise(text, from: device, at: clock.wall) {
                logger.notice(
                    "device said something new", metadata: ["driver": "\(profile.name)", "surprise": "\(text)"])
            }
        } catch {
            logger.error("a device can't be remembered", metadata: ["error": "\(error)"])
        }
    }

    // MARK: What a person says

    /// Remembers which device is at a port, and asks it. `model`: a driver's name, or the beginning of a model's; nil forgets.
    func choose(_ name: String, model: String?, by person: String) async throws(Problem) -> DeviceView {
        let id = try find(name)
        guard let entry = plugged[id] else { throw .deviceNotFound(name) }
        guard !isCapturing(entry) else { throw .deviceBusy(name) }
        let candidate = entry.candidate
        guard candidate.profile == nil else { throw .portNamed }
        do {
            if let model {
                let possible = possible(at: candidate)
                let wanted = model.lowercased()
                let named = possible.filter { $0.name == wanted }
                let meant =
                    named.isEmpty
                    ? possible.filter { $0.models.contains { $0.lowercased().hasPrefix(wanted) } } : named
                guard meant.count == 1, let profile = meant.first else {
                    throw Problem.modelUnknown(model, possible.map(\.name))
                }
                let choice = PortChoice(
                    path: candidate.usbPath, cable: candidate.usbSerial, driver: profile.name, by: person,
                    at: clock.wall)
                try await store.choose(choice)
                choices.removeAll { $0.isFor(path: choice.path, cable: choice.cable) }
                choices.append(choice)
            } else {
                try await store.forgetChoice(path: candidate.usbPath, cable: candidate.usbSerial, by: person)
                choices.removeAll { $0.isFor(path: candidate.usbPath, cable: candidate.usbSerial) }
            }
        } catch let problem as Problem {
            throw problem
        } catch {
            throw .storage("\(error)")
        }
        probeTasks[id]?.cancel()
        plugged[id]?.profile = nil
        plugged[id]?.identity = nil
        plugged[id]?.probes = 0
        if model == nil {
            // Several probes may follow; nobody waits for them.
            plugged[id]?.state = .probing
            probe(id, after: .zero)
        } else {
            await probeNow(id)
        }
        guard let view = await views().first(where: { $0.name == candidate.name }) else { throw .deviceNotFound(name) }
        return view
    }

    /// What could be at a port, whether it may be probed for or not.
    private func possible(at candidate: PortCandidate) -> [DialogueProfile] {
        profiles.filter { profile in
            (profile.matches + profile.choices).contains { PortMatch($0).fits(candidate) }
        }
    }

    // MARK: Sessions

    /// Starts a live capture or a download. Returns the session as it is right after the start.
    func start(_ name: String, _ ability: DialogueProfile.Ability, by person: String) async throws(Problem)
        -> SessionView
    {
        let (binding, goal): (Binding?, SessionGoal)
        do {
            let visit = try await store.currentVisit()
            binding = visit.map { Binding(visit: $0.id, reason: .openVisit, by: person, at: clock.wall) }
            goal = ability == .live ? .live : .download(known: try await store.knownSources())
        } catch {
            throw Problem(error)
        }
        return await view(of: try await launch(name, ability, goal, binding))
    }

    /// A session with a device that was recognised and does nothing else.
    func launch(_ name: String, _ ability: DialogueProfile.Ability, _ goal: SessionGoal, _ binding: Binding?)
        async throws(Problem) -> Session
    {
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
        do throws(PortError) {
            port = try await openPort(entry.candidate, profile.allowing(goal))
        } catch {
            throw Problem(error)
        }
        // The actor was free while the port opened: somebody else may have started in the meantime.
        guard let now = plugged[id], !isCapturing(now) else {
            await port.close()
            throw .deviceBusy(name)
        }
        sessions += 1
        let feed = LiveFeed()
        let recorder = SessionRecorder(
            store: store, clock: clock, device: identity, binding: binding, feed: feed, logger: logger)
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

    private func ended(_ id: String, _ number: Int, _ outcome: Acquisition.Outcome) {
        if plugged[id]?.session?.id == number { plugged[id]?.session?.outcome = outcome }
        logger.info("session ended", metadata: ["session": "\(number)", "outcome": "\(outcome)"])
        if case .finished(.notThisDevice) = outcome { probe(id, after: .zero) }
        changed()
    }

    private func isCapturing(_ entry: Plugged) -> Bool { entry.session.map { $0.outcome == nil } ?? false }

    /// The device that a name means, once it is recognised.
    func identity(of name: String) throws(Problem) -> DeviceIdentity {
        guard let identity = plugged[try find(name)]?.identity else { throw .notThisDevice }
        return identity
    }

    /// By the last part of the node's path, the whole path, the serial number, or the driver's name if only one fits.
    private func find(_ name: String) throws(Problem) -> String {
        let hits = plugged.filter { _, entry in
            entry.candidate.name == name || entry.candidate.devnode == name || entry.identity?.serial == name
        }
        if let hit = hits.first { return hit.key }
        let drivers = plugged.filter { $0.value.profile?.name == name }
        guard drivers.count == 1, let only = drivers.first else { throw .deviceNotFound(name) }
        return only.key
    }

    // MARK: Views

    public func views() async -> [DeviceView] {
        var views: [DeviceView] = []
        for entry in plugged.values.sorted(by: { $0.candidate.devnode < $1.candidate.devnode }) {
            let profile = entry.profile ?? probed(entry.candidate).first
            var session: SessionView?
            if let running = entry.session { session = await view(of: running) }
            views.append(
                DeviceView(
                    name: entry.candidate.name, port: entry.candidate.devnode, driver: profile?.name ?? "",
                    state: name(of: entry), title: entry.profile?.title ?? "", vendor: entry.identity?.vendor,
                    model: entry.identity?.model, serial: entry.identity?.serial,
                    simulated: entry.identity?.isSimulated ?? false,
                    support: (entry.identity?.support ?? profile?.support ?? .experimental).rawValue,
                    abilities: (entry.profile?.goals ?? []).map(\.rawValue).sorted(),
                    choices: entry.state == .notRecognised && entry.candidate.profile == nil
                        ? possible(at: entry.candidate).map(\.name) : [],
                    chosen: choice(for: entry.candidate) != nil && entry.candidate.profile == nil, session: session))
        }
        return views
    }

    private func name(of entry: Plugged) -> String {
        if isCapturing(entry) {
            return switch entry.session?.goal {
            case "live": "capturing"
            case "erase": "erasing"
            default: "downloading"
            }
        }
        return switch entry.state {
        case .probing: "probing"
        case .ready: "ready"
        case .notRecognised: "not-recognised"
        case .busy: "busy"
        case .denied: "denied"
        }
    }

    private func view(of session: Session) async -> SessionView {
        let progress = await session.recorder.progress
        return SessionView(
            id: session.id, goal: session.goal, running: session.outcome == nil,
            recordings: progress.map {
                SessionView.RecordingProgress(
                    recording: "\($0.id)", samples: $0.samples, expected: $0.expected, bytes: $0.bytes,
                    state: $0.state.rawValue)
            },
            skipped: await session.recorder.skipped, problem: session.outcome?.problem)
    }
}

/// Listens to a probe: who it is, and what nobody knew.
private actor IdentitySink: SessionSink {
    private(set) var identity: DeviceIdentity?
    private(set) var surprises: [String] = []
    private(set) var isRenewed = false

    func perform(_ action: DialogueAction) async throws(Problem) {
        switch action {
        case .identify(let identity): self.identity = identity
        case .renew: isRenewed = true
        // A device that babbles must not fill the memory.
        case .surprise(let text) where surprises.count < 20: surprises.append(text)
        default: break
        }
    }
}

extension PortCandidate {
    /// Two ports never share a node at one time.
    var id: String { syspath.isEmpty ? devnode : syspath }
    /// What people call it: the node's last part.
    var name: String { String(devnode.split(separator: "/").last ?? "") }

    func fits(_ profile: DialogueProfile) -> Bool {
        if let named = self.profile { return named == profile.name }
        return profile.matches.contains { PortMatch($0).fits(self) }
    }
}

extension PortMatch {
    init(_ match: UdevMatch) {
        self.init(
            subsystem: match.subsystem, vendorID: match.vendorID, productID: match.productID, interface: match.interface
        )
    }
}
