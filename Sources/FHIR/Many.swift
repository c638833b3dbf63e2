/// A list element of a resource. FHIR R4 forbids empty arrays, so an empty list is not written and a missing one is read as empty.
@propertyWrapper
public struct Many<Element: Codable & Hashable & Sendable>: Codable, Hashable, Sendable {
    public var wrappedValue: [Element]

    public init(wrappedValue: [Element] = []) { self.wrappedValue = wrappedValue }

    public init(from decoder: any Decoder) throws {
        wrappedValue = try decoder.singleValueContainer().decode([Element].self)
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(wrappedValue)
    }
}

extension KeyedDecodingContainer {
    /// Chosen by the synthesised decoders of this module for every `@Many` property.
    func decode<Element>(_ type: Many<Element>.Type, forKey key: Key) throws -> Many<Element> {
        try decodeIfPresent(type, forKey: key) ?? Many()
    }
}

extension KeyedEncodingContainer {
    /// Chosen by the synthesised encoders of this module for every `@Many` property.
    mutating func encode<Element>(_ value: Many<Element>, forKey key: Key) throws {
        guard !value.wrappedValue.isEmpty else { return }
        try encode(value.wrappedValue, forKey: key)
    }
}
