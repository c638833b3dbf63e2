import FHIR

/// Why something did not get through, classed by what can be done about it (sync.md 4.4). Texts never hold an identity's value
/// of ours; a server's own words are kept as it said them, for the quarantine, and belong in no log.
public enum UplinkError: Error, Equatable, Sendable {
    /// No way through: no network, no name, refused, cut, silent for too long. Says nothing about the item that was sent.
    case link(String)
    /// The server asks to come back (408, 423, 425, 429, 5xx), or sends us about its own house (3xx). `retryAfter` is at most an hour.
    case transient(status: Int, retryAfter: Duration?)
    /// The other end isn't who it should be, or its certificate isn't valid; the text is the TLS library's.
    case tls(String)
    /// The other end refused *our* certificate, or wants one.
    case certificateRefused(String)
    /// Something in between answers: a redirect to another host, HTML where the server speaks JSON, plain HTTP where TLS is.
    case captivePortal(String)
    /// 401
    case unauthorised
    /// 403
    case forbidden(String)
    /// 409 or 412: read the server's state, then reconcile.
    case conflict(status: Int, String)
    /// No for this item, as long as it stays as it is; counts only when said twice, ten minutes apart.
    case permanent(status: Int, String)
    /// 507
    case serverFull(retryAfter: Duration?)
    /// 426, or the server wants a newer agent or another contract.
    case version(String)
    /// An answer that can't be understood, or that is too big.
    case malformed(String)
    /// Ours: URL, certificate file, key file.
    case configuration(String)
    /// Something on this side failed: a file, or one of the caller's closures.
    case local(String)
    case cancelled
}

extension UplinkError {
    /// - Parameter origin: where the request went; a redirect elsewhere is somebody in between.
    /// - Returns: nil for 2xx.
    init?(_ response: HTTPResponse, from origin: Origin) {
        switch response.status {
        case 200...299: return nil
        case 300...399:
            let target = response.headers["Location"]
            if let target, origin.resolve(target, against: origin.root) != nil {
                // How the server is set up, for now; it says nothing of what was sent.
                self = .transient(status: response.status, retryAfter: nil)
            } else {
                self = .captivePortal("\(response.status) to another host")
            }
        case 401: self = .unauthorised
        case 403: self = .forbidden(response.explanation)
        case 407, 511: self = .captivePortal("the network asks for a login (\(response.status))")
        // nginx lets the handshake pass and answers every request so; as 400 unless it was told otherwise.
        case 495, 496: self = .certificateRefused("\(response.status)")
        case 400 where response.isCertificateRefusal: self = .certificateRefused("400, by a page")
        case 409, 412: self = .conflict(status: response.status, response.explanation)
        case 426: self = .version(response.explanation)
        case 507: self = .serverFull(retryAfter: response.retryAfter)
        case 408, 423, 425, 429: self = .transient(status: response.status, retryAfter: response.retryAfter)
        case 501, 505: self = .permanent(status: response.status, response.explanation)
        case 500...599: self = .transient(status: response.status, retryAfter: response.retryAfter)
        default: self = .permanent(status: response.status, response.explanation)
        }
    }
}

extension HTTPResponse {
    /// `Retry-After` as seconds or as a date (measured against the server's own `Date`), capped at an hour.
    public var retryAfter: Duration? {
        guard let text = headers["Retry-After"] else { return nil }
        let cap = 3600
        if !text.isEmpty, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) {
            return .seconds(min(Int(text) ?? cap, cap))
        }
        guard let then = Instant(httpDate: text), let now = headers["Date"].flatMap({ Instant(httpDate: $0) })
        else { return nil }
        return .milliseconds(min(max(0, then.milliseconds - now.milliseconds), Int64(cap) * 1000))
    }

    /// What the server said about a refusal: the OperationOutcome, else the beginning of a plain text.
    var explanation: String {
        if isJSON, let outcome = try? FHIRCodec.decode(OperationOutcome.self, from: body) {
            return String(outcome.summary.prefix(2000))
        }
        return isHTML ? "" : String(String(decoding: body.prefix(2000), as: UTF8.self).prefix(500))
    }

    /// The page that nginx shows instead of 495 and 496 (ngx_http_special_response.c).
    fileprivate var isCertificateRefusal: Bool {
        guard isHTML else { return false }
        let page = String(decoding: body.prefix(2000), as: UTF8.self)
        return ["The SSL certificate error", "No required SSL certificate was sent"].contains { page.contains($0) }
    }

    var isJSON: Bool {
        let type = mediaType
        return type == "application/json" || type.hasSuffix("+json")
    }

    var isHTML: Bool { mediaType == "text/html" || mediaType == "application/xhtml+xml" }

    /// Lower case, without parameters; empty when the answer has none.
    private var mediaType: String {
        let type = headers["Content-Type"]?.split(separator: ";").first ?? ""
        return type.filter { $0 != " " }.lowercased()
    }
}
