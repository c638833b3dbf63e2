import Clinical
import Formats

/// What one recording of a standard file comes to, whatever its format.
struct SignalContent {
    struct Maker {
        var vendor: String?
        var model: String?
        var serial: String?
        var software: String?
    }

    /// Channels that begin together, with what decides whether they belong to the recording.
    private struct Group {
        var waveform: Waveform
        var isDerived: Bool
        /// When it begins, in the file's own words; groups of another beginning are another recording.
        var beginning: String
    }

    var waveform: Waveform
    var maker = Maker()
    var start: LocalTime?
    var startText: String?
    var claim: IdentityClaim?
    var objectID: String?
    var isSimulated = false
    /// Its format, or what it says of itself, leaves no other modality.
    private var isECGFile = false
    var notes: [Note]

    init(_ bytes: [UInt8]) throws(DecodeError) {
        guard !Ustar.isArchive(bytes) else {
            self = try SignalContent(archive: bytes)
            return
        }
        switch SignalFileKind(Array(bytes.prefix(SignalFileKind.headSize))) {
        case .dicom: self = try SignalContent(dicom: bytes)
        case .edf: self = try SignalContent(edf: bytes)
        case .scp: self = try SignalContent(scp: bytes)
        case .annotated: self = try SignalContent(annotated: bytes)
        // Without the files that it names a header is no recording.
        case .wfdb, nil: throw .notRecognised("no signal file")
        }
    }

    private init(_ waveform: Waveform, notes: [Note]) {
        self.waveform = waveform
        self.notes = notes
    }

    /// Of several groups those that were recorded, and at the same time as the first of them: a recording has one beginning.
    /// What is left out (median beats, strips of a later moment) stays in the original.
    private init(_ groups: [Group], notes: [Note]) {
        let recorded = groups.filter { !$0.isDerived }
        let candidates = recorded.isEmpty ? groups : recorded
        let kept = candidates.filter { $0.beginning == candidates.first?.beginning }
        waveform = Waveform(
            channels: kept.flatMap(\.waveform.channels), samples: kept.flatMap(\.waveform.samples))
        self.notes = notes
        if kept.count < groups.count {
            self.notes.append(
                Note(
                    kind: .device,
                    text:
                        "\(groups.count - kept.count) groups of another time or kind (median beats) are in the original"
                ))
        }
    }

    private init(dicom bytes: [UInt8]) throws(DecodeError) {
        let file = try DicomWaveformFile(decoding: bytes)
        self.init(
            file.groups.map {
                Group(waveform: $0.waveform, isDerived: $0.isDerived, beginning: $0.offset.map { "\($0)" } ?? "")
            }, notes: file.notes + file.annotations.map { Note(kind: .device, text: $0) })
        // The header's reader is the one that every DICOM file of a medium meets.
        let header = try DicomHeader(bytes)
        maker = Maker(
            vendor: header.manufacturer, model: header.model, serial: header.serial, software: header.software)
        isECGFile = header.modality == "ECG"
        (start, startText, claim, objectID) = (file.start, file.startText, header.claim, header.objectID)
        isSimulated = file.isSimulated || header.isSimulated
        notes += header.surprises.map { Note(kind: .surprise, text: $0) }
    }

    private init(edf bytes: [UInt8]) throws(DecodeError) {
        let file = try EDFFile(decoding: bytes)
        self.init(file.waveform, notes: file.notes + file.annotations)
        (start, startText, claim, isSimulated) = (file.start, file.startText, file.claim, file.isSimulated)
        maker.model = file.equipment
    }

    private init(scp bytes: [UInt8]) throws(DecodeError) {
        let file = try SCPFile(decoding: bytes)
        self.init(
            file.groups.map {
                Group(waveform: $0.waveform, isDerived: $0.label == SCPFile.Group.referenceBeat, beginning: $0.label)
            }, notes: file.notes)
        maker = Maker(
            vendor: file.device.manufacturer, model: file.device.model, serial: file.device.serial,
            software: file.device.software)
        (start, startText) = (file.start, file.startText)
        isECGFile = true
        var claim = file.claim
        // Its tag is mandatory (formats.md 4.2): without it the file names nobody.
        if claim.patientID == nil { claim.patientID = "" }
        self.claim = claim
    }

    private init(annotated bytes: [UInt8]) throws(DecodeError) {
        let file = try AnnotatedECG(decoding: bytes)
        self.init(
            file.groups.map { Group(waveform: $0.waveform, isDerived: $0.isDerived, beginning: $0.head ?? "") },
            notes: file.notes)
        maker = Maker(vendor: file.manufacturer, model: file.model, serial: file.serial)
        (start, startText, claim, isECGFile) = (file.start, file.startText, file.claim, true)
    }

    private init(archive bytes: [UInt8]) throws(DecodeError) {
        let entries = try Ustar(decoding: bytes).entries
        guard let header = entries.first, WFDBRecord.isHeader(header.bytes) else {
            throw .notRecognised("no WFDB record in the archive")
        }
        let record = try WFDBRecord(header: header.bytes) { name in
            entries.first { $0.name.lowercased() == name.lowercased() }?.bytes
        }
        self.init(record.waveform, notes: record.notes)
        (start, startText, claim) = (record.start, record.startText, record.claim)
    }

    /// An ECG wherever a lead is named as one; a night of oximetry where nothing else is in it; otherwise what a sleep
    /// laboratory records.
    var modality: Recording.Modality {
        let channels = waveform.channels
        let oximetry: Set<Channel.Signal> = [.spo2, .pulseRate, .plethysmogram, .perfusionIndex]
        if isECGFile { return .ecg }
        if channels.isEmpty { return .sleep }
        if channels.allSatisfy({ oximetry.contains($0.signal) }) { return .oximetry }
        let names = channels.map { $0.name.lowercased() }
        let others = ["eeg", "eog", "emg", "flow", "resp", "effort", "thor", "abdo", "snore", "pressure", "cpap"]
        if channels.contains(where: { !$0.signal.isECG && $0.signal != .other && !oximetry.contains($0.signal) })
            || names.contains(where: { name in others.contains { name.contains($0) } })
        {
            return .sleep
        }
        // Microvolts are an EEG's as well.
        let isECG = channels.contains { $0.unit == "mV" || $0.signal.isECG }
        return isECG || names.contains { $0.contains("ecg") || $0.contains("ekg") } ? .ecg : .sleep
    }
}

extension Channel.Signal {
    fileprivate var isECG: Bool { rawValue.hasPrefix("ecg") }
}
