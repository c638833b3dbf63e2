import Agent
import ArgumentParser

struct Devices: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "What is plugged in.", subcommands: [IdentifyDevice.self, KnownDevices.self, EraseDevice.self])
    @OptionGroup var options: ClientOptions
    @OptionGroup var output: JSONOption

    func run() async throws {
        let devices: [DeviceView] = try await options.client().get("/api/devices")
        if output.json { return try printJSON(devices) }
        guard !devices.isEmpty else { return print(Texts.noDevice) }
        printTable(
            Texts.deviceHeader,
            devices.map { device in
                [
                    device.name, [device.vendor, device.model].compactMap { $0 }.joined(separator: " "),
                    (device.serial ?? "-") + (device.simulated ? " (\(Texts.simulated))" : ""),
                    Texts.deviceState(device.state), Texts.support(device.support),
                ]
            })
        for device in devices where !device.choices.isEmpty {
            print(Texts.askForModel(device.name, device.choices))
        }
    }
}

struct Start: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Start a live capture; it belongs to the open visit.",
        discussion: "Returns as soon as the recording has begun; `ess-agent stop DEVICE` ends it.")
    @Argument(help: "As `ess-agent devices` names it, or a serial number.") var device: String
    @OptionGroup var options: ClientOptions
    @OptionGroup var output: JSONOption

    func run() async throws {
        let client = try options.client()
        let started: SessionView = try await client.post(
            "/api/devices/\(component(device))/start", StartRequest(by: account()))
        let begun = ContinuousClock.now
        var hasSaid = output.json
        let session = try await follow(client, device, started.id) { session in
            if !session.recordings.isEmpty || !session.running { return true }
            // A scale or a pressure monitor has nothing to record before somebody measures.
            if !hasSaid, ContinuousClock.now - begun > .seconds(3) {
                print(Texts.waitsForMeasurement)
                hasSaid = true
            }
            return false
        }
        if let problem = session.problem, session.recordings.isEmpty { throw fail(problem) }
        if output.json { return try printJSON(session) }
        for recording in session.recordings { print(Texts.started(recording.recording)) }
    }
}

struct Stop: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "End the running capture or download.")
    @Argument(help: "As `ess-agent devices` names it, or a serial number.") var device: String
    @OptionGroup var options: ClientOptions
    @OptionGroup var output: JSONOption

    func run() async throws {
        let session: SessionView = try await options.client().post("/api/devices/\(component(device))/stop")
        try show(session, output)
    }
}

struct Download: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Fetch what is in a device's memory; it belongs to the open visit.",
        discussion: "What was fetched before is recognised and left alone.")
    @Argument(help: "As `ess-agent devices` names it, or a serial number.") var device: String
    @OptionGroup var options: ClientOptions
    @OptionGroup var output: JSONOption

    func run() async throws {
        let client = try options.client()
        let started: SessionView = try await client.post(
            "/api/devices/\(component(device))/download", StartRequest(by: account()))
        var shown = ""
        let session = try await follow(client, device, started.id) { session in
            if !output.json, let now = session.recordings.last {
                let line = Texts.progress(now.samples, now.expected)
                if line != shown { print(line) }
                shown = line
            }
            return !session.running
        }
        try show(session, output)
    }
}

/// Asks until the session satisfies the condition. A session that was replaced by a newer one, or whose device is gone
/// from the list, is over.
private func follow(
    _ client: LocalClient, _ name: String, _ id: Int, until isDone: (SessionView) -> Bool
) async throws -> SessionView {
    var last: SessionView?
    while true {
        let devices: [DeviceView] = try await client.get("/api/devices")
        guard let session = devices.compactMap(\.session).first(where: { $0.id == id }) else {
            guard var gone = last else { throw fail(.deviceGone) }
            gone.running = false
            gone.problem = .deviceGone
            return gone
        }
        last = session
        if isDone(session) { return session }
        try await Task.sleep(for: .milliseconds(200))
    }
}

/// What a finished session brought; a problem ends the command with its status, after what is safe has been shown.
private func show(_ session: SessionView, _ output: JSONOption) throws {
    if output.json {
        try printJSON(session)
    } else {
        for recording in session.recordings {
            print(Texts.sealed(recording.recording, recording.state, recording.samples))
        }
        if session.skipped > 0 { print(Texts.skipped(session.skipped)) }
        if session.goal == "download", session.recordings.isEmpty, session.skipped == 0, session.problem == nil {
            print(Texts.nothingStored)
        }
    }
    if let problem = session.problem { throw fail(problem) }
}
