// What comes down: the visit (Task), its order (ServiceRequest) and whose it is (Patient).

public struct Patient: Resource {
    public static let typeName = "Patient"
    public private(set) var resourceType = Self.typeName
    public var id: String?
    public var meta: Meta?
    @Many public var `extension`: [Extension]
    @Many public var identifier: [Identifier]
    public var active: Bool?
    @Many public var name: [HumanName]
    public var gender: String?
    public var birthDate: String?
    @Many public var address: [Address]

    public init(id: String?) { self.id = id }
}

/// FHIR's `Task`, under a name that leaves Swift's alone.
public struct TaskResource: Resource {
    public struct Restriction: Codable, Hashable, Sendable {
        public var period: Period?
        public init(period: Period?) { self.period = period }
    }

    public static let typeName = "Task"
    public private(set) var resourceType = Self.typeName
    public var id: String?
    public var meta: Meta?
    @Many public var identifier: [Identifier]
    @Many public var basedOn: [Reference]
    public var status: String?
    public var intent: String?
    public var priority: String?
    public var code: CodeableConcept?
    public var description: String?
    public var focus: Reference?
    public var `for`: Reference?
    public var encounter: Reference?
    public var executionPeriod: Period?
    public var authoredOn: String?
    public var lastModified: String?
    public var owner: Reference?
    public var location: Reference?
    public var restriction: Restriction?

    public init(id: String?, status: String? = nil, intent: String? = nil) {
        self.id = id
        self.status = status
        self.intent = intent
    }
}

public struct ServiceRequest: Resource {
    public static let typeName = "ServiceRequest"
    public private(set) var resourceType = Self.typeName
    public var id: String?
    public var meta: Meta?
    @Many public var identifier: [Identifier]
    public var status: String?
    public var intent: String?
    @Many public var category: [CodeableConcept]
    public var priority: String?
    public var code: CodeableConcept?
    public var subject: Reference?
    public var occurrenceDateTime: String?
    public var occurrencePeriod: Period?
    public var authoredOn: String?
    public var requester: Reference?
    @Many public var locationCode: [CodeableConcept]
    @Many public var locationReference: [Reference]
    @Many public var reasonCode: [CodeableConcept]
    @Many public var note: [Annotation]

    public init(id: String?, status: String? = nil, intent: String? = nil) {
        self.id = id
        self.status = status
        self.intent = intent
    }
}
