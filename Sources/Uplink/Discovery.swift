public import FHIR

/// What a server offers (sync.md 4.2, D0). Kept by the caller for a start without a network.
public struct Offer: Sendable, Equatable, Codable {
    public struct Bytes: Sendable, Equatable, Codable {
        public enum Kind: String, Sendable { case tus, stow, binary }
        /// Text, since a newer server may know kinds that we don't.
        public var kind: String
        public var url: String
        /// Bytes of one recording.
        public var maxSize: Int?
        /// Bytes of one PATCH.
        public var chunkMax: Int?

        public init(kind: Kind, url: String, maxSize: Int? = nil, chunkMax: Int? = nil) {
            self.kind = kind.rawValue
            self.url = url
            self.maxSize = maxSize
            self.chunkMax = chunkMax
        }
    }

    public struct Policy: Sendable, Equatable, Codable {
        public var meteredMaxBytes: Int?
        public var retentionDays: Int?
    }

    public var contracts: [String]
    public var minAgent: String?
    public var fhirBase: String
    public var bytes: [Bytes]
    /// With `{rid}` where the recording's id goes; `/ess/v1/recordings/{rid}/receipt` when the server doesn't say.
    public var receipts: String?
    public var token: String?
    /// Changes when the server was restored from a backup: receipts are to be asked for again.
    public var storeEpoch: String?
    public var serverTime: String?
    public var policy: Policy?

    public init(
        contracts: [String] = [ServerLink.contract], minAgent: String? = nil, fhirBase: String = "/fhir",
        bytes: [Bytes] = [Bytes(kind: .tus, url: "/files")], receipts: String? = nil, token: String? = nil,
        storeEpoch: String? = nil, serverTime: String? = nil, policy: Policy? = nil
    ) {
        self.contracts = contracts
        self.minAgent = minAgent
        self.fhirBase = fhirBase
        self.bytes = bytes
        self.receipts = receipts
        self.token = token
        self.storeEpoch = storeEpoch
        self.serverTime = serverTime
        self.policy = policy
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        contracts = try container.decode([String].self, forKey: .contracts)
        minAgent = try container.decodeIfPresent(String.self, forKey: .minAgent)
        fhirBase = try container.decodeIfPresent(String.self, forKey: .fhirBase) ?? "/fhir"
        // One that can't be read, of a kind that we don't know, perhaps, hides no other.
        bytes = try container.decodeIfPresent([Readable].self, forKey: .bytes)?.compactMap(\.bytes) ?? []
        receipts = try? container.decodeIfPresent(String.self, forKey: .receipts)
        token = try? container.decodeIfPresent(String.self, forKey: .token)
        storeEpoch = try container.decodeIfPresent(String.self, forKey: .storeEpoch)
        serverTime = try? container.decodeIfPresent(String.self, forKey: .serverTime)
        policy = try? container.decodeIfPresent(Policy.self, forKey: .policy)
    }

    private struct Readable: Decodable {
        var bytes: Bytes?
        init(from decoder: any Decoder) throws { bytes = try? Bytes(from: decoder) }
    }

    public func bytes(_ kind: Bytes.Kind) -> Bytes? { bytes.first { $0.kind == kind.rawValue } }
}

extension RegionalProfile {
    /// How recordings go.
    var bytes: Offer.Bytes.Kind? {
        switch self {
        case .full: .tus
        case .pacs: .stow
        case .fhir: .binary
        case .drop: nil
        }
    }
}

/// The answer to "what do you offer?".
public enum Discovery: Sendable, Equatable {
    case offer(Offer, etag: String?)
    /// The offer with this ETag still holds.
    case unchanged
    /// 404: a plain FHIR server that knows nothing of us.
    case absent
}

extension ServerLink {
    /// D0. Throws `version` when the server wants another contract or a newer agent; capturing goes on all the same.
    /// - Parameters:
    ///   - profile: what of the offer is used. Only that must lie on the server's own host; the rest is left out where it doesn't.
    public func discover(
        etag: String? = nil, for profile: RegionalProfile? = nil
    ) async throws(UplinkError) -> Discovery {
        var headers: Headers = ["Accept": "application/json"]
        if let etag { headers["If-None-Match"] = etag }
        let response = try await exchange(.get, origin.url("/.well-known/ess-agent"), headers: headers)
        switch response.status {
        case 304 where etag != nil: return .unchanged
        case 404: return .absent
        default: break
        }
        if let error = UplinkError(response, from: origin) { throw error }
        var offer = try decode(Offer.self, response)
        // Minor versions only add (sync.md 4.6).
        guard offer.contracts.contains(where: { $0 == "1" || $0.hasPrefix("1.") }) else {
            throw .version("the server speaks contract \(offer.contracts.joined(separator: ", "))")
        }
        if let minimum = offer.minAgent, Self.isOlder(configuration.version, than: minimum) {
            throw .version("the server wants agent \(minimum) or later")
        }
        func isOwn(_ address: String) -> Bool { origin.resolve(address, against: origin.url("/")) != nil }
        let elsewhere = UplinkError.malformed("the server names an address on another host")
        guard isOwn(offer.fhirBase) else { throw elsewhere }
        if let receipts = offer.receipts, !isOwn(receipts) {
            guard let profile, profile != .full else { throw elsewhere }
            offer.receipts = nil
        }
        let offered = offer.bytes
        offer.bytes = offered.filter { Offer.Bytes.Kind(rawValue: $0.kind) != nil && isOwn($0.url) }
        // Not silently another place than the one that it names.
        if let kind = profile?.bytes, offer.bytes(kind) == nil, offered.contains(where: { $0.kind == kind.rawValue }) {
            throw elsewhere
        }
        return .offer(offer, etag: response.headers["ETag"])
    }

    /// D1: how resources are to be written there.
    public func capabilities(of offer: Offer) async throws(UplinkError) -> CapabilityStatement {
        try await fhir(CapabilityStatement.self, .get, fhirURL(offer, "/metadata"))
    }

    /// An absolute URL below the FHIR base; `path` begins with a slash, or is empty.
    func fhirURL(_ offer: Offer, _ path: String) throws(UplinkError) -> String {
        try below(offer.fhirBase) + path
    }

    func below(_ address: String) throws(UplinkError) -> String {
        // Paths in the offer count from the configured base, which may lie below a path.
        let absolute =
            address.hasPrefix("/") && !address.hasPrefix("//") && !(address + "/").hasPrefix(origin.prefix + "/")
            ? origin.url(address) : address
        guard var url = origin.resolve(absolute, against: origin.url("/")) else {
            throw .malformed("the server names an address on another host")
        }
        while url.hasSuffix("/") { url.removeLast() }
        return url
    }

    /// Compares `major.minor.patch`; what follows a hyphen or plus is ignored, what isn't a number counts as 0.
    static func isOlder(_ version: String, than minimum: String) -> Bool {
        func numbers(_ text: String) -> [Int] {
            text.prefix { $0 != "-" && $0 != "+" }.split(separator: ".").map { Int($0) ?? 0 }
        }
        let left = numbers(version)
        let right = numbers(minimum)
        for index in 0..<max(left.count, right.count) {
            let a = index < left.count ? left[index] : 0
            let b = index < right.count ? right[index] : 0
            if a != b { return a < b }
        }
        return false
    }
}
