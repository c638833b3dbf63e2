/// A planned stop of the mobile team at a home or EHPAD, for one patient and one order.
public struct Visit: Sendable, Equatable, Codable, Identifiable {
    public enum Status: String, Sendable, Codable { case planned, open, closed, cancelled }

    /// The server's `Task.id`.
    public var id: String
    /// The server's `meta.versionId` of the Task, for `If-Match`.
    public var version: String
    public var patient: Patient
    /// `ServiceRequest/{id}`: the validated order.
    public var order: String?
    /// What the order asks for, as the server words it.
    public var reason: String?
    /// Key of the pathway (`heart-failure`, `sleep-apnoea`, …) when the server names one.
    public var pathway: String?
    /// Planned day and time, as the server wrote it (FHIR dateTime).
    public var plannedAt: String?
    public var place: String?
    public var status: Status
    /// The order can't wait: it goes first, whatever the connection costs.
    public var isUrgent: Bool { ["urgent", "asap", "stat"].contains(priority ?? "") }
    /// FHIR's request priority, as the server said it.
    public var priority: String?

    public init(
        id: String, version: String, patient: Patient, order: String? = nil, reason: String? = nil,
        pathway: String? = nil, plannedAt: String? = nil, place: String? = nil, status: Status = .planned,
        priority: String? = nil
    ) {
        self.id = id
        self.version = version
        self.patient = patient
        self.order = order
        self.reason = reason
        self.pathway = pathway
        self.plannedAt = plannedAt
        self.place = place
        self.status = status
        self.priority = priority
    }
}
