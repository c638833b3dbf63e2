import Clinical
import Devices
public import Logging
import Ports
public import ServiceLifecycle
import Store
import Wire

/// The running agent: its services, built in dependency order and ended in reverse.
public struct Agent: Sendable {
    public let verbs: Verbs
    private let store: Store
    private let hub: DeviceHub
    private let media: MediaHub
    private let mediaDirectory: String
    private let watcher: Watcher
    private let sync: SyncEngine
    private let freezing: Freezing
    private let purging: Purging
    private let fileCheck: FileCheck
    private let notifier: SystemdNotifier
    private let logger: Logger

    /// Opens the store, repairs what the last end left behind, and says what it did. Nothing runs yet.
    /// - Throws: `Problem`.
    public init(_ configuration: Configuration, notifier: SystemdNotifier, logger: Logger) async throws {
        let clock = HostClock()
        let catalogue: PathwayCatalogue
        do throws(ConfigurationError) {
            catalogue = try PathwayCatalogue.load(directory: configuration.pathways)
        } catch {
            throw Problem.configuration("\(error)")
        }
        let directory = configuration.stateDirectory
        let store = try await Self.openStore(configuration, clock, logger)
        if !configuration.masterKeyIsCredential {
            logger.warning("the master key is a plain file: a stolen disk is readable unless it is encrypted")
        }
        let frozen = Bell()
        let outgoing = Bell()
        let hub = DeviceHub(
            store: store, clock: clock, logger: logger,
            openPort: { candidate, profile throws(PortError) in
                GuardedPort(try await profile.transport.open(candidate.devnode), forbidden: profile.forbidden)
            },
            changed: { frozen.ring() })
        let media = MediaHub(store: store, clock: clock, logger: logger, changed: { frozen.ring() })
        let sync = SyncEngine(store: store, clock: clock, configuration: configuration, bell: outgoing, logger: logger)
        self.store = store
        self.hub = hub
        self.media = media
        mediaDirectory = configuration.mediaDirectory
        self.sync = sync
        self.notifier = notifier
        self.logger = logger
        freezing = Freezing(store: store, bell: frozen, logger: logger, frozen: { outgoing.ring() })
        fileCheck = FileCheck(store: store, logger: logger)
        purging = Purging(store: store, clock: clock, configuration: configuration, logger: logger)
        watcher = Watcher(
            matches: Set(
                Registry.dialogues.flatMap { $0.matches + $0.choices }.map(PortMatch.init)),
            extras: configuration.ports.map { ExtraPort(path: $0.path, profile: $0.driver) })
        verbs = Verbs(
            store: store, clock: clock, hub: hub, sync: sync,
            mediaHub: media,
            freezing: frozen, catalogue: catalogue,
            stateDirectory: directory, configuration: configuration)
    }

    /// Drivers that the configuration names and nobody knows.
    public static func unknownDrivers(in configuration: Configuration) -> [String] {
        configuration.ports.map(\.driver).filter { name in !Registry.dialogues.contains { $0.name == name } }
    }

    /// Later ones depend on earlier ones; `ServiceGroup` ends them in reverse: doors first, the store last.
    public var services: [any Service] {
        [
            Loop("store") { [store, logger] in
                await untilCancelled()
                do { try await store.close() } catch {
                    logger.error("closing the store", metadata: ["error": "\(error)"])
                }
            },
            Loop("freezing") { [freezing] in await freezing.run() },
            Loop("file-check") { [fileCheck] in await fileCheck.run() },
            Loop("purging") { [purging] in await purging.run() },
            Loop("sync") { [sync] in await sync.run() },
            Loop("devices") { [hub, watcher, logger] in
                let state = await watcher.start()
                if state != .watching { logger.warning("udev isn't watched", metadata: ["state": "\(state)"]) }
                await hub.run(watcher.events)
                await watcher.stop()
            },
            Loop("media") { [media, mediaDirectory] in await media.watch(mediaDirectory) },
            Loop("health") { [store, verbs, notifier, logger] in
                await Health(store: store, verbs: verbs, notifier: notifier, logger: logger).run()
            },
        ]
    }
}

/// A service that works until the group shuts down.
private struct Loop: Service {
    let name: String
    let work: @Sendable () async -> Void

    init(_ name: String, _ work: @escaping @Sendable () async -> Void) {
        self.name = name
        self.work = work
    }

    func run() async throws { await cancelWhenGracefulShutdown { await work() } }
}

/// Returns when the task is cancelled.
func untilCancelled() async {
    // No clock: a stream that nothing ever comes through ends with its task.
    let (never, inlet) = AsyncStream.makeStream(of: Never.self)
    for await _ in never {}
    inlet.finish()
}
