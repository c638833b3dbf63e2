public import Clinical
import Wire

/// A DICOM waveform object as read: tolerant (formats.md 1.3: real vendors' objects are not clean), exact in its values.
public struct DicomWaveformFile: Sendable, Equatable {
    /// One multiplex group.
    public struct Group: Sendable, Equatable {
        /// `RHYTHM`, `MEDIAN BEAT`; nil when it has none.
        public var label: String?
        public var waveform: Waveform
        /// It was calculated from others: a median beat.
        public var isDerived = false
        /// Seconds of its first sample after the object's reference time; nil when it doesn't say.
        public var offset: Double?
    }

    public var sopClassUID: String
    public var groups: [Group]
    /// Acquisition date and time, without a zone as it is the device's local time.
    public var start: LocalTime?
    public var startText: String?
    public var claim: IdentityClaim
    public var manufacturer: String?
    public var model: String?
    public var serial: String?
    /// Texts of the waveform annotations. What another program wrote here can name a person: not for logs.
    public var annotations: [String]
    /// What was odd in the file.
    public var notes: [Note]
    /// It says that it never came from a patient.
    public var isSimulated: Bool

    public var sopClass: DicomSOPClass? { DicomSOPClass(rawValue: sopClassUID) }

    /// True when the Part 10 mark is there.
    public static func isPart10(_ bytes: [UInt8]) -> Bool {
        DicomPart10.isHeader(bytes)
    }

    /// - Throws: `.notRecognised` without the Part 10 mark; `.unsupported` for objects and sample kinds
    ///   that are not read; `.damaged` when the structure or a number without which no sample can be placed is broken.
    public init(decoding bytes: [UInt8]) throws(DecodeError) {
        let (dataset, isCut) = try DicomPart10.content(bytes)
        self = try DicomWaveformFile(dataset, isCut: isCut)
    }

    init(_ dataset: DicomDataset, isCut: Bool) throws(DecodeError) {
        sopClassUID = dataset.text(DicomTag.sopClass) ?? ""
        let items = dataset.items(DicomTag.waveforms)
        guard !items.isEmpty else {
            if isCut { throw DicomPart10.cut }
            throw .unsupported(format: "dicom", "it is no waveform object; only waveforms are decoded")
        }
        notes = []
        groups = []
        for (index, item) in items.enumerated() {
            // The cut lies in the last one, before or in its samples.
            if isCut, index == items.count - 1, item.bytes(DicomTag.waveformData)?.isEmpty ?? true {
                guard index > 0 else { throw DicomPart10.cut }
                notes.append(Note(kind: .gap, text: "the file is cut short; group \(index + 1) is missing"))
                continue
            }
            let group = try DicomGroupReader(item, number: index + 1).read()
            groups.append(group.group)
            notes += group.notes
        }
        if isCut { notes.append(Note(kind: .gap, text: "the file is cut short; its complete samples are there")) }
        startText =
            dataset.text(DicomTag.acquisitionDateTime)
            ?? dataset.text(DicomTag.contentDate).map { $0 + (dataset.text(DicomTag.contentTime) ?? "") }
        start = startText.flatMap(Self.localTime)
        annotations = dataset.items(DicomTag.annotations).compactMap { $0.text(DicomTag.unformattedText) }
        manufacturer = dataset.text(DicomTag.manufacturer)
        model = dataset.text(DicomTag.modelName)
        serial = dataset.text(DicomTag.serialNumber)
        isSimulated =
            [dataset.text(DicomTag.patientComments), dataset.text(DicomTag.seriesDescription)]
            .contains { $0?.contains(DicomECGHeader.simulatedMark) ?? false }
        claim = Self.claim(dataset)
        if annotations.contains(DicomECGHeader.startUnknownText) {
            start = nil
            notes.append(Note(kind: .device, text: DicomECGHeader.startUnknownText))
        }
        if annotations.contains(DicomECGHeader.interruptedText) {
            notes.append(Note(kind: .gap, text: DicomECGHeader.interruptedText))
        }
    }

    /// `YYYYMMDDHHMMSS`, with a fraction and an offset that are left alone.
    static func localTime(_ text: String) -> LocalTime? {
        let digits = text.prefix { $0.isASCII && $0.isNumber }.compactMap(\.wholeNumberValue)
        guard digits.count >= 12 else { return nil }
        func number(_ range: Range<Int>) -> Int { digits[range].reduce(0) { $0 * 10 + $1 } }
        return LocalTime(
            year: number(0..<4), month: number(4..<6), day: number(6..<8), hour: number(8..<10),
            minute: number(10..<12), second: digits.count >= 14 ? number(12..<14) : 0)
    }

    /// - Returns: the empty text as patient ID where there is none: a DICOM object must name its patient (formats.md 2.5).
    static func claim(_ dataset: DicomDataset) -> IdentityClaim {
        let sex: Sex? =
            switch dataset.text(DicomTag.sex) {
            case "F": .female
            case "M": .male
            default: nil
            }
        let age = dataset.text(DicomTag.age).flatMap { $0.hasSuffix("Y") ? Int($0.dropLast()) : nil }
        let id = DicomPatientID.best(of: dataset)
        return IdentityClaim(
            name: dataset.text(DicomTag.patientName).flatMap(DicomText.personName), sex: sex,
            birthDate: dataset.text(DicomTag.birthDate).flatMap(DicomMoment.date), age: age, patientID: id.value,
            issuer: id.issuer)
    }
}

/// The number by which an object knows its patient, and who gave it out.
struct DicomPatientID: Equatable {
    var value: String
    /// The OID where there is one (Issuer of Patient ID Qualifiers, PS3.3 C.2.3), else the text.
    var issuer: String?

    init(_ dataset: DicomDataset) {
        value = dataset.text(DicomTag.patientID) ?? ""
        let oids = dataset.items(DicomTag.issuerQualifiers).lazy
            .filter { $0.text(DicomTag.universalEntityIDType) == "ISO" }
            .compactMap { $0.text(DicomTag.universalEntityID) }
        issuer = oids.first ?? dataset.text(DicomTag.issuerOfPatientID)
    }

    /// The INS where one of the object's numbers is one: the only number that more than one place knows.
    static func best(of dataset: DicomDataset) -> DicomPatientID {
        let main = DicomPatientID(dataset)
        let others = dataset.items(DicomTag.otherPatientIDs).map { DicomPatientID($0) }
        return ([main] + others).first { !$0.value.isEmpty && $0.isINS } ?? main
    }

    private var isINS: Bool { issuer.flatMap { Identifier.INS(system: $0) } != nil }
}
