import SwiftASN1
import X509

/// Whether a certificate and a key, both PEM, belong together: the wrong pair locks a laptop out, and is only noticed at the next visit.
public enum CertificatePair: Sendable, Equatable {
    case fits
    case different
    /// The key needs a passphrase, and nobody is there to type it.
    case encrypted
    /// Of a kind that isn't understood here; the TLS library may well be able to use it.
    case unknown

    public init(certificate: String, key: String) {
        guard !key.contains("ENCRYPTED PRIVATE KEY"), !key.contains("4,ENCRYPTED") else {
            self = .encrypted
            return
        }
        // Some programs write the curve's name before the key.
        guard let chain = try? PEMDocument.parseMultiple(pemString: certificate), let first = chain.first,
            let certificate = try? Certificate(pemDocument: first),
            let parts = try? PEMDocument.parseMultiple(pemString: key),
            let document = parts.first(where: { $0.discriminator.hasSuffix("PRIVATE KEY") }),
            let key = try? Certificate.PrivateKey(pemDocument: document)
        else {
            self = .unknown
            return
        }
        self = certificate.publicKey == key.publicKey ? .fits : .different
    }
}
