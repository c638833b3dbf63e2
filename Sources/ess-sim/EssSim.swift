import ArgumentParser

/// Plays devices that are not there: on a pseudo terminal, as USB devices over USB/IP, as a card's directory.
/// Everything it delivers says that it is simulated.
@main
struct EssSim: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ess-sim", abstract: "Plays medical devices for tests and demonstrations.",
        subcommands: [
            ListCommand.self, PlayCommand.self, USBIPCommand.self, OximeterCommand.self, CardCommand.self,
        ])
}
