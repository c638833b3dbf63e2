/// A JSON value that gives back what it was given: a number keeps its text, since `1.0` and `1.00` are two different
/// measurements in FHIR.
enum JSON: Equatable, Sendable {
    case null
    case bool(Bool)
    case number(String)
    case string(String)
    case array([JSON])
    case object([String: JSON])

    var string: String? { if case .string(let value) = self { value } else { nil } }
    var array: [JSON]? { if case .array(let value) = self { value } else { nil } }
    var object: [String: JSON]? { if case .object(let value) = self { value } else { nil } }

    /// A member of an object; nil for anything else. Setting nil removes it.
    subscript(_ name: String) -> JSON? {
        get { object?[name] }
        set {
            guard case .object(var members) = self else { return }
            members[name] = newValue
            self = .object(members)
        }
    }

    /// Everything at a dotted path, through arrays: `context.related`.
    func all(at path: String) -> [JSON] {
        var found = [self]
        for name in path.split(separator: ".") {
            found = found.flatMap { $0[String(name)].map { $0.array ?? [$0] } ?? [] }
        }
        return found
    }

    /// Compact, members in alphabetical order but `resourceType` and `id` first, so that equal values give equal bytes.
    var text: String {
        var out = ""
        write(into: &out)
        return out
    }

    private func write(into out: inout String) {
        switch self {
        case .null: out += "null"
        case .bool(let value): out += value ? "true" : "false"
        case .number(let text): out += text
        case .string(let value): Self.quote(value, into: &out)
        case .array(let values):
            out += "["
            for (at, value) in values.enumerated() {
                if at > 0 { out += "," }
                value.write(into: &out)
            }
            out += "]"
        case .object(let members):
            out += "{"
            var first = true
            let leading = ["resourceType", "id"].filter { members[$0] != nil }
            for name in leading + members.keys.filter({ !leading.contains($0) }).sorted() {
                if !first { out += "," }
                first = false
                Self.quote(name, into: &out)
                out += ":"
                members[name]?.write(into: &out)
            }
            out += "}"
        }
    }

    private static func quote(_ value: String, into out: inout String) {
        out += "\""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\"": out += "\\\""
            case "\\": out += "\\\\"
            case "\n": out += "\\n"
            case "\r": out += "\\r"
            case "\t": out += "\\t"
            case _ where scalar.value < 0x20:
                let digits = String(scalar.value, radix: 16)
                out += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: out.unicodeScalars.append(scalar)
            }
        }
        out += "\""
    }
}

extension JSON: ExpressibleByStringLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral,
    ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral
{
    init(stringLiteral value: String) { self = .string(value) }
    init(arrayLiteral elements: JSON...) { self = .array(elements) }
    init(dictionaryLiteral elements: (String, JSON)...) {
        self = .object(Dictionary(elements, uniquingKeysWith: { $1 }))
    }
    init(booleanLiteral value: Bool) { self = .bool(value) }
    init(integerLiteral value: Int) { self = .number(String(value)) }
    init(_ value: Int) { self = .number(String(value)) }
}
