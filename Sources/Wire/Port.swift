/// Why a port can't go on.
public enum PortError: Error, Equatable, Sendable {
    /// The cable was pulled, the device node is gone, or the other end hung up.
    case gone
    /// Somebody else holds the port (ModemManager, brltty, another program).
    case busy
    /// The file permissions don't let us in.
    case denied
    /// A byte sequence on the device's forbidden list was about to be written; nothing was sent.
    case forbidden(String)
    /// More came in than anybody took away. Nothing is dropped silently: the port fails instead.
    case overflow
    /// Any other system error: the call's name and `errno`.
    case system(String, Int32)
}

/// Bytes that came in together.
public struct Arrival: Sendable, Equatable {
    public var bytes: [UInt8]
    /// Host's monotonic clock (CLOCK_MONOTONIC) when `read` returned, in nanoseconds.
    public var at: UInt64
    /// The USB endpoint that they came from; nil on a line that has only one way in.
    public var endpoint: UInt8?

    public init(bytes: [UInt8], at: UInt64, endpoint: UInt8? = nil) {
        self.bytes = bytes
        self.at = at
        self.endpoint = endpoint
    }
}

/// A byte pipe to one device, opened exclusively. Real cables, simulators and replays all conform; a driver never knows which.
public protocol Port: Sendable {
    /// What the device sends, in order. One consumer. Ends when we close; throws a `PortError` when the cable fails.
    var incoming: AsyncThrowingStream<Arrival, any Error> { get }
    /// Returns when the bytes have been handed to the kernel.
    func write(_ bytes: [UInt8]) async throws(PortError)
    /// A USB control transfer on the device's default endpoint; returns the data of an IN transfer.
    func control(_ request: ControlRequest) async throws(PortError) -> [UInt8]
    /// Lets the device begin anew as if it had been plugged in again: configuration 0, then the one it had. Bytes that were
    /// on their way are lost. Throws `.busy` when another function of the device is in use, and `.system("renew", …)` where
    /// the line can't do it: then the port goes on as it was. Any other error is the port's end.
    func renew() async throws(PortError)
    /// Idempotent; `incoming` ends.
    func close() async
}

extension Port {
    /// A serial line has no control endpoint: EOPNOTSUPP.
    public func control(_ request: ControlRequest) async throws(PortError) -> [UInt8] { throw .system("control", 95) }

    /// A serial line has no configurations: EOPNOTSUPP.
    public func renew() async throws(PortError) { throw .system("renew", 95) }
}

/// A USB control transfer (USB 2.0, section 9.3).
public struct ControlRequest: Sendable, Equatable {
    /// bmRequestType; bit 7 set = device to host.
    public var type: UInt8
    public var request: UInt8
    public var value: UInt16
    /// The low byte of a request to an interface is that interface's number (USB 2.0, section 9.3.4): the port that has
    /// claimed one puts its number there, since only the descriptors know it.
    public var index: UInt16
    /// Host to device.
    public var data: [UInt8]
    /// Most bytes wanted from the device.
    public var length: Int

    public init(type: UInt8, request: UInt8, value: UInt16, index: UInt16, data: [UInt8] = [], length: Int = 0) {
        self.type = type
        self.request = request
        self.value = value
        self.index = index
        self.data = data
        self.length = length
    }

    /// As the interface with this number gets it; nothing changes in a request to the device or to an endpoint.
    public func addressed(to interface: UInt8) -> ControlRequest {
        // bmRequestType, bits 0 to 4: the recipient; 1 is an interface.
        guard type & 0x1F == 0x01 else { return self }
        var request = self
        request.index = index & 0xFF00 | UInt16(interface)
        return request
    }
}

/// How a serial line is set up (devices.md 2.3: raw, no flow control, DTR and RTS asserted).
public struct SerialLine: Sendable, Equatable, Hashable {
    public enum Parity: String, Sendable { case none, odd, even }

    /// Bits per second; one of the kernel's standard speeds.
    public var speed: Int
    public var parity: Parity

    public init(speed: Int, parity: Parity = .none) {
        self.speed = speed
        self.parity = parity
    }
}
