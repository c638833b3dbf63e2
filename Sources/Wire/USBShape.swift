/// Which interface and endpoints of a USB device a driver speaks to; addresses are found in the descriptors, never assumed.
public struct USBShape: Sendable, Hashable {
    public enum Interface: Sendable, Hashable {
        /// bInterfaceClass: 0F personal healthcare.
        case ofClass(UInt8)
        /// Human interface device (class 03), but no boot keyboard or mouse: those are people's own, and are never taken
        /// from them (HID 1.11, sections 4.2 and 4.3: subclass 1, protocols 1 and 2; without subclass 1 the protocol says
        /// nothing).
        case reports

        public func fits(code: UInt8, subclass: UInt8, protocol number: UInt8) -> Bool {
            switch self {
            case .ofClass(let wanted): code == wanted
            case .reports: code == 0x03 && !(subclass == 1 && 1...2 ~= number)
            }
        }
    }

    public enum Endpoints: Sendable, Hashable {
        /// One report per transfer; `send` is padded with zeros to `outputReport` bytes. A HID interface without an
        /// interrupt OUT endpoint gets its reports by SET_REPORT (HID 1.11, section 7.2.2), unless the device is known to
        /// have that endpoint: then an interface without it is another function's.
        case interrupt(outputReport: Int, needsOutput: Bool)
        /// A pair; an interrupt IN endpoint beside it is read as well.
        case bulk
    }

    /// A byte of a class-specific descriptor that stands behind the interface's own.
    public struct ClassByte: Sendable, Hashable {
        /// bDescriptorType.
        public var descriptor: UInt8
        public var offset: Int
        public var value: UInt8

        public init(descriptor: UInt8, offset: Int, value: UInt8) {
            self.descriptor = descriptor
            self.offset = offset
            self.value = value
        }
    }

    public var interface: Interface
    public var endpoints: Endpoints
    /// An interface that says something else there is left alone; one without the descriptor is not.
    public var says: ClassByte?

    public init(interface: Interface, endpoints: Endpoints, says: ClassByte? = nil) {
        self.interface = interface
        self.endpoints = endpoints
        self.says = says
    }

    /// Whether an interface with these class-specific descriptors is meant: bLength, bDescriptorType and the rest, one after
    /// the other, as far as their lengths make sense (phdc.md 2.2).
    public func fits(classDescriptors extra: [UInt8]) -> Bool {
        guard let says else { return true }
        var rest = extra[...]
        while rest.count >= 2, let length = rest.first.map(Int.init), length >= 2, length <= rest.count {
            let descriptor = rest.prefix(length)
            if descriptor[descriptor.startIndex + 1] == says.descriptor {
                return says.offset < length && descriptor[descriptor.startIndex + says.offset] == says.value
            }
            rest = rest.dropFirst(length)
        }
        return true
    }
}
