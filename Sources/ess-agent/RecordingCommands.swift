import Agent
import ArgumentParser
import Clinical

struct Recordings: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Every recording, what it waits for, and its receipt.")
    @OptionGroup var options: ClientOptions
    @OptionGroup var output: JSONOption

    func run() async throws {
        let recordings: [RecordingView] = try await options.client().get("/api/recordings")
        if output.json { return try printJSON(recordings) }
        guard !recordings.isEmpty else { return print(Texts.noRecording) }
        printTable(Texts.recordingHeader, recordings.map(row))
    }

    private func row(_ recording: RecordingView) -> [String] {
        [
            recording.id, Texts.kind(recording.kind, recording.modality), recording.start ?? "-",
            "\(tenth(recording.seconds)) s", Texts.recordingState(recording.state), recording.visit ?? "-",
            recording.attention ?? sending(recording),
        ]
    }

    private func sending(_ recording: RecordingView) -> String {
        let states = Set(recording.documents.map(\.state))
        for state in ["quarantined", "sending", "waiting", "received"] where states.contains(state) {
            return Texts.documentState(state)
        }
        return "-"
    }
}

struct ShowRecording: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "recording", abstract: "One recording, with everything known.")
    @Argument(help: "The recording's id.") var id: String
    @OptionGroup var options: ClientOptions
    @OptionGroup var output: JSONOption

    func run() async throws {
        let detail: RecordingDetailView = try await options.client().get("/api/recordings/\(component(id))")
        if output.json { return try printJSON(detail) }
        let recording = detail.recording
        print(
            "\(recording.id)  \(Texts.kind(recording.kind, recording.modality)), \(Texts.recordingState(recording.state))"
        )
        print("\(recording.device) \(recording.serial ?? "") (\(recording.support))")
        print("\(recording.start ?? "-") (\(recording.startSource)), \(tenth(recording.seconds)) s")
        if let attention = recording.attention { print(attention) }
        if !detail.channels.isEmpty { printTable(Texts.channelHeader, detail.channels.map(channelRow)) }
        if !detail.readings.isEmpty { printTable(Texts.readingHeader, detail.readings.map(readingRow)) }
        for note in detail.notes { print("  \(note.kind) \(note.at.map { "@\(tenth($0)) s " } ?? "")\(note.text)") }
        for hint in detail.quality?.hints ?? [] { print("  \(Texts.quality(hint))") }
        guard !recording.documents.isEmpty else { return }
        printTable(
            Texts.documentHeader,
            recording.documents.map {
                [$0.id, $0.mediaType, size($0.size), $0.sha256, Texts.documentState($0.state)]
            })
    }
}

func channelRow(_ channel: ChannelSummary) -> [String] {
    func shown(_ value: Double?) -> String { value.map(number) ?? "-" }
    return [
        channel.name, channel.unit, shown(channel.rate), "\(channel.samples)", shown(channel.first),
        shown(channel.minimum), shown(channel.maximum), "\(channel.absent)",
        Texts.calibration(channel.calibration.rawValue),
    ]
}

struct Attribute: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Decide whose a recording is; the decision is kept with who, when and why.")
    @Argument(help: "The recording's id.") var recording: String
    @Argument(help: "The visit's id.") var visit: String
    @Option(help: "Why, for the record (no names).") var why: String?
    @Flag(help: "The same for all that came in with it and waits because its machine was another patient's.")
    var ofMachine = false
    @OptionGroup var options: ClientOptions
    @OptionGroup var output: JSONOption

    func run() async throws {
        let client = try options.client()
        let path = "/api/recordings/\(component(recording))"
        let identity: IdentityView? = ofMachine ? try await client.get("\(path)/identity") : nil
        let others = identity?.ofMachine ?? []
        let view: RecordingView = try await client.post(
            "\(path)/attribute", AttributeRequest(visit: visit, by: account(), why: why, others: others.map(\.id)))
        guard !output.json else { return try printJSON(view) }
        for id in [view.id] + others.map(\.id) { print(Texts.attributed(id, view.visit ?? visit)) }
    }
}

struct StartTime: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Say when a recording began, for a device that has no clock.",
        discussion: "The device's raw facts are kept beside; the recording says that a person gave the time.")
    @Argument(help: "The recording's id.") var recording: String
    @Argument(help: "Local time: \"2026-11-22 23:05:00\".") var start: String
    @OptionGroup var options: ClientOptions
    @OptionGroup var output: JSONOption

    func run() async throws {
        let view: RecordingView = try await options.client().post(
            "/api/recordings/\(component(recording))/start-time", StartTimeRequest(start: start, by: account()))
        output.json ? try printJSON(view) : print(view.start ?? "-")
    }
}

struct Requeue: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Try to send a document again that the server had refused.")
    @Argument(help: "The document's id.") var document: String
    @OptionGroup var options: ClientOptions
    @OptionGroup var output: JSONOption

    func run() async throws {
        let view: SyncView = try await options.client().post("/api/documents/\(component(document))/requeue")
        output.json ? try printJSON(view) : print(view.sentence)
    }
}

struct Export: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "Write a recording into a file.")
    @Argument(help: "The recording's id.") var recording: String
    @Option(help: "original, edf, edf-d (without what has no value), dicom or json.") var format: String
    @Option(help: "The file to write; an existing one is never overwritten.") var output: String
    @OptionGroup var options: ClientOptions

    func run() async throws {
        guard ["original", "edf", "edf-d", "dicom", "json"].contains(format) else {
            throw ValidationError("--format is one of original, edf, edf-d, dicom, json.")
        }
        guard output != "-" else { throw ValidationError("--output is the name of a new file; - is none.") }
        let file = try NewFile(output)
        try await options.client().download(
            "/api/recordings/\(component(recording))/export?format=\(format)", into: file)
        print(Texts.exported(file.size, output))
    }
}

struct Import: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Import the recordings of a card, stick or folder; they belong to the open visit.",
        discussion: "The daemon reads the path itself, and never writes there.")
    @Argument(help: "The card's mount point, or a folder, or a file.", completion: .directory) var path: String
    @OptionGroup var options: ClientOptions
    @OptionGroup var output: JSONOption

    func run() async throws {
        let view: ImportView = try await options.client().post(
            "/api/import", ImportRequest(path: absolutePath(path), by: account()))
        if output.json {
            try printJSON(view)
        } else {
            print(Texts.imported(view.imported.count, view.known.count, view.failed.count))
            for id in view.imported { print("  \(id)") }
            for failure in view.failed { print("  n° \(failure.item) : \(failure.text)") }
            if view.toDecide > 0 { print(Texts.toDecide(view.toDecide)) }
            if let hint = view.hint { print(hint) }
            if view.problem == nil, view.isAll { print(Texts.mayRemove) }
        }
        if let problem = view.problem { throw fail(problem) }
        if !view.failed.isEmpty || !view.isAll { throw ExitCode(Problem.ExitStatus.partial.rawValue) }
    }
}

private func readingRow(_ reading: ReadingView) -> [String] {
    [
        reading.kind, "\(reading.value)", reading.unit, reading.at ?? reading.rawTime ?? "-",
        reading.bank.map { "\($0)" } ?? "-", reading.flags.joined(separator: ", "),
    ]
}
