public import Clinical

/// A DICOM structured report's measurements: what an ultrasound machine or a program says that it measured (formats.md 2.4,
/// PS3.16 TID 5200 and 5300). Values are given as the file writes them, never rounded, and never as verified when the file
/// doesn't say who verified them.
public struct DicomReport: Sendable, Equatable, Codable {
    /// A concept; told apart by value and scheme, never by its text.
    public struct Code: Sendable, Equatable, Codable, Hashable {
        public var value: String
        /// `LN`, `SCT`, `SRT`, `DCM`, `MDC`, `UCUM`.
        public var scheme: String
        public var meaning: String

        public init(value: String, scheme: String, meaning: String) {
            self.value = value
            self.scheme = scheme
            self.meaning = meaning
        }
    }

    /// What made a value when no person did.
    public struct Algorithm: Sendable, Equatable, Codable, Hashable {
        public var name: String?
        public var version: String?
        public var manufacturer: String?
        public var family: String?
    }

    public struct Measurement: Sendable, Equatable, Codable {
        public var name: Code
        /// Decimal text as in the file.
        public var value: String
        public var unit: Code?
        public var findingSite: Code?
        public var method: Code?
        public var imageMode: Code?
        public var view: Code?
        /// Mean, minimum and the like.
        public var derivation: Code?
        /// The item's own modifiers, as they stand there: those above too, and whatever else it says.
        public var modifiers: [Code]
        /// Nil when a person measured.
        public var algorithm: Algorithm?
        /// Somebody with a name verified the report; an algorithm's value is never verified by itself.
        public var isVerified: Bool
        /// The machine marked it as the value to use among several.
        public var isSelected: Bool
    }

    public var sopClassUID: String
    /// What kind of report it is.
    public var title: Code?
    /// `COMPLETE` or `PARTIAL`; says nothing about verification.
    public var completion: String?
    /// The flag says so and an observer is named.
    public var isVerified: Bool
    public var measurements: [Measurement]
    /// Content date and time.
    public var start: LocalTime?
    public var startText: String?
    public var claim: IdentityClaim
    public var manufacturer: String?
    public var model: String?
    /// Versions, as the header writes them.
    public var software: String?
    public var notes: [Note]

    /// SR storage classes that hold measurements (PS3.4 B.5): Basic Text to Extensible, Comprehensive 3D, Simplified Adult Echo.
    public static let sopClasses: Set<String> = Set(
        ["11", "22", "33", "34", "35", "72"].map { "1.2.840.10008.5.1.4.1.1.88.\($0)" })

    /// Bytes. Reports are text; what is larger is something else.
    public static let sizeLimit = 8 << 20

    static func isReport(_ dataset: DicomDataset) -> Bool {
        sopClasses.contains(dataset.text(DicomTag.sopClass) ?? "")
            || dataset.items(DicomTag.waveforms).isEmpty && !dataset.items(DicomTag.content).isEmpty
    }

    public init(decoding bytes: [UInt8]) throws(DecodeError) { self = try DicomReport(DicomPart10.dataset(bytes)) }

    init(_ dataset: DicomDataset) throws(DecodeError) {
        guard Self.isReport(dataset) else {
            throw .unsupported(format: "dicom", "it is no structured report")
        }
        sopClassUID = dataset.text(DicomTag.sopClass) ?? ""
        title = DicomReportReader.code(dataset.items(DicomTag.conceptName))
        completion = dataset.text(DicomTag.completionFlag)
        isVerified =
            dataset.text(DicomTag.verificationFlag) == "VERIFIED"
            && !dataset.items(DicomTag.verifyingObservers).isEmpty
        startText = dataset.text(DicomTag.contentDate).map { $0 + (dataset.text(DicomTag.contentTime) ?? "") }
        start = startText.flatMap(DicomWaveformFile.localTime)
        claim = DicomWaveformFile.claim(dataset)
        manufacturer = dataset.text(DicomTag.manufacturer)
        model = dataset.text(DicomTag.modelName)
        software = dataset.text(DicomTag.softwareVersions)
        notes = []
        var reader = DicomReportReader(isVerified: isVerified)
        reader.read(
            dataset.items(DicomTag.content),
            device: .init(
                name: model, version: software, manufacturer: manufacturer, family: nil))
        measurements = reader.measurements
        notes += reader.notes
        if measurements.contains(where: { $0.algorithm != nil && !$0.isVerified }) {
            notes.append(Note(kind: .device, text: "measured by an algorithm; nobody has verified it"))
        }
    }
}
