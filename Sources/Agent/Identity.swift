import Clinical
import FoundationEssentials
import Store

/// Names under which the same thing is the same resource on the server, over crashes and reinstalls (PRODUCT.md, rule 5).
enum Identity {
    /// Chosen once for this agent; a namespace of RFC 9562 section 5.5.
    private static let namespace = UUID(uuidString: "6d0a5f0e-7f0f-4b63-9a55-0d7c6b2f9e11")

    static func of(_ kind: String, _ name: String) -> UUID {
        guard let namespace else { preconditionFailure("the namespace above is a UUID") }
        return DocumentHasher.uuid5(namespace: namespace, name: "\(kind)/\(name)")
    }

    static func of(_ device: DeviceIdentity) -> UUID {
        of("device", "\(device.driver)/\(device.vendor)/\(device.model)/\(device.serial ?? "-")")
    }
}
