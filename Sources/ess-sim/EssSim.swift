import ArgumentParser

/// Plays devices that are not there: an oximeter on a pseudo terminal, an electrocardiograph's card as a directory.
/// Everything it delivers says that it is simulated.
@main
struct EssSim: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ess-sim", abstract: "Plays medical devices for tests and demonstrations.",
        subcommands: [OximeterCommand.self, CardCommand.self])
}
