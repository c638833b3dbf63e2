import Agent
import HTTPTypes
import Hummingbird

/// What every request at the page's port must satisfy before anything else looks at it (anchors.md 7.2): a browser can be
/// made to send requests here by any web page, also under another name (DNS rebinding).
struct PageGuard: Sendable {
    let port: Int

    /// - Returns: true when the request may come from our own page, or from the address bar.
    func admits(_ request: HTTPRequest) -> Bool {
        // Whole strings: `127.evil.example` begins with `127.` too.
        guard let host = request.authority, host == "127.0.0.1:\(port)" || host == "localhost:\(port)" else {
            return false
        }
        // A rebound page has an Origin that fits its Host: both are checked. `null` is nobody's.
        for origin in request.headerFields[values: .origin] where origin != "http://\(host)" { return false }
        switch request.headerFields[.secFetchSite] {
        case nil, "same-origin", "none": return true
        default:
            // `ess-agent open` leads here from a private file. The entrance knows and tells nothing.
            return request.method == .get && request.path == Self.entrance
                && request.headerFields[.secFetchMode] == "navigate"
                && request.headerFields[.secFetchDestination] == "document"
        }
    }

    static let entrance = "/entrer"

    /// Said with every answer: only our own files run, nobody frames us, nothing is kept or told to others.
    static let headers: [(HTTPField.Name, String)] = [
        (
            .contentSecurityPolicy,
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
                + "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
        (.xContentTypeOptions, "nosniff"), (.referrerPolicy, "no-referrer"), (.cacheControl, "no-store"),
        (.xFrameOptions, "DENY"), (.openerPolicy, "same-origin"), (.resourcePolicy, "same-origin"),
        (.permissionsPolicy, "camera=(), microphone=(), geolocation=(), usb=(), serial=(), hid=(), bluetooth=()"),
    ]
}

extension HTTPField.Name {
    static let page = Self("X-ESS-Page") ?? .from
    static let secFetchSite = Self("Sec-Fetch-Site") ?? .from
    static let secFetchMode = Self("Sec-Fetch-Mode") ?? .from
    static let secFetchDestination = Self("Sec-Fetch-Dest") ?? .from
    static let referrerPolicy = Self("Referrer-Policy") ?? .from
    static let xFrameOptions = Self("X-Frame-Options") ?? .from
    static let openerPolicy = Self("Cross-Origin-Opener-Policy") ?? .from
    static let resourcePolicy = Self("Cross-Origin-Resource-Policy") ?? .from
    static let permissionsPolicy = Self("Permissions-Policy") ?? .from
}

/// Runs the guard before the router sees anything, and adds the headers to whatever comes out.
struct GuardedResponder<Inner: HTTPResponder>: HTTPResponder where Inner.Context == PageContext {
    let guardian: PageGuard
    let inner: Inner

    func respond(to request: Request, context: PageContext) async throws -> Response {
        var response: Response
        if guardian.admits(request.head) {
            response = try await inner.respond(to: request, context: context)
        } else {
            response = try .json(Problem.pageRefused, status: .forbidden)
        }
        for (name, value) in PageGuard.headers { response.headers[name] = value }
        return response
    }
}
