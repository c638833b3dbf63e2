/// How udev recognises a candidate: the words of a profile, without knowing any device.
public struct PortMatch: Sendable, Hashable {
    /// `tty`, `usb`, `hidraw`.
    public var subsystem: String
    /// Lower-case hexadecimal, four digits, as udev writes them.
    public var vendorID: String
    public var productID: String

    public init(subsystem: String, vendorID: String, productID: String) {
        self.subsystem = subsystem
        self.vendorID = vendorID
        self.productID = productID
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
    /// Set when the configuration named it.
    public var profile: String?

    public init(
        syspath: String, devnode: String, subsystem: String, vendorID: String? = nil, productID: String? = nil,
        usbSerial: String? = nil, usbModel: String? = nil, usbPath: String? = nil, profile: String? = nil
    ) {
        self.syspath = syspath
        self.devnode = devnode
        self.subsystem = subsystem
        self.vendorID = vendorID
        self.productID = productID
        self.usbSerial = usbSerial
        self.usbModel = usbModel
        self.usbPath = usbPath
        self.profile = profile
    }
}

public enum DeviceEvent: Sendable, Equatable {
    case arrived(PortCandidate)
    /// `PortCandidate.syspath` of one that had arrived.
    case departed(String)
}
