import FoundationEssentials

/// A resource with an identity of its own.
public protocol Resource: Codable, Hashable, Sendable {
    static var typeName: String { get }
    var resourceType: String { get }
    var id: String? { get set }
    var meta: Meta? { get set }
}

extension Resource {
    /// `Patient/42`, or nil before it has an id.
    public var local: String? { id.map { "\(Self.typeName)/\($0)" } }
}

/// One entry's resource. What we don't know or can't read is kept as such, so that one strange entry never hides the others.
public enum AnyResource: Hashable, Sendable {
    case patient(Patient)
    case task(TaskResource)
    case serviceRequest(ServiceRequest)
    case documentReference(DocumentReference)
    case device(Device)
    case encounter(Encounter)
    case provenance(Provenance)
    case observation(Observation)
    case questionnaireResponse(QuestionnaireResponse)
    case diagnosticReport(DiagnosticReport)
    case communication(Communication)
    case carePlan(CarePlan)
    case operationOutcome(OperationOutcome)
    /// A type that we don't use.
    case other(type: String, id: String?)
    /// A type that we use, in a shape that we can't read; the reason names fields, never values.
    case unreadable(type: String, id: String?, reason: String)

    public var type: String {
        switch self {
        case .patient: Patient.typeName
        case .task: TaskResource.typeName
        case .serviceRequest: ServiceRequest.typeName
        case .documentReference: DocumentReference.typeName
        case .device: Device.typeName
        case .encounter: Encounter.typeName
        case .provenance: Provenance.typeName
        case .observation: Observation.typeName
        case .questionnaireResponse: QuestionnaireResponse.typeName
        case .diagnosticReport: DiagnosticReport.typeName
        case .communication: Communication.typeName
        case .carePlan: CarePlan.typeName
        case .operationOutcome: OperationOutcome.typeName
        case .other(let type, _), .unreadable(let type, _, _): type
        }
    }

    public var id: String? {
        switch self {
        case .patient(let value): value.id
        case .task(let value): value.id
        case .serviceRequest(let value): value.id
        case .documentReference(let value): value.id
        case .device(let value): value.id
        case .encounter(let value): value.id
        case .provenance(let value): value.id
        case .observation(let value): value.id
        case .questionnaireResponse(let value): value.id
        case .diagnosticReport(let value): value.id
        case .communication(let value): value.id
        case .carePlan(let value): value.id
        case .operationOutcome(let value): value.id
        case .other(_, let id), .unreadable(_, let id, _): id
        }
    }

    public var meta: Meta? {
        switch self {
        case .patient(let value): value.meta
        case .task(let value): value.meta
        case .serviceRequest(let value): value.meta
        case .documentReference(let value): value.meta
        case .device(let value): value.meta
        case .encounter(let value): value.meta
        case .provenance(let value): value.meta
        case .observation(let value): value.meta
        case .questionnaireResponse(let value): value.meta
        case .diagnosticReport(let value): value.meta
        case .communication(let value): value.meta
        case .carePlan(let value): value.meta
        case .operationOutcome(let value): value.meta
        case .other, .unreadable: nil
        }
    }
}

extension AnyResource: Codable {
    public init(from decoder: any Decoder) throws {
        let header = try FHIRCodec.Header(from: decoder)
        guard let type = header.resourceType else {
            self = .unreadable(type: "", id: header.id, reason: "no resourceType")
            return
        }
        do {
            self =
                switch type {
                case Patient.typeName: .patient(try Patient(from: decoder))
                case TaskResource.typeName: .task(try TaskResource(from: decoder))
                case ServiceRequest.typeName: .serviceRequest(try ServiceRequest(from: decoder))
                case DocumentReference.typeName: .documentReference(try DocumentReference(from: decoder))
                case Device.typeName: .device(try Device(from: decoder))
                case Encounter.typeName: .encounter(try Encounter(from: decoder))
                case Provenance.typeName: .provenance(try Provenance(from: decoder))
                case Observation.typeName: .observation(try Observation(from: decoder))
                case QuestionnaireResponse.typeName:
                    .questionnaireResponse(try QuestionnaireResponse(from: decoder))
                case DiagnosticReport.typeName: .diagnosticReport(try DiagnosticReport(from: decoder))
                case Communication.typeName: .communication(try Communication(from: decoder))
                case CarePlan.typeName: .carePlan(try CarePlan(from: decoder))
                case OperationOutcome.typeName: .operationOutcome(try OperationOutcome(from: decoder))
                default: .other(type: type, id: header.id)
                }
        } catch {
            self = .unreadable(type: type, id: header.id, reason: FHIRCodec.reason(error))
        }
    }

    public func encode(to encoder: any Encoder) throws {
        switch self {
        case .patient(let value): try value.encode(to: encoder)
        case .task(let value): try value.encode(to: encoder)
        case .serviceRequest(let value): try value.encode(to: encoder)
        case .documentReference(let value): try value.encode(to: encoder)
        case .device(let value): try value.encode(to: encoder)
        case .encounter(let value): try value.encode(to: encoder)
        case .provenance(let value): try value.encode(to: encoder)
        case .observation(let value): try value.encode(to: encoder)
        case .questionnaireResponse(let value): try value.encode(to: encoder)
        case .diagnosticReport(let value): try value.encode(to: encoder)
        case .communication(let value): try value.encode(to: encoder)
        case .carePlan(let value): try value.encode(to: encoder)
        case .operationOutcome(let value): try value.encode(to: encoder)
        case .other(let type, _), .unreadable(let type, _, _):
            throw EncodingError.invalidValue(
                type, .init(codingPath: encoder.codingPath, debugDescription: "was skipped when read"))
        }
    }
}
