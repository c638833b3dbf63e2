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
        models: ["pulse oximeters", "blood pressure monitors", "thermometers", "scales", "glucose meters", "ECGs"],
        reads: ["measurements with their time and person", "waveforms live", "stored segments"],
        leaves: ["setting the clock", "clearing segments"],
        matches: [UdevMatch(interface: "0f0000")],
        transport: .usb(USBShape(interface: .ofClass(0x0F), endpoints: .bulk)),
        forbidden: [
            clear(confirmed: true), clear(confirmed: false),
        ],
        goals: [.live, .download],
        simulation: simulation,
        makeDialogue: { PhdcProtocol(goal: $0) },
        makeListener: { PhdcListener() }
    )

    private static let simulation = DeviceSimulation(
        variants: PhdcSimulator.Configuration.names,
        faults: PhdcSimulator.Fault.allCases.map { .init($0.rawValue, $0.explanation) },
        usb: USBPersona(
            kind: .personalHealthcare, vendorID: 0x1209, productID: 0x2061, manufacturer: "Simulated",
            product: "Personal health device", inputPacket: 64)
    ) { order in
        let start = LocalTime(year: 2026, month: 11, day: 22, hour: 23, minute: 5, second: 9)
        let kind = order.variant ?? PhdcSimulator.Configuration.names[0]
        guard let start, var device = PhdcSimulator.Configuration.named(kind, at: start) else {
            preconditionFailure("`make` lets known variants pass only")
        }
        device.serial = order.serial
        device.systemID[7] = UInt8(truncatingIfNeeded: order.number)
        device.faults = Set(order.faults.compactMap(PhdcSimulator.Fault.init(rawValue:)))
        return PhdcSimulator(device)
    }

    /// A PRST with action 0C0C, to whatever object, with whatever selection (phdc.md 14, E11).
    private static func clear(confirmed: Bool) -> ForbiddenBytes {
        ForbiddenBytes(
            [0xE7, 0x00, nil, nil, nil, nil, nil, nil, 0x01, confirmed ? 0x07 : 0x06, nil, nil, nil, nil, 0x0C, 0x0C],
            reason: "erases stored segments")
    }
}
