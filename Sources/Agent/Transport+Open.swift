public import Devices
import Ports
public import Wire

extension Transport {
    /// Opens the kernel's node in the way that a driver speaks.
    /// - Throws: `.system("transport", EPROTONOSUPPORT)` for a transport that this build has no port for.
    public func open(_ node: String) async throws(PortError) -> any Port {
        switch self {
        case .serial(let line): try await TTYPort.open(node, line: line)
        case .usb: throw .system("transport", 93)
        }
    }
}
