/// Which interface and endpoints of a USB device a driver speaks to; addresses are found in the descriptors, never assumed.
public struct USBShape: Sendable, Hashable {
    public enum Interface: Sendable, Hashable {
        case number(UInt8)
        /// bInterfaceClass: 03 HID, 0F personal healthcare.
        case ofClass(UInt8)
    }

    public enum Endpoints: Sendable, Hashable {
        /// One report per transfer; `send` is padded with zeros to `outputReport` bytes. A HID interface without an
        /// interrupt OUT endpoint gets its reports by SET_REPORT (HID 1.11, section 7.2.2).
        case interrupt(outputReport: Int)
        case bulk
    }

    public var interface: Interface
    public var endpoints: Endpoints

    public init(interface: Interface, endpoints: Endpoints) {
        self.interface = interface
        self.endpoints = endpoints
    }
}
