import Clinical
public import FHIR
import FoundationEssentials

// Facts as FHIR. Every entry is a PUT under a client's id, so a retry is the same write again, and resources without an
// `identifier` (Provenance) don't multiply (sync.md 1.1).

extension VisitFacts {
    /// - Parameters:
    ///   - base: the absolute FHIR base, for `fullUrl`, against which the relative references resolve.
    ///   - recordings: absolute URL below which the server keeps documents by their id (and answers for them with receipts).
    /// - Throws: `local` when the entries contradict themselves: two under one identity, or a sensor that is not listed.
    public func bundle(base: String, recordings: String) throws(UplinkError) -> Bundle {
        let observations = measured.flatMap { self.observations($0) } + reported.flatMap { self.observations($0) }
        let typed = self.typed.flatMap { self.resources($0) }
        var ids = ([encounter, provenance, laptop.id] + sensors.map(\.id) + entries.map(\.document.id)).map(\.text)
        ids += observations.compactMap(\.id) + typed.compactMap(\.id)
        guard Set(ids).count == ids.count else { throw .local("two resources under one identity") }
        guard
            (entries.map(\.sensor) + measured.map(\.sensor) + reported.map(\.sensor)).allSatisfy({ id in
                sensors.contains { $0.id == id }
            })
        else {
            throw .local("a recording's device is not among the sensors")
        }
        // What is referred to comes first; some servers resolve in order.
        var resources: [AnyResource] = [.device(gateway)]
        resources += sensors.map { .device(device($0)) }
        resources.append(.encounter(visitEncounter))
        // An artefact refers to its original.
        resources += entries.filter { $0.document.role == .original }.map {
            .documentReference(reference($0, recordings))
        }
        resources += entries.filter { $0.document.role == .artefact }.map {
            .documentReference(reference($0, recordings))
        }
        resources += observations.map { .observation($0) }
        resources += typed
        resources.append(.provenance(provenanceResource(observations, typed)))
        var bundle = Bundle(
            type: "transaction",
            entry: resources.map { resource in
                let local = "\(resource.type)/\(resource.id ?? "")"
                return Bundle.Entry(
                    fullUrl: "\(base)/\(local)", resource: resource,
                    request: Bundle.Request(method: "PUT", url: local))
            })
        bundle.identifier = FHIR.Identifier(system: "\(namespace)/batch", value: batch.text)
        bundle.timestamp = recorded
        return bundle
    }

    // MARK: Parts

    var subject: Reference {
        var reference = Reference("Patient/\(visit.patient.id)", type: "Patient")
        // Only a qualified identity may be used to reference data by INS; the code alone says nothing (sync.md 2.1, trap 1).
        if let ins = visit.patient.qualifiedINS {
            reference.identifier = FHIR.Identifier(system: ins.system, value: ins.value)
        }
        return reference
    }

    var who: Reference? {
        nurse.map {
            Reference(
                type: "Practitioner",
                identifier: FHIR.Identifier(system: $0.identifier.system, value: $0.identifier.value),
                display: $0.name)
        }
    }

    private var order: [Reference] { visit.order.map { [Reference($0, type: "ServiceRequest")] } ?? [] }
    private var gatewayReference: Reference { Reference("Device/\(laptop.id.text)", type: "Device") }
    var encounterReference: Reference { Reference("Encounter/\(encounter.text)", type: "Encounter") }

    /// Simulated data can never pass for real: as a security label (what R4 asks for) and as a tag (what servers search by).
    func meta(simulated: Bool) -> Meta? {
        simulated ? Meta(security: [.testData], tag: [.testData]) : nil
    }

    func isSimulated(_ recording: Recording) -> Bool {
        recording.origin == .simulated || recording.device.isSimulated
    }

    private var gateway: Device {
        var device = Device(id: laptop.id.text)
        device.identifier = [FHIR.Identifier(system: "\(namespace)/laptop", value: laptop.identifier)]
        device.status = "active"
        device.deviceName = [Device.Name(name: "ess-agent", type: "model-name")]
        device.version = [Device.Version(type: CodeableConcept(text: "software"), value: laptop.version)]
        return device
    }

    private func device(_ sensor: Sensor) -> Device {
        let identity = sensor.identity
        var device = Device(id: sensor.id.text)
        device.meta = meta(simulated: identity.isSimulated)
        if let serial = identity.serial {
            device.identifier = [
                FHIR.Identifier(system: "\(namespace)/device/\(identity.driver)", value: serial)
            ]
            device.serialNumber = serial
        }
        device.status = "active"
        device.manufacturer = identity.vendor
        device.deviceName = [Device.Name(name: identity.model, type: "model-name")]
        device.modelNumber = identity.model
        if let firmware = identity.firmware {
            device.version = [Device.Version(type: CodeableConcept(text: "firmware"), value: firmware)]
        }
        device.extension = [Extension(url: "\(namespace)/support", code: identity.support.rawValue)]
        return device
    }

    private var visitEncounter: Encounter {
        var encounter = Encounter(
            id: self.encounter.text, status: closed == nil ? "in-progress" : "finished", class: .homeHealth)
        encounter.meta = meta(simulated: isSimulatedVisit || entries.contains { isSimulated($0.recording) })
        encounter.identifier = [FHIR.Identifier(system: "\(namespace)/visit", value: visit.id)]
        encounter.subject = subject
        encounter.basedOn = order
        encounter.participant = who.map { [Encounter.Participant(individual: $0)] } ?? []
        if opened != nil || closed != nil { encounter.period = Period(start: opened, end: closed) }
        return encounter
    }

    private func reference(_ entry: Entry, _ recordings: String) -> DocumentReference {
        let document = entry.document
        let recording = entry.recording
        let id = document.id.text
        var reference = DocumentReference(id: id)
        reference.meta = meta(simulated: isSimulated(recording))
        reference.masterIdentifier = FHIR.Identifier(system: Systems.uri, value: "urn:uuid:\(id)")
        reference.identifier = [
            FHIR.Identifier(system: "\(namespace)/recording", value: recording.id.description),
            FHIR.Identifier(system: "\(namespace)/sha256", value: document.sha256),
        ]
        reference.status = "current"
        reference.docStatus = state.rawValue
        reference.type = Self.type(recording.modality)
        reference.subject = subject
        reference.date = recorded
        reference.author = [gatewayReference] + (who.map { [$0] } ?? [])
        if document.role == .artefact, let original = entry.original {
            reference.relatesTo = [
                DocumentReference.Relation(code: "transforms", target: Reference("DocumentReference/\(original.text)"))
            ]
        }
        reference.content = [
            DocumentReference.Content(
                attachment: Attachment(
                    contentType: document.mediaType, url: entry.address ?? "\(recordings)/\(id)", size: document.size,
                    hash: document.sha1,
                    title: Self.title(recording.modality, document.role)))
        ]
        var period: Period?
        if entry.start != nil || entry.end != nil { period = Period(start: entry.start, end: entry.end) }
        reference.context = DocumentReference.Context(
            encounter: [encounterReference], period: period,
            related: order + [Reference("Device/\(entry.sensor.text)", type: "Device")])
        reference.extension = [
            Extension(url: "\(namespace)/role", code: document.role.rawValue),
            Extension(url: "\(namespace)/state", code: recording.state.rawValue),
            clock(recording.clock),
        ]
        return reference
    }

    /// The clocks' raw words, beside whatever time was derived from them (PRODUCT.md, rule 7).
    func clock(_ facts: ClockFacts) -> Extension {
        var parts = [
            Extension(url: "source", code: facts.source.rawValue),
            Extension(url: "hostWall", instant: Instant(milliseconds: facts.hostWall)),
        ]
        if let known = facts.hostSynchronised { parts.append(Extension(url: "hostSynchronised", boolean: known)) }
        if let start = facts.deviceStart { parts.append(Extension(url: "deviceStart", string: start.description)) }
        if let raw = facts.deviceRaw, !raw.isEmpty { parts.append(Extension(url: "deviceRaw", string: raw)) }
        return Extension(url: "\(namespace)/clock", extension: parts)
    }

    private func provenanceResource(_ observations: [Observation], _ typed: [AnyResource]) -> Provenance {
        var provenance = Provenance(id: self.provenance.text)
        provenance.target =
            [encounterReference] + entries.map { Reference("DocumentReference/\($0.document.id.text)") }
            + observations.compactMap { $0.id.map { Reference("Observation/\($0)") } }
            + typed.compactMap { resource in resource.id.map { Reference("\(resource.type)/\($0)") } }
        provenance.recorded = recorded
        provenance.agent = [
            Provenance.Agent(
                type: CodeableConcept(
                    Coding(system: Systems.provenanceAgentType, code: "assembler", display: "Assembler")),
                who: gatewayReference)
        ]
        if let who {
            provenance.agent.append(
                Provenance.Agent(
                    type: CodeableConcept(
                        Coding(system: Systems.provenanceAgentType, code: "performer", display: "Performer")),
                    who: who))
        }
        return provenance
    }

    /// The shared references name a LOINC code for an ECG and none for the others, so those stay words (pathways.md).
    private static func type(_ modality: Recording.Modality) -> CodeableConcept {
        switch modality {
        case .ecg: CodeableConcept(.ecgStudy)
        case .oximetry: CodeableConcept(text: "Pulse oximetry recording")
        case .sleep: CodeableConcept(text: "Sleep therapy recording")
        case .bloodPressure: CodeableConcept(text: "Blood pressure memory")
        case .vitals: CodeableConcept(text: "Vital signs")
        case .imaging: CodeableConcept(text: "Imaging")
        case .other: CodeableConcept(text: "Files of a device")
        }
    }

    /// For a list on a screen; without an identity.
    private static func title(_ modality: Recording.Modality, _ role: Document.Role) -> String {
        let what =
            switch modality {
            case .ecg: "ECG"
            case .oximetry: "Oximetry"
            case .sleep: "Sleep"
            case .bloodPressure: "Blood pressure"
            case .vitals: "Vital signs"
            case .imaging: "Images"
            case .other: "Files of a device"
            }
        return role == .artefact ? what : "\(what), original"
    }
}

extension UUID {
    /// Lower case: FHIR ids compare by their letters' case.
    var text: String { uuidString.lowercased() }
}
