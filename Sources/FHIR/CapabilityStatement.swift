/// What a FHIR server says it can do; only what decides how we write (sync.md 4.2, D1).
public struct CapabilityStatement: Resource {
    public struct Interaction: Codable, Hashable, Sendable {
        public var code: String?
        public init(code: String?) { self.code = code }
    }

    public struct SearchParameter: Codable, Hashable, Sendable {
        public var name: String?
        public init(name: String?) { self.name = name }
    }

    public struct Capability: Codable, Hashable, Sendable {
        public var type: String?
        @Many public var interaction: [Interaction]
        public var versioning: String?
        public var updateCreate: Bool?
        public var conditionalCreate: Bool?
        @Many public var searchInclude: [String]
        @Many public var searchParam: [SearchParameter]
        public init(type: String?) { self.type = type }
    }

    public struct Rest: Codable, Hashable, Sendable {
        public var mode: String?
        @Many public var resource: [Capability]
        @Many public var interaction: [Interaction]
        public init(mode: String?) { self.mode = mode }
    }

    public static let typeName = "CapabilityStatement"
    public private(set) var resourceType = Self.typeName
    public var id: String?
    public var meta: Meta?
    public var status: String?
    public var date: String?
    public var kind: String?
    public var fhirVersion: String?
    @Many public var format: [String]
    @Many public var rest: [Rest]

    public init(status: String, kind: String, fhirVersion: String) {
        self.status = status
        self.kind = kind
        self.fhirVersion = fhirVersion
    }

    private var server: Rest? { rest.first { $0.mode == "server" } }

    public func capability(of type: String) -> Capability? { server?.resource.first { $0.type == type } }
    public var hasTransactions: Bool { server?.interaction.contains { $0.code == "transaction" } ?? false }
    /// Whether `PUT` with a client's id creates the resource.
    public func updateCreates(_ type: String) -> Bool { capability(of: type)?.updateCreate ?? false }
    public func conditionallyCreates(_ type: String) -> Bool { capability(of: type)?.conditionalCreate ?? false }
    public func searches(_ type: String, by parameter: String) -> Bool {
        capability(of: type)?.searchParam.contains { $0.name == parameter } ?? false
    }
}
