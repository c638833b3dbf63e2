public import FoundationEssentials

/// What the nurse typed at a visit: a form's answers, or why something of the plan is missing. Never changed: it can be
/// withdrawn, and another one takes its place.
public struct Entry: Sendable, Equatable, Codable, Identifiable {
    public enum Value: Sendable, Equatable, Codable {
        /// As typed, with a point: exact.
        case number(String)
        case choice(String)
        case text(String)
        case yesNo(Bool)
    }

    public var id: UUID
    public var visit: String
    /// Key of the block, or of the plan's item whose lack is explained.
    public var block: String
    /// As it was called when it was filled in: the region's files may change before it is sent.
    public var title: String
    /// The form that was filled in; nil for a reason.
    public var form: Form?
    /// By field.
    public var values: [String: Value]
    /// Why it is missing; only without a form.
    public var reason: String?
    /// What was beyond plausible and confirmed.
    public var warnings: [String]
    public var by: String
    /// Unix time in milliseconds.
    public var at: Int64

    public init(
        id: UUID, visit: String, block: String, title: String, form: Form?, values: [String: Value],
        reason: String? = nil, warnings: [String] = [], by: String, at: Int64
    ) {
        self.id = id
        self.visit = visit
        self.block = block
        self.title = title
        self.form = form
        self.values = values
        self.reason = reason
        self.warnings = warnings
        self.by = by
        self.at = at
    }

    /// The sum of the chosen options' scores, when the form has a total and all of it is answered.
    public var total: Int? {
        guard let form, form.total != nil else { return nil }
        var sum = 0
        for field in form.fields {
            guard case .choice(let value)? = values[field.key],
                let score = field.options.first(where: { $0.value == value })?.score
            else { return nil }
            sum += score
        }
        return sum
    }
}
