import Crypto
import CryptoExtras
import Foundation
import HTTPTypes
import Hummingbird
import NIOCore
import NIOSSL
import Synchronization

/// How agents prove who they are: `--authentication`.
enum Authentication: String, Sendable, CaseIterable {
    /// The client certificate alone.
    case certificate
    /// OAuth 2.0 client credentials, the token bound to the client certificate (RFC 8705).
    case token
    /// `private_key_jwt` and no client certificate: what is left where a proxy breaks mTLS.
    case privateKeyJWT = "private-key-jwt"
}

/// The authorisation server, and the gate that looks at its tokens. Tokens live in memory: a restart ends them all.
final class Tokens: Sendable {
    private struct Token {
        var end: ContinuousClock.Instant
        /// SHA-256 of the certificate that it was given to; nil where there is none.
        var thumbprint: String?
        var usesLeft: Int
    }

    private let authentication: Authentication
    private let life: Duration
    /// Who may sign assertions.
    private let keys: [P384.Signing.PublicKey]
    private let shortKeys: [P256.Signing.PublicKey]
    private let rsaKeys: [_RSA.Signing.PublicKey]
    private let faults: Faults
    private let tokens = Mutex<[String: Token]>([:])
    /// Assertions that were used: each only once (RFC 7523 3).
    private let spent = Mutex<[String: Int]>([:])

    /// - Parameter keyFiles: PEM, public.
    init(_ authentication: Authentication, seconds: Int, keyFiles: [String], faults: Faults) throws {
        self.authentication = authentication
        life = .seconds(seconds)
        self.faults = faults
        var keys: [P384.Signing.PublicKey] = []
        var shortKeys: [P256.Signing.PublicKey] = []
        var rsaKeys: [_RSA.Signing.PublicKey] = []
        for file in keyFiles {
            let pem = try String(contentsOfFile: file, encoding: .utf8)
            if let key = try? P384.Signing.PublicKey(pemRepresentation: pem) {
                keys.append(key)
            } else if let key = try? P256.Signing.PublicKey(pemRepresentation: pem) {
                shortKeys.append(key)
            } else if let key = try? _RSA.Signing.PublicKey(pemRepresentation: pem) {
                rsaKeys.append(key)
            } else {
                throw Trouble("\(file) is no P-384, P-256 or RSA public key in PEM")
            }
        }
        self.keys = keys
        self.shortKeys = shortKeys
        self.rsaKeys = rsaKeys
    }

    var isNeeded: Bool { authentication != .certificate }

    func add(to router: Router<Context>) {
        guard isNeeded else { return }
        router.post("/token") { request, context in
            do {
                return try await self.grant(request, context)
            } catch let refusal as Refusal {
                // RFC 6749 5.2
                let body: JSON = ["error": .string(refusal.code), "error_description": .string(refusal.reason)]
                return Answer(status: Int(refusal.status.code), headers: ["Cache-Control": "no-store"], body: body)
                    .response(type: "application/json")
            }
        }
    }

    private func grant(_ request: Request, _ context: Context) async throws -> Response {
        let body = String(decoding: try await request.bytes(upTo: 64 << 10), as: UTF8.self)
        var form: [String: String] = [:]
        for pair in body.split(separator: "&") {
            let sides = pair.split(separator: "=", maxSplits: 1).map {
                $0.replacing("+", with: " ").removingPercentEncoding ?? ""
            }
            form[sides[0]] = sides.count > 1 ? sides[1] : ""
        }
        guard form["grant_type"] == "client_credentials" else {
            throw Refusal(400, "unsupported_grant_type", "only client_credentials is spoken here")
        }
        guard let client = form["client_id"], !client.isEmpty else {
            throw Refusal(400, "invalid_request", "client_id is missing")
        }
        if authentication == .privateKeyJWT {
            try verify(form, client: client, audience: "\(request.origin)/token")
        }
        let text = Data((0..<32).map { _ in UInt8.random(in: 0...255) }).base64EncodedString()
            .replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
        let token = Token(
            end: .now + life, thumbprint: try await thumbprint(context), usesLeft: faults.shortensToken() ? 1 : .max)
        tokens.withLock { tokens in
            tokens = tokens.filter { $0.value.end > .now }
            tokens[text] = token
        }
        return Answer(
            status: 200, headers: ["Cache-Control": "no-store"],
            body: [
                "access_token": .string(text), "token_type": "Bearer", "expires_in": JSON(Int(life.components.seconds)),
            ]
        ).response(type: "application/json")
    }

    private func thumbprint(_ context: Context) async throws -> String? {
        guard authentication == .token else { return nil }
        guard let certificate = try await context.channel.nioSSL_peerCertificate().get() else {
            throw Refusal(401, "invalid_client", "there is no client certificate")
        }
        return Disk.hexadecimal(SHA256.hash(data: try certificate.toDERBytes()))
    }

    private func verify(_ form: [String: String], client: String, audience: String) throws {
        let no = Refusal(401, "invalid_client", "the client assertion is not valid")
        guard form["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            let parts = form["client_assertion"]?.split(separator: ".").map(String.init), parts.count == 3,
            let head = Self.decoded(parts[0]).flatMap({ try? JSON(parsing: Array($0)) }),
            let claims = Self.decoded(parts[1]).flatMap({ try? JSON(parsing: Array($0)) }),
            let signature = Self.decoded(parts[2])
        else { throw no }
        let signed = Array("\(parts[0]).\(parts[1])".utf8)
        let isSigned =
            switch head["alg"]?.string {
            case "ES384":
                (try? P384.Signing.ECDSASignature(rawRepresentation: signature)).map { made in
                    keys.contains { $0.isValidSignature(made, for: signed) }
                } ?? false
            case "ES256":
                (try? P256.Signing.ECDSASignature(rawRepresentation: signature)).map { made in
                    shortKeys.contains { $0.isValidSignature(made, for: signed) }
                } ?? false
            case "RS384":
                rsaKeys.contains {
                    $0.isValidSignature(
                        _RSA.Signing.RSASignature(rawRepresentation: signature), for: SHA384.hash(data: signed),
                        padding: .insecurePKCS1v1_5)
                }
            default: false
            }
        let now = Int(Date().timeIntervalSince1970)
        func number(_ name: String) -> Int? { if case .number(let digits)? = claims[name] { Int(digits) } else { nil } }
        guard isSigned, claims["iss"]?.string == client, claims["sub"]?.string == client,
            claims["aud"]?.string == audience, let end = number("exp"), end > now, end <= now + 300,
            let id = claims["jti"]?.string, !id.isEmpty
        else { throw no }
        let isNew = spent.withLock { spent in
            spent = spent.filter { $0.value > now }
            return spent.updateValue(end, forKey: id) == nil
        }
        guard isNew else { throw no }
    }

    private static func decoded(_ text: String) -> Data? {
        let plain = text.replacing("-", with: "+").replacing("_", with: "/")
        return Data(base64Encoded: plain + String(repeating: "=", count: (4 - plain.utf8.count % 4) % 4))
    }

    /// - Throws: 401 unless the request brings a token that still holds, over the certificate that it was given to.
    func check(_ request: Request, _ context: Context) async throws {
        let no = Refusal(
            401, "login", "an access token is needed",
            headers: [.wwwAuthenticate: "Bearer error=\"invalid_token\""])
        guard let header = request.headers[.authorization], header.hasPrefix("Bearer ") else { throw no }
        let text = String(header.dropFirst("Bearer ".count))
        let token = tokens.withLock { tokens -> Token? in
            guard let token = tokens[text], token.end > .now, token.usesLeft > 0 else { return nil }
            if token.usesLeft < .max { tokens[text]?.usesLeft -= 1 }
            return token
        }
        guard let token, token.thumbprint == (try await thumbprint(context)) else { throw no }
    }
}

/// Everything but discovery and the token endpoint needs a token, where tokens are asked for.
struct TokenGate: RouterMiddleware {
    let tokens: Tokens

    @concurrent func handle(
        _ request: Request, context: Context, next: @concurrent (Request, Context) async throws -> Response
    ) async throws -> Response {
        let isOpen = request.uri.path == "/token" || request.uri.path == "/.well-known/ess-agent"
        if tokens.isNeeded, !isOpen { try await tokens.check(request, context) }
        return try await next(request, context)
    }
}
