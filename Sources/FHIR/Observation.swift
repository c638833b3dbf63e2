public import FoundationEssentials

/// A measured value with its unit; UCUM when `system` says so.
public struct Quantity: Codable, Hashable, Sendable {
    public var value: Decimal?
    public var unit: String?
    public var system: String?
    public var code: String?

    /// - Parameter ucum: the unit's UCUM code.
    public init(_ value: Decimal, ucum: String) {
        self.value = value
        unit = ucum
        system = Systems.ucum
        code = ucum
    }
}

/// A measurement as a device made it.
public struct Observation: Resource {
    public struct Component: Codable, Hashable, Sendable {
        public var code: CodeableConcept?
        public var valueQuantity: Quantity?
        public var valueCodeableConcept: CodeableConcept?

        public init(
            code: CodeableConcept?, valueQuantity: Quantity?, valueCodeableConcept: CodeableConcept? = nil
        ) {
            self.code = code
            self.valueQuantity = valueQuantity
            self.valueCodeableConcept = valueCodeableConcept
        }
    }

    public static let typeName = "Observation"
    public private(set) var resourceType = Self.typeName
    public var id: String?
    public var meta: Meta?
    @Many public var `extension`: [Extension]
    @Many public var identifier: [Identifier]
    public var status: String?
    @Many public var category: [CodeableConcept]
    public var code: CodeableConcept?
    public var subject: Reference?
    public var encounter: Reference?
    /// FHIR dateTime; nil when the device has no clock.
    public var effectiveDateTime: String?
    @Many public var performer: [Reference]
    public var valueQuantity: Quantity?
    public var valueCodeableConcept: CodeableConcept?
    @Many public var note: [Annotation]
    public var bodySite: CodeableConcept?
    public var method: CodeableConcept?
    public var device: Reference?
    @Many public var derivedFrom: [Reference]
    @Many public var component: [Component]

    public init(id: String?) { self.id = id }
}

extension Coding {
    /// FHIR's category of vital signs.
    public static let vitalSigns = Coding(
        system: "http://terminology.hl7.org/CodeSystem/observation-category", code: "vital-signs",
        display: "Vital Signs")

    public static let imaging = Coding(
        system: "http://terminology.hl7.org/CodeSystem/observation-category", code: "imaging", display: "Imaging")

    public static func loinc(_ code: String, _ display: String) -> Coding {
        Coding(system: "http://loinc.org", code: code, display: display)
    }
}
