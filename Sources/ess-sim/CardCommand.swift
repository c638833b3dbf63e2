public import ArgumentParser
import Clinical
public import Devices
import Glibc

extension ContecEcgCard.Damage: ExpressibleByArgument {}

struct CardCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "card", abstract: "Fills a directory like the card of a Contec ECG90A electrocardiograph.",
        discussion: "The directory must exist. Files of the same name are replaced.")

    @Argument(help: "The directory that plays the card.")
    var directory: String

    @Option(help: "How many cases.")
    var cases = 1

    @Option(help: "The first case's number.")
    var number = 1

    @Option(help: "Seconds of each case.")
    var seconds = 10

    @Option(help: "Beats per minute.")
    var heartRate = 72

    @Option(help: "The first case's start; the others are a minute apart.")
    var start = "2026-11-22 09:30:00"

    @Option(help: "What the nurse typed in: female, male or unknown.")
    var sex = "unknown"

    @Option(help: "Age in years; 0 is not typed in.")
    var age: UInt8 = 0

    @Flag(help: "The chest leads are not connected.")
    var limbLeadsOnly = false

    @Option(help: "What is wrong with the files.")
    var damage = ContecEcgCard.Damage.none

    func validate() throws {
        guard (1...60).contains(cases) else { throw ValidationError("a card has 1 to 60 cases") }
        guard (1...3600).contains(seconds) else { throw ValidationError("a case has 1 to 3600 seconds") }
        guard (30...240).contains(heartRate) else { throw ValidationError("a heart beats 30 to 240 times a minute") }
        guard (1...9_999_000).contains(number) else { throw ValidationError("a case's number has up to seven digits") }
        guard Sex(rawValue: sex) != nil else { throw ValidationError("--sex is female, male or unknown") }
        guard LocalTime(start) != nil else { throw ValidationError("a start looks like \"2026-11-22 09:30:00\"") }
    }

    func run() throws {
        guard let first = LocalTime(start) else { return }
        for index in 0..<cases {
            var time = first
            time.minute = (first.minute + index) % 60
            let item = ContecEcgCard.Case(
                number: number + index, start: time, sex: Sex(rawValue: sex) ?? .unknown, age: age, seconds: seconds,
                heartRate: heartRate,
                chestLeadsAbsent: limbLeadsOnly, damage: damage)
            try write(ContecEcgCard.bytes(item), to: "\(directory)/\(item.fileName)")
            try Output.say(item.fileName)
        }
    }

    /// Under another name first: whoever looks finds a whole file or none.
    private func write(_ bytes: [UInt8], to path: String) throws {
        let temporary = "\(path).\(getpid())"
        // The paths are Swift strings, valid for each call.
        let descriptor = unsafe open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw SystemFailure("open") }
        do {
            try Output.write(bytes, to: descriptor)
        } catch {
            _ = close(descriptor)
            _ = unsafe unlink(temporary)
            throw error
        }
        guard close(descriptor) == 0 else { throw SystemFailure("close") }
        guard unsafe rename(temporary, path) == 0 else { throw SystemFailure("rename") }
    }
}
