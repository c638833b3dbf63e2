public import FHIR
public import FoundationEssentials

/// The one origin that all lanes speak to: its HTTP client, and what every request carries (sync.md 4).
public struct ServerLink: Sendable {
    /// The wire contract that we speak.
    public static let contract = "1.0"
    /// Small questions: an answer must end some time. Uploads have no such limit.
    static let questionLimits = HTTPRequest.Limits(total: .seconds(120))

    public let configuration: UplinkConfiguration
    public let client: HTTPClient
    private let requestID: @Sendable () -> UUID

    /// - Parameter requestID: one per request, for the server's logs.
    public init(
        _ configuration: UplinkConfiguration, requestID: @escaping @Sendable () -> UUID = { UUID() }
    ) throws(UplinkError) {
        self.configuration = configuration
        self.requestID = requestID
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
        var all = headers
        all["X-Request-Id"] = requestID().uuidString.lowercased()
        all["User-Agent"] = "ess-agent/\(configuration.version) (\(Self.contract))"
        all["ESS-Contract"] = Self.contract
        let request = HTTPRequest(method, url, headers: all, body: body, limits: limits)
        return try await client.send(request, progress: progress)
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
