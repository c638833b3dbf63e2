import Clinical
import Devices
import Logging
import Ports
import Store
import Wire

/// From a candidate to a device: probes, again and again while nothing answers, and what a person says is there.
extension DeviceHub {
    func probe(_ id: String, after delay: Duration) {
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
        for profile in register.probed(entry.candidate) {
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
                guard let profile = register.meant(by: model, at: candidate) else {
                    throw Problem.modelUnknown(model, register.possible(at: candidate).map(\.name))
                }
                let choice = PortChoice(
                    path: candidate.usbPath, cable: candidate.usbSerial, driver: profile.name, by: person,
                    at: clock.wall)
                try await store.choose(choice)
                register.forget(candidate)
                register.choices.append(choice)
            } else {
                try await store.forgetChoice(path: candidate.usbPath, cable: candidate.usbSerial, by: person)
                register.forget(candidate)
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
