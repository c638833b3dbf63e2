public import FHIR
public import FoundationEssentials
import Synchronization

/// The one origin that all lanes speak to: its HTTP client, and what every request carries (sync.md 4).
public struct ServerLink: Sendable {
    /// The wire contract that we speak.
    public static let contract = "1.0"
    /// Small questions: an answer must end some time. Uploads have no such limit.
    static let questionLimits = HTTPRequest.Limits(total: .seconds(120))

    /// An answer that drips in must end, too: 1 KiB/s is less than any line that is worth so many bytes in one request.
    /// - Parameters:
    ///   - bytes: of the request's or the answer's body.
    ///   - sendRate: bytes per second that are sent at most.
    static func patience(_ bytes: Int, sendRate: Int? = nil) -> Duration {
        .seconds(120 + bytes / min(1 << 10, max(1, (sendRate ?? .max) / 2)))
    }

    public let configuration: UplinkConfiguration
    public let client: HTTPClient
    let tokens: AccessTokens?
    private let requestID: @Sendable () -> UUID
    /// Seconds that the server's clock is ahead of ours.
    private let offset = Shared<Double>(0)

    /// - Parameter requestID: one per request, for the server's logs.
    public init(
        _ configuration: UplinkConfiguration, requestID: @escaping @Sendable () -> UUID = { UUID() }
    ) throws(UplinkError) {
        self.configuration = configuration
        self.requestID = requestID
        tokens = configuration.grant.map { AccessTokens($0) }
        client =
            if let socket = configuration.socket {
                try HTTPClient(unixSocket: socket)
            } else {
                try HTTPClient(tls: configuration.tls, proxy: configuration.proxy)
            }
    }

    public var origin: Origin { configuration.origin }

    /// Sends to an absolute URL of this origin; returns whatever status comes.
    func exchange(
        _ method: HTTPRequest.Method, _ url: String, headers: Headers = [:], body: HTTPRequest.Body = .none,
        limits: HTTPRequest.Limits = ServerLink.questionLimits, progress: (@Sendable (Int) -> Void)? = nil
    ) async throws(UplinkError) -> HTTPResponse {
        guard let url = origin.resolve(url, against: origin.root) else {
            throw .malformed("an address outside of the server's origin")
        }
        let all = try await standardHeaders(headers, for: url)
        let response = try await client.send(
            HTTPRequest(method, url, headers: all, body: body, limits: limits), progress: progress)
        note(response)
        // A token that ended early: once more with a new one, and only once (sync.md 4.4).
        guard response.status == 401, let tokens, let used = all["Authorization"] else { return response }
        await tokens.forget(String(used.dropFirst("Bearer ".utf8.count)))
        let again = try await standardHeaders(headers, for: url)
        return try await client.send(
            HTTPRequest(method, url, headers: again, body: body, limits: limits), progress: progress)
    }

    /// Keeps how far our clock is off: what is signed with a time is signed with theirs.
    func note(_ response: HTTPResponse) {
        guard let there = response.headers["Date"].flatMap({ Instant(httpDate: $0) }) else { return }
        let difference = Double(there.milliseconds) / 1000 - Date().timeIntervalSince1970
        offset.value.withLock { $0 = difference }
    }

    /// Seconds since 1970 on the server's clock, as far as it was heard.
    var serverNow: Double { Date().timeIntervalSince1970 + offset.value.withLock { $0 } }

    /// What every request carries.
    func standardHeaders(_ headers: Headers, for url: String) async throws(UplinkError) -> Headers {
        var all = headers
        all["X-Request-Id"] = requestID().uuidString.lowercased()
        all["User-Agent"] = "ess-agent/\(configuration.version) (\(Self.contract))"
        all["ESS-Contract"] = Self.contract
        if let bearer = try await bearer(for: url) { all["Authorization"] = "Bearer \(bearer)" }
        return all
    }

    /// A FHIR read, search or transaction: fails unless the answer is 2xx and the resource that was asked for.
    func fhir<R: Resource>(
        _ type: R.Type, _ method: HTTPRequest.Method, _ url: String, headers: Headers = [:], body: [UInt8]? = nil
    ) async throws(UplinkError) -> R {
        var headers = headers
        headers["Accept"] = "application/fhir+json; fhirVersion=4.0"
        if body != nil { headers["Content-Type"] = "application/fhir+json; fhirVersion=4.0; charset=utf-8" }
        let response = try await exchange(method, url, headers: headers, body: body.map { .bytes($0) } ?? .none)
        if let error = UplinkError(response, from: origin) { throw error }
        try expectJSON(response)
        do {
            return try FHIRCodec.decode(type, from: response.body)
        } catch {
            throw .malformed("\(error)")
        }
    }

    /// JSON there and back, to a path below the base.
    public func post<T: Decodable & Sendable>(
        _ type: T.Type, _ path: String, _ body: [UInt8]
    ) async throws(UplinkError) -> T {
        let response = try await exchange(
            .post, origin.url(path), headers: ["Content-Type": "application/json", "Accept": "application/json"],
            body: .bytes(body))
        if let error = UplinkError(response, from: origin) { throw error }
        return try decode(type, response)
    }

    /// HTML where JSON should be is somebody in between (sync.md 4.4).
    func expectJSON(_ response: HTTPResponse) throws(UplinkError) {
        guard response.isJSON else {
            if response.isHTML { throw .captivePortal("HTML instead of JSON") }
            throw .malformed("not JSON: \(response.headers["Content-Type"] ?? "no content type")")
        }
    }

    func decode<T: Decodable>(_ type: T.Type, _ response: HTTPResponse) throws(UplinkError) -> T {
        try expectJSON(response)
        do {
            return try JSONDecoder().decode(type, from: Data(response.body))
        } catch {
            throw .malformed("not a \(type)")
        }
    }
}

/// A value that several copies of a link share.
private final class Shared<Value: Sendable>: Sendable {
    let value: Mutex<Value>
    init(_ value: sending Value) { self.value = Mutex(value) }
}

/// A server's sign of life.
public struct Pong: Sendable, Equatable {
    /// The server's clock; nil when it sent none that we can read.
    public var serverTime: Instant?
    /// The whole exchange; the clock's error is at most half of it.
    public var roundTrip: Duration

    public init(serverTime: Instant?, roundTrip: Duration) {
        self.serverTime = serverTime
        self.roundTrip = roundTrip
    }
}

extension ServerLink {
    /// H1: reachability, clock and authentication in one. Only 204 counts (sync.md 5).
    public func ping() async throws(UplinkError) -> Pong {
        let limits = HTTPRequest.Limits(total: .seconds(30), body: 64 << 10)
        let response = try await exchange(.get, origin.url("/ess/v1/ping"), limits: limits)
        if let error = UplinkError(response, from: origin) { throw error }
        guard response.status == 204 else { throw .captivePortal("\(response.status) to a ping") }
        return Pong(
            serverTime: response.headers["Date"].flatMap { Instant(httpDate: $0) }, roundTrip: response.elapsed)
    }
}

extension ServerLink {
    /// The same for servers that know nothing of us: their FHIR side answers for them, with the credentials that we have.
    public func ping(_ profile: RegionalProfile, offer: Offer) async throws(UplinkError) -> Pong {
        if profile == .full { return try await ping() }
        let limits = HTTPRequest.Limits(total: .seconds(30), body: 8 << 20)
        let response = try await exchange(
            .get, fhirURL(offer, "/metadata"), headers: ["Accept": "application/fhir+json; fhirVersion=4.0"],
            limits: limits)
        if let error = UplinkError(response, from: origin) { throw error }
        try expectJSON(response)
        guard (try? FHIRCodec.decode(CapabilityStatement.self, from: response.body)) != nil else {
            throw .captivePortal("no CapabilityStatement")
        }
        return Pong(
            serverTime: response.headers["Date"].flatMap { Instant(httpDate: $0) }, roundTrip: response.elapsed)
    }

    /// Whether a server that was greeted before is still there. Over a connection that TLS has verified any answer says so: not the whole
    /// CapabilityStatement again, which is the largest thing that some servers send.
    public func knock(_ profile: RegionalProfile, offer: Offer) async throws(UplinkError) {
        if profile == .full {
            _ = try await ping()
        } else {
            _ = try await exchange(.head, fhirURL(offer, "/metadata"), limits: HTTPRequest.Limits(total: .seconds(30)))
        }
    }
}
