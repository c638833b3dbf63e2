import Logging
import Ports
import Store
import Wire

/// Feeds systemd's watchdog only with real progress: the store has just written, and the ports' thread has just turned.
/// A ping from a timer alone would prove nothing.
struct Health: Sendable {
    let store: Store
    let verbs: Verbs
    let notifier: SystemdNotifier
    let logger: Logger

    func run() async {
        let interval = notifier.watchdogInterval ?? .seconds(30)
        while !Task.isCancelled {
            do {
                try await store.healthCheck()
                await PortsThread.turn()
                notifier.watchdog()
                let status = try await verbs.status()
                notifier.status("\(status.sentence) \(status.sync.sentence)")
            } catch {
                logger.error("health check failed", metadata: ["error": "\(error)"])
            }
            try? await Task.sleep(for: interval)
        }
    }
}
