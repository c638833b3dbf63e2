/// Why a server refused.
public struct OperationOutcome: Resource {
    public struct Issue: Codable, Hashable, Sendable {
        public var severity: String?
        public var code: String?
        public var details: CodeableConcept?
        public var diagnostics: String?
        @Many public var expression: [String]

        public init(
            severity: String, code: String, details: CodeableConcept? = nil, diagnostics: String? = nil,
            expression: [String] = []
        ) {
            self.severity = severity
            self.code = code
            self.details = details
            self.diagnostics = diagnostics
            self.expression = expression
        }
    }

    public static let typeName = "OperationOutcome"
    public private(set) var resourceType = Self.typeName
    public var id: String?
    public var meta: Meta?
    @Many public var issue: [Issue]

    public init(issue: [Issue]) { self.issue = issue }

    /// One line per issue: severity, code, what the server said, where.
    public var summary: String {
        issue.map { issue in
            [
                issue.severity, issue.code, issue.details?.text ?? issue.details?.coding.first?.display,
                issue.diagnostics, issue.expression.isEmpty ? nil : issue.expression.joined(separator: " "),
            ].compactMap { $0 }.joined(separator: ": ")
        }.joined(separator: "\n")
    }
}
