/// A few questions of a plan, or values that are read off by eye. Becomes FHIR Observations or a QuestionnaireResponse.
public struct Form: Sendable, Equatable, Codable {
    public enum Target: String, Sendable, Codable {
        /// Each number or choice with its code; one Observation with components when there is a `panel`.
        case observation
        case questionnaire
    }

    public struct Code: Sendable, Equatable, Codable {
        public var loinc: String
        public var display: String

        public init(loinc: String, display: String) {
            self.loinc = loinc
            self.display = display
        }
    }

    public var fields: [Field]
    public var target: Target
    /// What the fields are together: the blood pressure panel.
    public var panel: Code?
    /// The sum of the choices' scores, named.
    public var total: String?
    /// Pairs of fields: the first is expected to be below the second.
    public var below: [[String]]
    /// May be filled in several times in a visit.
    public var repeated: Bool

    public init(
        fields: [Field], target: Target, panel: Code? = nil, total: String? = nil, below: [[String]] = [],
        repeated: Bool = false
    ) {
        self.fields = fields
        self.target = target
        self.panel = panel
        self.total = total
        self.below = below
        self.repeated = repeated
    }

    private enum CodingKeys: String, CodingKey, CaseIterable { case fields, target, panel, total, below, repeated }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.strict(CodingKeys.self)
        fields = try container.decode([Field].self, forKey: .fields)
        target = try container.decode(Target.self, forKey: .target)
        panel = try container.decodeIfPresent(Code.self, forKey: .panel)
        total = try container.decodeIfPresent(String.self, forKey: .total)
        below = try container.decodeIfPresent([[String]].self, forKey: .below) ?? []
        repeated = try container.decodeIfPresent(Bool.self, forKey: .repeated) ?? false
        let keys = fields.map(\.key)
        guard !fields.isEmpty, fields.count <= 60 else { throw container.error("has 1 to 60 fields") }
        guard Set(keys).count == keys.count else { throw container.error("two fields have the same key") }
        guard below.allSatisfy({ pair in pair.count == 2 && pair.allSatisfy { isNumber($0) } }) else {
            throw container.error("`below` names pairs of number fields")
        }
        if target == .observation {
            let isCoded = fields.allSatisfy { $0.code != nil && ($0.type == .number || $0.type == .choice) }
            guard isCoded else { throw container.error("an observation's fields are numbers or choices with a code") }
        }
        if total != nil {
            guard fields.allSatisfy({ $0.type == .choice && $0.options.allSatisfy { $0.score != nil } }) else {
                throw container.error("a total needs choices with scores")
            }
        }
    }

    private func isNumber(_ key: String) -> Bool { fields.contains { $0.key == key && $0.type == .number } }

    public struct Field: Sendable, Equatable, Codable {
        public enum Kind: String, Sendable, Codable { case number, choice, text, yesNo }

        public struct Option: Sendable, Equatable, Codable {
            public var value: String
            public var label: String
            public var score: Int?

            public init(value: String, label: String, score: Int? = nil) {
                self.value = value
                self.label = label
                self.score = score
            }

            private enum CodingKeys: String, CodingKey, CaseIterable { case value, label, score }

            public init(from decoder: any Decoder) throws {
                let container = try decoder.strict(CodingKeys.self)
                value = try container.word(.value)
                label = try container.text(.label)
                score = try container.decodeIfPresent(Int.self, forKey: .score)
            }
        }

        public var key: String
        public var label: String
        public var type: Kind
        /// Of a number: UCUM, and as it is shown.
        public var unit: String?
        public var unitLabel: String?
        /// Digits after the comma, 0 to 3.
        public var decimals: Int
        /// Plausible from, to; beyond them the page asks again, and never refuses.
        public var minimum: Double?
        public var maximum: Double?
        public var options: [Option]
        public var code: Code?
        /// May stay empty.
        public var optional: Bool

        private enum CodingKeys: String, CodingKey, CaseIterable {
            case key, label, type, unit, unitLabel, decimals, minimum, maximum, options, code, optional
        }

        public init(
            key: String, label: String, type: Kind, unit: String? = nil, minimum: Double? = nil,
            maximum: Double? = nil, options: [Option] = [], code: Code? = nil, optional: Bool = false
        ) {
            self.key = key
            self.label = label
            self.type = type
            self.unit = unit
            unitLabel = unit
            decimals = 0
            self.minimum = minimum
            self.maximum = maximum
            self.options = options
            self.code = code
            self.optional = optional
        }

        public init(from decoder: any Decoder) throws {
            let container = try decoder.strict(CodingKeys.self)
            key = try container.word(.key)
            label = try container.text(.label)
            type = try container.decode(Kind.self, forKey: .type)
            unit = try container.decodeIfPresent(String.self, forKey: .unit)
            unitLabel = try container.decodeIfPresent(String.self, forKey: .unitLabel) ?? unit
            decimals = try container.decodeIfPresent(Int.self, forKey: .decimals) ?? 0
            minimum = try container.decodeIfPresent(Double.self, forKey: .minimum)
            maximum = try container.decodeIfPresent(Double.self, forKey: .maximum)
            options = try container.decodeIfPresent([Option].self, forKey: .options) ?? []
            code = try container.decodeIfPresent(Code.self, forKey: .code)
            optional = try container.decodeIfPresent(Bool.self, forKey: .optional) ?? false
            guard (0...3).contains(decimals) else { throw container.error("decimals is 0 to 3") }
            guard (type == .number) == (unit != nil) else {
                throw container.error("numbers, and only they, have a unit")
            }
            guard (minimum ?? 0) <= (maximum ?? .infinity) else { throw container.error("minimum is above maximum") }
            guard (type == .choice) == (options.count >= 2), Set(options.map(\.value)).count == options.count else {
                throw container.error("choices, and only they, have two or more different options")
            }
        }
    }
}
