import Clinical
import Wire

/// Values and states, as they are told.
extension PhdcConversation {
    /// - Parameter outside: as of `KnownItems.contains`.
    func isKnown(
        _ values: [PhdcObservation.Value], _ stamp: PhdcReadingTime, _ person: UInt16?, outside: String? = nil
    ) -> Bool {
        guard stamp.at != nil, !values.isEmpty else { return false }
        return values.allSatisfy { value in
            reading(value, stamp, 0, person, flags: []).map { known.contains($0, outside: outside) } ?? false
        }
    }

    /// - Parameter throttled: a value that is the same as within the last second is counted, not said again.
    mutating func say(
        _ value: PhdcObservation.Value, _ object: PhdcObject, _ stamp: PhdcReadingTime, _ sequence: Int,
        _ person: UInt16?, throttled: Bool, at now: UInt64
    ) -> [DialogueAction] {
        let metric = value.code.flatMap(PhdcNomenclature.metric)
        let code = value.code.map { "\($0)" }
        let name = "object \(object.handle), \(value.code.map(PhdcNomenclature.name) ?? "unknown metric")"
        var flags = Self.names(ofStatus: value.status)
        guard let ratio = value.number.ratio, value.status & 0xA000 == 0 else {
            let reason = ([value.number.special?.rawValue ?? value.number.description] + flags).joined(separator: ", ")
            let key = "absent \(object.handle) \(code ?? "")"
            guard open?.states[key] != reason || stamp.at != nil else { return [] }
            if (open?.states.count ?? 0) < 256 { open?.states[key] = reason }
            return note(.sensor, "\(name): no value (\(reason))" + stamp.suffix)
        }
        open?.states["absent \(object.handle) \(code ?? "")"] = nil
        // Not the patient's, whatever it is: kept, told, and never a value of anybody.
        if let foreign = PhdcNomenclature.foreign(value.code, status: value.status) {
            let unit = PhdcNomenclature.unit(value.unit)
            let text = "\(name) (\(code ?? "?")) = \(value.number) \(unit): \(foreign), no patient's value"
            return note(.device, text + stamp.suffix)
        }
        if metric?.kind == .glucose, let sample = metric?.name.split(separator: ", ").dropFirst().first {
            flags.append(String(sample))
        }
        if value.number.isSuspicious { flags.append("special mantissa") }
        if value.code == nil { flags.append("configuration not heard") }
        flags += object.supplementalTypes.map(PhdcNomenclature.modality)
        flags += stamp.flags
        let key = "\(object.handle) \(code ?? "") \(flags)"
        // A date that was worked out from a counter is no reason to say it again.
        if throttled, stamp.at == nil || !stamp.flags.isEmpty, let said = open?.said[key], said.value == ratio,
            now < said.at + Self.second
        {
            open?.repeated += 1
            return []
        }
        if (open?.said.count ?? 0) < 256 {
            open?.said[key] = PhdcOpenRecording.Said(value: ratio, flags: flags, at: now)
        }
        return reading(value, stamp, sequence, person, flags: flags).map { [.reading($0)] } ?? []
    }

    private static func names(ofStatus status: UInt16) -> [String] {
        (0..<16).filter { status & 0x8000 >> $0 != 0 }
            .map { PhdcNomenclature.measurementStatus[$0] ?? "status bit \($0)" }
    }

    /// Nil where there is no number.
    func reading(
        _ value: PhdcObservation.Value, _ stamp: PhdcReadingTime, _ sequence: Int, _ person: UInt16?, flags: [String]
    ) -> Reading? {
        guard let ratio = value.number.ratio else { return nil }
        let code = value.code.map { "\($0)" }
        let bank = person.flatMap { $0 == PhdcScanReport.nobody ? nil : Int($0) }
        var source: String?
        if stamp.at != nil, let system = nameplate.systemName, let raw = stamp.raw, let code {
            source = [Phdc.name, system, code, bank.map(String.init) ?? "", raw.filter { $0 != " " }]
                .joined(separator: ":")
        }
        return Reading(
            kind: value.code.flatMap(PhdcNomenclature.metric)?.kind ?? .other, value: ratio,
            unit: PhdcNomenclature.unit(value.unit), at: stamp.at, rawTime: stamp.raw, bank: bank, sequence: sequence,
            flags: flags, source: source, code: code)
    }

    mutating func say(
        _ state: PhdcObservation.State, _ object: PhdcObject, _ stamp: PhdcReadingTime
    ) -> [DialogueAction] {
        // A state that lasts is said when it changes.
        let key = "state \(object.handle) \(state.code.map { "\($0)" } ?? "")"
        let doubts = Self.names(ofStatus: state.status)
        let text = state.text + (doubts.isEmpty ? "" : " (\(doubts.joined(separator: ", ")))")
        guard open?.states[key] != text || stamp.at != nil else { return [] }
        if (open?.states.count ?? 0) < 256 { open?.states[key] = text }
        let name = state.code.map { "\(PhdcNomenclature.name($0)) (\($0))" } ?? "unknown state"
        return note(.sensor, "object \(object.handle), \(name) = \(text)" + stamp.suffix)
    }
}
