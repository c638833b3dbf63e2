/// What is looked at before a resource is kept. FHIR's own profiles are not: this server knows shapes, not terminology.
struct Validation {
    let store: FHIRStore

    /// The envelope of a resource that arrived for `type`.
    static func shape(_ resource: JSON, type: String, id: String?) throws {
        guard resource.object != nil else { throw Refusal.invalid("the body is not a JSON object") }
        guard let said = resource["resourceType"]?.string else { throw Refusal.invalid("resourceType is missing") }
        guard said == type else { throw Refusal.invalid("resourceType is not the type in the URL") }
        if let own = resource["id"] {
            guard let own = own.string, Schema.isID(own) else { throw Refusal.invalid("id is not a FHIR id") }
            if let id, own != id { throw Refusal.invalid("id is not the id in the URL") }
        } else if id != nil {
            throw Refusal.invalid("an update needs an id in the body")
        }
        if let meta = resource["meta"], meta.object == nil { throw Refusal.invalid("meta is not an object") }
        try identifiers(of: resource)
    }

    private static func identifiers(of resource: JSON) throws {
        guard let identifiers = resource["identifier"], identifiers.array == nil, identifiers.object == nil else {
            return
        }
        throw Refusal.invalid("identifier is not an object or an array")
    }

    /// After everything of one request was written, and before it is committed.
    func check(_ stored: Stored) throws {
        let references = Self.references(in: stored.body)
        for reference in references { try check(reference) }
        try checkPatient(of: stored, references: references)
    }

    private func check(_ reference: String) throws {
        if reference.hasPrefix("#") || reference.hasPrefix("https://") || reference.hasPrefix("http://")
            || reference.hasPrefix("urn:oid:")
        {
            return
        }
        if reference.hasPrefix("urn:uuid:") {
            throw Refusal.unprocessable("a urn:uuid reference is not resolved by a fullUrl of the same Bundle")
        }
        guard let local = Schema.local(reference) else {
            throw Refusal.unprocessable("a reference is neither Type/id, nor contained, nor absolute")
        }
        if Schema.mustExist.contains(local.type), try store.read(local.type, local.id) == nil {
            throw Refusal.unprocessable("a reference names a \(local.type) that is not here")
        }
    }

    /// A resource is about one patient, and so is everything that it hangs on: its visit, its order, its encounter. Where
    /// they disagree nothing is kept, since one of them is filed under the wrong person.
    private func checkPatient(of stored: Stored, references: [String]) throws {
        guard let subject = Self.subject(of: stored.body) else { return }
        if let patient = Schema.local(subject), patient.type == "Patient",
            let person = try store.read("Patient", patient.id)
        {
            try checkEcho(in: stored.body, against: person.body)
        }
        for reference in references {
            guard let local = Schema.local(reference), ["Task", "ServiceRequest", "Encounter"].contains(local.type),
                let other = try store.read(local.type, local.id)
            else { continue }
            try agree(subject, with: other.body, named: local.type)
            for visit in Self.visits(in: other.body) { try agree(subject, withVisit: visit) }
        }
        for visit in Self.visits(in: stored.body) { try agree(subject, withVisit: visit) }
    }

    private func agree(_ subject: String, withVisit id: String) throws {
        guard let task = try store.read("Task", id) else { return }
        try agree(subject, with: task.body, named: "Task")
    }

    private func agree(_ subject: String, with other: JSON, named type: String) throws {
        guard let theirs = Self.subject(of: other), theirs != subject else { return }
        throw Refusal.conflict("the subject is not the patient of the \(type) that the resource refers to")
    }

    /// `subject.identifier` repeats one of the patient's own, or the resource was meant for somebody else.
    private func checkEcho(in body: JSON, against person: JSON) throws {
        guard let echo = Self.subjectElement(of: body)?["identifier"], let value = echo["value"]?.string else { return }
        let system = echo["system"]?.string
        let known = person.all(at: "identifier").contains {
            $0["value"]?.string == value && $0["system"]?.string == system
        }
        guard known else { throw Refusal.conflict("subject.identifier is not one of the patient's") }
    }

    private static func subjectElement(of body: JSON) -> JSON? {
        body["resourceType"] == "Task" ? body["for"] : body["subject"] ?? body["patient"]
    }

    /// Without a version: `Patient/p1`.
    static func subject(of body: JSON) -> String? {
        guard let reference = subjectElement(of: body)?["reference"]?.string else { return nil }
        return Schema.local(reference).map { "\($0.type)/\($0.id)" } ?? reference
    }

    /// Visits named by identifier: a system that ends in `/visit`, the value being the Task's id.
    private static func visits(in value: JSON) -> [String] {
        switch value {
        case .array(let values): return values.flatMap(visits)
        case .object(let members):
            if let system = members["system"]?.string, system.hasSuffix("/visit"), let id = members["value"]?.string {
                return [id]
            }
            return members.values.flatMap(visits)
        default: return []
        }
    }

    /// Every `reference` in a resource, its contained ones too.
    static func references(in value: JSON) -> [String] {
        switch value {
        case .array(let values): return values.flatMap(references)
        case .object(let members):
            return members.flatMap { name, member -> [String] in
                if name == "reference", let reference = member.string { return [reference] }
                return references(in: member)
            }
        default: return []
        }
    }
}
