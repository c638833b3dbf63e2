import Clinical

/// The waveform objects that every receiver knows, and the ones that are read beside them (formats.md 1.1).
public enum DicomSOPClass: String, Sendable, CaseIterable {
    case twelveLead = "1.2.840.10008.5.1.4.1.1.9.1.1"
    case general = "1.2.840.10008.5.1.4.1.1.9.1.2"
    case ambulatory = "1.2.840.10008.5.1.4.1.1.9.1.3"
    case general32 = "1.2.840.10008.5.1.4.1.1.9.1.4"

    /// Names it on a command line.
    public var formatName: String {
        switch self {
        case .twelveLead: "dicom-12-lead-ecg"
        case .general: "dicom-general-ecg"
        case .ambulatory: "dicom-ambulatory-ecg"
        case .general32: "dicom-general-32-bit-ecg"
        }
    }

    /// The object for these multiplex groups: the 12-lead one where it fits, as it is the best known; the 32-bit one, which few
    /// receivers know, only where nothing else can say the samples as they are.
    static func fitting(_ groups: [DicomGroup]) throws(EncodeError) -> DicomSOPClass {
        let rates = groups.map(\.rate.value)
        let channels = groups.map(\.channels.count)
        let all = channels.reduce(0, +)
        let isNarrow = groups.allSatisfy { $0.width == .sixteen }
        if isNarrow, rates.allSatisfy({ (200...1000).contains($0) }) {
            if groups.count <= 5, all <= 13, groups.allSatisfy({ $0.count <= 16384 }) { return .twelveLead }
            if groups.count <= 4, channels.allSatisfy({ $0 <= 24 }) { return .general }
        }
        if isNarrow, groups.count == 1, all <= 12, rates.allSatisfy({ (50...1000).contains($0) }) {
            return .ambulatory
        }
        // Not limited in rate above; below 200 Hz the current text still wants an ambulatory object.
        if groups.count <= 4, channels.allSatisfy({ $0 <= 24 }), rates.allSatisfy({ $0 >= 200 }) { return .general32 }
        throw .cannotRepresent(
            "\(all) channels in \(groups.count) groups at \(rates.first ?? 0) Hz fit no DICOM ECG object")
    }
}
