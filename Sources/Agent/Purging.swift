import Logging
import Store

/// Deletes what the server has confirmed and whose retention time is over, by itself: at the start, then every hour, and
/// every minute while the disk is short. The store judges each recording; `ess-agent purge --dry-run` says why one stays.
struct Purging: Sendable {
    let store: Store
    let clock: HostClock
    let configuration: Configuration
    let logger: Logger

    func run() async {
        while !Task.isCancelled {
            do {
                let gone = try await store.purge(now: clock.wall, policy: configuration.purgePolicy, by: "agent")
                if !gone.isEmpty { logger.notice("purged after receipt", metadata: ["recordings": "\(gone.count)"]) }
            } catch {
                // Nothing is lost by keeping more: it is tried again.
                logger.error("could not purge", metadata: ["error": "\(error)"])
            }
            let isShort = store.diskVerdict() != .ample
            try? await Task.sleep(
                for: .seconds(isShort ? min(60, configuration.purgeInterval) : configuration.purgeInterval))
        }
    }
}

extension Configuration {
    var purgePolicy: PurgePolicy {
        PurgePolicy(
            retention: Int64(retentionDays * 86_400_000), shortRetention: Int64(shortRetentionHours * 3_600_000))
    }
}
