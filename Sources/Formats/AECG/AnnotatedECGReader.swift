import Clinical

/// Collects what matters while the elements go by.
struct AnnotatedECGReader {
    private(set) var groups: [AnnotatedECG.Group] = []
    private(set) var claim = IdentityClaim()
    private(set) var notes: [Note] = []
    private(set) var head: String?
    private(set) var effective: String?
    private(set) var manufacturer: String?
    private(set) var model: String?
    private(set) var serial: String?

    private var path: [String] = []
    private var gathered: [UInt8] = []
    private var seriesCode: String?
    private var set: SequenceSet?
    private var sequence: Sequence?
    private var digits = Digits()

    private struct Sequence {
        var code: String?
        var kind: String?
        var increment: Ratio?
        var head: String?
        var origin: (value: Ratio, unit: String)?
        var scale: (value: Ratio, unit: String)?
        var digits: [Int]?
    }

    private struct SequenceSet {
        var increment: Ratio?
        var sequences: [Sequence] = []
    }

    private static let longestText = 4096

    private func damaged(_ text: String) -> DecodeError { .damaged(format: AnnotatedECG.format, text) }

    private func isIn(_ name: String) -> Bool { path.contains(name) }

    mutating func start(_ name: String, _ attributes: [String: String]) throws(DecodeError) {
        let parent = path.last
        path.append(name)
        gathered = []
        // Annotations hold values and codes of the same names.
        if isIn("annotationSet") { return }
        let isSeries = parent == "series" || parent == "derivedSeries"
        switch name {
        case "series", "derivedSeries": seriesCode = nil
        case "sequenceSet": set = SequenceSet()
        case "sequence" where set != nil: sequence = Sequence()
        case "code" where parent == "sequence": sequence?.code = attributes["code"]
        case "code" where isSeries: seriesCode = attributes["code"]
        case "value" where parent == "sequence": sequence?.kind = attributes["type"]
        case "head" where parent == "value": sequence?.head = attributes["value"]
        case "increment" where parent == "value":
            let step = try seconds(attributes)
            sequence?.increment = step
        case "origin" where parent == "value":
            let origin = try quantity(attributes)
            sequence?.origin = origin
        case "scale" where parent == "value":
            let scale = try quantity(attributes)
            sequence?.scale = scale
        case "digits" where parent == "value" && sequence != nil: digits = Digits()
        case "id" where parent == "trialSubject": claim.patientID = attributes["extension"] ?? attributes["root"]
        case "id" where parent == "manufacturedSeriesDevice": serial = serial ?? attributes["extension"]
        case "administrativeGenderCode" where parent == "subjectDemographicPerson":
            claim.sex = attributes["code"] == "M" ? .male : attributes["code"] == "F" ? .female : nil
        case "birthTime" where parent == "subjectDemographicPerson":
            claim.birthDate = attributes["value"].flatMap(Self.date)
        case "low" where parent == "effectiveTime" && path.dropLast(2).last == "series",
            "center" where parent == "effectiveTime" && path.dropLast(2).last == "AnnotatedECG":
            effective = effective ?? attributes["value"]
        default: break
        }
    }

    mutating func text(_ text: ArraySlice<UInt8>) throws(DecodeError) {
        if path.last == "digits", sequence != nil, !isIn("annotationSet") {
            guard digits.add(text) else { throw damaged("a list of digits holds something else") }
        } else if gathered.count + text.count <= Self.longestText {
            gathered += text
        }
    }

    mutating func end() throws(DecodeError) {
        let name = path.removeLast()
        let parent = path.last
        if isIn("annotationSet") { return }
        switch name {
        case "name" where parent == "subjectDemographicPerson":
            claim.name = Self.trimmed(gathered)
        case "manufacturerModelName" where parent == "manufacturedSeriesDevice": model = Self.trimmed(gathered)
        case "name" where parent == "manufacturerOrganization" && isIn("manufacturedSeriesDevice"):
            manufacturer = Self.trimmed(gathered)
        case "digits":
            if sequence != nil {
                guard digits.finish() else { throw damaged("a list of digits holds something else") }
                sequence?.digits = digits.values
                digits = Digits()
            }
        case "sequence":
            if let sequence { set?.sequences.append(sequence) }
            sequence = nil
        case "sequenceSet":
            if let set { try close(set) }
            set = nil
        default: break
        }
        gathered = []
    }

    /// The file ends here. Leads that are complete stay; of the one that is being read, the numbers that are complete.
    mutating func cut() throws(DecodeError) {
        if var sequence, path.contains("digits"), !isIn("annotationSet") {
            sequence.digits = digits.values
            set?.sequences.append(sequence)
        }
        sequence = nil
        if let set { try close(set) }
        set = nil
        let held = groups.last.map { "\($0.waveform.channels.count) leads of the last group" } ?? "nothing"
        notes.append(Note(kind: .gap, text: "the file is cut short; \(held) are there, the last one in part"))
    }

    private mutating func close(_ set: SequenceSet) throws(DecodeError) {
        let time = set.sequences.first { $0.code?.hasPrefix("TIME_") ?? false }
        let leads = set.sequences.filter { $0.digits != nil }
        guard !leads.isEmpty else { return }
        guard let increment = time?.increment, increment.numerator > 0, let rate = Ratio(1).divided(by: increment)
        else {
            throw damaged("a set of leads has no time step")
        }
        if time?.code == "TIME_ABSOLUTE" { head = head ?? time?.head }
        var channels: [Channel] = []
        var samples: [[Sample]] = []
        for sequence in leads {
            guard let digits = sequence.digits, let scale = sequence.scale, scale.value.numerator != 0 else {
                throw damaged("a lead has no scale")
            }
            let origin = sequence.origin ?? (Ratio(0), scale.unit)
            guard origin.unit == scale.unit || origin.value.numerator == 0 else {
                throw damaged("a lead's origin and scale have different units")
            }
            let found = (digits.min() ?? 0)...(digits.max() ?? 0)
            let full = found.lowerBound >= -32768 && found.upperBound <= 32767 ? -32768...32767 : found
            let calibrated = Calibrated(gain: scale.value, offset: origin.value, digital: full)
            if !calibrated.isExact {
                notes.append(
                    Note(kind: .surprise, text: "an origin is \(calibrated.rounding)"))
            }
            let code = sequence.code ?? ""
            let label = code.hasPrefix("MDC_ECG_LEAD_") ? String(code.dropFirst(13)) : code
            let lead = Channel.Signal.leads.first { $0.name.uppercased() == label.uppercased() }
            channels.append(
                Channel(
                    signal: code.hasPrefix("MDC_ECG_LEAD_") ? lead?.signal ?? .other : .other,
                    name: lead?.name ?? (label.isEmpty ? "lead" : label), unit: scale.unit, rate: rate.reduced,
                    scale: calibrated.scale, range: calibrated.range(full), calibration: .singleSource))
            samples.append(digits.map { calibrated.sample($0) })
        }
        groups.append(
            .init(
                label: seriesCode, waveform: Waveform(channels: channels, samples: samples),
                isDerived: isIn("derivedSeries") || seriesCode == "REPRESENTATIVE_BEAT",
                head: time?.code == "TIME_ABSOLUTE" ? time?.head : nil))
    }

    private func quantity(_ attributes: [String: String]) throws(DecodeError) -> (value: Ratio, unit: String) {
        guard let value = attributes["value"].flatMap({ Ratio(decimal: $0) }) else {
            throw damaged("an origin or scale is no number")
        }
        return (value, attributes["unit"] ?? "1")
    }

    /// In seconds, whatever its unit.
    private func seconds(_ attributes: [String: String]) throws(DecodeError) -> Ratio {
        let (value, unit) = try quantity(attributes)
        let units = ["s": 1, "1": 1, "ms": 1000, "us": 1_000_000]
        guard let divisor = units[unit], let seconds = value.divided(by: Ratio(divisor)) else {
            throw .unsupported(format: AnnotatedECG.format, "a time step in another unit than s, ms and us")
        }
        return seconds
    }

    private static func trimmed(_ bytes: [UInt8]) -> String? {
        let words = String(decoding: bytes, as: UTF8.self).split { $0.isWhitespace }
        return words.isEmpty ? nil : words.joined(separator: " ")
    }

    /// `19530508…`
    private static func date(_ text: String) -> String? {
        guard text.utf8.count >= 8, text.utf8.prefix(8).allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return "\(text.prefix(4))-\(text.dropFirst(4).prefix(2))-\(text.dropFirst(6).prefix(2))"
    }

    /// Integers between spaces, however the text is cut into pieces.
    private struct Digits {
        private(set) var values: [Int] = []
        private var value = 0
        private var sign = 0
        private var hasDigit = false

        mutating func add(_ text: ArraySlice<UInt8>) -> Bool {
            for byte in text {
                switch byte {
                case 0x30...0x39:
                    value = value * 10 + Int(byte - 0x30)
                    guard value <= 1 << 40 else { return false }
                    hasDigit = true
                    if sign == 0 { sign = 1 }
                case UInt8(ascii: "-"), UInt8(ascii: "+"):
                    guard sign == 0 else { return false }
                    sign = byte == UInt8(ascii: "-") ? -1 : 1
                case 0x20, 9...13:
                    guard finish() else { return false }
                default: return false
                }
            }
            return true
        }

        /// Ends the number that is open, if there is one.
        mutating func finish() -> Bool {
            guard sign != 0 else { return true }
            guard hasDigit else { return false }
            values.append(sign * value)
            (value, sign, hasDigit) = (0, 0, false)
            return true
        }
    }
}
