import Dispatch
import Glibc
public import Wire

/// One interface of a USB device, through libusb: HID monitors (interrupt endpoints), personal healthcare devices (bulk).
///
/// The kernel's driver is detached while the port is open. Every IN transfer is one arrival; several are in flight at any
/// time. Bytes that nobody takes away are kept up to a bound, then `incoming` delivers what there is and throws `.overflow`.
/// When the cable is pulled it delivers what had come in and throws `.gone`. A halted endpoint is cleared, and the stream
/// goes on. Cancelling the task that reads `incoming` ends the stream for good, not the port.
public final class USBPort: Port {
    /// Bytes.
    public static let defaultBound = 4 << 20
    /// IN transfers in flight.
    public static let defaultDepth = 6

    public let incoming: AsyncThrowingStream<Arrival, any Error>
    private let line: USBLine
    private let opened: OpenUSB
    private let reportSize: Int?

    private static let openings = DispatchQueue(label: "ports.usb.open", attributes: .concurrent)

    private init(_ opened: OpenUSB, shape: USBShape, bound: Int, depth: Int) {
        let inbox = Inbox(bound: bound)
        incoming = inbox.stream()
        self.opened = opened
        reportSize = if case .interrupt(let size, _) = shape.endpoints { size } else { nil }
        line = USBLine(opened, inbox: inbox)
        line.start(transfers: depth)
    }

    deinit { line.end() }

    /// `node`: `/dev/bus/usb/001/005`.
    ///
    /// `.busy`: another program has the interface. `.denied`: permissions. `.gone`: no such node or device.
    /// `.system("interface", ENXIO)`: the device has no interface of this shape; nothing was detached.
    public static func open(
        _ node: String, shape: USBShape, bound: Int = USBPort.defaultBound, depth: Int = USBPort.defaultDepth
    ) async throws(PortError) -> USBPort {
        let result: Result<OpenUSB, PortError> = await withCheckedContinuation { continuation in
            openings.async {
                do throws(PortError) {
                    continuation.resume(returning: .success(try OpenUSB(node, shape: shape)))
                } catch {
                    continuation.resume(returning: .failure(error))
                }
            }
        }
        return USBPort(try result.get(), shape: shape, bound: bound, depth: depth)
    }

    /// One report, filled up with zeros, or one bulk transfer. Throws `.system("write", EMSGSIZE)` for more than a report
    /// holds, `.system("write", ETIMEDOUT)` after two seconds, `.system("write", EPIPE)` when the endpoint stalled (it has
    /// been cleared), `.system("write", ECANCELED)` when the task was cancelled: part may have been sent.
    public func write(_ bytes: [UInt8]) async throws(PortError) {
        var bytes = bytes
        if let reportSize {
            guard bytes.count <= reportSize else { throw .system("write", EMSGSIZE) }
            bytes += Array(repeating: 0, count: reportSize - bytes.count)
        }
        if let output = opened.output { return try await line.write(bytes, to: output) }
        // SET_REPORT of output report 0 (HID 1.11, section 7.2.2).
        _ = try await control(ControlRequest(type: 0x21, request: 0x09, value: 0x0200, index: 0, data: bytes))
    }

    /// A request to the interface goes to the one that this port has. Throws `.system("control", EPIPE)` when the device
    /// refuses the request, and the others of `write`.
    public func control(_ request: ControlRequest) async throws(PortError) -> [UInt8] {
        try await line.control(request.addressed(to: opened.interface))
    }

    /// Throws `.gone` also when a transfer is under way that ends so.
    public func renew() async throws(PortError) { try await line.renew() }

    /// Returns when the interface has been given back to the kernel's driver and the node is closed.
    public func close() async { await line.close() }
}
