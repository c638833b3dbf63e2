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
        // The factory id of every CP210x bridge: a candidate, nothing more (devices.md 2.1).
        matches: [UdevMatch(subsystem: "tty", vendorID: "10c4", productID: "ea60")],
        transport: .serial(SerialLine(speed: 115_200)),
        forbidden: [
            // The high byte may be anything, and the short form of the command has the same beginning.
            ForbiddenBytes([0x7D, nil, 0xAE], reason: "erases the oximeter's memory")
        ],
        goals: [.live, .download],
        makeDialogue: { ContecOximeterProtocol(goal: $0) },
        makeListener: { ContecOximeterListener() }
    )
}
