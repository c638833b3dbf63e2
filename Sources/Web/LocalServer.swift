public import Agent
import Glibc
import Hummingbird
import HummingbirdCore
public import Logging
public import ServiceLifecycle

/// The command line's door: HTTP on a Unix socket that only the agent's group may open.
public struct LocalServer: Service {
    private let verbs: Verbs
    private let path: String
    private let sessions: PageSessions
    private let logger: Logger
    private let ready: @Sendable () -> Void

    /// - Parameters:
    ///   - sessions: where a way into the page is asked for.
    ///   - ready: called when the socket answers.
    public init(
        verbs: Verbs, path: String, sessions: PageSessions, logger: Logger, ready: @escaping @Sendable () -> Void
    ) {
        self.verbs = verbs
        self.path = path
        self.sessions = sessions
        self.logger = logger
        self.ready = ready
    }

    public func run() async throws {
        // The store's lock has made sure that no other agent runs: a socket that is still there is a leftover, and is
        // replaced. The process's umask lets nobody but us connect between bind and chmod.
        let server = QuietServer(
            responder: router().buildResponder(),
            configuration: ServerConfiguration(address: .unixDomainSocket(path: path), serverName: "ess-agent"),
            isRunning: { [path, ready] in
                _ = unsafe chmod(path, 0o660)
                ready()
            },
            logger: logger)
        try await server.run()
        unsafe unlink(path)
    }

    private func router() -> Router<LocalContext> {
        let router = Router(context: LocalContext.self)
        router.add(middleware: ProblemMiddleware())
        let api = router.group("api")
        addAPI(verbs, to: api)
        addMetrics(verbs, to: router)
        // Only here: the kernel has checked that the caller is in the agent's group.
        api.post("page/token") { [sessions] request, _ in
            let body = try await request.decoded(PageTokenRequest.self)
            return JSON(try sessions.invite(body.by ?? "local"))
        }
        return router
    }
}

/// The socket's door: its callers are the agent's group, and say themselves who they are.
struct LocalContext: DoorContext {
    var coreContext: CoreRequestContextStorage
    var person: String? { nil }
    var demandsIdentityCheck: Bool { false }

    init(source: ApplicationRequestContextSource) { coreContext = .init(source: source) }
}
