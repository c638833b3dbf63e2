public import Clinical
import FHIR
import FoundationEssentials

// What the nurse typed: Observations for values that have a code, a QuestionnaireResponse for everything else.

extension VisitFacts {
    /// An entry as it goes up.
    public struct Typed: Sendable, Equatable {
        public var entry: Clinical.Entry
        /// It turned out to be wrong; said under the same identity.
        public var isWithdrawn: Bool
        /// When it was typed, with a zone.
        public var time: String

        public init(entry: Clinical.Entry, isWithdrawn: Bool, time: String) {
            self.entry = entry
            self.isWithdrawn = isWithdrawn
            self.time = time
        }
    }

    /// The resources of an entry. Their ids are derived from the entry's, which was minted before the first attempt.
    func resources(_ typed: Typed) -> [AnyResource] {
        guard let form = typed.entry.form, form.target == .observation else {
            return [.questionnaireResponse(response(typed))]
        }
        return observations(typed, form).map(AnyResource.observation)
    }

    private func observations(_ typed: Typed, _ form: Form) -> [Observation] {
        let answered = form.fields.filter { typed.entry.values[$0.key] != nil }
        guard let panel = form.panel else {
            return answered.enumerated().map { index, field in
                var observation = self.observation(typed, index)
                observation.code = Self.code(field)
                observation.valueQuantity = Self.quantity(typed.entry.values[field.key], field)
                observation.valueCodeableConcept = Self.concept(typed.entry.values[field.key], field)
                return observation
            }
        }
        var observation = self.observation(typed, 0)
        observation.code = CodeableConcept(.loinc(panel.loinc, panel.display))
        observation.component = answered.map { field in
            Observation.Component(
                code: Self.code(field), valueQuantity: Self.quantity(typed.entry.values[field.key], field),
                valueCodeableConcept: Self.concept(typed.entry.values[field.key], field))
        }
        return [observation]
    }

    private func observation(_ typed: Typed, _ index: Int) -> Observation {
        let entry = typed.entry
        // One resource per entry has the entry's own id; further ones a number behind it.
        let id = index == 0 ? entry.id.text : "\(entry.id.text)-\(index)"
        var observation = Observation(id: id)
        observation.meta = meta(simulated: isSimulatedVisit)
        observation.identifier = [FHIR.Identifier(system: "\(namespace)/entry", value: id)]
        observation.status = typed.isWithdrawn ? "entered-in-error" : "final"
        observation.category = [CodeableConcept(.vitalSigns)]
        observation.subject = subject
        observation.encounter = encounterReference
        observation.effectiveDateTime = typed.time
        observation.performer = who.map { [$0] } ?? []
        // Typed by a person: never to be taken for what a device measured.
        observation.note =
            [Annotation(text: "\(entry.title), saisi à la main")] + entry.warnings.map { Annotation(text: $0) }
        observation.extension = [Extension(url: "\(namespace)/block", code: entry.block)]
        return observation
    }

    private func response(_ typed: Typed) -> QuestionnaireResponse {
        let entry = typed.entry
        var response = QuestionnaireResponse(id: entry.id.text)
        response.meta = meta(simulated: isSimulatedVisit)
        response.identifier = FHIR.Identifier(system: "\(namespace)/entry", value: entry.id.text)
        response.basedOn = visit.order.map { [Reference($0, type: "ServiceRequest")] } ?? []
        let name = entry.form == nil ? "missing" : entry.block
        response.questionnaire = "\(namespace)/questionnaire/\(name)"
        response.status = typed.isWithdrawn ? "entered-in-error" : "completed"
        response.subject = subject
        response.encounter = encounterReference
        response.authored = typed.time
        response.author = who
        if let form = entry.form {
            response.item = form.fields.compactMap { field in
                Self.answer(entry.values[field.key], field).map {
                    QuestionnaireResponse.Item(linkId: field.key, text: field.label, answer: [$0])
                }
            }
            if let total = entry.total, let name = form.total {
                var answer = QuestionnaireResponse.Answer()
                answer.valueInteger = total
                response.item.append(QuestionnaireResponse.Item(linkId: "total", text: name, answer: [answer]))
            }
            for (index, warning) in entry.warnings.enumerated() {
                response.item.append(Self.words("warning-\(index + 1)", "Confirmé", warning))
            }
        } else {
            response.item = [Self.words(entry.block, "\(entry.title) : pourquoi manquant", entry.reason ?? "")]
        }
        return response
    }

    private static func words(_ link: String, _ text: String, _ value: String) -> QuestionnaireResponse.Item {
        var answer = QuestionnaireResponse.Answer()
        answer.valueString = value
        return QuestionnaireResponse.Item(linkId: link, text: text, answer: [answer])
    }

    private static func answer(_ value: Clinical.Entry.Value?, _ field: Form.Field) -> QuestionnaireResponse.Answer? {
        guard let value else { return nil }
        var answer = QuestionnaireResponse.Answer()
        switch value {
        case .number: answer.valueQuantity = quantity(value, field)
        case .text(let text): answer.valueString = text
        case .yesNo(let isYes): answer.valueBoolean = isYes
        case .choice(let chosen):
            answer.valueCoding = Coding(
                system: "\(namespace)/answer", code: chosen,
                display: field.options.first { $0.value == chosen }?.label)
        }
        return answer
    }

    private static func code(_ field: Form.Field) -> CodeableConcept {
        field.code.map { CodeableConcept(.loinc($0.loinc, $0.display), text: field.label) }
            ?? CodeableConcept(text: field.label)
    }

    private static func quantity(_ value: Clinical.Entry.Value?, _ field: Form.Field) -> Quantity? {
        guard case .number(let text)? = value, let number = Decimal(string: text) else { return nil }
        return Quantity(number, ucum: field.unit ?? "1")
    }

    private static func concept(_ value: Clinical.Entry.Value?, _ field: Form.Field) -> CodeableConcept? {
        guard case .choice(let chosen)? = value else { return nil }
        return CodeableConcept(
            Coding(system: "\(namespace)/answer", code: chosen),
            text: field.options.first { $0.value == chosen }?.label ?? chosen)
    }
}
