import ArgumentParser
import Devices
import Glibc

struct USBIPCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "usbip", abstract: "Offers devices as a USB/IP server: a real kernel enumerates them.",
        discussion: """
            On a machine with the kernel module vhci-hcd: `usbip list -r ADDRESS`, `usbip attach -r ADDRESS -b 1-1`. Serial \
            devices appear behind a CP2102 (modules cp210x; usbhid for the others that are HID). Every attach switches the device on anew; its end pulls the cable. Prints \
            one line for the port and one for each device, and plays until SIGTERM or SIGINT.
            """)

    @Argument(help: PlayedDevice.help) var devices: [PlayedDevice]

    @Option(help: "The port; 0 is any that is free.") var port: UInt16 = 3240

    @Option(help: "The address to listen on.") var address = "127.0.0.1"

    func validate() throws {
        guard (1...64).contains(devices.count) else { throw ValidationError("name 1 to 64 devices") }
    }

    func run() throws {
        let played = devices.enumerated().map { index, device in
            USBIPDevice(
                persona: device.persona, serial: device.serial(number: index + 1),
                number: index + 1
            ) {
                // The argument was checked when it was read.
                device.device(number: index + 1) ?? Mute()
            }
        }
        var server = try USBIPServer(address: address, port: port, devices: played)
        try Output.say("listening \(address):\(server.port)")
        for (device, play) in zip(devices, played) { try Output.say("\(play.busID) \(device.text)") }
        server.serve()
    }
}

private struct Mute: DeviceSimulator {
    mutating func received(_ bytes: [UInt8], at now: UInt64) -> [[UInt8]] { [] }
    mutating func tick(at now: UInt64) -> [[UInt8]] { [] }
    func nextTick(after now: UInt64) -> UInt64? { nil }
}
