// What comes back: the opinion (DiagnosticReport), questions (Communication, both ways) and the PPS (CarePlan).

public struct DiagnosticReport: Resource {
    public static let typeName = "DiagnosticReport"
    public private(set) var resourceType = Self.typeName
    public var id: String?
    public var meta: Meta?
    @Many public var `extension`: [Extension]
    @Many public var identifier: [Identifier]
    @Many public var basedOn: [Reference]
    public var status: String?
    @Many public var category: [CodeableConcept]
    public var code: CodeableConcept?
    public var subject: Reference?
    public var encounter: Reference?
    public var effectiveDateTime: String?
    public var issued: Instant?
    @Many public var performer: [Reference]
    @Many public var resultsInterpreter: [Reference]
    @Many public var result: [Reference]
    public var conclusion: String?
    @Many public var conclusionCode: [CodeableConcept]
    @Many public var presentedForm: [Attachment]

    public init(id: String?) { self.id = id }
}

public struct Communication: Resource {
    public struct Payload: Codable, Hashable, Sendable {
        public var contentString: String?
        public var contentReference: Reference?
        public init(contentString: String?) { self.contentString = contentString }
    }

    public static let typeName = "Communication"
    public private(set) var resourceType = Self.typeName
    public var id: String?
    public var meta: Meta?
    @Many public var identifier: [Identifier]
    @Many public var basedOn: [Reference]
    @Many public var inResponseTo: [Reference]
    public var status: String?
    @Many public var category: [CodeableConcept]
    public var priority: String?
    public var subject: Reference?
    public var topic: CodeableConcept?
    @Many public var about: [Reference]
    public var encounter: Reference?
    public var sent: String?
    public var received: String?
    @Many public var recipient: [Reference]
    public var sender: Reference?
    @Many public var payload: [Payload]

    public init(id: String?, status: String? = nil) {
        self.id = id
        self.status = status
    }
}

public struct CarePlan: Resource {
    public struct Activity: Codable, Hashable, Sendable {
        public struct Detail: Codable, Hashable, Sendable {
            public var code: CodeableConcept?
            public var status: String?
            public var scheduledString: String?
            public var scheduledPeriod: Period?
            public var description: String?
        }

        public var reference: Reference?
        public var detail: Detail?
    }

    public static let typeName = "CarePlan"
    public private(set) var resourceType = Self.typeName
    public var id: String?
    public var meta: Meta?
    @Many public var identifier: [Identifier]
    @Many public var basedOn: [Reference]
    public var status: String?
    public var intent: String?
    public var title: String?
    public var description: String?
    public var subject: Reference?
    public var period: Period?
    public var created: String?
    public var author: Reference?
    @Many public var activity: [Activity]

    public init(id: String?) { self.id = id }
}
