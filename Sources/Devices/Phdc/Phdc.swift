import Clinical
import Wire

/// Devices of the USB Personal Healthcare class that speak ISO/IEEE 11073-20601: oximeters, blood pressure monitors,
/// thermometers, scales, glucose meters, basic ECGs, therapy equipment (phdc.md). Recognised by their interface class,
/// whatever their ids are.
public enum Phdc {
    static let name = "phdc"
    /// Published examples and an independent implementation agree; no device of ours was there to ask.
    static let support = SupportLevel.singleSource
    /// Ours, as EUI-64: locally administered ("ESS", "AGT").
    static let systemID: [UInt8] = [0x02, 0x45, 0x53, 0xFF, 0xFE, 0x41, 0x47, 0x54]

    public static let profile = DialogueProfile(
        name: name,
        title: "Personal health device (ISO/IEEE 11073-20601 over USB)",
        support: support,
        matches: [UdevMatch(interface: "0f0000")],
        transport: .usb(USBShape(interface: .ofClass(0x0F), endpoints: .bulk)),
        forbidden: [
            clear(confirmed: true), clear(confirmed: false),
        ],
        goals: [.live, .download],
        makeDialogue: { PhdcProtocol(goal: $0) },
        makeListener: { PhdcListener() }
    )

    /// A PRST with action 0C0C, to whatever object, with whatever selection (phdc.md 14, E11).
    private static func clear(confirmed: Bool) -> ForbiddenBytes {
        ForbiddenBytes(
            [0xE7, 0x00, nil, nil, nil, nil, nil, nil, 0x01, confirmed ? 0x07 : 0x06, nil, nil, nil, nil, 0x0C, 0x0C],
            reason: "erases stored segments")
    }
}
