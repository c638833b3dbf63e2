import Logging
import Store

extension Agent {
    /// Opens the store, finishes what the last end left behind, copies a damaged file's readable rows into a new one, and
    /// says in the log what it did.
    static func openStore(
        _ configuration: Configuration, _ clock: HostClock, _ logger: Logger
    ) async throws(Problem) -> Store {
        do throws(StoreError) {
            try StateDirectory.prepare(configuration.stateDirectory)
            do throws(StoreError) {
                let store = try await open(configuration, clock, logger)
                let report: RecoveryReport
                do throws(StoreError) { report = try await store.recover() } catch {
                    try? await store.close()
                    throw error
                }
                log(report, logger)
                guard !report.problems.isEmpty else { return store }
                logger.warning(
                    "the store is damaged", metadata: ["damage": "\(report.problems.prefix(3).joined(separator: "; "))"]
                )
                try await store.close()
            } catch .corrupt(let what) {
                logger.error("the store is damaged and can't be opened", metadata: ["damage": "\(what)"])
                try await rescue(configuration, clock, logger)
                return try await open(configuration, clock, logger, isRecovering: true)
            }
            do throws(StoreError) {
                try await rescue(configuration, clock, logger)
            } catch .corrupt(let what) {
                logger.error("the damage can't be repaired", metadata: ["damage": "\(what)"])
                let store = try await open(configuration, clock, logger, isRecovering: true)
                do throws(StoreError) {
                    // While the lists can be read it takes new recordings: better than a nurse without an agent.
                    _ = try await (store.recordings(), store.visits())
                } catch {
                    try? await store.close()
                    throw error
                }
                return store
            }
            return try await open(configuration, clock, logger, isRecovering: true)
        } catch {
            throw Problem(starting: error, configuration)
        }
    }

    private static func open(
        _ configuration: Configuration, _ clock: HostClock, _ logger: Logger, isRecovering: Bool = false
    ) async throws(StoreError) -> Store {
        let (store, repair) = try await Store.open(
            directory: configuration.stateDirectory, keyFile: configuration.masterKeyPath,
            createIfMissing: configuration.masterKey == nil, environment: configuration.environment(clock))
        if let repair {
            logger.notice("a key rotation was cut short", metadata: ["repair": "\(repair)"])
        }
        if isRecovering { log(try await store.recover(), logger) }
        return store
    }

    private static func rescue(
        _ configuration: Configuration, _ clock: HostClock, _ logger: Logger
    ) async throws(StoreError) {
        let key = try MasterKey.load(from: configuration.masterKeyPath, createIfMissing: false)
        let report = try await Store.rescue(
            directory: configuration.stateDirectory, key: key, environment: configuration.environment(clock))
        let lost = report.lost.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
        logger.warning(
            "the store was damaged: its rows were copied into a new file, the damaged one is kept beside it",
            metadata: ["rows": "\(report.copied)", "lost": "\(lost.isEmpty ? "none" : lost)"])
    }

    private static func log(_ report: RecoveryReport, _ logger: Logger) {
        guard !report.sealed.isEmpty else { return }
        logger.notice(
            "recordings were cut by the last end, and are sealed",
            metadata: ["sealed": "\(report.sealed.count)", "uploads-in-flight": "\(report.uploadsInFlight)"])
    }
}
