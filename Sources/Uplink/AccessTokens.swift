import FoundationEssentials

/// How we prove who we are, beside the client certificate (sync.md 4.5).
public struct TokenGrant: Sendable {
    public var client: String
    public var scope: String?
    /// Of the authorisation server, when the server doesn't name one on its own origin: only ever from the configuration.
    public var url: String?
    /// Signs a client assertion (RFC 7523, SMART's `private_key_jwt`) for an audience at a time in seconds since 1970; nil where
    /// the client certificate says who we are (RFC 8705).
    public var assertion: (@Sendable (_ audience: String, _ now: Double) throws -> String)?

    public init(
        client: String, scope: String? = nil, url: String? = nil,
        assertion: (@Sendable (_ audience: String, _ now: Double) throws -> String)? = nil
    ) {
        self.client = client
        self.scope = scope
        self.url = url
        self.assertion = assertion
    }
}

/// OAuth 2.0 client credentials: one token at a time, in memory only, fetched before the old one ends.
actor AccessTokens {
    private struct Token {
        var text: String
        var renewal: ContinuousClock.Instant
        var end: ContinuousClock.Instant
    }

    private let grant: TokenGrant
    private var token: Token?
    private var fetch: Task<Result<Token, UplinkError>, Never>?

    init(_ grant: TokenGrant) { self.grant = grant }

    /// A token that is good for a while yet.
    /// - Parameter fetch: asks the authorisation server.
    func current(_ ask: @escaping @Sendable (TokenGrant) async throws(UplinkError) -> Granted) async throws(UplinkError)
        -> String
    {
        let now = ContinuousClock.now
        if let token, now < token.renewal { return token.text }
        // Several lanes may ask at once: one question.
        let running =
            fetch
            ?? Task { [grant] in
                let start = ContinuousClock.now
                do throws(UplinkError) {
                    let granted = try await ask(grant)
                    // The rest of its life is for what is under way; a server that doesn't say gives an hour (RFC 8705's usual).
                    let life = Duration.seconds(max(1, min(granted.expiresIn ?? 3600, 86_400)))
                    return .success(
                        Token(text: granted.token, renewal: start + life * 0.8, end: start + life))
                } catch { return .failure(error) }
            }
        fetch = running
        let result = await running.value
        fetch = nil
        switch result {
        case .success(let new):
            token = new
            return new.text
        case .failure(let error):
            // An authorisation server that is away for a moment: the old one may still do.
            if let token, ContinuousClock.now < token.end, !error.isRefusal { return token.text }
            throw error
        }
    }

    /// The server doesn't take it any more.
    func forget(_ text: String) {
        if token?.text == text { token = nil }
    }
}

struct Granted: Sendable {
    var token: String
    /// Seconds.
    var expiresIn: Double?
}

extension UplinkError {
    fileprivate var isRefusal: Bool {
        switch self {
        case .unauthorised, .forbidden, .permanent, .certificateRefused: true
        default: false
        }
    }
}

extension ServerLink {
    /// The header, where a token is needed; nil for the calls that lead to one.
    func bearer(for url: String) async throws(UplinkError) -> String? {
        guard let tokens, !url.hasSuffix("/.well-known/ess-agent") else { return nil }
        let text = try await tokens.current { [self] (grant) async throws(UplinkError) in try await ask(grant) }
        return text
    }

    /// What is said on the way to a token is never about what was to be sent with it.
    private func ask(_ grant: TokenGrant) async throws(UplinkError) -> Granted {
        do throws(UplinkError) {
            return try await grantedToken(grant)
        } catch {
            switch error {
            case .permanent, .forbidden, .conflict: throw .unauthorised
            case .transient(let status, _) where (300...399).contains(status): throw .unauthorised
            default: throw error
            }
        }
    }

    private func grantedToken(_ grant: TokenGrant) async throws(UplinkError) -> Granted {
        let url = try await tokenURL(grant)
        var form = [("grant_type", "client_credentials"), ("client_id", grant.client)]
        if let scope = grant.scope { form.append(("scope", scope)) }
        if let assertion = grant.assertion {
            form.append(("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"))
            do {
                form.append(("client_assertion", try assertion(url, serverNow)))
            } catch { throw .configuration("the client assertion can't be signed") }
        }
        let body = form.map { "\($0)=\(Origin.escaped($1))" }.joined(separator: "&")
        let response = try await client.send(
            HTTPRequest(
                .post, url,
                headers: [
                    "Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json",
                    "User-Agent": "ess-agent/\(configuration.version) (\(Self.contract))",
                ], body: .bytes(Array(body.utf8)),
                limits: HTTPRequest.Limits(total: .seconds(30), body: 256 << 10)))
        note(response)
        // RFC 6749 5.2: `invalid_client` is a 400 or a 401; both mean that they don't know us.
        if response.status == 400 || response.status == 401 { throw .unauthorised }
        if let error = UplinkError(response, from: origin) { throw error }
        let answer = try decode(TokenAnswer.self, response)
        guard answer.token_type.lowercased() == "bearer", !answer.access_token.isEmpty,
            answer.access_token.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F })
        else { throw .malformed("not a bearer token") }
        return Granted(token: answer.access_token, expiresIn: answer.expires_in)
    }

    /// Only what an administrator wrote may lie elsewhere; what a server names must be its own.
    private func tokenURL(_ grant: TokenGrant) async throws(UplinkError) -> String {
        if let url = grant.url {
            guard Origin(String(url.prefix { $0 != "?" })) != nil else {
                throw .configuration("token-url must be an https: URL")
            }
            return url
        }
        guard case .offer(let offer, _) = try await discover(), let token = offer.token else {
            throw .configuration("the server names no token endpoint; token-url does")
        }
        return try below(token)
    }

    private struct TokenAnswer: Decodable {
        var access_token: String
        var token_type: String
        var expires_in: Double?
    }
}
