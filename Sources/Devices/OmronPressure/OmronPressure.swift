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
        models: ["M7 (HEM-7080IT-E)", "M10-IT (HEM-790IT)", "MIT Elite Plus (HEM-7301-ITKE7; single source)"],
        reads: [
            "pressures and pulse with date, time and place in a series, both users",
            "weekly averages, which the device computed",
        ],
        leaves: ["this week's average", "the clock"],
        // Several Omron devices share it, a pedometer too: the version decides (devices.md 2.1).
        matches: [UdevMatch(subsystem: "usb", vendorID: "0590", productID: "0028")],
        // Interrupt IN 81 and OUT 02 (devices.md 5.1).
        transport: .usb(USBShape(interface: .reports, endpoints: .interrupt(outputReport: 8, needsOutput: true))),
        forbidden: [
            ForbiddenBytes([0x4D, 0x43, 0x4C], reason: "MCL clears the monitor's memory")
        ],
        goals: [.download],
        simulation: simulation,
        makeDialogue: { OmronPressureProtocol(goal: $0) },
        makeListener: { OmronPressureListener() }
    )

    private static let simulation = DeviceSimulation(
        variants: ["M10-IT", "MIT-Elite-Plus"],
        faults: [
            .init("deaf", "the first two clearing blocks meet silence"),
            .init("refuses", "every second question is answered NO first"),
            .init("garbles", "every fifth answer has a wrong checksum"), .init("dies", "silent after 6 answers"),
            .init("other-model", "a version that is no blood pressure monitor's"),
        ],
        usb: USBPersona(
            kind: .hid(outputReport: 8, hasOutput: true), vendorID: 0x0590, productID: 0x0028, manufacturer: "OMRON",
            product: "OMRON USB Device", inputPacket: 8)
    ) { order in
        var device = OmronPressureSimulator.Configuration()
        if order.variant == "MIT-Elite-Plus" {
            device.dialect = .elitePlus
            device.version = "M7301IT 100"
        }
        device.serial = order.serial
        device.banks = [measurements(3, systolic: 132), measurements(2, systolic: 117)]
        if let sunday = LocalTime(year: 2026, month: 11, day: 8, hour: 0, minute: 0, second: 0) {
            device.averages = [
                .init(bank: 0, week: 1, sunday: sunday, systolic: 128, diastolic: 81, pulse: 69),
                .init(bank: 1, week: 1, sunday: sunday, systolic: 115, diastolic: 72, pulse: 62),
            ]
        }
        if order.faults.contains("deaf") { device.deafFor = 2 }
        if order.faults.contains("refuses") { device.refusesEvery = 2 }
        if order.faults.contains("garbles") { device.garblesEvery = 5 }
        if order.faults.contains("dies") { device.diesAfter = 6 }
        if order.faults.contains("other-model") { device.version = "HJ-720IT 105" }
        return OmronPressureSimulator(device)
    }

    /// Of one person, newest first.
    private static func measurements(_ count: Int, systolic: Int) -> [OmronPressureSimulator.Measurement] {
        (0..<count).compactMap { index in
            LocalTime(
                year: 2026, month: 11, day: 20 - index, hour: 7 + index, minute: systolic % 60, second: 40
            ).map {
                OmronPressureSimulator.Measurement(
                    time: $0, systolic: UInt8(systolic - 3 * index), diastolic: UInt8(systolic - 48 - index),
                    pulse: UInt8(systolic - 62 + index))
            }
        }
    }
}
