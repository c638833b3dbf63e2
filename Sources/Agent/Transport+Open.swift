public import Devices
import Ports
public import Wire

extension Transport {
    /// Opens the kernel's node in the way that a driver speaks.
    public func open(_ node: String) async throws(PortError) -> any Port {
        switch self {
        case .serial(let line): try await TTYPort.open(node, line: line)
        case .usb(let shape): try await USBPort.open(node, shape: shape)
        }
    }
}
