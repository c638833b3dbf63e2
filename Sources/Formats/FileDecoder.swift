public import Clinical

/// One file, decoded: what kind it is and what is in it.
public struct DecodedFile: Sendable, Equatable {
    /// Channels that belong together: a multiplex group, or all channels of a file that has no groups.
    public struct Group: Sendable, Equatable {
        public var label: String?
        public var waveform: Waveform

        public init(label: String? = nil, waveform: Waveform) {
            self.label = label
            self.waveform = waveform
        }
    }

    /// `contec-ecg`, `edf`, `edf+c`, `edf+d`, `bdf`, `dicom-12-lead-ecg`, `dicom-general-ecg`, `dicom-sr`, `contec-spo2`, `scp-ecg`, `hl7-aecg`, `wfdb`, …
    public var format: String
    public var groups: [Group]
    public var start: LocalTime?
    /// The start as the file writes it.
    public var startText: String?
    /// Whose the file says it is; never for a log or a terminal unless asked for.
    public var claim: IdentityClaim?
    /// It says that it never came from a patient.
    public var isSimulated: Bool
    /// Annotations and surprises. Annotations of other programs can hold names.
    public var notes: [Note]
    /// Of a structured report: its measurements. It has no groups then.
    public var report: DicomReport?

    public init(
        format: String, groups: [Group], start: LocalTime?, startText: String?, claim: IdentityClaim?,
        isSimulated: Bool, notes: [Note], report: DicomReport? = nil
    ) {
        self.format = format
        self.groups = groups
        self.start = start
        self.startText = startText
        self.claim = claim
        self.isSimulated = isSimulated
        self.notes = notes
        self.report = report
    }

    /// All channels of all groups, each with its own rate and length.
    public var waveform: Waveform {
        Waveform(channels: groups.flatMap(\.waveform.channels), samples: groups.flatMap(\.waveform.samples))
    }
}

/// Decodes any file that the agent knows, recognised by its content; names and extensions play no part.
public enum FileDecoder {
    /// One file by itself. A WFDB header needs its signal files: see the other `decode`.
    public static func decode(_ bytes: [UInt8]) throws(DecodeError) -> DecodedFile {
        try decode(bytes, named: "") { _ in nil }
    }

    /// - Parameters:
    ///   - named: its name, for formats that spread over several; plays no part in recognising it.
    ///   - beside: the content of another file in the same folder; nil when there is none.
    public static func decode(
        _ bytes: [UInt8], named: String, beside: (String) throws -> [UInt8]?
    ) throws(DecodeError) -> DecodedFile {
        if DicomWaveformFile.isPart10(bytes) { return try dicom(bytes) }
        if EDFFile.isHeader(bytes) { return try edf(bytes) }
        if ContecECG.isHeader(bytes) { return try contec(bytes) }
        if ContecSpO2.isHeader(bytes) { return try spo2(bytes) }
        if SCPFile.isHeader(bytes) { return try scp(bytes) }
        if AnnotatedECG.isHeader(bytes) { return try annotated(bytes) }
        if WFDBRecord.isHeader(bytes) { return try wfdb(bytes, beside) }
        throw .notRecognised(
            bytes.isEmpty
                ? "the file is empty"
                : "neither DICOM, EDF, BDF, SCP-ECG, HL7 aECG, a WFDB header, a Contec .ECG nor a .SpO2 file; export it in one of these from where it came"
        )
    }

    private static func contec(_ bytes: [UInt8]) throws(DecodeError) -> DecodedFile {
        let file = try ContecECG(decoding: bytes)
        return DecodedFile(
            format: "contec-ecg", groups: [.init(waveform: file.waveform12)], start: file.start,
            startText: file.startText, claim: file.simulatedSerial == nil ? file.claim : file.anonymousClaim,
            isSimulated: file.simulatedSerial != nil, notes: file.notes)
    }

    private static func edf(_ bytes: [UInt8]) throws(DecodeError) -> DecodedFile {
        let file = try EDFFile(decoding: bytes)
        return DecodedFile(
            format: file.variant.rawValue, groups: [.init(waveform: file.waveform)], start: file.start,
            startText: file.startText, claim: file.claim, isSimulated: file.isSimulated,
            notes: file.notes + file.annotations)
    }

    private static func dicom(_ bytes: [UInt8]) throws(DecodeError) -> DecodedFile {
        let (dataset, isCut) = try DicomPart10.content(bytes)
        if DicomReport.isReport(dataset) {
            // Who measured may stand behind what was measured.
            if isCut { throw DicomPart10.cut }
            let report = try DicomReport(dataset)
            return DecodedFile(
                format: "dicom-sr", groups: [], start: report.start, startText: report.startText, claim: report.claim,
                isSimulated: false, notes: report.notes, report: report)
        }
        let file = try DicomWaveformFile(dataset, isCut: isCut)
        return DecodedFile(
            format: file.sopClass?.formatName ?? "dicom-waveform",
            groups: file.groups.map { .init(label: $0.label, waveform: $0.waveform) }, start: file.start,
            startText: file.startText, claim: file.claim, isSimulated: file.isSimulated, notes: file.notes)
    }

    private static func spo2(_ bytes: [UInt8]) throws(DecodeError) -> DecodedFile {
        let file = try ContecSpO2(decoding: bytes)
        return DecodedFile(
            format: "contec-spo2", groups: [.init(waveform: file.waveform)], start: file.start,
            startText: file.startText, claim: nil, isSimulated: file.simulatedSerial != nil, notes: file.notes)
    }

    private static func scp(_ bytes: [UInt8]) throws(DecodeError) -> DecodedFile {
        let file = try SCPFile(decoding: bytes)
        return DecodedFile(
            format: "scp-ecg", groups: file.groups.map { .init(label: $0.label, waveform: $0.waveform) },
            start: file.start, startText: file.startText, claim: file.claim, isSimulated: false, notes: file.notes)
    }

    private static func annotated(_ bytes: [UInt8]) throws(DecodeError) -> DecodedFile {
        let file = try AnnotatedECG(decoding: bytes)
        return DecodedFile(
            format: AnnotatedECG.format, groups: file.groups.map { .init(label: $0.label, waveform: $0.waveform) },
            start: file.start, startText: file.startText, claim: file.claim, isSimulated: false, notes: file.notes)
    }

    private static func wfdb(
        _ bytes: [UInt8], _ beside: (String) throws -> [UInt8]?
    ) throws(DecodeError) -> DecodedFile {
        let record = try WFDBRecord(header: bytes, beside: beside)
        return DecodedFile(
            format: WFDBHeader.format, groups: [.init(waveform: record.waveform)], start: record.start,
            startText: record.startText, claim: record.claim, isSimulated: false, notes: record.notes)
    }
}
