import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTLS
import Logging
import NIOCore
import ServiceLifecycle
import UnixSignals

/// Puts the lanes together and listens.
struct Server {
    var home: Home
    var address: String
    /// 0 is any free port.
    var port: Int
    var portFile: URL?
    var maxSize: Int
    var faults: Faults
    var tokens: Tokens
    /// False only for `private-key-jwt`.
    var needsCertificate: Bool
    /// Nil: nobody is enrolled over the network.
    var enrolmentPort: Int?
    var enrolmentPortFile: URL?
    var certificateDays: Double

    /// Runs until SIGTERM or SIGINT.
    func run() async throws {
        try home.requireInitialised()
        let lock = try home.lock()
        defer { try? lock.close() }
        let logger = Logger(label: "ess-server") { StreamLogHandler.standardError(label: $0) }
        if !faults.names.isEmpty {
            logger.warning("FAULTS ARE ON, THIS SERVER IS FOR TESTS ONLY: \(faults.names.joined(separator: ", "))")
        }
        let ledger = try Ledger(home)
        let recordings = Recordings(home: home, ledger: ledger, logger: logger)
        try recordings.repair()

        let router = Router(context: Context.self)
        router.add(middleware: Journal(faults: faults, logger: logger))
        router.add(middleware: TokenGate(tokens: tokens))
        tokens.add(to: router)
        Discovery(storeEpoch: ledger.storeEpoch, maxSize: maxSize, hasTokens: tokens.isNeeded).add(to: router)
        try home.prepare()
        let invitations = Invitations(home: home, ledger: ledger, days: certificateDays)
        invitations.addRenewal(to: router)
        Binaries(home: home, faults: faults).add(to: router)
        FHIRRoutes(ledger: ledger, faults: faults).add(to: router)
        Receipts(recordings: recordings, faults: faults).add(to: router)
        Tus(home: home, recordings: recordings, desk: Desk(), faults: faults, maxSize: maxSize).add(to: router)

        let application = Application(
            router: router,
            server: try .tls(
                .http1(configuration: .init(idleTimeout: .seconds(60))),
                tlsConfiguration: try Authority(home: home).tlsConfiguration(
                    fault: faults.certificate, needsCertificate: needsCertificate)),
            configuration: .init(address: .hostname(address, port: port), serverName: "ess-server"),
            onServerRunning: { channel in announce(channel.localAddress?.port ?? port, portFile, logger) },
            logger: logger)
        var services: [any Service] = [application]
        if let enrolmentPort { services.append(try enrolment(invitations, enrolmentPort, logger)) }
        var configuration = ServiceGroupConfiguration(
            services: services, gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
        // A client that never ends its request does not keep the server alive; what it sent is kept, and resumable.
        configuration.maximumGracefulShutdownDuration = .seconds(5)
        try await ServiceGroup(configuration: configuration).run()
    }

    /// A door of its own for those who have no certificate yet; nothing else is behind it.
    private func enrolment(_ invitations: Invitations, _ port: Int, _ logger: Logger) throws -> some Service {
        let router = Router(context: Context.self)
        router.add(middleware: Journal(faults: faults, logger: logger))
        invitations.addEnrolment(to: router, port: self.port)
        return Application(
            router: router,
            server: try .tls(
                .http1(configuration: .init(idleTimeout: .seconds(20))),
                tlsConfiguration: try Authority(home: home).enrolmentConfiguration()),
            configuration: .init(address: .hostname(address, port: port), serverName: "ess-server"),
            onServerRunning: { channel in announce(channel.localAddress?.port ?? port, enrolmentPortFile, logger) },
            logger: logger)
    }

    private func announce(_ port: Int, _ portFile: URL?, _ logger: Logger) {
        if let portFile {
            do { try Data("\(port)\n".utf8).write(to: portFile, options: .atomic) } catch {
                logger.error("the port file could not be written")
            }
        }
        Terminal.say("ess-server listening on https://localhost:\(port)")
    }
}

/// Lines for the person, or the script, that started a command. Unbuffered: a test waits for them.
enum Terminal {
    static func say(_ line: String) {
        try? FileHandle.standardOutput.write(contentsOf: Data((line + "\n").utf8))
    }
}
