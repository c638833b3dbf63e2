import Glibc
import Synchronization

/// Everything that hints at a change of the network, quietened: a cable or a Wi-Fi brings a dozen events in a second. It only
/// says when to try; whether there is a way is for the ping to find out.
final class NetworkWatch: Sendable {
    /// Quiet that ends a burst, and the longest that a burst may last.
    static let quiet = Duration.milliseconds(800)
    static let patience = Duration.seconds(3)

    private struct State {
        var routes = ""
        var burst: Task<Void, Never>?
        var lastHint = ContinuousClock.now
        var firstHint = ContinuousClock.now
    }

    private let state: Mutex<State>
    private let changed: @Sendable (_ isNewRoute: Bool) async -> Void
    private let parts = Mutex<(routes: RouteWatch?, bus: SystemBus?)>((nil, nil))

    /// - Parameter changed: after each burst; true when the way out is another one, so that old connections are dead.
    init(changed: @escaping @Sendable (_ isNewRoute: Bool) async -> Void) {
        self.changed = changed
        state = Mutex(State(routes: Routes.fingerprint()))
    }

    func start() {
        let routes = RouteWatch { [weak self] in self?.hint() }
        let bus = SystemBus { [weak self] isAwake in
            // After sleep the connections are dead, whatever the routes say.
            if isAwake { self?.state.withLock { $0.routes = "asleep" } }
            self?.hint()
        }
        parts.withLock { $0 = (routes, bus) }
    }

    func stop() {
        let bus = parts.withLock { parts in
            defer { parts = (nil, nil) }
            return parts.bus
        }
        bus?.stop()
        state.withLock { $0.burst?.cancel() }
    }

    var isMetered: Bool { parts.withLock { $0.bus?.word.isMetered } ?? false }

    private func hint() {
        state.withLock { state in
            state.lastHint = .now
            guard state.burst == nil else { return }
            state.firstHint = .now
            state.burst = Task { await self.settle() }
        }
    }

    private func settle() async {
        while !Task.isCancelled {
            let due = state.withLock { min($0.lastHint + Self.quiet, $0.firstHint + Self.patience) }
            guard ContinuousClock.now < due else { break }
            guard (try? await Task.sleep(until: due, clock: .continuous)) != nil else { return }
        }
        let routes = await Blocking.run { Routes.fingerprint() }
        let isNew = state.withLock { state in
            state.burst = nil
            defer { state.routes = routes }
            return state.routes != routes
        }
        await changed(isNew)
    }
}
