public import FoundationEssentials

/// Questions that were put at a visit, with their answers.
public struct QuestionnaireResponse: Resource {
    public struct Answer: Codable, Hashable, Sendable {
        public var valueBoolean: Bool?
        public var valueDecimal: Decimal?
        public var valueInteger: Int?
        public var valueString: String?
        public var valueCoding: Coding?
        public var valueQuantity: Quantity?

        public init() {}
    }

    public struct Item: Codable, Hashable, Sendable {
        public var linkId: String
        public var text: String?
        @Many public var answer: [Answer]

        public init(linkId: String, text: String?, answer: [Answer]) {
            self.linkId = linkId
            self.text = text
            self.answer = answer
        }
    }

    public static let typeName = "QuestionnaireResponse"
    public private(set) var resourceType = Self.typeName
    public var id: String?
    public var meta: Meta?
    @Many public var `extension`: [Extension]
    public var identifier: Identifier?
    @Many public var basedOn: [Reference]
    /// Canonical.
    public var questionnaire: String?
    public var status: String?
    public var subject: Reference?
    public var encounter: Reference?
    /// FHIR dateTime.
    public var authored: String?
    public var author: Reference?
    @Many public var item: [Item]

    public init(id: String?) { self.id = id }
}
