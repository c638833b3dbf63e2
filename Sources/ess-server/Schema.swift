/// The part of FHIR R4 that this server keeps: which resources, and by what each can be found.
enum Schema {
    enum Kind: Sendable {
        case reference, identifier, code
    }

    struct Parameter: Sendable {
        var kind: Kind
        /// Dotted path in the resource.
        var path: String
    }

    /// Search parameters by resource type, beside `_id`, `_lastUpdated` and `_count`, which all have.
    static let parameters: [String: [String: Parameter]] = {
        func all(_ references: [String: String], status: Bool = true, identifier: Bool = true) -> [String: Parameter] {
            var found = references.mapValues { Parameter(kind: .reference, path: $0) }
            if status { found["status"] = Parameter(kind: .code, path: "status") }
            if identifier { found["identifier"] = Parameter(kind: .identifier, path: "identifier") }
            return found
        }
        let about = ["subject": "subject", "patient": "subject"]
        return [
            "AuditEvent": [:],
            "CarePlan": all(about.merging(["based-on": "basedOn", "encounter": "encounter"]) { $1 }),
            "CareTeam": all(about.merging(["encounter": "encounter"]) { $1 }),
            "Communication": all(
                about.merging(["based-on": "basedOn", "encounter": "encounter", "recipient": "recipient"]) { $1 }),
            "Condition": all(about.merging(["encounter": "encounter"]) { $1 }, status: false),
            "Device": all(["patient": "patient"]),
            "DiagnosticReport": all(about.merging(["based-on": "basedOn", "encounter": "encounter"]) { $1 }),
            "DocumentReference": all(
                about.merging(["encounter": "context.encounter", "related": "context.related"]) { $1 }),
            "Encounter": all(about.merging(["based-on": "basedOn"]) { $1 }),
            "Location": all([:]),
            "Observation": all(
                about.merging(["based-on": "basedOn", "encounter": "encounter", "device": "device"]) { $1 }),
            "Organization": all([:], status: false),
            "Patient": all([:], status: false),
            "Practitioner": all([:], status: false),
            "PractitionerRole": all(["practitioner": "practitioner", "organization": "organization"], status: false),
            "Provenance": all(["target": "target"], status: false, identifier: false),
            "QuestionnaireResponse": all(about.merging(["based-on": "basedOn", "encounter": "encounter"]) { $1 }),
            "ServiceRequest": all(about.merging(["based-on": "basedOn", "encounter": "encounter"]) { $1 }),
            "Task": all([
                "owner": "owner", "patient": "for", "subject": "for", "focus": "focus", "based-on": "basedOn",
                "encounter": "encounter",
            ]),
        ]
    }()

    /// `_include`s by type: where the reference is.
    static let includes: [String: [String: String]] = [
        "Task": ["Task:focus": "focus", "Task:patient": "for", "Task:subject": "for", "Task:owner": "owner"],
        "DiagnosticReport": ["DiagnosticReport:subject": "subject", "DiagnosticReport:patient": "subject"],
        "Communication": ["Communication:subject": "subject", "Communication:patient": "subject"],
        "CarePlan": ["CarePlan:subject": "subject", "CarePlan:patient": "subject"],
    ]

    static var types: [String] { parameters.keys.sorted() }

    /// Types that a reference may only name when they are here: a recording filed under a patient or a visit that does
    /// not exist would be lost.
    static let mustExist: Set<String> = ["Patient", "Task", "ServiceRequest", "Encounter"]

    static func requireType(_ type: String) throws {
        guard parameters[type] != nil else {
            throw Refusal(404, "not-supported", "this server keeps no such resource type")
        }
    }

    /// FHIR's id: 1 to 64 of letters, digits, '-' and '.'.
    static func isID(_ text: some StringProtocol) -> Bool {
        (1...64).contains(text.utf8.count)
            && text.utf8.allSatisfy {
                (0x30...0x39).contains($0) || (0x41...0x5A).contains($0) || (0x61...0x7A).contains($0) || $0 == 0x2D
                    || $0 == 0x2E
            }
    }

    /// `Type/id`, or `Type/id/_history/n`.
    static func local(_ reference: String) -> (type: String, id: String)? {
        let parts = reference.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2 || parts.count == 4 && parts[2] == "_history", isID(parts[1]),
            let first = parts[0].utf8.first, (0x41...0x5A).contains(first),
            parts[0].utf8.allSatisfy({ (0x41...0x5A).contains($0) || (0x61...0x7A).contains($0) })
        else { return nil }
        return (String(parts[0]), String(parts[1]))
    }

    /// The rows of `term` for one resource: name, system, value.
    static func terms(of resource: JSON, type: String) -> [(name: String, system: String, value: String)] {
        var rows: [(String, String, String)] = []
        for (name, parameter) in parameters[type] ?? [:] {
            for value in resource.all(at: parameter.path) {
                switch parameter.kind {
                case .code:
                    if let code = value.string { rows.append((name, "", code)) }
                case .identifier:
                    if let number = value["value"]?.string {
                        rows.append((name, value["system"]?.string ?? "", number))
                    }
                case .reference:
                    guard let reference = value["reference"]?.string else { continue }
                    if let local = local(reference) {
                        rows.append((name, local.type, local.id))
                    } else {
                        rows.append((name, "", reference))
                    }
                }
            }
        }
        return rows
    }
}
