import Clinical
import Devices
import Store

// Which device is at a port, what the devices of this laptop have said that nobody knew, and values without a waveform.

public struct IdentifyRequest: Codable, Sendable {
    /// A driver's name, or a model of one; nil: forget what was said.
    public var model: String?
    public var by: String?

    public init(model: String?, by: String?) {
        self.model = model
        self.by = by
    }
}

/// A device that was met at some time.
public struct KnownDeviceView: Codable, Sendable, Equatable {
    public var driver: String
    public var vendor: String
    public var model: String
    public var serial: String?
    public var firmware: String?
    public var support: String
    public var simulated: Bool
    /// RFC 3339.
    public var lastSeen: String
    /// Values that its driver had never seen before, each once; English, for support.
    public var surprises: [String]

    init(_ device: KnownDevice) {
        let identity = device.identity
        driver = identity.driver
        vendor = identity.vendor
        model = identity.model
        serial = identity.serial
        firmware = identity.firmware
        support = identity.support.rawValue
        simulated = identity.isSimulated
        lastSeen = rfc3339(unixMilliseconds: device.lastSeen)
        surprises = device.surprises
    }
}

/// One discrete value of a recording.
public struct ReadingView: Codable, Sendable, Equatable {
    /// `systolic`, `weight`, …
    public var kind: String
    public var value: Double
    /// UCUM.
    public var unit: String
    /// By the device's clock; missing when it has none.
    public var at: String?
    public var rawTime: String?
    public var bank: Int?
    /// The same for values that were measured together.
    public var sequence: Int
    public var flags: [String]
    public var code: String?

    init(_ reading: Reading) {
        kind = reading.kind.rawValue
        value = reading.value.value
        unit = reading.unit
        at = reading.at?.description
        rawTime = reading.rawTime
        bank = reading.bank
        sequence = reading.sequence
        flags = reading.flags
        code = reading.code
    }
}

extension Verbs {
    /// Three-step identity, for a port where the second step is a person.
    public func identify(_ device: String, _ request: IdentifyRequest) async throws -> DeviceView {
        try await guarded { try await hub.choose(device, model: request.model, by: who(request.by)) }
    }

    /// Only what the server has confirmed, and only when `confirm` is the device's serial number.
    public func erase(_ device: String, _ request: EraseRequest) async throws -> ErasureView {
        try await guarded {
            try await hub.erase(
                device, confirm: request.confirm, policy: configuration.purgePolicy, by: who(request.by))
        }
    }

    /// The one seen last comes first.
    public func knownDevices() async throws -> [KnownDeviceView] {
        try await guarded { try await store.devices().map(KnownDeviceView.init) }
    }
}
