import Store
import Uplink

/// What the agent reads out of a failure of sending.
extension UplinkError {
    /// Of the answer that it was, if it was one.
    var status: Int? {
        switch self {
        case .permanent(let status, _), .conflict(let status, _), .transient(let status, _): status
        case .unauthorised: 401
        case .forbidden: 403
        case .serverFull: 507
        default: nil
        }
    }

    /// What the server said of its refusal; empty when it said nothing.
    var words: String {
        switch self {
        case .permanent(_, let text), .conflict(_, let text), .forbidden(let text): text
        default: ""
        }
    }

    /// Seconds that the server asked to wait.
    var retryAfter: Double? {
        switch self {
        case .transient(_, let after), .serverFull(let after):
            after.map { Double($0.components.seconds) + Double($0.components.attoseconds) * 1e-18 }
        default: nil
        }
    }

    /// A certificate that was, or will be, valid; OpenSSL's words.
    var isAboutDates: Bool {
        guard case .tls(let text) = self else { return false }
        return text.contains("has expired") || text.contains("not yet valid")
    }

    /// Without the server's own words.
    var kind: String {
        switch self {
        case .link(let text), .tls(let text), .configuration(let text), .malformed(let text): text
        case .transient(let status, _), .conflict(let status, _), .permanent(let status, _): "status \(status)"
        case .local(let text) where text == "\(StoreError.diskFull)" || text == "\(StoreError.readOnly)": text
        default: String("\(self)".prefix { $0 != "(" })
        }
    }
}
