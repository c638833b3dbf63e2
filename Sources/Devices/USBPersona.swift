/// A simulated device's USB side: descriptors as a host reads them (USB 2.0, chapter 9; HID 1.11, section 6.2; phdc.md 2).
public struct USBPersona: Sendable, Equatable {
    public enum Kind: Sendable, Equatable {
        /// Reports of so many bytes; without an OUT endpoint they come by SET_REPORT.
        case hid(outputReport: Int, hasOutput: Bool)
        /// Codes of 11073 device specialisations, for the function extension descriptor.
        case personalHealthcare(specialisations: [UInt16])
        /// A CP2102 with the device behind its serial side.
        case serialBridge
    }

    public var kind: Kind
    public var vendorID: UInt16
    public var productID: UInt16
    public var manufacturer: String
    public var product: String
    /// Endpoint addresses as the real device has them.
    public var input: UInt8
    public var output: UInt8
    /// An interrupt IN endpoint beside a bulk pair.
    public var besides: UInt8?
    /// wMaxPacketSize of the IN endpoint; the size of an input report on HID.
    public var inputPacket: Int

    public init(
        kind: Kind, vendorID: UInt16, productID: UInt16, manufacturer: String, product: String, input: UInt8 = 0x81,
        output: UInt8 = 0x02, besides: UInt8? = nil, inputPacket: Int
    ) {
        self.kind = kind
        self.vendorID = vendorID
        self.productID = productID
        self.manufacturer = manufacturer
        self.product = product
        self.input = input
        self.output = output
        self.besides = besides
        self.inputPacket = inputPacket
    }

    /// The factory identity of every CP210x cable (devices.md 2.1).
    public static let serialBridge = USBPersona(
        kind: .serialBridge, vendorID: 0x10C4, productID: 0xEA60, manufacturer: "Silicon Labs",
        product: "CP2102 USB to UART Bridge Controller", input: 0x82, output: 0x01, inputPacket: 64)

    /// One report per transfer.
    public var isReports: Bool { if case .hid = kind { true } else { false } }

    /// Class, subclass and protocol of the one interface.
    public var interface: [UInt8] {
        switch kind {
        case .hid: [0x03, 0, 0]
        case .personalHealthcare: [0x0F, 0, 0]
        case .serialBridge: [0xFF, 0, 0]
        }
    }

    public var deviceDescriptor: [UInt8] {
        // USB 2.0, classes by interface, 64 bytes on endpoint 0, version 1.00, strings 1 to 3, one configuration.
        [18, 1, 0x00, 0x02, 0, 0, 0, 64] + Self.little(vendorID) + Self.little(productID) + [0x00, 0x01, 1, 2, 3, 1]
    }

    public var configurationDescriptor: [UInt8] {
        let endpoints = self.endpoints
        let body = [9, 4, 0, 0, UInt8(endpoints.count)] + interface + [0] + functional + endpoints.flatMap { $0 }
        return [9, 2] + Self.little(UInt16(9 + body.count)) + [1, 1, 0, 0x80, 50] + body
    }

    /// Vendor-defined reports without an id: input, output and a feature report of two bytes.
    public var reportDescriptor: [UInt8] {
        guard case .hid(let outputReport, _) = kind else { return [] }
        return [
            0x06, 0x00, 0xFF, 0x09, 0x01, 0xA1, 0x01, 0x15, 0x00, 0x26, 0xFF, 0x00, 0x75, 0x08,
            0x95, UInt8(inputPacket), 0x09, 0x01, 0x81, 0x02,
            0x95, UInt8(outputReport), 0x09, 0x01, 0x91, 0x02,
            0x95, 0x02, 0x09, 0x01, 0xB1, 0x02, 0xC0,
        ]
    }

    /// By index; 0 is the language. The serial number is string 3.
    public func string(_ index: UInt8, serial: String) -> [UInt8]? {
        let text: [UInt8]
        switch index {
        case 0: text = [0x09, 0x04]
        case 1: text = manufacturer.utf16.flatMap(Self.little)
        case 2: text = product.utf16.flatMap(Self.little)
        case 3: text = serial.utf16.flatMap(Self.little)
        default: return nil
        }
        return [UInt8(2 + text.count), 3] + text
    }

    private var endpoints: [[UInt8]] {
        func endpoint(_ address: UInt8, _ type: UInt8, _ packet: Int, _ interval: UInt8) -> [UInt8] {
            [7, 5, address, type] + Self.little(UInt16(packet)) + [interval]
        }
        switch kind {
        case .hid(let report, let hasOutput):
            return [endpoint(input, 3, inputPacket, 1)] + (hasOutput ? [endpoint(output, 3, report, 1)] : [])
        case .personalHealthcare:
            // Each with its quality of service: medium latency and best reliability; low and good (phdc.md 2.5).
            let best: [UInt8] = [4, 0x21, 1, 0x08]
            let good: [UInt8] = [4, 0x21, 1, 0x01]
            let pair = [endpoint(input, 2, inputPacket, 0) + best, endpoint(output, 2, inputPacket, 0) + best]
            return pair + (besides.map { [endpoint($0, 3, inputPacket, 10) + good] } ?? [])
        case .serialBridge: return [endpoint(input, 2, inputPacket, 0), endpoint(output, 2, inputPacket, 0)]
        }
    }

    private var functional: [UInt8] {
        switch kind {
        case .hid: [9, 0x21, 0x11, 0x01, 0, 1, 0x22] + Self.little(UInt16(reportDescriptor.count))
        // ISO/IEEE 11073-20601 data, no metadata preamble; the specialisations (phdc.md 2.3, 2.4).
        case .personalHealthcare(let codes):
            [4, 0x20, 2, 0, UInt8(4 + 2 * codes.count), 0x30, 0, UInt8(codes.count)] + codes.flatMap(Self.little)
        case .serialBridge: []
        }
    }

    private static func little(_ value: UInt16) -> [UInt8] { [UInt8(truncatingIfNeeded: value), UInt8(value >> 8)] }
}
