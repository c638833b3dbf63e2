import Agent
import ArgumentParser
import Clinical
import Devices
import Formats
import Glibc
import Ports
import Synchronization
import Wire

/// A registered driver by its name, or a clear sentence.
private func profile(named name: String) throws -> DialogueProfile {
    guard let profile = Registry.dialogues.first(where: { $0.name == name }) else {
        let known = Registry.dialogues.map(\.name).joined(separator: ", ")
        throw ValidationError("no driver is called `\(name)`; known: \(known).")
    }
    return profile
}

struct Replay: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run a recorded conversation with a device through its driver, and show what it understood.",
        discussion: """
            The file is a transcript as `ess-agent record` writes it, a pcapng or pcap capture of USB (Wireshark on usbmon, \
            USBPcap), the kernel's usbmon as text, or a hexadecimal dump of what the device said.
            """)
    @Argument(help: "The driver's name, for example contec-oximeter.") var device: String
    @Argument(help: "The file.", completion: .file()) var transcript: String
    @Flag(help: "The file is what the device said, byte for byte.") var raw = false
    @OptionGroup var output: JSONOption

    func run() async throws {
        let profile = try profile(named: device)
        let report: ReplayReport
        do throws(TranscriptError) {
            let bytes = try Self.read(transcript)
            report =
                raw
                ? replay(Capture.transcript(raw: bytes), through: profile)
                : try replay(captured: bytes, through: profile)
        } catch {
            throw failInput("\(transcript): \(error).")
        }
        if output.json { return try printJSON(report) }
        let identity = report.identity
        print("\(report.driver): \(identity?.vendor ?? "-") \(identity?.model ?? "-") \(identity?.serial ?? "-")")
        for recording in report.recordings {
            print("\(Texts.kind(recording.kind.rawValue, recording.modality.rawValue))  \(recording.start ?? "-")")
            printTable(Texts.channelHeader, recording.channels.map(channelRow))
            for note in recording.notes { print("  \(note.kind.rawValue) \(note.text)") }
        }
        for surprise in report.surprises { print("  ? \(surprise.text) (\(surprise.count))") }
    }

    private static func read(_ path: String) throws(TranscriptError) -> [UInt8] {
        do { return try readFile(path) } catch {
            throw TranscriptError(line: 0, what: "the file can't be read", remedy: "check the path")
        }
    }
}

struct Record: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Write down a conversation with a device, for support; nothing is kept as a recording.",
        discussion: """
            The daemon must not hold the port. What a device says may contain a user's name: read the transcript before \
            you give it away.
            """)
    @Argument(help: "The port: /dev/ttyUSB0.", completion: .file()) var port: String
    @Option(help: "The driver's name.") var driver = "contec-oximeter"
    @Option(help: "live: stream for --seconds; download: fetch what is stored; identify: only ask who it is.")
    var goal = "live"
    @Option(help: "How long to stream.") var seconds = 10.0
    @Option(help: "The file to write; an existing one is never overwritten.") var output: String

    func run() async throws {
        let profile = try profile(named: driver)
        let goals: [String: SessionGoal] = ["live": .live, "download": .download(known: []), "identify": .identify]
        guard let goal = goals[goal] else { throw ValidationError("--goal is one of live, download, identify.") }
        guard seconds > 0, seconds <= 86_400 else { throw ValidationError("--seconds is between 0 and 86400.") }
        let events = Mutex<[TranscriptEvent]>([])
        let opened: any Port
        do throws(PortError) {
            opened = try await profile.transport.open(absolutePath(port))
        } catch {
            throw fail(Problem(error))
        }
        let tapped = TappedPort(opened) { event in events.withLock { $0.append(event) } }
        let acquisition = Acquisition(
            port: GuardedPort(tapped, forbidden: profile.forbidden), clock: HostClock(), sink: Onlooker())
        let limit = seconds
        let timer = Task {
            if goal == .live, (try? await Task.sleep(for: .seconds(limit))) != nil { acquisition.stop() }
        }
        let outcome = await acquisition.run(profile.makeDialogue(goal))
        timer.cancel()
        let clock = HostClock()
        let match = profile.matches.first
        let transcript = Transcript(
            header: TranscriptHeader(
                vendorID: match?.vendorID, productID: match?.productID, model: profile.name,
                date: localTime(ofUnixMilliseconds: clock.wall).time?.date, isPresent: true),
            events: events.withLock { $0 })
        try writeNew(Array(transcript.rendered().utf8), to: output)
        print(Texts.exported(transcript.rendered().utf8.count, output))
        if let problem = outcome.problem { throw fail(problem) }
    }
}

/// Keeps nothing: `record` only wants the conversation.
private struct Onlooker: SessionSink {
    func perform(_ action: DialogueAction) async throws(Problem) {}
}

struct UdevRulesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "udev-rules", abstract: "Print the udev rules for all known devices.")
    @Flag(help: "Those that keep brltty away, which come behind its own.") var brltty = false
    @Flag(help: "The devices' names for udev's hardware database (hwdb) instead.") var hwdb = false

    func validate() throws {
        if brltty && hwdb { throw ValidationError("--brltty and --hwdb are two files; ask for one") }
    }

    func run() async throws {
        let text =
            hwdb ? UdevRules.renderedNames() : brltty ? UdevRules.renderedAgainstBrltty() : UdevRules.rendered()
        print(text, terminator: "")
    }
}

struct DeviceTableCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "device-table", abstract: "Print the table of all known devices, as Markdown.")

    func run() async throws { print(DeviceTable.rendered(), terminator: "") }
}
