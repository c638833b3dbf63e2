public import Agent
import Glibc
import Hummingbird
public import Logging
public import ServiceLifecycle

/// The command line's door: HTTP on a Unix socket that only the agent's group may open.
public struct LocalServer: Service {
    private let verbs: Verbs
    private let path: String
    private let logger: Logger
    private let ready: @Sendable () -> Void

    /// - Parameter ready: called when the socket answers.
    public init(verbs: Verbs, path: String, logger: Logger, ready: @escaping @Sendable () -> Void) {
        self.verbs = verbs
        self.path = path
        self.logger = logger
        self.ready = ready
    }

    public func run() async throws {
        // The store's lock has made sure that no other agent runs: a socket that is still there is a leftover, and is
        // replaced. The process's umask lets nobody but us connect between bind and chmod.
        let application = Application(
            router: makeRouter(verbs),
            configuration: ApplicationConfiguration(address: .unixDomainSocket(path: path), serverName: "ess-agent"),
            onServerRunning: { [path, ready] _ in
                _ = unsafe chmod(path, 0o660)
                ready()
            },
            logger: logger)
        try await application.run()
        unsafe unlink(path)
    }
}
