import Agent
import ArgumentParser
import Glibc
import Logging
import ServiceLifecycle
import UnixSignals
import Web

struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Run the daemon (systemd starts this).",
        discussion: "Ends cleanly on SIGTERM: running captures are sealed first.")
    @Option(help: "Read this configuration file instead of the system's.") var config: String?
    @Option(help: "Set one key on top of the configuration, as key=value.") var set: [String] = []

    func run() async throws {
        // Everything that the daemon makes is for itself; the socket is opened to its group explicitly.
        umask(0o077)
        let settings = try load()
        let level = Logger.Level(rawValue: settings.logLevel) ?? .info
        let logger = Logger(label: "ess-agent") { label in
            var handler = StandardErrorLogHandler(label: label)
            handler.logLevel = level
            return handler
        }
        let notifier = SystemdNotifier()
        let agent: Agent
        do {
            agent = try await StartPatience.whileStarting(notifier) {
                try await Agent(settings, notifier: notifier, logger: logger)
            }
        } catch let problem as Problem {
            logger.critical("can't start", metadata: ["problem": "\(problem.key)"])
            throw fail(problem)
        }
        let sessions = PageSessions()
        let door = LocalServer(verbs: agent.verbs, path: settings.socket, sessions: sessions, logger: logger) {
            notifier.ready()
            logger.notice("ready", metadata: ["version": "\(agentVersion)"])
        }
        let page = PageServer(verbs: agent.verbs, port: settings.pagePort, sessions: sessions, logger: logger)
        // The group's own debug lines dump whole services.
        var quiet = logger
        quiet.logLevel = max(level, .warning)
        var configuration = ServiceGroupConfiguration(
            services: agent.services + [door, page], gracefulShutdownSignals: [.sigterm, .sigint], logger: quiet)
        configuration.maximumGracefulShutdownDuration = .seconds(15)
        do {
            try await ServiceGroup(configuration: configuration).run()
        } catch {
            logger.critical("ended", metadata: ["error": "\(error)"])
            throw fail(Problem.socketFailed(settings.socket))
        }
        notifier.stopping()
        logger.notice("stopped")
    }

    private func load() throws -> Configuration {
        var settings: Configuration
        do throws(ConfigurationError) {
            settings = try Configuration.load(file: config)
            for item in set {
                let parts = item.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
                try settings.set(parts[0], to: parts.count == 2 ? parts[1] : "")
            }
        } catch {
            throw fail(Problem.configuration("\(error)"))
        }
        if let unknown = Agent.unknownDrivers(in: settings).first {
            throw fail(Problem.configuration("port : pilote inconnu « \(unknown) »."))
        }
        return settings
    }
}
