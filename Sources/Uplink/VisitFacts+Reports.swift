public import Clinical
import FHIR
public import FoundationEssentials

// The measurements of a structured report as Observations, so that a centre without a DICOM viewer sees them beside the document that
// they come from. Codes are the report's own (LOINC, SNOMED CT, DICOM, UCUM); nothing is converted, rounded or judged.

extension VisitFacts {
    /// What one report says was measured.
    public struct Reported: Sendable, Equatable {
        public var recording: Recording
        /// `Sensor.id`
        public var sensor: UUID
        public var values: [Value]

        public init(recording: Recording, sensor: UUID, values: [Value]) {
            self.recording = recording
            self.sensor = sensor
            self.values = values
        }
    }

    /// One value of a report, in the report's words.
    public struct Value: Sendable, Equatable {
        /// Of its resource.
        public var id: UUID
        /// Its place in the report.
        public var sequence: Int
        public var name: Code
        public var value: Decimal
        public var unit: Code?
        public var site: Code?
        public var method: Code?
        /// Image mode, view, derivation: concept and value.
        public var contexts: [Context]
        /// What made the value; nil when a person measured.
        public var algorithm: Algorithm?
        /// A named person verified the report.
        public var isVerified: Bool
        /// The machine's mark: the one to use among several.
        public var isSelected: Bool

        public init(
            id: UUID, sequence: Int, name: Code, value: Decimal, unit: Code? = nil, site: Code? = nil,
            method: Code? = nil, contexts: [Context] = [], algorithm: Algorithm? = nil, isVerified: Bool = false,
            isSelected: Bool = false
        ) {
            self.id = id
            self.sequence = sequence
            self.name = name
            self.value = value
            self.unit = unit
            self.site = site
            self.method = method
            self.contexts = contexts
            self.algorithm = algorithm
            self.isVerified = isVerified
            self.isSelected = isSelected
        }
    }

    /// A concept by DICOM's coding scheme designator (PS3.16, 8): `LN`, `SCT`, `DCM`, `UCUM`, `MDC`, `SRT`, `99…`.
    public struct Code: Sendable, Equatable {
        public var value: String
        public var scheme: String
        public var meaning: String

        public init(value: String, scheme: String, meaning: String) {
            self.value = value
            self.scheme = scheme
            self.meaning = meaning
        }
    }

    public struct Context: Sendable, Equatable {
        public var name: Code
        public var value: Code

        public init(name: Code, value: Code) {
            self.name = name
            self.value = value
        }
    }

    public struct Algorithm: Sendable, Equatable {
        public var name: String?
        public var version: String?
        public var manufacturer: String?
        public var family: String?

        public init(name: String?, version: String?, manufacturer: String?, family: String?) {
            self.name = name
            self.version = version
            self.manufacturer = manufacturer
            self.family = family
        }
    }

    func observations(_ reported: Reported) -> [Observation] { reported.values.map { observation($0, reported) } }

    private func observation(_ value: Value, _ reported: Reported) -> Observation {
        let recording = reported.recording
        var observation = Observation(id: value.id.text)
        observation.meta = meta(simulated: isSimulated(recording))
        observation.identifier = [
            FHIR.Identifier(system: "\(namespace)/measurement", value: "\(recording.id)/\(value.sequence)")
        ]
        // R4: preliminary "may be incomplete or unverified". A closed visit verifies nothing.
        observation.status = value.isVerified && state == .final ? "final" : "preliminary"
        observation.category = [CodeableConcept(.imaging)]
        observation.code = concept(value.name)
        observation.subject = subject
        observation.encounter = encounterReference
        let entry = entries.first { $0.document.recording == recording.id && $0.document.role == .original }
        observation.effectiveDateTime = entry?.start
        observation.valueQuantity = quantity(value)
        observation.bodySite = value.site.map(concept)
        observation.method = value.method.map(concept)
        observation.device = Reference("Device/\(reported.sensor.text)", type: "Device")
        if let entry { observation.derivedFrom = [Reference("DocumentReference/\(entry.document.id.text)")] }
        observation.component = value.contexts.map {
            Observation.Component(
                code: concept($0.name), valueQuantity: nil, valueCodeableConcept: concept($0.value))
        }
        observation.extension = [
            clock(recording.clock), Extension(url: "\(namespace)/verified", boolean: value.isVerified),
        ]
        if value.isSelected { observation.extension.append(Extension(url: "\(namespace)/selected", boolean: true)) }
        if let algorithm = value.algorithm { label(&observation, algorithm, isVerified: value.isVerified) }
        return observation
    }

    /// What an algorithm measured says so (PRODUCT.md, rule 8): for programs as an extension and a security label, for people as a
    /// note that every viewer shows.
    private func label(_ observation: inout Observation, _ algorithm: Algorithm, isVerified: Bool) {
        var meta = observation.meta ?? Meta()
        meta.security.append(.artificialIntelligence)
        observation.meta = meta
        let parts = [
            ("name", algorithm.name), ("version", algorithm.version), ("manufacturer", algorithm.manufacturer),
            ("family", algorithm.family),
        ].compactMap { name, text in text.flatMap(Self.said).map { Extension(url: name, string: $0) } }
        observation.extension.append(
            Extension(
                url: "\(namespace)/algorithm", extension: parts + [Extension(url: "unverified", boolean: !isVerified)]))
        let name = algorithm.name.flatMap(Self.said) ?? "an algorithm without a name"
        let version = algorithm.version.flatMap(Self.said).map { "version \($0)" } ?? "version unknown"
        let verdict = isVerified ? "verified by a named person" : "unverified"
        observation.note = [Annotation(text: "Measured by \(name), \(version): \(verdict)")]
    }

    private func quantity(_ value: Value) -> Quantity? {
        guard let unit = value.unit, Self.said(unit.value) != nil, unit.scheme == "UCUM" else {
            // DICOM's "no units" is UCUM's 1; what a file says in a scheme of its own stays words.
            guard let unit = value.unit else { return Quantity(value.value, ucum: "1") }
            var quantity = Quantity(value.value, ucum: "1")
            (quantity.system, quantity.code) = (nil, nil)
            quantity.unit = Self.said(unit.meaning) ?? Self.said(unit.value)
            return quantity
        }
        return Quantity(value.value, ucum: unit.value)
    }

    /// The report's meaning as text, never as the code's display: it can be in any language.
    private func concept(_ code: Code) -> CodeableConcept {
        let text = Self.said(code.meaning) ?? Self.said(code.value)
        // R4's `code` type has no spaces around or two in a row.
        guard let value = Self.said(code.value) else { return CodeableConcept(text: text) }
        return CodeableConcept(Self.coding(value, scheme: code.scheme, namespace), text: text)
    }

    /// HL7's URI for a scheme of DICOM's (PS3.16 table 8-1, terminology.hl7.org). SNOMED-RT's codes are not SNOMED CT's, and private
    /// schemes are nobody else's.
    private static func coding(_ value: String, scheme: String, _ namespace: String) -> Coding {
        switch scheme {
        case "LN": return Coding(system: Systems.loinc, code: value)
        case "SCT": return Coding(system: Systems.snomed, code: value)
        case "DCM": return Coding(system: Systems.dicom, code: value)
        case "UCUM": return Coding(system: Systems.ucum, code: value)
        case "MDC":
            // Partition and code in one number, as 11073-10101 counts them.
            let parts = value.split(separator: ":").compactMap { UInt32($0) }
            guard parts.count == 2, parts[0] < 1 << 15, parts[1] < 1 << 16 else { break }
            return Coding(system: Systems.mdc, code: "\(parts[0] << 16 + parts[1])")
        default: break
        }
        let name = scheme.filter { $0.isASCII && ($0.isLetter || $0.isNumber) }
        return Coding(system: "\(namespace)/coding-scheme/\(name.isEmpty ? "unknown" : name)", code: value)
    }

    /// FHIR has no empty strings, and no text of blanks only.
    private static func said(_ text: String) -> String? {
        let words = text.split(whereSeparator: \.isWhitespace)
        return words.isEmpty ? nil : words.joined(separator: " ")
    }
}
