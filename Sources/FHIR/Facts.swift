// What goes up: the visit as it happened (Encounter), with what (Device), what was recorded (DocumentReference), who says so
// (Provenance).

public struct Encounter: Resource {
    public struct Participant: Codable, Hashable, Sendable {
        public var individual: Reference?
        public init(individual: Reference?) { self.individual = individual }
    }

    public static let typeName = "Encounter"
    public private(set) var resourceType = Self.typeName
    public var id: String?
    public var meta: Meta?
    @Many public var identifier: [Identifier]
    public var status: String?
    public var `class`: Coding?
    public var subject: Reference?
    @Many public var basedOn: [Reference]
    @Many public var participant: [Participant]
    public var period: Period?

    public init(id: String?, status: String? = nil, class: Coding? = nil) {
        self.id = id
        self.status = status
        self.class = `class`
    }
}

public struct Device: Resource {
    public struct Name: Codable, Hashable, Sendable {
        public var name: String?
        public var type: String?
        public init(name: String?, type: String?) {
            self.name = name
            self.type = type
        }
    }

    public struct Version: Codable, Hashable, Sendable {
        public var type: CodeableConcept?
        public var value: String?
        public init(type: CodeableConcept?, value: String?) {
            self.type = type
            self.value = value
        }
    }

    public static let typeName = "Device"
    public private(set) var resourceType = Self.typeName
    public var id: String?
    public var meta: Meta?
    @Many public var `extension`: [Extension]
    @Many public var identifier: [Identifier]
    public var status: String?
    public var manufacturer: String?
    public var serialNumber: String?
    @Many public var deviceName: [Name]
    public var modelNumber: String?
    public var type: CodeableConcept?
    @Many public var version: [Version]

    public init(id: String?) { self.id = id }
}

public struct DocumentReference: Resource {
    public struct Relation: Codable, Hashable, Sendable {
        /// `transforms`, `replaces`, …
        public var code: String?
        public var target: Reference?
        public init(code: String?, target: Reference?) {
            self.code = code
            self.target = target
        }
    }

    public struct Content: Codable, Hashable, Sendable {
        public var attachment: Attachment?
        public var format: Coding?
        public init(attachment: Attachment?, format: Coding? = nil) {
            self.attachment = attachment
            self.format = format
        }
    }

    public struct Context: Codable, Hashable, Sendable {
        @Many public var encounter: [Reference]
        public var period: Period?
        @Many public var related: [Reference]
        public init(encounter: [Reference] = [], period: Period? = nil, related: [Reference] = []) {
            self.encounter = encounter
            self.period = period
            self.related = related
        }
    }

    public static let typeName = "DocumentReference"
    public private(set) var resourceType = Self.typeName
    public var id: String?
    public var meta: Meta?
    @Many public var `extension`: [Extension]
    public var masterIdentifier: Identifier?
    @Many public var identifier: [Identifier]
    public var status: String?
    /// `preliminary` or `final`.
    public var docStatus: String?
    public var type: CodeableConcept?
    public var subject: Reference?
    public var date: Instant?
    @Many public var author: [Reference]
    @Many public var relatesTo: [Relation]
    public var description: String?
    @Many public var securityLabel: [CodeableConcept]
    @Many public var content: [Content]
    public var context: Context?

    public init(id: String?) { self.id = id }
}

/// Has no `identifier` in R4: sent with a client id, or every retry makes another one (sync.md 1.1).
public struct Provenance: Resource {
    public struct Agent: Codable, Hashable, Sendable {
        public var type: CodeableConcept?
        public var who: Reference?
        public var onBehalfOf: Reference?
        public init(type: CodeableConcept?, who: Reference?, onBehalfOf: Reference? = nil) {
            self.type = type
            self.who = who
            self.onBehalfOf = onBehalfOf
        }
    }

    public static let typeName = "Provenance"
    public private(set) var resourceType = Self.typeName
    public var id: String?
    public var meta: Meta?
    @Many public var `extension`: [Extension]
    @Many public var target: [Reference]
    public var occurredPeriod: Period?
    public var recorded: Instant?
    @Many public var agent: [Agent]

    public init(id: String?) { self.id = id }
}
