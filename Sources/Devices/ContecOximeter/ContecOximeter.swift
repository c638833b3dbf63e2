import Clinical
import Wire

/// The Contec pulse oximeters that speak "protocol V7": CMS50D+ (firmware 4.6 and later), CMS50E new, F, FW, EW, H, I, and
/// their clones (devices.md 3).
public enum ContecOximeter {
    static let name = "contec-oximeter"

    public static let profile = DialogueProfile(
        name: name,
        title: "Contec CMS50 pulse oximeter (protocol V7)",
        support: .verified,
        models: [
            "CMS50D+ (firmware 4.6 and later)", "CMS50E (new)", "CMS50F", "CMS50FW", "CMS50EW", "CMS50H", "CMS50I",
        ],
        reads: [
            "SpO2, pulse, plethysmogram, perfusion index live", "stored nights with their start",
            "erases its memory when all of it has a receipt and a person confirms",
        ],
        leaves: ["beep, bar graph", "user's name", "setting the clock"],
        // The factory id of every CP210x bridge: a candidate, nothing more (devices.md 2.1).
        matches: [UdevMatch(subsystem: "tty", vendorID: "10c4", productID: "ea60")],
        transport: .serial(SerialLine(speed: 115_200)),
        forbidden: [erasure],
        erasure: erasure,
        goals: [.live, .download, .erase],
        simulation: simulation,
        makeDialogue: { ContecOximeterProtocol(goal: $0) },
        makeListener: { ContecOximeterListener() }
    )

    /// The high byte may be anything, and the short form of the command has the same beginning.
    private static let erasure = ForbiddenBytes([0x7D, nil, 0xAE], reason: "erases the oximeter's memory")

    private static let simulation = DeviceSimulation(
        variants: ["CMS50F", "CMS50I"],
        faults: [
            .init("no-clock", "the start time is year 0"), .init("recording", "downloads are refused: recording"),
            .init("recording-unsupported", "the same, refused with: not supported"),
            .init("live-before-storage", "a live frame before the first storage frame"),
            .init("stalls", "silent after 200 frames"), .init("switches-off", "switches itself off after 200 frames"),
            .init("streaming", "streams already when the host connects"),
            .init("deaf", "the first command of each kind is not heard"),
        ],
        usb: .serialBridge
    ) { order in
        var device = ContecOximeterSimulator.Configuration()
        device.serial = order.serial
        device.model = order.variant ?? "CMS50F"
        device.hasPerfusion = order.variant == "CMS50I"
        let start = LocalTime(year: 2026, month: 11, day: 21, hour: 22, minute: 40, second: 0)
        device.memory = [
            ContecOximeterNight(
                start: order.faults.contains("no-clock") ? nil : start, seconds: 600, seed: UInt64(order.number))
        ]
        for fault in order.faults {
            switch fault {
            case "recording": device.recordingReason = 0x03
            case "recording-unsupported": device.recordingReason = 0x05
            case "live-before-storage": device.liveFramesBeforeStorage = 1
            case "stalls": device.stallsAfter = 200
            case "switches-off": device.switchesOffAfter = 200
            case "streaming": device.isStreaming = true
            case "deaf": device.deafFor = 1
            default: break
            }
        }
        return ContecOximeterSimulator(device)
    }
}
