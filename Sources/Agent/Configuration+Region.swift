import FoundationEssentials
public import Uplink

extension Configuration {
    /// What differs from region to region (sync.md 4.7), and what the network may be used for (sync.md 5).
    public struct Region: Sendable, Equatable {
        /// `full`, `pacs`, `fhir` or `drop`: `profile`. `ess-agent server check` tells what a server is good for.
        public var profile = RegionalProfile.full
        /// Below the server's address, where it doesn't say so itself: `fhir-base`.
        public var fhirBase = "/fhir"
        /// DICOMweb's root, below which `studies` is: `dicomweb`.
        public var dicomweb = "/dicom-web"
        /// Bytes of the largest recording that the server takes in one request: `largest-body`.
        public var largestBody: Int?
        /// Where sealed files go and answers come from, for `drop`: `exchange-folder`.
        public var exchangeFolder: String?
        /// The region's public key, `age1…`: `exchange-recipient`.
        public var exchangeRecipient: String?
        /// PEM file with the region's Ed25519 key; its lists of receipts must then be signed: `exchange-signer`.
        public var exchangeSigner: String?

        /// `certificate` (mTLS alone), `token` (OAuth 2.0 bound to the certificate, RFC 8705) or `private-key-jwt`:
        /// `authentication`.
        public var authentication = "certificate"
        /// This laptop's name at the authorisation server: `client-id`. Default: `laptop`.
        public var clientID: String?
        /// What is asked for: `token-scope`.
        public var tokenScope: String?
        /// The authorisation server, when the server doesn't name one on its own host: `token-url`.
        public var tokenURL: String?
        /// PEM file of the key that signs for `private-key-jwt`: `signing-key`; and its name there: `signing-key-id`.
        public var signingKey: String?
        public var signingKeyID: String?

        /// Bytes per second that recordings take at most, so that the nurse has the rest: `upload-rate`.
        public var uploadRate: Int?
        /// `auto` (what NetworkManager says), `yes` or `no`: `metered`.
        public var metered = "auto"
        /// Bytes of recordings over a metered connection in a day, beside what is urgent: `metered-daily-bytes`.
        public var meteredDailyBytes = 20_000_000

        public init() {}

        /// - Returns: false when the key is none of these.
        mutating func set(_ key: String, to value: String) throws(ConfigurationError) -> Bool {
            switch key {
            case "profile":
                guard let named = RegionalProfile(rawValue: value) else {
                    throw ConfigurationError("profile is one of full, pacs, fhir, drop.")
                }
                profile = named
            case "fhir-base": fhirBase = try path(value, key)
            case "dicomweb": dicomweb = try path(value, key)
            case "largest-body": largestBody = try bytes(value, key)
            case "exchange-folder": exchangeFolder = try absolute(value, key)
            case "exchange-recipient":
                do throws(AgeFile.Failure) { _ = try AgeFile.recipient(value) } catch {
                    throw ConfigurationError("exchange-recipient is a public key of age: age1…")
                }
                exchangeRecipient = value
            case "authentication":
                guard ["certificate", "token", "private-key-jwt"].contains(value) else {
                    throw ConfigurationError("authentication is one of certificate, token, private-key-jwt.")
                }
                authentication = value
            case "client-id": clientID = value
            case "token-scope": tokenScope = value
            case "token-url":
                guard value.hasPrefix("https://") else {
                    throw ConfigurationError("token-url must begin with https://.")
                }
                tokenURL = value
            case "signing-key": signingKey = try absolute(value, key)
            case "signing-key-id": signingKeyID = value
            case "upload-rate": uploadRate = try bytes(value, key)
            case "metered":
                guard ["auto", "yes", "no"].contains(value) else {
                    throw ConfigurationError("metered is one of auto, yes, no.")
                }
                metered = value
            case "metered-daily-bytes": meteredDailyBytes = try bytes(value, key)
            case "exchange-signer": exchangeSigner = try absolute(value, key)
            default: return false
            }
            return true
        }

        /// What a server offers that doesn't say so itself.
        var offer: Offer {
            var offer = Offer(fhirBase: fhirBase)
            if profile != .full { offer.bytes = [] }
            return completed(offer)
        }

        /// With what only the configuration knows.
        func completed(_ offer: Offer) -> Offer {
            var offer = offer
            if profile == .pacs, offer.bytes(.stow) == nil {
                offer.bytes.append(Offer.Bytes(kind: .stow, url: dicomweb, maxSize: largestBody))
            }
            if profile == .fhir, let largestBody {
                offer.bytes.append(Offer.Bytes(kind: .binary, url: fhirBase, maxSize: largestBody))
            }
            return offer
        }

        private func path(_ value: String, _ key: String) throws(ConfigurationError) -> String {
            guard value.hasPrefix("/"), !value.contains("?"), !value.contains("#") else {
                throw ConfigurationError("\(key) is a path on the server, for example /fhir.")
            }
            return value
        }
    }
}

/// `500000`, `500k`, `4M`, `1G`.
func bytes(_ value: String, _ key: String) throws(ConfigurationError) -> Int {
    let units: [Character: Int] = ["k": 1_000, "M": 1_000_000, "G": 1_000_000_000]
    let unit = value.last.flatMap { units[$0] }
    guard let number = Int(unit == nil ? value : String(value.dropLast())), number > 0,
        case let (product, isTooLarge) = number.multipliedReportingOverflow(by: unit ?? 1), !isTooLarge
    else { throw ConfigurationError("\(key) is a number of bytes, for example 500k or 4M.") }
    return product
}

extension Configuration {
    /// Asks the server what it is good for; writes nothing on it.
    public func checkServer() async throws(UplinkError) -> ServerCheck {
        let link = try makeLink()
        defer { link.client.close() }
        var offer = Offer(fhirBase: region.fhirBase)
        offer.bytes.append(Offer.Bytes(kind: .stow, url: region.dicomweb))
        return await link.check(expecting: offer, team: team)
    }

    /// What proves who we are, the one that counts first: what was renewed since replaces what was given, and what was given since
    /// replaces what was renewed.
    var identities: [Enrolment.Pair] {
        guard let clientCertificate, let clientKey else { return [] }
        return Enrolment.renewed(stateDirectory, since: clientCertificate)
            + [Enrolment.Pair(certificate: clientCertificate, key: clientKey)]
    }

    /// The one way to the server, with whatever proves who we are.
    /// - Parameter identity: nil for the one that counts.
    /// - Throws: `configuration`.
    func makeLink(_ identity: Enrolment.Pair? = nil) throws(UplinkError) -> ServerLink {
        guard let server else { throw .configuration("no server is configured") }
        let pair = identity ?? identities.first
        return try ServerLink(
            UplinkConfiguration(
                baseURL: server,
                tls: TLSFiles(
                    authorities: serverCA, certificate: pair?.certificate ?? clientCertificate,
                    key: pair?.key ?? clientKey),
                version: agentVersion, grant: try grant()))
    }

    private func grant() throws(UplinkError) -> TokenGrant? {
        guard region.authentication != "certificate" else { return nil }
        let client = region.clientID ?? laptop
        var grant = TokenGrant(client: client, scope: region.tokenScope, url: region.tokenURL)
        if region.authentication == "private-key-jwt" {
            guard let file = region.signingKey, let pem = try? String(contentsOfFile: file, encoding: .utf8),
                let assertion = ClientAssertion(client: client, keyID: region.signingKeyID, pem: pem)
            else {
                throw .configuration("signing-key is no P-384, P-256 or RSA (2048 bits and more) private key in PEM")
            }
            grant.assertion = { try assertion.signed(for: $0, now: $1) }
        }
        return grant
    }
}
