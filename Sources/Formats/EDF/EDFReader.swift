public import Clinical
import Wire

/// An EDF, EDF+ or BDF file as read: tolerant where other programs write carelessly (formats.md 3.2, 3.3), exact in its
/// values.
public struct EDFFile: Sendable, Equatable {
    public enum Variant: String, Sendable {
        case edf
        case edfPlusC = "edf+c"
        case edfPlusD = "edf+d"
        case bdf
        case bdfPlusC = "bdf+c"
        case bdfPlusD = "bdf+d"

        /// Bytes per sample.
        var width: Int {
            switch self {
            case .edf, .edfPlusC, .edfPlusD: 2
            case .bdf, .bdfPlusC, .bdfPlusD: 3
            }
        }
    }

    public var variant: Variant
    /// The local patient identification field as written.
    public var patient: String
    /// The local recording identification field as written.
    public var recording: String
    /// Nil when the file says that nobody knows, or says nonsense.
    public var start: LocalTime?
    /// Date and time fields as written.
    public var startText: String
    /// Seconds per record.
    public var recordDuration: Ratio
    public var records: Int
    public var waveform: Waveform
    /// What was odd in the file; gaps of a discontinuous file with the time of their first sample.
    public var notes: [Note]
    /// What its annotation signals say, in their words and never more than words: a text that begins like one of our own notes
    /// ("surprise: ") stays a text, which can name the patient.
    public var annotations: [Note]
    /// It says that it never came from a patient.
    public var isSimulated: Bool

    /// True when the first bytes are those of EDF or BDF.
    public static func isHeader(_ bytes: some Collection<UInt8>) -> Bool {
        let first = Array(bytes.prefix(8))
        return first == Array("0       ".utf8) || first == [0xFF] + Array("BIOSEMI".utf8)
    }

    /// - Throws: `.notRecognised`, or `.damaged` when a field without which no sample can be placed is rubbish.
    public init(decoding bytes: [UInt8]) throws(DecodeError) {
        guard Self.isHeader(bytes) else { throw .notRecognised("no EDF or BDF version field at the start") }
        let header = try EDFRawHeader(bytes)
        variant = header.variant
        patient = header.patient
        recording = header.recording
        startText = header.startText
        start = header.start
        isSimulated = header.recording.split(separator: " ").contains { $0 == EDFHeader.simulatedMark }
        recordDuration = header.recordDuration
        notes = header.notes

        let layout = EDFLayout(header, size: bytes.count)
        records = layout.records
        notes += layout.notes
        var channels: [Channel] = []
        var samples: [[Sample]] = []
        var keeping: [Double?] = []
        annotations = []
        var malformed = 0
        for (index, signal) in header.signals.enumerated() {
            guard signal.perRecord > 0 else {
                notes.append(Note(kind: .surprise, text: "signal \(index + 1) has no samples in any record"))
                continue
            }
            // Annotations without duration, beside a checksum that is no signal (formats.md 3.3, EVE and CSL).
            if header.recordDuration.numerator == 0, signal.label.hasPrefix("Crc"),
                header.signals.contains(where: \.isAnnotation)
            {
                continue
            }
            if signal.isAnnotation {
                let isFirst = keeping.isEmpty
                for record in 0..<layout.records {
                    let (found, bad) = EDFAnnotation.parse(layout.bytes(bytes, record: record, signal: index))
                    malformed += bad
                    if isFirst { keeping.append(found.first?.onset) }
                    let zero = (keeping.first ?? nil) ?? 0
                    for list in found {
                        for text in list.texts {
                            annotations.append(
                                Note(kind: .device, at: list.onset - zero, duration: list.duration, text: text))
                        }
                    }
                }
            } else {
                let decoded = try signal.decode(layout, bytes, index: index, duration: header.recordDuration)
                channels.append(decoded.channel)
                samples.append(decoded.samples)
                notes += decoded.notes
            }
        }
        waveform = Waveform(channels: channels, samples: samples)
        if malformed > 0 {
            notes.append(Note(kind: .surprise, text: "\(malformed) annotations could not be read"))
        }
        notes += Self.gaps(keeping, duration: header.recordDuration.value)
    }

    /// Where records don't follow each other; the note's time counts samples, as the waveform has no hole.
    private static func gaps(_ onsets: [Double?], duration: Double) -> [Note] {
        guard duration > 0 else { return [] }
        var notes: [Note] = []
        for index in onsets.indices.dropFirst() {
            guard let before = onsets[index - 1], let after = onsets[index] else { continue }
            let gap = after - before - duration
            if abs(gap) > 1e-4 {
                notes.append(
                    Note(kind: .gap, at: Double(index) * duration, duration: max(gap, 0), text: "gap between records"))
            }
        }
        return notes
    }

    /// What recorded it, by EDF+'s recording field; nil when it doesn't say.
    public var equipment: String? {
        let words = recording.split(separator: " ")
        guard words.first == "Startdate", words.count >= 5, words[4] != "X" else { return nil }
        return String(words[4].map { $0 == "_" ? " " : $0 })
    }

    /// Who the header says it is; EDF+ only, since plain EDF has no rule for the field.
    public var claim: IdentityClaim? {
        guard variant != .edf, variant != .bdf else { return nil }
        let parts = patient.split(separator: " ").map { $0 == "X" ? nil : String($0) }
        guard parts.count >= 4 else { return nil }
        let sex: Sex? = parts[1] == "F" ? .female : parts[1] == "M" ? .male : nil
        return IdentityClaim(
            name: parts[3].map { String($0.map { $0 == "_" ? " " : $0 }) }, sex: sex,
            birthDate: parts[2].flatMap(EDFRawHeader.isoDate), patientID: parts[0])
    }
}
