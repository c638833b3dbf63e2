import ArgumentParser
import Clinical
import Devices

/// What a simulated oximeter does wrong.
enum OximeterFault: String, CaseIterable, ExpressibleByArgument {
    /// Bytes arrive in portions that don't respect frames.
    case split
    /// One byte of each stream gets lost.
    case lostByte = "lost-byte"
    /// No clock: the start time is year 0.
    case noClock = "no-clock"
    /// Recording by itself: downloads are refused with "recording".
    case recording
    /// The same, refused with "not supported".
    case recordingUnsupported = "recording-unsupported"
    /// A live frame comes before the first storage frame.
    case liveBeforeStorage = "live-before-storage"
    /// A stream stops after 200 frames, without a word.
    case stalls
    /// The device switches itself off after 200 frames of a stream.
    case switchesOff = "switches-off"
    /// Streaming already when the host connects.
    case streaming
    /// The first command of each kind is not heard.
    case deaf
    /// Nothing is ever answered.
    case silent
    /// The erase command is answered "delete failed".
    case eraseFails = "erase-fails"
    /// The erase command is answered "done", and nothing is erased.
    case erasesNothing = "erases-nothing"
}

struct OximeterCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "oximeter", abstract: "Plays a Contec CMS50 pulse oximeter on a pseudo terminal.",
        discussion: """
            Prints the terminal's path, and plays until SIGTERM or SIGINT. The host may close and open the terminal as
            often as it likes.
            """)

    @Option(help: "A symbolic link to the terminal, made at the start and removed at the end.")
    var link: String?

    @Option(help: "Seconds of the night in the device's memory.")
    var nightSeconds = 600

    @Option(help: "Nights in the device's memory.")
    var nights = 1

    @Flag(help: "Nothing is in the memory: real time only.")
    var live = false

    @Flag(help: "A model with a perfusion index.")
    var perfusion = false

    @Option(help: "The serial number: SIM and at most four more characters.")
    var serial = "SIM0001"

    @Option(help: "The night's start by the device's clock.")
    var start = "2026-11-21 22:40:00"

    @Option(help: "What it delivers depends on this number only.")
    var seed: UInt64 = 1

    @Option(
        parsing: .upToNextOption,
        help: "What goes wrong: \(OximeterFault.allCases.map(\.rawValue).joined(separator: ", ")).")
    var faults: [OximeterFault] = []

    func validate() throws {
        guard (0...86_400).contains(nightSeconds) else { throw ValidationError("a night has 0 to 86400 seconds") }
        guard (1...9).contains(nights) else { throw ValidationError("the memory has 1 to 9 nights") }
        guard serial.hasPrefix("SIM"), (4...7).contains(serial.utf8.count) else {
            throw ValidationError("a simulator's serial number is SIM and one to four characters")
        }
        guard LocalTime(start) != nil else { throw ValidationError("a start looks like \"2026-11-21 22:40:00\"") }
    }

    func run() throws {
        let terminal = try PseudoTerminal(link: link)
        defer { terminal.close() }
        try Output.say(terminal.path)
        TerminalBench(terminal: terminal, device: ContecOximeterSimulator(simulated)).play()
    }

    private var simulated: ContecOximeterSimulator.Configuration {
        var device = ContecOximeterSimulator.Configuration()
        device.serial = serial
        device.hasPerfusion = perfusion
        device.model = perfusion ? "CMS50I" : "CMS50F"
        device.finger.seed = seed
        if !live {
            device.memory = (0..<nights).map { number in
                ContecOximeterNight(
                    segment: UInt8(number), start: faults.contains(.noClock) ? nil : start(ofNight: number),
                    seconds: nightSeconds, seed: seed + UInt64(number))
            }
        }
        for fault in faults { apply(fault, to: &device) }
        return device
    }

    /// The same hour, a year apart: always a real date.
    private func start(ofNight number: Int) -> LocalTime? {
        guard let first = LocalTime(start) else { return nil }
        return LocalTime(
            year: first.year - number, month: first.month, day: min(first.day, 28), hour: first.hour,
            minute: first.minute, second: first.second)
    }

    private func apply(_ fault: OximeterFault, to device: inout ContecOximeterSimulator.Configuration) {
        switch fault {
        case .split: device.portions = 5
        case .lostByte: device.lostBytes = [100]
        case .noClock: break
        case .recording: device.recordingReason = 0x03
        case .recordingUnsupported: device.recordingReason = 0x05
        case .liveBeforeStorage: device.liveFramesBeforeStorage = 1
        case .stalls: device.stallsAfter = 200
        case .switchesOff: device.switchesOffAfter = 200
        case .streaming: device.isStreaming = true
        case .deaf: device.deafFor = 1
        case .eraseFails: device.eraseReason = 0x04
        case .erasesNothing: device.erasesNothing = true
        case .silent: device.silent = Set(0xA0...0xBF)
        }
    }
}
