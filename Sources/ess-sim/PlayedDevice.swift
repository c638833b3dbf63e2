import ArgumentParser
import Devices

/// `DRIVER[:VARIANT][+FAULT…]`: which device is played, and what it does wrong.
struct PlayedDevice: ExpressibleByArgument {
    static let help: ArgumentHelp =
        "DRIVER[:VARIANT][+FAULT…], for example phdc:scale+split; `ess-sim list` shows all of them."

    let text: String
    let profile: DialogueProfile
    let order: DeviceSimulation.Order

    init?(argument: String) {
        let parts = argument.split(separator: "+").map(String.init)
        guard let head = parts.first?.split(separator: ":", maxSplits: 1).map(String.init),
            let profile = Registry.dialogues.first(where: { $0.name == head[0] })
        else { return nil }
        let order = DeviceSimulation.Order(
            variant: head.count > 1 ? head[1] : nil, faults: Set(parts.dropFirst()))
        guard profile.simulation.make(order) != nil else { return nil }
        text = argument
        self.profile = profile
        self.order = order
    }

    /// - Parameter number: tells two of one model apart.
    func device(number: Int) -> (any DeviceSimulator)? {
        var order = order
        order.number = number
        return profile.simulation.make(order)
    }

    func serial(number: Int) -> String { DeviceSimulation.Order(number: number).serial }

    var persona: USBPersona { profile.simulation.persona(order) }

    var isSerial: Bool { if case .serial = profile.transport { true } else { false } }
}

struct ListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "Every device that can be played, with its variants and faults.")

    func run() throws {
        for profile in Registry.dialogues {
            try Output.say("\(profile.name): \(profile.title)")
            try Output.say("  variants: \(profile.simulation.variants.joined(separator: ", "))")
            for fault in profile.simulation.faults { try Output.say("  +\(fault.name): \(fault.explanation)") }
        }
        try Output.say("any:")
        for fault in LineFault.allCases { try Output.say("  +\(fault.rawValue): \(fault.explanation)") }
    }
}

struct PlayCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "play",
        abstract: "Plays a device of a serial line on a pseudo terminal, or any through a USB gadget's file.",
        discussion: """
            Prints the terminal's path, and plays until SIGTERM or SIGINT. Devices of USB are played by `ess-sim usbip`; or, where a \
            USB gadget was set up with the device's identity (configfs, on dummy_hcd or a real controller), on the gadget's file: \
            `ess-sim play contec-ecg90a --on /dev/hidg0`.
            """)

    @Argument(help: PlayedDevice.help) var device: PlayedDevice

    @Option(help: "A symbolic link to the terminal, made at the start and removed at the end.")
    var link: String?

    @Option(help: "The file of a USB gadget instead of a pseudo terminal: /dev/hidg0, /dev/ttyGS0.")
    var on: String?

    @Option(help: "Tells two of one model apart.")
    var number = 1

    func validate() throws {
        if on != nil {
            guard link == nil else { throw ValidationError("--link is for a pseudo terminal") }
            guard device.isSerial || device.persona.isReports else {
                throw ValidationError("\(device.profile.name) has endpoints that no such file carries: ess-sim usbip")
            }
        } else if !device.isSerial {
            throw ValidationError("\(device.profile.name) is no serial device: ess-sim usbip \(device.text)")
        }
        guard (1...9999).contains(number) else { throw ValidationError("--number is 1 to 9999") }
    }

    func run() throws {
        guard let played = device.device(number: number) else { return }
        if let on {
            let file = try GadgetFile(path: on, isReports: device.persona.isReports)
            defer { file.close() }
            try Output.say(on)
            return TerminalBench(terminal: file, device: played).play()
        }
        let terminal = try PseudoTerminal(link: link)
        defer { terminal.close() }
        try Output.say(terminal.path)
        TerminalBench(terminal: terminal, device: played).play()
    }
}
