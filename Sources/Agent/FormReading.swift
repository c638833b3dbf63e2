import Clinical

/// What was typed into a form, checked against it.
struct FormReading {
    let form: Form

    /// - Throws: `Problem` for what can't be read; never for what is merely unlikely.
    func values(_ typed: [String: String]) throws(Problem) -> [String: Entry.Value] {
        guard Set(typed.keys).isSubset(of: form.fields.map(\.key)) else {
            throw .badRequest("Un champ de la demande n'est pas dans le formulaire.")
        }
        var values: [String: Entry.Value] = [:]
        for field in form.fields {
            let text = trimmed(typed[field.key] ?? "")
            guard !text.isEmpty else {
                guard field.optional else { throw .fieldMissing(field.label) }
                continue
            }
            values[field.key] = try value(text, field)
        }
        guard !values.isEmpty else { throw .fieldMissing(form.fields[0].label) }
        return values
    }

    private func value(_ text: String, _ field: Form.Field) throws(Problem) -> Entry.Value {
        switch field.type {
        case .number:
            guard let number = number(text, decimals: field.decimals) else {
                throw .notANumber(field.label, field.decimals)
            }
            return .number(number)
        case .choice:
            guard field.options.contains(where: { $0.value == text }) else { throw .fieldMissing(field.label) }
            return .choice(text)
        case .text:
            guard text.utf8.count <= 10_000 else { throw .badRequest("Un texte a au plus 10 000 caractères.") }
            return .text(text)
        case .yesNo:
            guard text == "oui" || text == "non" else { throw .fieldMissing(field.label) }
            return .yesNo(text == "oui")
        }
    }

    /// `72,5` → `72.5`; at most six digits before the comma. No sign: nothing that is measured here is negative.
    private func number(_ text: String, decimals: Int) -> String? {
        let parts = text.split(separator: text.contains(",") ? "," : ".", omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count),
            parts.allSatisfy({ part in
                !part.isEmpty && part.utf8.allSatisfy { (0x30...0x39).contains($0) }
            }), parts[0].utf8.count <= 6
        else { return nil }
        let whole = String(parts[0].drop { $0 == "0" })
        let number = whole.isEmpty ? "0" : whole
        guard parts.count == 2 else { return number }
        guard parts[1].utf8.count <= decimals else { return nil }
        return "\(number).\(parts[1])"
    }

    /// What is beyond plausible, in French.
    func warnings(_ values: [String: Entry.Value]) -> [String] {
        var found: [String] = []
        for field in form.fields {
            guard let value = number(values, field.key) else { continue }
            let text = "\(field.label) : \(shown(value)) \(field.unitLabel ?? "")"
            if let minimum = field.minimum, value < minimum {
                found.append("\(text), c'est moins que \(shown(minimum)).")
            } else if let maximum = field.maximum, value > maximum {
                found.append("\(text), c'est plus que \(shown(maximum)).")
            }
        }
        for pair in form.below {
            guard let low = number(values, pair[0]), let high = number(values, pair[1]), low >= high else { continue }
            found.append("« \(label(pair[0])) » n'est pas plus bas que « \(label(pair[1])) ».")
        }
        return found
    }

    private func number(_ values: [String: Entry.Value], _ key: String) -> Double? {
        guard case .number(let text)? = values[key] else { return nil }
        return Double(text)
    }

    private func label(_ key: String) -> String { form.fields.first { $0.key == key }?.label ?? key }

    private func shown(_ value: Double) -> String {
        let text = Int(exactly: value).map { "\($0)" } ?? "\(value)"
        return text.split(separator: ".").joined(separator: ",")
    }

    private func trimmed(_ text: String) -> String {
        var slice = text[...]
        while let first = slice.first, first.isWhitespace { slice = slice.dropFirst() }
        while let last = slice.last, last.isWhitespace { slice = slice.dropLast() }
        return String(slice)
    }
}
