import Agent
import ArgumentParser

struct IdentifyDevice: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "identify", abstract: "Say which device is at a port, where it can't be found out.",
        discussion: """
            Remembered for that socket and cable. Some devices share their identity with others, and nobody knows what \
            those would do with the question; such a device is only asked when a person has said that it is there.
            """)
    @Argument(help: "The port, as `ess-agent devices` names it.") var port: String
    @Argument(help: "The driver's name or the model, for example contec-8000 or 8000G.") var model: String?
    @Flag(help: "Forget what was said of this port.") var forget = false
    @OptionGroup var options: ClientOptions
    @OptionGroup var output: JSONOption

    func validate() throws {
        guard (model == nil) == forget else { throw ValidationError("give a model, or --forget.") }
    }

    func run() async throws {
        let device: DeviceView = try await options.client().post(
            "/api/devices/\(component(port))/identify", IdentifyRequest(model: model, by: account()))
        if output.json { return try printJSON(device) }
        print("\(device.name)  \(device.title)  \(Texts.deviceState(device.state))")
    }
}

struct KnownDevices: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "known", abstract: "Every device that was met, and what it said that nobody knew.")
    @OptionGroup var options: ClientOptions
    @OptionGroup var output: JSONOption

    func run() async throws {
        let devices: [KnownDeviceView] = try await options.client().get("/api/devices/known")
        if output.json { return try printJSON(devices) }
        guard !devices.isEmpty else { return print(Texts.noDevice) }
        for device in devices {
            print(
                "\(device.vendor) \(device.model)  \(device.serial ?? "-")  \(Texts.support(device.support))  \(device.lastSeen)"
            )
            for surprise in device.surprises { print("  ? \(surprise)") }
        }
    }
}

struct EraseDevice: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "erase", abstract: "Erase a device's memory, once the centre has all of it.",
        discussion: """
            Without --confirm it only looks. The device is asked what it holds; one recording without a matching receipt, and \
            nothing is erased. Who confirmed is kept in the audit trail.
            """)
    @Argument(help: "As `ess-agent devices` names it, or a serial number.") var device: String
    @Option(help: "The serial number of the device whose memory is to be erased.") var confirm: String?
    @OptionGroup var options: ClientOptions
    @OptionGroup var output: JSONOption

    func run() async throws {
        let view: ErasureView = try await options.client().post(
            "/api/devices/\(component(device))/erase", EraseRequest(confirm: confirm, by: account()))
        if output.json { return try printJSON(view) }
        if view.recordings == 0 { return print(Texts.nothingStored) }
        print(
            view.isErased
                ? Texts.erased(view.device, view.serial, view.recordings)
                : Texts.mayBeErased(view.device, view.serial, view.recordings, device))
    }
}
