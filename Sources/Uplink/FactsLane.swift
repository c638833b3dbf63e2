import FHIR
public import FoundationEssentials

/// U5: the facts of one visit in one transaction (sync.md 4.2).
public struct FactsLane: Sendable {
    /// What the server made of one entry.
    public struct Stored: Sendable, Equatable {
        /// `Encounter/…`
        public var resource: String
        /// 2xx, or 304 where nothing had to be changed.
        public var status: Int
        /// `W/"3"`, when the server said.
        public var etag: String?

        public init(resource: String, status: Int, etag: String?) {
            self.resource = resource
            self.status = status
            self.etag = etag
        }
    }

    private let link: ServerLink
    private let offer: Offer

    public init(_ link: ServerLink, offer: Offer) {
        self.link = link
        self.offer = offer
    }

    /// Sends, and believes the answer only when it accounts for every entry.
    /// - Parameter key: `Idempotency-Key`; the same for every attempt with the same content.
    public func send(_ facts: VisitFacts, key: UUID) async throws(UplinkError) -> [Stored] {
        let base = try link.fhirURL(offer, "")
        let bundle = try facts.bundle(base: base, recordings: link.recordings(offer))
        let body: [UInt8]
        do {
            body = try FHIRCodec.encode(bundle)
        } catch {
            throw .local("\(error)")
        }
        let answer = try await link.fhir(
            Bundle.self, .post, base + "/", headers: ["Idempotency-Key": key.uuidString.lowercased()], body: body)
        return try Self.check(answer, against: bundle, from: link.origin)
    }

    /// Whether the server still has what it was told of a document.
    public func knows(_ document: UUID) async throws(UplinkError) -> Bool {
        let url = try link.fhirURL(offer, "/DocumentReference/\(document.text)")
        let response = try await link.exchange(.get, url, headers: ["Accept": "application/fhir+json; fhirVersion=4.0"])
        if response.status == 404 || response.status == 410 { return false }
        if let error = UplinkError(response, from: link.origin) { throw error }
        try link.expectJSON(response)
        return true
    }

    /// Entries answer in the request's order (R4 3.1.0.11.2); a success that is not one throughout is none.
    static func check(_ answer: Bundle, against sent: Bundle, from origin: Origin) throws(UplinkError) -> [Stored] {
        guard answer.type == "transaction-response" else { throw .malformed("not a transaction-response") }
        guard answer.entry.count == sent.entry.count else {
            throw .malformed("\(answer.entry.count) answers to \(sent.entry.count) entries")
        }
        var stored: [Stored] = []
        for (request, entry) in zip(sent.entry, answer.entry) {
            let name = request.request?.url ?? ""
            guard let response = entry.response, let code = response.code else {
                throw .malformed("no status for \(name)")
            }
            guard (200...299).contains(code) || code == 304 else {
                throw refusal(code, response.outcome, of: name, from: origin)
            }
            stored.append(Stored(resource: name, status: code, etag: response.etag))
        }
        return stored
    }

    /// The same status means the same in an entry as alone, as far as it is about the entry: the answer as a whole came from a
    /// server that knows us.
    private static func refusal(
        _ code: Int, _ outcome: AnyResource?, of name: String, from origin: Origin
    ) -> UplinkError {
        var words = name
        if case .operationOutcome(let outcome) = outcome { words += ": \(outcome.summary.prefix(2000))" }
        switch UplinkError(HTTPResponse(status: code), from: origin) {
        case .transient(let status, let after): return .transient(status: status, retryAfter: after)
        case .serverFull(let after): return .serverFull(retryAfter: after)
        case .conflict(let status, _): return .conflict(status: status, words)
        case .forbidden, .unauthorised: return .forbidden(words)
        default: return .permanent(status: code, words)
        }
    }
}
