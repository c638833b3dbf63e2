import FoundationEssentials

/// Why bytes are not the resource that was expected. The text names fields and types, never values.
public enum FHIRError: Error, Equatable, Sendable {
    case unreadable(String)
    case wrongType(expected: String, found: String)
    case unwritable(String)
}

/// JSON both ways: tolerant when reading (unknown fields are ignored), canonical when writing (sorted keys, one way to write a value).
public enum FHIRCodec {
    public static func encode(_ resource: some Encodable, pretty: Bool = false) throws(FHIRError) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting =
            pretty ? [.sortedKeys, .withoutEscapingSlashes, .prettyPrinted] : [.sortedKeys, .withoutEscapingSlashes]
        do {
            return [UInt8](try encoder.encode(resource))
        } catch {
            throw .unwritable("\(Swift.type(of: resource))")
        }
    }

    /// - Throws: `wrongType` when the bytes are another resource, `unreadable` when they are none.
    public static func decode<R: Resource>(_ type: R.Type, from bytes: [UInt8]) throws(FHIRError) -> R {
        let resource: R
        do {
            resource = try JSONDecoder().decode(R.self, from: Data(bytes))
        } catch {
            if let found = (try? JSONDecoder().decode(Header.self, from: Data(bytes)))?.resourceType,
                found != R.typeName
            {
                throw .wrongType(expected: R.typeName, found: found)
            }
            throw .unreadable("\(R.typeName): \(reason(error))")
        }
        guard resource.resourceType == R.typeName else {
            throw .wrongType(expected: R.typeName, found: resource.resourceType)
        }
        return resource
    }

    /// What every resource begins with.
    struct Header: Decodable {
        var resourceType: String?
        var id: String?
    }

    /// Where decoding failed, without the value that was there: it may be an identity.
    static func reason(_ error: any Error) -> String {
        func path(_ context: DecodingError.Context) -> String {
            context.codingPath.map { $0.intValue.map(String.init) ?? $0.stringValue }.joined(separator: ".")
        }
        return switch error {
        case DecodingError.keyNotFound(let key, let context): "\(path(context)) has no \(key.stringValue)"
        case DecodingError.typeMismatch(let type, let context): "\(path(context)) is not a \(type)"
        case DecodingError.valueNotFound(_, let context): "\(path(context)) is null"
        case DecodingError.dataCorrupted(let context): "\(path(context)) is not valid"
        default: "not valid"
        }
    }
}
