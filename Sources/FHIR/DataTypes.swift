/// `Coding` (R4 2.24.0.4).
public struct Coding: Codable, Hashable, Sendable {
    public var system: String?
    public var version: String?
    public var code: String?
    public var display: String?

    public init(system: String? = nil, code: String? = nil, display: String? = nil, version: String? = nil) {
        self.system = system
        self.version = version
        self.code = code
        self.display = display
    }
}

public struct CodeableConcept: Codable, Hashable, Sendable {
    @Many public var coding: [Coding]
    public var text: String?

    public init(_ coding: Coding..., text: String? = nil) {
        self.coding = coding
        self.text = text
    }
}

/// FHIR `dateTime`s as they are written: precision and zone are part of what was said.
public struct Period: Codable, Hashable, Sendable {
    public var start: String?
    public var end: String?

    public init(start: String? = nil, end: String? = nil) {
        self.start = start
        self.end = end
    }
}

public struct Identifier: Codable, Hashable, Sendable {
    public var use: String?
    public var type: CodeableConcept?
    public var system: String?
    public var value: String?
    public var period: Period?

    public init(
        use: String? = nil, type: CodeableConcept? = nil, system: String?, value: String?, period: Period? = nil
    ) {
        self.use = use
        self.type = type
        self.system = system
        self.value = value
        self.period = period
    }
}

/// A literal reference, a logical one (identifier), or both.
public struct Reference: Codable, Hashable, Sendable {
    public var reference: String?
    public var type: String?
    public var identifier: Identifier?
    public var display: String?

    public init(
        _ reference: String? = nil, type: String? = nil, identifier: Identifier? = nil, display: String? = nil
    ) {
        self.reference = reference
        self.type = type
        self.identifier = identifier
        self.display = display
    }

    /// `Patient/42` out of `Patient/42`, `https://ess.example/fhir/Patient/42` or `…/Patient/42/_history/3`; nil for a contained
    /// (`#p`), `urn:` or purely logical reference.
    public var local: String? {
        guard let reference, !reference.hasPrefix("#"), !reference.hasPrefix("urn:") else { return nil }
        var parts = reference.split(separator: "/")
        if let history = parts.lastIndex(of: "_history"), history >= 2 { parts = Array(parts[..<history]) }
        guard parts.count >= 2, let type = parts[parts.count - 2].first, type.isUppercase else { return nil }
        return parts.suffix(2).joined(separator: "/")
    }
}

public struct Meta: Codable, Hashable, Sendable {
    public var versionId: String?
    /// The server's clock.
    public var lastUpdated: Instant?
    public var source: String?
    @Many public var profile: [String]
    @Many public var security: [Coding]
    @Many public var tag: [Coding]

    public init(
        versionId: String? = nil, lastUpdated: Instant? = nil, source: String? = nil, profile: [String] = [],
        security: [Coding] = [], tag: [Coding] = []
    ) {
        self.versionId = versionId
        self.lastUpdated = lastUpdated
        self.source = source
        self.profile = profile
        self.security = security
        self.tag = tag
    }
}

public struct HumanName: Codable, Hashable, Sendable {
    public var use: String?
    public var text: String?
    public var family: String?
    @Many public var given: [String]
    @Many public var `extension`: [Extension]

    public init(
        use: String? = nil, text: String? = nil, family: String? = nil, given: [String] = [],
        extension: [Extension] = []
    ) {
        self.use = use
        self.text = text
        self.family = family
        self.given = given
        self.extension = `extension`
    }
}

public struct Address: Codable, Hashable, Sendable {
    public var use: String?
    public var text: String?
    @Many public var line: [String]
    public var city: String?
    public var postalCode: String?
    public var country: String?
    @Many public var `extension`: [Extension]

    public init(
        use: String? = nil, text: String? = nil, line: [String] = [], city: String? = nil, postalCode: String? = nil,
        country: String? = nil, extension: [Extension] = []
    ) {
        self.use = use
        self.text = text
        self.line = line
        self.city = city
        self.postalCode = postalCode
        self.country = country
        self.extension = `extension`
    }
}

public struct Attachment: Codable, Hashable, Sendable {
    public var contentType: String?
    public var language: String?
    /// Where the bytes are, for whoever reads the resource.
    public var url: String?
    /// Bytes, before any encoding.
    public var size: Int?
    /// SHA-1, base64: R4 fixes the algorithm (sync.md 1.1).
    public var hash: String?
    public var title: String?
    public var creation: String?

    public init(
        contentType: String? = nil, language: String? = nil, url: String? = nil, size: Int? = nil, hash: String? = nil,
        title: String? = nil, creation: String? = nil
    ) {
        self.contentType = contentType
        self.language = language
        self.url = url
        self.size = size
        self.hash = hash
        self.title = title
        self.creation = creation
    }
}

public struct Annotation: Codable, Hashable, Sendable {
    public var text: String?
    public init(text: String?) { self.text = text }
}

/// An extension with one of the values that we read or write, or with parts.
public struct Extension: Codable, Hashable, Sendable {
    public var url: String
    @Many public var `extension`: [Extension]
    public var valueString: String?
    public var valueCode: String?
    public var valueBoolean: Bool?
    public var valueInteger: Int?
    public var valueInstant: Instant?
    public var valueDateTime: String?
    public var valueCoding: Coding?
    public var valueCodeableConcept: CodeableConcept?
    public var valueAddress: Address?
    public var valueReference: Reference?

    public init(url: String, extension: [Extension] = []) {
        self.url = url
        self.extension = `extension`
    }

    public init(url: String, string: String) {
        self.init(url: url)
        valueString = string
    }

    public init(url: String, code: String) {
        self.init(url: url)
        valueCode = code
    }

    public init(url: String, boolean: Bool) {
        self.init(url: url)
        valueBoolean = boolean
    }

    public init(url: String, instant: Instant) {
        self.init(url: url)
        valueInstant = instant
    }

    public init(url: String, coding: Coding) {
        self.init(url: url)
        valueCoding = coding
    }
}

extension Sequence<Extension> {
    /// The first extension with this URL.
    public func first(_ url: String) -> Extension? { first { $0.url == url } }
}
