import Agent
import ArgumentParser
import Glibc

@main
struct EssAgent: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ess-agent",
        abstract: "Keeps the recordings of a visiting nurse's devices safe, and hands them to the ESS server.",
        discussion: """
            Exit status: 0 done, 1 failed, 3 partly done, 10 the daemon isn't running, 11 not permitted, 64 wrong usage, \
            65 unreadable input, 78 wrong configuration.
            """,
        version: agentVersion,
        groupedSubcommands: [
            CommandGroup(
                name: "The daemon",
                subcommands: [
                    Serve.self, Setup.self, EnrolCommand.self, Status.self, MetricsCommand.self, SyncCommand.self,
                    ServerCommand.self,
                ]),
            CommandGroup(
                name: "A visit",
                subcommands: [
                    OpenPage.self, Visits.self, VisitCommand.self, Devices.self, Start.self, Stop.self, Download.self,
                    Import.self, MediaCommand.self,
                    LoanCommand.self,
                ]),
            CommandGroup(
                name: "Recordings",
                subcommands: [
                    Recordings.self, ShowRecording.self, Attribute.self, StartTime.self, Requeue.self, Export.self,
                ]),
            CommandGroup(name: "Answers", subcommands: [Opinions.self, ReplyCommand.self]),
            CommandGroup(
                name: "Keeping",
                subcommands: [
                    Purge.self, Backup.self, RestoreCommand.self, KeyCommand.self, AuditCommand.self,
                    DoctorCommand.self,
                    ReportCommand.self,
                ]),
            CommandGroup(
                name: "Without the daemon (support and tests)",
                subcommands: [
                    Pathways.self, Decode.self, Replay.self, Record.self, UdevRulesCommand.self,
                    DeviceTableCommand.self, MeasureCommand.self,
                ]),
        ])
}

/// Ends the command with a problem's French text on standard error and its exit status.
func fail(_ problem: Problem) -> any Error {
    complain(problem.text)
    return ExitCode(problem.exit)
}

/// Ends the command for bad input, said in English for support.
func failInput(_ text: String) -> any Error {
    complain(text)
    return ExitCode(Problem.ExitStatus.badInput.rawValue)
}

private func complain(_ text: String) {
    let bytes = Array("ess-agent: \(text)\n".utf8)
    _ = unsafe write(STDERR_FILENO, bytes, bytes.count)
}
