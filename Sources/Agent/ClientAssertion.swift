import Crypto
import CryptoExtras
import FoundationEssentials

/// `private_key_jwt` (RFC 7523; SMART Backend Services): a short signed statement of who we are, for a region whose proxy breaks
/// mTLS. The key says how: ES384 with P-384, ES256 with P-256, RS384 with RSA of at least 2048 bits.
struct ClientAssertion: Sendable {
    private enum Key: Sendable {
        case p384(P384.Signing.PrivateKey)
        case p256(P256.Signing.PrivateKey)
        case rsa(_RSA.Signing.PrivateKey)

        var algorithm: String {
            switch self {
            case .p384: "ES384"
            case .p256: "ES256"
            case .rsa: "RS384"
            }
        }
    }

    let client: String
    /// As the authorisation server knows the key; nil where it knows one only.
    let keyID: String?
    private let key: Key

    /// - Parameter pem: of a private key, PKCS#8, SEC1 or PKCS#1.
    init?(client: String, keyID: String?, pem: String) {
        if let key = try? P384.Signing.PrivateKey(pemRepresentation: pem) {
            self.key = .p384(key)
        } else if let key = try? P256.Signing.PrivateKey(pemRepresentation: pem) {
            self.key = .p256(key)
        } else if let key = try? _RSA.Signing.PrivateKey(pemRepresentation: pem) {
            self.key = .rsa(key)
        } else {
            return nil
        }
        self.client = client
        self.keyID = keyID
    }

    private struct Header: Encodable {
        var alg: String
        var kid: String?
        var typ = "JWT"
    }

    private struct Claims: Encodable {
        var aud: String
        var exp: Int
        var iat: Int
        var iss: String
        var jti: String
        var sub: String
    }

    /// - Parameter now: seconds since 1970 on the server's clock.
    func signed(for audience: String, now: Double) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let header = try encoder.encode(Header(alg: key.algorithm, kid: keyID))
        // Five minutes is the most that SMART allows; the start lies back, as clocks do.
        let time = Int(now)
        let claims = try encoder.encode(
            Claims(
                aud: audience, exp: time + 240, iat: time - 5, iss: client, jti: UUID().uuidString.lowercased(),
                sub: client))
        let text = "\(Self.base64url(header)).\(Self.base64url(claims))"
        let signature =
            switch key {
            case .p384(let key): try key.signature(for: Array(text.utf8)).rawRepresentation
            case .p256(let key): try key.signature(for: Array(text.utf8)).rawRepresentation
            // RFC 7518 3.3 names this padding; nothing is decrypted with it.
            case .rsa(let key):
                try key.signature(for: SHA384.hash(data: Array(text.utf8)), padding: .insecurePKCS1v1_5)
                    .rawRepresentation
            }
        return "\(text).\(Self.base64url(signature))"
    }

    static func base64url(_ data: Data) -> String {
        String(data.base64EncodedString().map { $0 == "+" ? "-" : $0 == "/" ? "_" : $0 }.prefix { $0 != "=" })
    }
}
