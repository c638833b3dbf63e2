public import Clinical
import Wire

/// An SCP-ECG record (EN 1064 1.3 and 2.x, and the draft of 3 as formats.md 4.4 knows it) as read.
///
/// A rhythm from which a reference beat was subtracted, or that was thinned out between the beats, is put together again and
/// said to be unverified: no file that shows it is known. A record that is cut short gives the leads that are there.
public struct SCPFile: Sendable, Equatable {
    public struct Group: Sendable, Equatable {
        /// `RHYTHM`, `REFERENCE BEAT`, `LONG-TERM RHYTHM`.
        public var label: String
        public var waveform: Waveform

        public static let referenceBeat = "REFERENCE BEAT"
    }

    /// The acquiring device, section 1 tag 14.
    public struct Device: Sendable, Equatable {
        public var manufacturer: String?
        public var model: String?
        public var serial: String?
        public var software: String?
    }

    /// Section 7; nil where the device did not compute a value.
    public struct Measurements: Sendable, Equatable {
        /// Milliseconds.
        public var rrInterval: Int?
        /// Milliseconds.
        public var ppInterval: Int?
    }

    /// 13 = 1.3, 20 = 2.0, 29 and 30 = 3.
    public var protocolVersion: Int
    public var groups: [Group]
    public var start: LocalTime?
    /// Date and time as in the file.
    public var startText: String?
    public var claim: IdentityClaim
    public var device: Device
    public var measurements: Measurements?
    /// The interpretation's statements (section 8). They can name a person: not for logs.
    public var statements: [String]
    /// What was odd in the file.
    public var notes: [Note]

    public static func isHeader(_ bytes: [UInt8]) -> Bool { SCPRecord.isHeader(bytes) }

    /// - Throws: `.notRecognised`; `.damaged` when a checksum, a pointer or a number without which no sample can be placed is
    ///   wrong; `.unsupported` for what is not read.
    public init(decoding bytes: [UInt8]) throws(DecodeError) {
        let record = try SCPRecord(bytes)
        protocolVersion = record.protocolVersion
        notes = record.notes
        let patient = SCPDemographics(record.sections[1]?.body ?? [])
        (claim, device, start, startText) = (patient.claim, patient.device, patient.start, patient.startText)
        if record.sections[1] == nil { notes.append(Note(kind: .surprise, text: "there is no patient section")) }
        if patient.isCut { notes.append(Note(kind: .surprise, text: "the patient section ends within a field")) }
        if start == nil { notes.append(Note(kind: .surprise, text: "the start is unknown")) }
        measurements = record.sections[7].flatMap { SCPTexts.measurements($0.body) }
        statements = record.sections[8].map { SCPTexts.statements($0.body) } ?? []
        var reader = SCPSignals(record)
        groups = try reader.groups()
        notes += reader.notes
        guard !groups.isEmpty else {
            throw .unsupported(format: "scp-ecg", "it has no rhythm data; only waveforms are decoded")
        }
    }
}
