import Clinical
import Wire

/// The older Contec pulse oximeters: CMS50D+ before firmware 4.6, the first CMS50E and CMS50F (devices.md 3.10).
public enum ContecLegacyOximeter {
    static let name = "contec-legacy"

    public static let profile = DialogueProfile(
        name: name,
        title: "Contec CMS50 pulse oximeter (legacy protocol)",
        support: .verified,
        models: ["CMS50D+ (firmware before 4.6)", "CMS50E", "CMS50F (first series)"],
        reads: ["SpO2, pulse, plethysmogram live", "stored night", "hour and minute of its start"],
        leaves: ["beep, bar graph"],
        // Every CP210x cable. The probe only listens: it is safe whatever is there, so it comes before all others.
        matches: [UdevMatch(subsystem: "tty", vendorID: "10c4", productID: "ea60")],
        transport: .serial(SerialLine(speed: 19_200, parity: .odd)),
        // No command that erases is known.
        forbidden: [],
        goals: [.live, .download],
        simulation: simulation,
        makeDialogue: { ContecLegacyProtocol(goal: $0) },
        makeListener: { ContecLegacyListener() }
    )

    private static let simulation = DeviceSimulation(
        variants: ["CMS50E", "CMS50D+"],
        faults: [
            .init("damaged-header", "a live frame in one of the three headers"),
            .init("odd-length", "a length that no number of samples gives"),
            .init("mute", "no live stream before F6 F6 F6"), .init("deaf", "the first F5 F5 is not heard"),
            .init("stalls", "silent after 100 stored samples"),
        ],
        usb: .serialBridge
    ) { order in
        var device = ContecLegacySimulator.Configuration()
        device.hasClock = order.variant != "CMS50D+"
        device.night = ContecOximeterNight(start: nil, seconds: 600, seed: UInt64(order.number))
        device.damagesHeader = order.faults.contains("damaged-header")
        device.hasOddLength = order.faults.contains("odd-length")
        device.isMute = order.faults.contains("mute")
        device.deafFor = order.faults.contains("deaf") ? 1 : 0
        device.stallsAfter = order.faults.contains("stalls") ? 100 : nil
        return ContecLegacySimulator(device)
    }

    /// It has no number of its own, and no name; only a simulator is marked (`ContecLegacyFrame.isSimulated`).
    static func identity(isSimulated: Bool) -> DeviceIdentity {
        DeviceIdentity(
            driver: name, vendor: "Contec", model: "CMS50 (legacy)", serial: isSimulated ? "SIM50" : nil,
            support: .verified)
    }
}
