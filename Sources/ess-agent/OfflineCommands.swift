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
            USBPcap), the kernel's usbmon as text, a report of USBlyzer (HTML) or SnoopyPro (XML), a hexadecimal dump of what \
            the device said, or lines of bytes behind IN and OUT. Every device of the capture whose values the driver \
            understands has a report of its own.
            """)
    @Argument(help: "The driver's name, for example contec-oximeter.") var device: String
    @Argument(help: "The file.", completion: .file()) var transcript: String
    @Flag(help: "The file is what the device said, byte for byte.") var raw = false
    @OptionGroup var output: JSONOption

    func run() async throws {
        let profile = try profile(named: device)
        let bytes = try readFile(
            transcript, remedy: "cut the capture into smaller files (editcap -c, or tcpdump -r with -C)")
        let report: ReplayReport
        do throws(TranscriptError) {
            report =
                raw
                ? replay(Capture.transcript(raw: bytes), through: profile)
                : try replay(captured: bytes, through: profile)
        } catch {
            throw failInput("\(transcript): \(error).")
        }
        if output.json {
            try printJSON(report)
        } else if !report.isEmpty {
            for one in [report] + (report.others ?? []) { Self.show(one) }
        }
        if report.isEmpty { throw failInput("\(transcript): \(nothing(bytes, report)).") }
        // A whole capture may have no more than a name, of a device that had nothing to send.
        if !report.hasValues, !raw, !Capture.damage(bytes).isWhole {
            let what = "what could be read of it has the device's name, but no measurement"
            throw failInput("\(transcript): \(what)\(Self.remarks(report)).")
        }
    }

    private static func show(_ report: ReplayReport) {
        if let from = report.from { print(from) }
        let identity = report.identity
        print("\(report.driver): \(identity?.vendor ?? "-") \(identity?.model ?? "-") \(identity?.serial ?? "-")")
        for recording in report.recordings {
            let kind = Texts.kind(recording.kind.rawValue, recording.modality.rawValue)
            print("\(kind)  \(recording.start ?? "-")  \(Texts.came(recording))")
            if !recording.channels.isEmpty { printTable(Texts.channelHeader, recording.channels.map(channelRow)) }
            if !recording.readings.isEmpty { printTable(Texts.readingHeader, recording.readings.map(row)) }
            for note in recording.notes { print("  \(note.kind.rawValue) \(note.text)") }
        }
        for surprise in report.surprises { print("  ? \(surprise.text) (\(surprise.count))") }
    }

    private static func row(_ reading: ReplayReport.Reading) -> [String] {
        let remarks = (reading.flags ?? []) + [reading.code].compactMap(\.self)
        return [
            reading.name, number(reading.value), reading.unit, reading.at ?? reading.rawTime ?? "-",
            reading.bank.map(String.init) ?? "-", remarks.isEmpty ? "-" : remarks.joined(separator: ", "),
        ]
    }

    /// Why nothing came of it, as far as the capture says.
    private func nothing(_ bytes: [UInt8], _ report: ReplayReport) -> String {
        var text = "nothing that \(report.driver) understands"
        let devices = raw ? [] : Capture.devices(bytes)
        if !devices.isEmpty {
            let known = devices.prefix(8).map(\.introduction)
            text += "; the capture has " + (known + (devices.count > 8 ? ["…"] : [])).joined(separator: ", ")
            if devices.allSatisfy({ $0.bytes == 0 }) { text += ", and nothing but control requests with them" }
        } else if Capture.isCapture(bytes) {
            text += "; the capture has no transfers"
        }
        return text + Self.remarks(report)
    }

    private static func remarks(_ report: ReplayReport) -> String {
        report.surprises.prefix(8).map { "; " + ($0.count > 1 ? "\($0.count) × " : "") + $0.text }.joined()
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
        // Before the session: a conversation that finds no place afterwards would be lost.
        let file = try NewFile(output)
        let opened: any Port
        do throws(PortError) {
            opened = try await profile.transport.open(absolutePath(port))
        } catch {
            file.discard()
            throw fail(Texts.withoutStorage(Problem(error), session: false))
        }
        let match = profile.matches.first
        let header = TranscriptHeader(
            vendorID: match?.vendorID, productID: match?.productID, model: profile.name,
            date: localTime(ofUnixMilliseconds: HostClock().wall).time?.date, isPresent: true)
        _ = file.append(Array(Transcript(header: header).rendered().utf8))
        // As it is said: what was there when the command is killed is in the file.
        let writing = Mutex(file)
        let tapped = TappedPort(opened) { event in
            writing.withLock { file in _ = file.append(Array(event.rendered().utf8)) }
        }
        let acquisition = Acquisition(
            port: GuardedPort(tapped, forbidden: profile.forbidden), clock: HostClock(), sink: Onlooker())
        let limit = seconds
        let timer = Task {
            if goal == .live, (try? await Task.sleep(for: .seconds(limit))) != nil { acquisition.stop() }
        }
        let outcome = await acquisition.run(profile.makeDialogue(goal))
        timer.cancel()
        try writing.withLock { file in try file.close() }
        print(Texts.exported(file.size, output))
        if let problem = outcome.problem { throw fail(Texts.withoutStorage(problem, session: true)) }
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
