/// How udev recognises a candidate: the words of a profile, without knowing any device.
public struct PortMatch: Sendable, Hashable {
    /// `tty`, `usb`, `hidraw`.
    public var subsystem: String
    /// Lower-case hexadecimal, four digits, as udev writes them; nil: any.
    public var vendorID: String?
    public var productID: String?
    /// Class, subclass and protocol of one of the interfaces, six digits, as in `ID_USB_INTERFACES`: `0f0000`; nil: any.
    public var interface: String?

    public init(subsystem: String, vendorID: String?, productID: String?, interface: String? = nil) {
        self.subsystem = subsystem
        self.vendorID = vendorID
        self.productID = productID
        self.interface = interface
    }

    /// A match that asks for nothing but a subsystem fits nothing.
    public func fits(_ candidate: PortCandidate) -> Bool {
        guard vendorID != nil || productID != nil || interface != nil, subsystem == candidate.subsystem else {
            return false
        }
        return (vendorID ?? candidate.vendorID) == candidate.vendorID
            && (productID ?? candidate.productID) == candidate.productID
            && (interface.map { candidate.interfaces.contains($0) } ?? true)
    }
}

/// A device node named by configuration: a pty, a serial adapter with an id of its own.
public struct ExtraPort: Sendable, Hashable {
    /// Absolute path of the node, or of a symbolic link to it.
    public var path: String
    /// The profile it is for.
    public var profile: String

    public init(path: String, profile: String) {
        self.path = path
        self.profile = profile
    }
}

/// A node that may be a device we know. Only the probe decides.
public struct PortCandidate: Sendable, Hashable {
    /// What names it from arrival to departure: its place in /sys, or the path of the configuration.
    public var syspath: String
    /// What is opened: `/dev/ttyUSB0`.
    public var devnode: String
    public var subsystem: String
    public var vendorID: String?
    public var productID: String?
    /// The serial number in the USB descriptors: of the cable, as a rule, not of the device behind it.
    public var usbSerial: String?
    /// `ID_MODEL`: the product text of the USB descriptors, with `_` for spaces.
    public var usbModel: String?
    /// `ID_PATH`: the socket it is plugged in.
    public var usbPath: String?
    /// The interfaces of a USB device: class, subclass and protocol, six lower-case digits each. Empty for other nodes.
    public var interfaces: [String]
    /// Set when the configuration named it.
    public var profile: String?

    public init(
        syspath: String, devnode: String, subsystem: String, vendorID: String? = nil, productID: String? = nil,
        usbSerial: String? = nil, usbModel: String? = nil, usbPath: String? = nil, interfaces: [String] = [],
        profile: String? = nil
    ) {
        self.syspath = syspath
        self.devnode = devnode
        self.subsystem = subsystem
        self.vendorID = vendorID
        self.productID = productID
        self.usbSerial = usbSerial
        self.usbModel = usbModel
        self.usbPath = usbPath
        self.interfaces = interfaces
        self.profile = profile
    }
}

public enum DeviceEvent: Sendable, Equatable {
    case arrived(PortCandidate)
    /// `PortCandidate.syspath` of one that had arrived.
    case departed(String)
}
