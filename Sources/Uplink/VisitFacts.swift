public import Clinical
public import FHIR
public import FoundationEssentials

/// Everything that one transaction says about one visit. All identities are minted and kept by the caller before the first
/// attempt, so that every retry leads to the same resources (PRODUCT.md, rule 5).
public struct VisitFacts: Sendable {
    /// Of the agent's own identifiers (`{namespace}/recording`) unless a region has one.
    public static let namespace = "urn:ess-agent:id"

    public enum State: String, Sendable {
        /// More may come, or not all bytes are there yet.
        case preliminary
        case final
    }

    /// A device and the id of its resource; one per device, however many recordings.
    public struct Sensor: Sendable, Equatable {
        public var id: UUID
        public var identity: DeviceIdentity

        public init(id: UUID, identity: DeviceIdentity) {
            self.id = id
            self.identity = identity
        }
    }

    /// One document and the recording that it belongs to.
    public struct Entry: Sendable, Equatable {
        public var document: Document
        public var recording: Recording
        /// `Sensor.id` of the device that made the recording.
        public var sensor: UUID
        /// FHIR dateTimes of the recording, with a zone; nil when nobody can say.
        public var start: String?
        public var end: String?
        /// Of an artefact: the document that it was derived from.
        public var original: UUID?

        /// Where its bytes are to be found, when that isn't below the place for all recordings.
        public var address: String?

        public init(
            document: Document, recording: Recording, sensor: UUID, start: String?, end: String?, original: UUID? = nil,
            address: String? = nil
        ) {
            self.original = original
            self.address = address
            self.document = document
            self.recording = recording
            self.sensor = sensor
            self.start = start
            self.end = end
        }
    }

    /// The professional at the laptop; the identifier comes from a directory or a card and is passed on as it is (sync.md 2.2).
    public struct Nurse: Sendable, Equatable {
        public var identifier: Clinical.Identifier
        public var name: String?

        public init(identifier: Clinical.Identifier, name: String?) {
            self.identifier = identifier
            self.name = name
        }
    }

    public struct Laptop: Sendable, Equatable {
        /// Of its Device resource.
        public var id: UUID
        /// From its enrolment.
        public var identifier: String
        /// The agent's version.
        public var version: String

        public init(id: UUID, identifier: String, version: String) {
            self.id = id
            self.identifier = identifier
            self.version = version
        }
    }

    public var visit: Visit
    public var state: State
    /// Of the Encounter, the Provenance and the Bundle. The Bundle's follows its content: another content, another id.
    public var encounter: UUID
    public var provenance: UUID
    public var batch: UUID
    public var laptop: Laptop
    public var nurse: Nurse?
    public var sensors: [Sensor]
    public var entries: [Entry]
    /// Discrete values of recordings among the entries.
    public var measured: [Measured] = []
    /// Measurements of reports among the entries.
    public var reported: [Reported] = []
    /// What the nurse typed.
    public var typed: [Typed] = []
    /// Something of the visit is simulated, also when nothing of it is among the entries.
    public var isSimulatedVisit = false
    /// FHIR dateTimes with a zone: when the visit was opened and closed.
    public var opened: String?
    public var closed: String?
    /// When this was put together; part of the content, and the same in every retry.
    public var recorded: Instant
    public var namespace: String

    public init(
        visit: Visit, state: State, encounter: UUID, provenance: UUID, batch: UUID, laptop: Laptop, nurse: Nurse?,
        sensors: [Sensor], entries: [Entry], opened: String?, closed: String?, recorded: Instant,
        namespace: String = VisitFacts.namespace
    ) {
        self.visit = visit
        self.state = state
        self.encounter = encounter
        self.provenance = provenance
        self.batch = batch
        self.laptop = laptop
        self.nurse = nurse
        self.sensors = sensors
        self.entries = entries
        self.opened = opened
        self.closed = closed
        self.recorded = recorded
        self.namespace = namespace
    }
}
