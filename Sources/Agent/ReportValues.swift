import Clinical
import Formats
import FoundationEssentials
import Store
import Uplink

// What an echocardiograph's report says was measured, for the facts that go with the report itself.

extension SyncEngine {
    /// More values than any report of an examination has; the report itself goes up whole.
    private static let valueLimit = 400

    /// The measurements of an imported report; nil for everything else, and for a report that can't be read.
    func reportedValues(
        _ document: Document, _ recording: Recording
    ) async throws(StoreError) -> [VisitFacts.Value]? {
        guard recording.modality == .imaging, document.role == .original, document.size <= DicomReport.sizeLimit
        else { return nil }
        do throws(StoreError) {
            // Known since the import; most of a study is pictures, which need not be read for it.
            guard let kind = try await store.study(of: recording.id)?.objectClass, DicomReport.sopClasses.contains(kind)
            else { return nil }
            let bytes = try await store.original(recording.id)
            return await Self.values(of: bytes, in: recording.id)
        } catch {
            // A damaged report is sent as what it is; the sender finds the damage and says so.
            if case .corrupt = error { return nil }
            throw error
        }
    }

    /// Off the caller's actor: a report has some megabytes.
    @concurrent
    private static func values(of bytes: [UInt8], in recording: RecordingID) async -> [VisitFacts.Value]? {
        guard let report = try? DicomReport(decoding: bytes) else { return nil }
        return report.measurements.enumerated().prefix(valueLimit).compactMap { sequence, measurement in
            // What is no number here stays in the report.
            guard let value = decimal(measurement.value) else { return nil }
            return VisitFacts.Value(
                id: DocumentHasher.uuid5(namespace: recording.uuid, name: "measurement/\(sequence)"),
                sequence: sequence, name: .init(measurement.name), value: value,
                unit: measurement.unit.map { .init($0) }, site: measurement.findingSite.map { .init($0) },
                method: measurement.method.map { .init($0) },
                contexts: [
                    (VisitFacts.Code.imageMode, measurement.imageMode), (.imageView, measurement.view),
                    (.derivation, measurement.derivation),
                ].compactMap { name, code in code.map { VisitFacts.Context(name: name, value: .init($0)) } },
                algorithm: measurement.algorithm.map {
                    VisitFacts.Algorithm(
                        name: $0.name, version: $0.version, manufacturer: $0.manufacturer, family: $0.family)
                }, isVerified: measurement.isVerified, isSelected: measurement.isSelected)
        }
    }

    /// A DICOM decimal string as a number, exactly; nil when it is none.
    private static func decimal(_ text: String) -> Decimal? {
        let text = text.split(separator: " ").joined()
        let digits = text.utf8.allSatisfy { (0x30...0x39).contains($0) || "+-.eE".utf8.contains($0) }
        guard digits, text.utf8.contains(where: { (0x30...0x39).contains($0) }), Double(text)?.isFinite == true
        else { return nil }
        return Decimal(string: text)
    }
}

extension VisitFacts.Code {
    // The concepts of PS3.16 TID 5200 that qualify a value.
    fileprivate static let imageMode = Self(value: "399264008", scheme: "SCT", meaning: "Image Mode")
    fileprivate static let imageView = Self(value: "111031", scheme: "DCM", meaning: "Image View")
    fileprivate static let derivation = Self(value: "121401", scheme: "DCM", meaning: "Derivation")

    fileprivate init(_ code: DicomReport.Code) {
        self.init(value: code.value, scheme: code.scheme, meaning: code.meaning)
    }
}
