import Clinical
import Wire

/// The Omron upper-arm monitors M7 and M10-IT (HEM-7080IT-E, HEM-790IT), and their dialect MIT Elite Plus
/// (HEM-7301-ITKE7) (devices.md 5.1 to 5.6).
public enum OmronPressure {
    static let name = "omron-pressure"

    public static let profile = DialogueProfile(
        name: name,
        title: "Omron M7, M10-IT, MIT Elite Plus blood pressure monitor",
        support: .verified,
        // Several Omron devices share it, a pedometer too: the version decides (devices.md 2.1).
        matches: [UdevMatch(subsystem: "usb", vendorID: "0590", productID: "0028")],
        transport: .usb(USBShape(interface: .number(0), endpoints: .interrupt(outputReport: 8))),
        forbidden: [
            ForbiddenBytes([0x4D, 0x43, 0x4C], reason: "MCL clears the monitor's memory")
        ],
        goals: [.download],
        makeDialogue: { OmronPressureProtocol(goal: $0) },
        makeListener: { OmronPressureListener() }
    )
}
