public import Clinical
public import FoundationEssentials

/// A DICOM UID from a UUID, which needs no registered root (PS3.5 B.2).
public enum DicomUID {
    /// `2.25.` and the UUID as a decimal number: at most 44 characters.
    public static func make(_ uuid: UUID) -> String {
        let bytes = uuid.uuid
        let all = [
            bytes.0, bytes.1, bytes.2, bytes.3, bytes.4, bytes.5, bytes.6, bytes.7, bytes.8, bytes.9, bytes.10,
            bytes.11,
            bytes.12, bytes.13, bytes.14, bytes.15,
        ]
        return "2.25.\(all.reduce(UInt128(0)) { $0 << 8 | UInt128($1) })"
    }

    /// Digits and dots, at most 64 characters, no component empty or with a leading zero.
    public static func isValid(_ text: String) -> Bool {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        return text.utf8.count <= 64 && parts.count >= 2
            && parts.allSatisfy { part in
                !part.isEmpty && part.utf8.allSatisfy { (0x30...0x39).contains($0) }
                    && (part == "0" || part.first != "0")
            }
    }
}

/// What an ECG object says beside its samples (formats.md 1.3). What is missing is written empty, never invented.
public struct DicomECGHeader: Sendable, Equatable {
    public struct Subject: Sendable, Equatable {
        /// Birth name.
        public var family: String?
        public var given: [String]
        /// Never empty.
        public var id: String
        public var issuer: String?
        /// `1938-04-12`
        public var birthDate: String?
        public var sex: Sex
        /// The national identifier (INS) with its OID, when the server sent a qualified one.
        public var ins: Identifier?

        public init(
            family: String?, given: [String], id: String, issuer: String?, birthDate: String?, sex: Sex,
            ins: Identifier? = nil
        ) {
            self.family = family
            self.given = given
            self.id = id
            self.issuer = issuer
            self.birthDate = birthDate
            self.sex = sex
            self.ins = ins
        }
    }

    public var subject: Subject
    public var studyInstance: String
    public var seriesInstance: String
    public var sopInstance: String
    /// Start of the recording, local time; nil when nobody knows.
    public var start: LocalTime?
    /// The date and time of the import or capture on the host. DICOM demands one: where `start` is nil this one is written,
    /// and the series description and an annotation say that it isn't the start.
    public var fallback: LocalTime
    public var device: DeviceIdentity
    public var institution: String?
    /// Of the program that writes.
    public var software: String
    /// The object then says so in its patient comments, its series description and its first annotation.
    public var simulated: Bool
    public var interrupted: Bool

    public init(
        subject: Subject, studyInstance: String, seriesInstance: String, sopInstance: String, start: LocalTime?,
        fallback: LocalTime, device: DeviceIdentity, institution: String? = nil, software: String, simulated: Bool,
        interrupted: Bool
    ) {
        self.subject = subject
        self.studyInstance = studyInstance
        self.seriesInstance = seriesInstance
        self.sopInstance = sopInstance
        self.start = start
        self.fallback = fallback
        self.device = device
        self.institution = institution
        self.software = software
        self.simulated = simulated
        self.interrupted = interrupted
    }

    static let simulatedMark = "SIMULATED DATA"
    static let interruptedText = "recording interrupted"
    static let startUnknownText = "start time unknown: dates are those of the capture or import"

    /// What must be seen: a line each, the gravest first.
    var warnings: [String] {
        [
            simulated ? Self.simulatedMark : nil, interrupted ? Self.interruptedText : nil,
            start == nil ? Self.startUnknownText : nil,
        ].compactMap { $0 }
    }

    /// The elements above the waveform, checked.
    func elements(sopClass: DicomSOPClass) throws(EncodeError) -> [DicomElement] {
        for uid in [studyInstance, seriesInstance, sopInstance] where !DicomUID.isValid(uid) {
            throw .invalid("a UID is malformed")
        }
        let id = Self.line(subject.id, 64)
        guard !id.isEmpty, id == subject.id else {
            throw .invalid("the patient ID is empty, longer than 64 characters, or has a character that DICOM forbids")
        }
        let time = start ?? fallback
        let date = time.date.filter { $0 != "-" }
        let clock = EDFText.two(time.hour) + EDFText.two(time.minute) + EDFText.two(time.second)
        var elements: [DicomElement] = [
            .text(DicomTag.characterSet, "CS", "ISO_IR 192"),
            .text(DicomTag.sopClass, "UI", sopClass.rawValue),
            .text(DicomTag.sopInstance, "UI", sopInstance),
            .text(DicomTag.studyDate, "DA", date),
            .text(DicomTag.contentDate, "DA", date),
            .text(DicomTag.acquisitionDateTime, "DT", date + clock),
            .text(DicomTag.studyTime, "TM", clock),
            .text(DicomTag.contentTime, "TM", clock),
            .text(DicomTag.accessionNumber, "SH", ""),
            .text(DicomTag.modality, "CS", "ECG"),
            .text(DicomTag.manufacturer, "LO", Self.line(device.vendor, 64)),
            .text(DicomTag.referringPhysician, "PN", ""),
            .text(DicomTag.modelName, "LO", Self.line(device.model, 64)),
            .text(DicomTag.patientName, "PN", name),
            .text(DicomTag.patientID, "LO", id),
            .text(DicomTag.birthDate, "DA", birthDate),
            .text(DicomTag.sex, "CS", subject.sex == .female ? "F" : subject.sex == .male ? "M" : ""),
            .text(DicomTag.softwareVersions, "LO", Self.line(software, 64)),
            .text(DicomTag.studyInstance, "UI", studyInstance),
            .text(DicomTag.seriesInstance, "UI", seriesInstance),
            .text(DicomTag.studyID, "SH", "1"),
            .text(DicomTag.seriesNumber, "IS", "1"),
            .text(DicomTag.instanceNumber, "IS", "1"),
            // Empty on purpose: where the electrodes really were is not known to us.
            .sequence(DicomTag.acquisitionContext, []),
        ]
        func optional(_ tag: UInt32, _ representation: String, _ text: String?) {
            guard let text, !text.isEmpty else { return }
            elements.append(.text(tag, representation, text))
        }
        if let other = try otherIDs { elements.append(other) }
        if sopClass == .general32 {
            // Enhanced General Equipment: none of the four may be empty there (PS3.3 C.7.5.2).
            for tag in [DicomTag.manufacturer, DicomTag.modelName, DicomTag.softwareVersions] {
                elements.removeAll { $0.tag == tag && $0.isEmpty }
            }
            for tag in [DicomTag.manufacturer, DicomTag.modelName, DicomTag.softwareVersions]
            where !elements.contains(where: { $0.tag == tag }) {
                elements.append(.text(tag, "LO", "UNKNOWN"))
            }
            if device.serial?.isEmpty ?? true { elements.append(.text(DicomTag.serialNumber, "LO", "UNKNOWN")) }
        }
        optional(DicomTag.institution, "LO", institution.map { Self.line($0, 64) })
        optional(DicomTag.issuerOfPatientID, "LO", subject.issuer.map { Self.line($0, 64) })
        optional(DicomTag.serialNumber, "LO", device.serial.map { Self.line($0, 64) })
        optional(DicomTag.seriesDescription, "LO", Self.line(seriesDescription, 64))
        optional(DicomTag.patientComments, "LT", simulated ? Self.simulatedMark : nil)
        return elements
    }

    /// Where the French INS goes: beside the hospital's number, never in its place, with the OID of its kind.
    private var otherIDs: DicomElement? {
        get throws(EncodeError) {
            guard let ins = subject.ins else { return nil }
            let prefix = "urn:oid:"
            let oid = ins.system.hasPrefix(prefix) ? String(ins.system.dropFirst(prefix.count)) : ins.system
            guard DicomUID.isValid(oid), !ins.value.isEmpty, Self.line(ins.value, 64) == ins.value else {
                throw .invalid("the INS has no OID, or a value that DICOM forbids")
            }
            return .sequence(
                DicomTag.otherPatientIDs,
                [
                    [
                        .text(DicomTag.patientID, "LO", ins.value), .text(DicomTag.issuerOfPatientID, "LO", "INS"),
                        .text(DicomTag.typeOfPatientID, "CS", "TEXT"),
                        .sequence(
                            DicomTag.issuerQualifiers,
                            [
                                [
                                    .text(DicomTag.universalEntityID, "UT", oid),
                                    .text(DicomTag.universalEntityIDType, "CS", "ISO"),
                                ]
                            ]),
                    ]
                ])
        }
    }

    private var seriesDescription: String {
        let parts = [
            simulated ? Self.simulatedMark : nil, interrupted ? "interrupted" : nil,
            start == nil ? "start time unknown" : nil,
        ].compactMap { $0 }
        return (["ECG"] + parts).joined(separator: "; ")
    }

    /// `DUPONT^Élodie Anne`: with a caret even without given names, as its absence marks an unstructured name.
    private var name: String {
        func part(_ text: String) -> String {
            String(Self.line(text, 31).map { $0 == "^" || $0 == "=" ? " " : $0 })
        }
        let family = part(subject.family ?? "")
        let given = part(subject.given.joined(separator: " "))
        return family.isEmpty && given.isEmpty ? "" : "\(family)^\(given)"
    }

    private var birthDate: String {
        EDFText.birthDate(subject.birthDate) == "X" ? "" : (subject.birthDate ?? "").filter { $0 != "-" }
    }

    /// One value of one line: no control characters, no backslash (it separates values), cut at a number of characters.
    private static func line(_ text: String, _ limit: Int) -> String {
        let clean = text.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7F ? " " : $0 == "\\" ? "/" : $0 }
        var scalars = clean.prefix(limit)
        while scalars.last == " " { scalars.removeLast() }
        return String(String.UnicodeScalarView(scalars.drop { $0 == " " }))
    }
}
