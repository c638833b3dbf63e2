/// How a registered device is played: by `ess-sim`, and by every suite that runs over the registry. Built on the driver's own
/// codec, in the driver's folder.
public struct DeviceSimulation: Sendable {
    /// What is wanted of the device.
    public struct Order: Sendable {
        /// One of `variants`; nil: the first.
        public var variant: String?
        /// Of `faults`, by name.
        public var faults: Set<String>
        /// Tells two of one model apart, where the protocol has a serial number: `1` becomes `SIM0001`.
        public var number: Int

        public init(variant: String? = nil, faults: Set<String> = [], number: Int = 1) {
            self.variant = variant
            self.faults = faults
            self.number = number
        }

        /// Seven characters, as most devices have them.
        public var serial: String {
            let digits = String(number % 10_000)
            return "SIM" + String(repeating: "0", count: 4 - digits.count) + digits
        }
    }

    public struct Fault: Sendable, Hashable {
        public var name: String
        public var explanation: String

        public init(_ name: String, _ explanation: String) {
            self.name = name
            self.explanation = explanation
        }
    }

    /// Models or specialisations; never empty.
    public var variants: [String]
    /// What only this device does wrong; `LineFault` comes on top.
    public var faults: [Fault]
    /// As which USB device it appears: by itself, or behind a serial bridge.
    public var usb: USBPersona
    private let variantUSB: (@Sendable (Order) -> USBPersona)?
    private let build: @Sendable (Order) -> any DeviceSimulator

    /// - Parameter variantUSB: where the descriptors depend on the variant.
    public init(
        variants: [String], faults: [Fault], usb: USBPersona, variantUSB: (@Sendable (Order) -> USBPersona)? = nil,
        make build: @escaping @Sendable (Order) -> any DeviceSimulator
    ) {
        precondition(!variants.isEmpty, "a device has at least one variant")
        self.variants = variants
        self.faults = faults
        self.usb = usb
        self.variantUSB = variantUSB
        self.build = build
    }

    /// As which USB device an ordered one appears. For a variant that `make` knows.
    public func persona(_ order: Order) -> USBPersona {
        guard order.variant.map(variants.contains) ?? true else { return usb }
        return variantUSB?(order) ?? usb
    }

    /// A device, with something in its memory where it has one. Nil for a variant or a fault that it doesn't know.
    public func make(_ order: Order = Order()) -> (any DeviceSimulator)? {
        var order = order
        let line = order.faults.compactMap(LineFault.init(rawValue:))
        order.faults.subtract(line.map(\.rawValue))
        guard order.variant.map(variants.contains) ?? true, order.faults.isSubset(of: faults.map(\.name)) else {
            return nil
        }
        let device = build(order)
        guard !line.isEmpty else { return device }
        return FaultyDevice(
            device, faults: Set(line), report: usb.isReports ? usb.inputPacket : nil, seed: UInt64(order.number))
    }

    public var allFaults: [Fault] { faults + LineFault.allCases.map { Fault($0.rawValue, $0.explanation) } }
}
