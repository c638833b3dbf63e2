import Dispatch
import Logging
import Ports
import Store
import Synchronization
import Wire

/// Feeds systemd's watchdog only with real progress; a ping from a timer alone would prove nothing. Three signs:
///
/// - the store has just written, or its writer has done something inside of a long transaction since the last look (a key rotation,
///   the purge of a large file); a full disk is an answer as well, and no new start would make room;
/// - the ports' thread has just turned;
/// - the pool has told the status within the last minutes. It is asked apart from the rest: a long computation that keeps every one of
///   its threads (a night that is rendered on a slow laptop) is work, and only one that never ends is a fault.
///
/// The first two are asked on a thread of its own, so that neither a busy pool nor a slow status makes them late.
struct Health: Sendable {
    struct Signs: Sendable {
        /// The store has written, and the ports' thread has turned.
        var beat: @Sendable () async throws(StoreError) -> Void
        /// Counts what the store's writer does, also inside of a transaction.
        var steps: @Sendable () -> UInt64
        /// A sentence for `systemctl status`, made on the pool.
        var status: @Sendable () async throws -> String
    }

    let signs: Signs
    let interval: Duration
    let feed: @Sendable () -> Void
    let tell: @Sendable (String) -> Void
    let logger: Logger
    /// How long the pool may be busy without an answer.
    var patience = Duration.seconds(300)
    private let pool = Pool()

    init(
        _ signs: Signs, interval: Duration, feed: @escaping @Sendable () -> Void,
        tell: @escaping @Sendable (String) -> Void, logger: Logger
    ) {
        self.signs = signs
        self.interval = interval
        self.feed = feed
        self.tell = tell
        self.logger = logger
    }

    init(store: Store, verbs: Verbs, notifier: SystemdNotifier, logger: Logger) {
        self.init(
            Signs(
                beat: { () async throws(StoreError) in
                    try await store.healthCheck()
                    await PortsThread.turn()
                },
                steps: { Store.writerSteps },
                status: {
                    let status = try await verbs.status()
                    return "\(status.sentence) \(status.sync.sentence)"
                }),
            interval: notifier.watchdogInterval ?? .seconds(60), feed: { notifier.watchdog() },
            tell: { notifier.status($0) }, logger: logger)
    }

    func run() async {
        let thread = OwnThread()
        await withTaskExecutorPreference(thread) {
            var next = ContinuousClock.now
            while !Task.isCancelled {
                askPool()
                await beat(on: thread)
                // From the beginning of a question to that of the next: a slow answer makes no later one.
                next = max(next + interval, ContinuousClock.now)
                await thread.pause(next - ContinuousClock.now)
            }
        }
    }

    private func beat(on thread: OwnThread) async {
        let before = signs.steps()
        await withTaskGroup(of: Bool?.self) { group in
            group.addTask {
                do throws(StoreError) {
                    try await signs.beat()
                } catch .diskFull {
                    logger.error("health check: the disk is full")
                } catch {
                    logger.error("health check failed", metadata: ["error": "\(error)"])
                    return false
                }
                return true
            }
            group.addTask {
                var seen = before
                while true {
                    await thread.pause(interval)
                    if Task.isCancelled { break }
                    let steps = signs.steps()
                    if steps != seen { progress() }
                    seen = steps
                }
                return nil
            }
            for await answer in group {
                guard let answer else { continue }
                if answer { progress() }
                group.cancelAll()
            }
        }
    }

    private func progress() {
        guard pool.silence < patience else {
            logger.error("nothing turns any more: the watchdog is left to end this")
            return
        }
        feed()
    }

    private func askPool() {
        guard pool.begin() else { return }
        Task.detached { [self] in
            do { tell(try await signs.status()) } catch {
                logger.error("no status", metadata: ["error": "\(error)"])
            }
            pool.end()
        }
    }
}

/// When the pool answered last.
private final class Pool: Sendable {
    private let state = Mutex((answered: ContinuousClock.now, isAsked: false))

    var silence: Duration { state.withLock { ContinuousClock.now - $0.answered } }

    /// False while the last question has no answer yet.
    func begin() -> Bool {
        state.withLock { state in
            defer { state.isAsked = true }
            return !state.isAsked
        }
    }

    func end() { state.withLock { $0 = (ContinuousClock.now, false) } }
}

/// A thread for tasks that the pool must not make late.
private final class OwnThread: TaskExecutor {
    private let queue = DispatchQueue(label: "ess-agent.health")

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.async { unsafe job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }

    /// Also ends when its task is cancelled. (`Task.sleep` wakes up on the pool, and is late with it.)
    func pause(_ time: Duration) async {
        let pause = Pause()
        let nanoseconds = time.components.seconds * 1_000_000_000 + time.components.attoseconds / 1_000_000_000
        queue.asyncAfter(deadline: .now() + .nanoseconds(Int(max(0, nanoseconds)))) { pause.end() }
        await withTaskCancellationHandler {
            await pause.wait()
        } onCancel: {
            pause.end()
        }
    }
}

/// A wait that somebody ends, before it or in it.
private final class Pause: Sendable {
    private let state = Mutex((waiting: CheckedContinuation<Void, Never>?.none, isOver: false))

    func wait() async {
        await withCheckedContinuation { continuation in
            let isOver = state.withLock { state in
                if !state.isOver { state.waiting = continuation }
                return state.isOver
            }
            if isOver { continuation.resume() }
        }
    }

    func end() {
        state.withLock { state in
            defer { state = (nil, true) }
            return state.waiting
        }?.resume()
    }
}
