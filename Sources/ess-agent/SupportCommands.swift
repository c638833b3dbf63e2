import Agent
import ArgumentParser
import FoundationEssentials

struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor", abstract: "Check everything, and say in French and English what to do.",
        discussion: "Also without the daemon. Exit status 1 when something doesn't work or isn't safe.")
    @Flag(help: "Read every recording again as well.") var thorough = false
    @OptionGroup var options: ClientOptions
    @OptionGroup var output: JSONOption

    func run() async throws {
        var view: DoctorView
        do {
            view = try await options.client().get("/api/doctor\(thorough ? "?thorough=1" : "")")
        } catch let code as ExitCode where code.rawValue == Problem.ExitStatus.daemonNotRunning.rawValue {
            view = DoctorView(findings: [.agentStopped] + Doctor(try options.settings()).look())
        }
        if output.json {
            try printJSON(view)
        } else {
            for finding in view.findings {
                print("\(Texts.level(finding.level)) \(finding.french)\n            \(finding.english)")
            }
            print(Texts.doctor(view.level))
        }
        if view.level == .failure { throw ExitCode.failure }
    }
}

struct ReportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "report", abstract: "Write a support bundle that names nobody.",
        discussion: "A tar archive with readable JSON; look into it before you send it.")
    @Argument(help: "A file that doesn't exist yet, for example ess-agent-report.tar.") var path: String
    @OptionGroup var options: ClientOptions

    func run() async throws {
        let bytes = try await options.client().getBytes("/api/report")
        try writeNew(bytes, to: path)
        print(Texts.reported(path))
    }
}

struct RestoreCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore", abstract: "Put a backup in the store's place, while the daemon is stopped.",
        discussion: """
            The store that is there is kept beside it under another name. Refused when it holds recordings that the server \
            has not confirmed, unless --force is given. With sudo: a key that is sealed for the service only root can open; the rest \
            is done as the agent's account, which has to be able to read the file.
            """)
    @Argument(help: "A file that `ess-agent backup` wrote.") var path: String
    @Flag(help: "Also when the present store holds what was not sent, or can't be read.") var force = false
    @Option(help: "Read this configuration file instead of the system's.") var config: String?
    @OptionGroup var output: JSONOption

    func run() async throws {
        let settings = try settings(config)
        let view: RestoreView
        let person = account()
        let keeping = try settings.keeping(reading: absolutePath(path))
        do throws(Problem) {
            view = try await keeping.restore(absolutePath(path), force: force, by: person)
        } catch {
            throw fail(error)
        }
        output.json ? try printJSON(view) : print(Texts.restored(view.recordings, view.replaced))
    }
}

struct KeyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "key", abstract: "The master key that everything at rest is sealed with.",
        subcommands: [Rotate.self])

    struct Rotate: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Seal everything under a new master key.",
            discussion: """
                Without --new the running daemon replaces its key file. With --new, and the daemon stopped, the new key is \
                written to that file, to be sealed (`ess-agent setup`) or put into a safe. With sudo, where the present key is \
                sealed. Backups made before need the old key: make a new one.
                """)
        @Option(help: "Write the new key to this new file; the daemon must be stopped.") var new: String?
        @Flag(help: "Also when the audit trail doesn't hold; the new trail then tells so.") var acceptBrokenTrail =
            false
        @OptionGroup var options: ClientOptions
        @OptionGroup var output: JSONOption

        func run() async throws {
            let view: KeyRotationView
            if let new {
                let person = account()
                let keeping = try options.settings().keeping()
                do throws(Problem) {
                    view = try await keeping.rotateKey(
                        to: absolutePath(new), acceptingBrokenTrail: acceptBrokenTrail, by: person)
                } catch {
                    throw fail(error)
                }
            } else {
                view = try await options.client().post(
                    "/api/key/rotate", KeyRotationRequest(by: account(), acceptingBrokenTrail: acceptBrokenTrail))
            }
            output.json ? try printJSON(view) : print(Texts.rotated(view.key))
        }
    }
}

extension ClientOptions {
    func settings() throws -> Configuration { try ess_agent.settings(config) }
}

/// The configuration of a command that needs no daemon.
func settings(_ file: String?) throws -> Configuration {
    do throws(ConfigurationError) { return try Configuration.load(file: file) } catch {
        throw fail(Problem.configuration("\(error)"))
    }
}

struct MeasureCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "measure", abstract: "Measure how fast a disk takes recordings, or a store answers.",
        discussion: """
            With --disk, in a directory of its own that is removed again. Without, the configured store is asked what the \
            daemon asks all day, which must be stopped.
            """)
    @Option(help: "A directory on the disk to measure.") var disk: String?
    @Option(help: "How long each part takes, seconds.") var seconds = 5
    @Option(help: "Read this configuration file instead of the system's.") var config: String?

    func validate() throws {
        guard (1...600).contains(seconds) else { throw ValidationError("--seconds is 1 to 600.") }
    }

    func run() async throws {
        do throws(Problem) {
            if let disk {
                try printed(try await Measurement().disk(absolutePath(disk), seconds: seconds))
            } else {
                let settings: Configuration
                do throws(ConfigurationError) { settings = try Configuration.load(file: config) } catch {
                    throw Problem.configuration("\(error)")
                }
                try printed(try await Measurement().store(settings))
            }
        } catch {
            throw fail(error)
        }
    }

    private func printed(_ value: some Encodable) throws(Problem) {
        do { try printJSON(value) } catch { throw .internalFailure }
    }
}
