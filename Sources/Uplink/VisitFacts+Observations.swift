public import Clinical
import FHIR
public import FoundationEssentials

// Discrete readings as Observations. Codes: FHIR's vital signs profiles and pathways.md; what has no code of ours keeps the
// device's own.

extension VisitFacts {
    /// The readings of one recording, and the identities of their resources.
    public struct Measured: Sendable, Equatable {
        public var recording: Recording
        /// `Sensor.id`
        public var sensor: UUID
        public var readings: [Reading]
        /// The resource's identity for a reading's `sequence`; several readings of one sequence may share one.
        public var ids: [Int: UUID]
        /// A reading's time with a zone, by its `sequence`.
        public var times: [Int: String]

        public init(
            recording: Recording, sensor: UUID, readings: [Reading], ids: [Int: UUID], times: [Int: String]
        ) {
            self.recording = recording
            self.sensor = sensor
            self.readings = readings
            self.ids = ids
            self.times = times
        }
    }

    func observations(_ measured: Measured) -> [Observation] {
        var bySequence: [Int: [Reading]] = [:]
        for reading in measured.readings { bySequence[reading.sequence, default: []].append(reading) }
        return bySequence.keys.sorted().compactMap { sequence in
            guard let id = measured.ids[sequence], let readings = bySequence[sequence] else { return nil }
            return observation(id, sequence, readings, measured)
        }
    }

    private func observation(_ id: UUID, _ sequence: Int, _ readings: [Reading], _ measured: Measured) -> Observation {
        let recording = measured.recording
        var observation = Observation(id: id.text)
        observation.meta = meta(simulated: isSimulated(recording))
        observation.identifier = [
            FHIR.Identifier(system: "\(namespace)/reading", value: "\(recording.id)/\(sequence)")
        ]
        observation.status = state == .final ? "final" : "preliminary"
        observation.category = [CodeableConcept(.vitalSigns)]
        observation.subject = subject
        observation.encounter = encounterReference
        observation.effectiveDateTime = measured.times[sequence]
        observation.device = Reference("Device/\(measured.sensor.text)", type: "Device")
        observation.performer = who.map { [$0] } ?? []
        if let document = entries.first(where: {
            $0.document.recording == recording.id && $0.document.role == .original
        }) {
            observation.derivedFrom = [Reference("DocumentReference/\(document.document.id.text)")]
        }
        let flags = Set(readings.flatMap(\.flags)).sorted()
        observation.note = flags.map { Annotation(text: $0) }
        observation.extension = [clock(recording.clock)]
        if let raw = readings.compactMap(\.rawTime).first {
            observation.extension.append(Extension(url: "\(namespace)/raw-time", string: raw))
        }
        if readings.contains(where: { $0.kind == .systolic }) {
            observation.code = CodeableConcept(.loinc("85354-9", "Blood pressure panel with all children optional"))
            observation.component = readings.map {
                Observation.Component(code: Self.code($0), valueQuantity: Self.quantity($0))
            }
        } else if readings.count == 1 {
            observation.code = Self.code(readings[0])
            observation.valueQuantity = Self.quantity(readings[0])
        } else {
            observation.code = Self.code(readings[0])
            observation.valueQuantity = Self.quantity(readings[0])
            observation.component = readings.dropFirst().map {
                Observation.Component(code: Self.code($0), valueQuantity: Self.quantity($0))
            }
        }
        return observation
    }

    private static func quantity(_ reading: Reading) -> Quantity {
        Quantity(Decimal(reading.value.numerator) / Decimal(reading.value.denominator), ucum: reading.unit)
    }

    private static func code(_ reading: Reading) -> CodeableConcept {
        switch reading.kind {
        case .systolic: CodeableConcept(.loinc("8480-6", "Systolic blood pressure"))
        case .diastolic: CodeableConcept(.loinc("8462-4", "Diastolic blood pressure"))
        case .meanArterial: CodeableConcept(.loinc("8478-0", "Mean blood pressure"))
        case .pulseRate: CodeableConcept(.loinc("8867-4", "Heart rate"))
        case .spo2:
            CodeableConcept(
                .loinc("2708-6", "Oxygen saturation in Arterial blood"),
                .loinc("59408-5", "Oxygen saturation in Arterial blood by Pulse oximetry"))
        case .weight: CodeableConcept(.loinc("29463-7", "Body weight"))
        case .height: CodeableConcept(.loinc("8302-2", "Body height"))
        case .temperature: CodeableConcept(.loinc("8310-5", "Body temperature"))
        case .bmi: CodeableConcept(.loinc("39156-5", "Body mass index (BMI) [Ratio]"))
        case .perfusionIndex: CodeableConcept(text: "Perfusion index")
        case .glucose: CodeableConcept(text: "Glucose")
        case .other: CodeableConcept(text: reading.code ?? "unnamed value")
        }
    }
}
