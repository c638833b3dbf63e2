import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle

/// A Hummingbird server without `Application`: that one wakes up every second to keep the text of the Date header, all day long on a
/// laptop's battery. Our clients are a command line and a page on the same machine, which know the time.
struct QuietServer<Responder: HTTPResponder>
where Responder.Context: InitializableFromSource<ApplicationRequestContextSource> {
    let responder: Responder
    var server: HTTPServerBuilder = .http1()
    let configuration: ServerConfiguration
    let isRunning: @Sendable () -> Void
    let logger: Logger

    /// Until the graceful shutdown.
    /// - Throws: when the address can't be bound.
    func run() async throws {
        try await server.buildServer(
            configuration: configuration, eventLoopGroup: MultiThreadedEventLoopGroup.singleton, logger: logger
        ) { [responder, configuration, logger] request, writer, channel in
            let context = Responder.Context(
                source: ApplicationRequestContextSource(channel: channel, logger: logger))
            var response: Response
            do {
                response = try await responder.respond(to: request, context: context)
            } catch {
                logger.debug("request failed", metadata: ["error": "\(type(of: error))"])
                response = Response(status: .internalServerError)
            }
            if let name = configuration.serverName { response.headers[.server] = name }
            try await writer.write(response: response.head, body: response.body)
        } onServerRunning: { [isRunning] _ in
            isRunning()
        }.run()
    }
}
