/// How well the support for a device is founded; stored with each recording and shown.
public enum SupportLevel: String, Sendable, Codable, CaseIterable {
    case verified
    case singleSource
    case experimental
}

/// One physical device, as it describes itself.
public struct DeviceIdentity: Hashable, Sendable, Codable {
    /// The registry's name of the driver or importer: `contec-oximeter`.
    public var driver: String
    public var vendor: String
    public var model: String
    /// What tells two devices of a model apart; nil when the device doesn't say.
    public var serial: String?
    public var firmware: String?
    public var support: SupportLevel

    public init(
        driver: String, vendor: String, model: String, serial: String?, firmware: String? = nil, support: SupportLevel
    ) {
        self.driver = driver
        self.vendor = vendor
        self.model = model
        self.serial = serial
        self.firmware = firmware
        self.support = support
    }

    /// Every simulator's serial begins with SIM; what comes from one can never pass for real.
    public var isSimulated: Bool { serial?.hasPrefix("SIM") ?? false }
}
