/// What comes back from the centre for a patient of this team: the cardiologist's opinion, a question, the care plan.
public struct Answer: Sendable, Equatable, Codable, Identifiable {
    public enum Kind: String, Sendable, Codable {
        /// FHIR DiagnosticReport.
        case opinion
        /// FHIR Communication.
        case question
        /// FHIR CarePlan: the PPS.
        case carePlan
    }

    /// One of a care plan's next steps.
    public struct Step: Sendable, Equatable, Codable {
        public var text: String
        /// FHIR status of the activity, as the server says it.
        public var status: String?
        /// FHIR dateTime.
        public var due: String?

        public init(text: String, status: String?, due: String?) {
            self.text = text
            self.status = status
            self.due = due
        }
    }

    /// What the nurse wrote back to a question. It waits here until the server has it.
    public struct Reply: Sendable, Equatable, Codable {
        public var text: String
        public var by: String
        /// Unix time in milliseconds.
        public var at: Int64
        public var isSent: Bool

        public init(text: String, by: String, at: Int64, isSent: Bool = false) {
            self.text = text
            self.by = by
            self.at = at
            self.isSent = isSent
        }
    }

    /// The server's: `DiagnosticReport/17`.
    public var id: String
    public var kind: Kind
    /// `meta.versionId`
    public var version: String
    /// `Patient/{id}`'s id.
    public var patient: String
    /// Whose it is, when the server sent that along: a visit's own identity may be purged before its answer comes.
    public var identity: Patient?
    /// The visit that it answers, when it is one of ours.
    public var visit: String?
    /// `ServiceRequest/{id}`
    public var order: String?
    /// The server's status: `final`, `amended`, `entered-in-error`, `active`, …
    public var status: String?
    /// FHIR dateTime.
    public var issued: String?
    public var author: String?
    public var title: String?
    /// The conclusion, or what is asked.
    public var text: String?
    /// Documents or recordings that it is about, by id.
    public var about: [String]
    public var steps: [Step]
    public var isUrgent: Bool
    public var reply: Reply?

    public init(
        id: String, kind: Kind, version: String, patient: String, identity: Patient? = nil, visit: String? = nil,
        order: String? = nil, status: String? = nil, issued: String? = nil, author: String? = nil, title: String? = nil,
        text: String? = nil, about: [String] = [], steps: [Step] = [], isUrgent: Bool = false, reply: Reply? = nil
    ) {
        self.id = id
        self.kind = kind
        self.version = version
        self.patient = patient
        self.identity = identity
        self.visit = visit
        self.order = order
        self.status = status
        self.issued = issued
        self.author = author
        self.title = title
        self.text = text
        self.about = about
        self.steps = steps
        self.isUrgent = isUrgent
        self.reply = reply
    }
}
