import Agent
import ArgumentParser
import Clinical
import Devices
import Formats
import Glibc
import Wire

struct Decode: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Show what is in a recording file: DICOM, EDF/BDF, SCP-ECG, HL7 aECG, WFDB, .ECG, .SpO2 and others.",
        discussion: """
            Recognised by content, not by name. Of a WFDB record, name the .hea; its signal files are read from the same \
            folder. Patient identity is left out unless --identity is given.
            """)
    @Argument(help: "The file.", completion: .file()) var file: String
    @Flag(help: "Also show whose the file says it is.") var identity = false
    @OptionGroup var output: JSONOption

    func run() async throws {
        let bytes = try readFile(file)
        let name = file.split(separator: "/").last.map(String.init) ?? file
        let decoded: DecodedFile
        do throws(DecodeError) {
            decoded = try decodeAnyFile(bytes, named: name, beside: Folder(of: file).read)
        } catch {
            // A signal file by itself says nothing; the header beside it does.
            if case .notRecognised = error, let header = Folder(of: file).wfdbHeader(naming: name) {
                throw failInput("\(file): a signal file of a WFDB record; decode \(header), which lies beside it.")
            }
            if case .notRecognised = error, Capture.isCapture(bytes) {
                throw failInput("\(file): a conversation with a device; `ess-agent replay DRIVER \(name)` reads it.")
            }
            throw failInput("\(file): \(error).")
        }
        let view = DecodedView(decoded, bytes: bytes.count, identity: identity)
        if output.json { return try printJSON(view) }
        print("\(view.format)\(view.simulated ? " (\(Texts.simulated))" : "")  \(view.start ?? "-")")
        if !view.channels.isEmpty { printTable(Texts.channelHeader, view.channels.map(channelRow)) }
        if let report = view.report, !report.measurements.isEmpty {
            printTable(Texts.measurementHeader, report.measurements.map(Texts.measurement))
        }
        for note in view.notes {
            print("  \(note.kind.rawValue) \(note.at.map { "@\(tenth($0)) s " } ?? "")\(note.text)")
        }
        for hint in view.quality { print("  \(Texts.quality(hint))") }
    }
}

/// `decode --json`.
private struct DecodedView: Encodable {
    var format: String
    var bytes: Int
    var start: String?
    var startText: String?
    var simulated: Bool
    var channels: [ChannelSummary]
    var notes: [Note]
    /// Of the first group: a median beat has no quality of its own.
    var quality: [QualityHint]
    var report: DicomReport?
    var identity: IdentityClaim?

    init(_ file: DecodedFile, bytes: Int, identity wanted: Bool) {
        format = file.format
        self.bytes = bytes
        start = file.start?.description
        startText = file.startText
        simulated = file.isSimulated
        channels = file.waveform.summaries
        notes = file.notes
        quality = file.groups.first.map { QualityMonitor.hints(of: $0.waveform, notes: file.notes) } ?? []
        report = file.report
        // A report repeats whose it is.
        if !wanted { report?.claim = IdentityClaim() }
        identity = wanted ? file.claim : nil
    }
}

/// The folder of a file: what lies beside it, by its name in any case, as cards that were copied lose it.
private struct Folder {
    private var path: String

    init(of file: String) {
        path = file.contains("/") ? String(file[...(file.lastIndex(of: "/") ?? file.startIndex)]) : "./"
    }

    func read(_ name: String) throws -> [UInt8]? {
        guard !name.contains("/"), name != ".", name != ".." else { return nil }
        if unsafe access(path + name, R_OK) == 0 { return try readFile(path + name) }
        let wanted = name.lowercased()
        guard let other = names().filter({ $0.lowercased() == wanted }).min() else { return nil }
        return try readFile(path + other)
    }

    /// The header that has this signal file.
    func wfdbHeader(naming file: String) -> String? {
        names().filter { $0.hasSuffix(".hea") }.sorted().first { name in
            guard let bytes = try? read(name), WFDBRecord.isHeader(bytes) else { return false }
            return String(decoding: bytes, as: UTF8.self).split(separator: "\n").contains { $0.hasPrefix("\(file) ") }
        }
    }

    private func names() -> [String] {
        guard let folder = unsafe opendir(path) else { return [] }
        defer { unsafe closedir(folder) }
        var names: [String] = []
        while let entry = unsafe readdir(folder) {
            let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            names.append(name)
        }
        return names
    }
}
