// What a region's cardiologists want to have acquired: data, read from files (docs/pathways.md). Nothing here interprets.

/// One thing that can be asked for at a visit: a recording, a measurement, an answer.
public struct AcquisitionBlock: Sendable, Equatable, Codable {
    /// Names it in plans: `ecg12`.
    public var key: String
    /// As the nurse reads it.
    public var title: String
    /// How it is done, for the nurse.
    public var hint: String?
    /// What counts as having it; one is enough. A filled-in `form` counts as well.
    public var evidence: [Evidence]
    /// What the nurse can type instead, or what can only be typed.
    public var form: Form?

    /// A recording of the visit that counts.
    public struct Evidence: Sendable, Equatable, Codable {
        public var modality: Recording.Modality?
        /// Shortest duration, seconds.
        public var seconds: Double?
        /// Fewest channels.
        public var channels: Int?
        /// All of these discrete values.
        public var readings: [Reading.Kind]

        public init(
            modality: Recording.Modality?, seconds: Double? = nil, channels: Int? = nil, readings: [Reading.Kind] = []
        ) {
            self.modality = modality
            self.seconds = seconds
            self.channels = channels
            self.readings = readings
        }

        private enum CodingKeys: String, CodingKey, CaseIterable { case modality, seconds, channels, readings }

        public init(from decoder: any Decoder) throws {
            let container = try decoder.strict(CodingKeys.self)
            modality = try container.decodeIfPresent(Recording.Modality.self, forKey: .modality)
            seconds = try container.decodeIfPresent(Double.self, forKey: .seconds)
            channels = try container.decodeIfPresent(Int.self, forKey: .channels)
            readings = try container.decodeIfPresent([Reading.Kind].self, forKey: .readings) ?? []
            guard modality != nil || !readings.isEmpty else {
                throw container.error("needs a modality or readings")
            }
            guard seconds.map({ $0 > 0 && $0.isFinite }) ?? true else { throw container.error("seconds is above 0") }
        }
    }

    public init(key: String, title: String, hint: String? = nil, evidence: [Evidence] = [], form: Form? = nil) {
        self.key = key
        self.title = title
        self.hint = hint
        self.evidence = evidence
        self.form = form
    }

    private enum CodingKeys: String, CodingKey, CaseIterable { case key, title, hint, evidence, form }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.strict(CodingKeys.self)
        key = try container.word(.key)
        title = try container.text(.title)
        hint = try container.decodeIfPresent(String.self, forKey: .hint)
        evidence = try container.decodeIfPresent([Evidence].self, forKey: .evidence) ?? []
        form = try container.decodeIfPresent(Form.self, forKey: .form)
    }
}

/// A line of a plan: a block, or one of several.
public struct PlanItem: Sendable, Equatable, Codable {
    /// Any of these will do; the first one names the item.
    public var blocks: [String]

    public init(_ blocks: [String]) { self.blocks = blocks }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let one = try? container.decode(String.self) {
            blocks = [one]
        } else {
            blocks = try container.decode([String].self)
        }
        guard !blocks.isEmpty else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: "names no block"))
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        if blocks.count == 1 { try container.encode(blocks[0]) } else { try container.encode(blocks) }
    }
}

/// One of the parcours, with its plan, in the order in which the cardiologist wants things.
public struct Pathway: Sendable, Equatable, Codable {
    /// As orders name it: `ic`.
    public var code: String
    public var title: String
    /// Other codes of orders that mean the same.
    public var aliases: [String]
    /// Without one of these a reason is needed.
    public var required: [PlanItem]
    public var optional: [PlanItem]

    public init(
        code: String, title: String, aliases: [String] = [], required: [PlanItem], optional: [PlanItem] = []
    ) {
        self.code = code
        self.title = title
        self.aliases = aliases
        self.required = required
        self.optional = optional
    }

    private enum CodingKeys: String, CodingKey, CaseIterable { case code, title, aliases, required, optional }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.strict(CodingKeys.self)
        code = try container.word(.code)
        title = try container.text(.title)
        aliases = try container.decodeIfPresent([String].self, forKey: .aliases) ?? []
        required = try container.decode([PlanItem].self, forKey: .required)
        optional = try container.decodeIfPresent([PlanItem].self, forKey: .optional) ?? []
    }
}

/// One file of them.
public struct PathwayFile: Sendable, Equatable, Codable {
    public var blocks: [AcquisitionBlock]
    public var pathways: [Pathway]

    private enum CodingKeys: String, CodingKey, CaseIterable {
        case schema = "$schema"
        case blocks, pathways
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.strict(CodingKeys.self)
        blocks = try container.decodeIfPresent([AcquisitionBlock].self, forKey: .blocks) ?? []
        pathways = try container.decodeIfPresent([Pathway].self, forKey: .pathways) ?? []
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(blocks, forKey: .blocks)
        try container.encode(pathways, forKey: .pathways)
    }
}

// MARK: Reading strictly

/// Any member of an object.
private struct AnyKey: CodingKey {
    var stringValue: String
    var intValue: Int? { nil }
    init?(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
}

extension Decoder {
    /// An object whose members are all known: a slip of the pen is an error, never silently without effect.
    func strict<Key: CodingKey & CaseIterable>(_ keys: Key.Type) throws -> KeyedDecodingContainer<Key> {
        let known = Set(Key.allCases.map(\.stringValue))
        for key in try container(keyedBy: AnyKey.self).allKeys where !known.contains(key.stringValue) {
            throw DecodingError.dataCorrupted(
                .init(
                    codingPath: codingPath,
                    debugDescription:
                        "unknown member `\(key.stringValue)`; known: \(known.sorted().joined(separator: ", "))"
                ))
        }
        return try container(keyedBy: keys)
    }
}

extension KeyedDecodingContainer {
    func error(_ what: String) -> DecodingError {
        .dataCorrupted(.init(codingPath: codingPath, debugDescription: what))
    }

    /// A text with something in it.
    func text(_ key: Key) throws -> String {
        let text = try decode(String.self, forKey: key)
        guard !text.allSatisfy(\.isWhitespace), text.utf8.count <= 2000 else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: codingPath + [key], debugDescription: "is empty, or longer than 2000 bytes"))
        }
        return text
    }

    /// What is used as a name: FHIR ids, link ids and the page's element ids are made of it.
    func word(_ key: Key) throws -> String {
        let text = try decode(String.self, forKey: key)
        let isFine = text.utf8.allSatisfy {
            (0x30...0x39).contains($0) || (0x41...0x5A).contains($0) || (0x61...0x7A).contains($0) || $0 == 0x2D
        }
        guard isFine, (1...40).contains(text.utf8.count) else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: codingPath + [key], debugDescription: "is made of 1 to 40 letters, digits and `-`"))
        }
        return text
    }
}
