public import Agent
import Hummingbird
import HummingbirdCore
public import Logging
import NIOCore
public import ServiceLifecycle

/// The nurse's door: the page on 127.0.0.1. A port that is taken never stops the agent: recording doesn't need the page.
public struct PageServer: Service {
    private let verbs: Verbs
    private let port: Int
    private let sessions: PageSessions
    private let logger: Logger

    /// Every local account can connect to a TCP port: more than this at one time isn't a browser, and must not eat the
    /// descriptors that capturing needs.
    private static let connections = 64

    /// - Parameter port: 0 for no page.
    public init(verbs: Verbs, port: Int, sessions: PageSessions, logger: Logger) {
        self.verbs = verbs
        self.port = port
        self.sessions = sessions
        self.logger = logger
    }

    public func run() async throws {
        guard port != 0 else { return try await gracefulShutdown() }
        var isFirst = true
        while !Task.isShuttingDownGracefully, !Task.isCancelled {
            do {
                try await serve()
                return
            } catch is CancellationError {
                return
            } catch {
                sessions.listens(on: 0)
                if isFirst {
                    logger.error(
                        "the page's port can't be opened; tried again every 10 s", metadata: ["port": "\(port)"])
                }
                isFirst = false
            }
            try? await cancelWhenGracefulShutdown { try await Task.sleep(for: .seconds(10)) }
        }
    }

    private func serve() async throws {
        let router = Router(context: PageContext.self)
        addPage(verbs, sessions, to: router)
        let server = QuietServer(
            responder: GuardedResponder(guardian: PageGuard(port: port), inner: router.buildResponder()),
            server: .http1(configuration: .init(idleTimeout: .seconds(120))),
            configuration: ServerConfiguration(
                address: .hostname("127.0.0.1", port: port),
                availableConnectionsDelegate: MaximumAvailableConnections(Self.connections)),
            isRunning: { [sessions, logger, port] in
                sessions.listens(on: port)
                logger.notice("page ready", metadata: ["port": "\(port)"])
            },
            logger: logger)
        defer { sessions.listens(on: 0) }
        try await server.run()
    }
}
