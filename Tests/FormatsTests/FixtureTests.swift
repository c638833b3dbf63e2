import Clinical
import Formats
import Foundation
import Testing

/// The files under fixtures/formats are what our writers make today: a changed byte shows in a review.
/// ESS_WRITE_FIXTURES=1 writes them anew.
@Suite struct FixtureTests {
    private static let folder = root.appending(path: "fixtures/formats")
    private static let writes = ProcessInfo.processInfo.environment["ESS_WRITE_FIXTURES"] == "1"

    /// Small, and damaged in the ways that files really are.
    private static func generated() throws -> [String: [UInt8]] {
        var simulated = contecCase(samples: 40)
        simulated.nameBytes = Array("SIM00042".utf8)
        let contec = try simulated.encoded()
        let edf = try EDFWriter.write(
            oximetry(seconds: 3), header: edfHeader(simulated: true),
            notes: [Note(kind: .sensor, at: 1, duration: 0.5, text: "finger out")], interrupted: true)
        let dicom = try DicomECGWriter.write(simulated.waveform12, header: dicomHeader(simulated: true))
        var open = edf
        open.replaceSubrange(236..<244, with: Array("-1      ".utf8))
        var rubbish = edf
        rubbish.replaceSubrange(244..<252, with: Array("1 second".utf8))
        var impossible = contec
        impossible.replaceSubrange(43..<45, with: [0xFF, 0xFF])
        return [
            "contec.ECG": contec, "oximetry.edf": edf, "ecg.dcm": dicom,
            "malformed/contec-cut.ECG": contec.dropLast(7),
            "malformed/contec-no-samples.ECG": contec.prefix(43) + contec.suffix(37),
            "malformed/contec-impossible-value.ECG": impossible,
            "malformed/edf-never-closed.edf": open, "malformed/edf-last-record-cut.edf": edf.dropLast(99),
            "malformed/edf-rubbish-duration.edf": rubbish, "malformed/dicom-cut.dcm": dicom.dropLast(400),
        ]
    }

    @Test func areWhatTheWritersMake() throws {
        for (name, bytes) in try Self.generated() {
            let url = Self.folder.appending(path: name)
            if Self.writes {
                try FileManager.default.createDirectory(
                    at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
                try Data(bytes).write(to: url)
            }
            #expect(try [UInt8](Data(contentsOf: url)) == bytes, "\(name) differs; ESS_WRITE_FIXTURES=1 writes it anew")
        }
    }

    @Test(arguments: [
        ("contec-no-samples.ECG", "no samples"),
        ("edf-rubbish-duration.edf", "record duration is not a number"),
    ])
    func whatCannotBeReadIsSaid(name: String, text: String) throws {
        let bytes = [UInt8](try Data(contentsOf: Self.folder.appending(path: "malformed/\(name)")))
        let error = #expect(throws: DecodeError.self) { try FileDecoder.decode(bytes) }
        #expect(error?.description.contains(text) == true)
    }

    @Test(arguments: [
        ("contec-cut.ECG", "cut short or changed; 39 samples of each lead are there"),
        ("scp-cut.scp", "it is cut short"), ("aecg-cut.xml", "cut short"),
        ("contec-impossible-value.ECG", "1 sample values above 4095"), ("edf-never-closed.edf", "never filled in"),
        ("edf-last-record-cut.edf", "last record is cut"), ("dicom-cut.dcm", "its complete samples are there"),
    ])
    func whatCanBeReadIsReadAndNoted(name: String, text: String) throws {
        let bytes = [UInt8](try Data(contentsOf: Self.folder.appending(path: "malformed/\(name)")))
        #expect(try FileDecoder.decode(bytes).notes.contains { $0.text.contains(text) })
    }
}
