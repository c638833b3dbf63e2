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
        // bPHDCDataCode 2 in the class function descriptor: 20601; 1 is a vendor's own (phdc.md 2.3).
        transport: .usb(
            USBShape(
                interface: .ofClass(0x0F), endpoints: .bulk,
                says: USBShape.ClassByte(descriptor: 0x20, offset: 2, value: 2))),
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
        faults: PhdcSimulator.Fault.allCases.map { .init($0.rawValue, $0.explanation) } + [
            .init(twelveLeads, "as fast as they get: an ECG of twelve leads at 1,000 Hz, all by the bulk endpoint")
        ],
        usb: persona(specialisations: []),
        variantUSB: { persona(specialisations: [device($0).specialisation]) }
    ) { order in
        var device = device(order)
        device.serial = order.serial
        device.systemID[7] = UInt8(truncatingIfNeeded: order.number)
        device.faults = Set(order.faults.compactMap(PhdcSimulator.Fault.init(rawValue:)))
        return PhdcSimulator(device)
    }

    private static let twelveLeads = "twelve-leads"

    private static func device(_ order: DeviceSimulation.Order) -> PhdcSimulator.Configuration {
        let start = LocalTime(year: 2026, month: 11, day: 22, hour: 23, minute: 5, second: 9)
        let kind = order.variant ?? PhdcSimulator.Configuration.names[0]
        guard let start, let device = PhdcSimulator.Configuration.named(kind, at: start) else {
            preconditionFailure("`make` lets known variants pass only")
        }
        if kind == "ecg", order.faults.contains(twelveLeads) {
            // I, II, III, aVR, aVL, aVF, V1 to V6.
            let leads: [UInt16] = [1, 2, 61, 62, 63, 64, 3, 4, 5, 6, 7, 8]
            return PhdcSimulator.Configuration.ecg(at: start, stored: false, leads: leads, period: 8, count: 40)
        }
        return device
    }

    private static func persona(specialisations: [UInt16]) -> USBPersona {
        USBPersona(
            kind: .personalHealthcare(specialisations: specialisations), vendorID: 0x1209, productID: 0x2061,
            manufacturer: "Simulated", product: "Personal health device", besides: 0x83, inputPacket: 64)
    }

    /// A PRST with action 0C0C, to whatever object, with whatever selection (phdc.md 14, E11).
    private static func clear(confirmed: Bool) -> ForbiddenBytes {
        ForbiddenBytes(
            [0xE7, 0x00, nil, nil, nil, nil, nil, nil, 0x01, confirmed ? 0x07 : 0x06, nil, nil, nil, nil, 0x0C, 0x0C],
            reason: "erases stored segments")
    }
}
