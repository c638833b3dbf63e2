import Synchronization

/// Tells what is plugged in: first what is there already, then every arrival and departure.
///
/// Two sources: udev for the matches, inotify for the nodes that the configuration names. When udev doesn't run, or its
/// socket can't be had, the devices are looked at every two seconds instead, and `state` says so.
public final class Watcher: Sendable {
    public enum State: Sendable, Equatable {
        case idle
        case watching
        /// No events from udev, for this reason; it is tried again each time.
        case polling(String)
        /// Not even the list of devices can be had, for this reason. Extra ports still work.
        case blind(String)
    }

    /// One consumer. Ends after `stop`.
    public let events: AsyncStream<DeviceEvent>
    private let continuation: AsyncStream<DeviceEvent>.Continuation
    private let matches: Set<PortMatch>
    private let extras: [ExtraPort]
    private let shared = Shared()
    private let udevID = PortsThread.shared.newID()
    private let extrasID = PortsThread.shared.newID()

    /// What the ports thread tells.
    final class Shared: Sendable {
        private let value = Mutex(State.idle)
        var state: State {
            get { value.withLock { $0 } }
            set { value.withLock { $0 = newValue } }
        }
    }

    public init(matches: Set<PortMatch>, extras: [ExtraPort] = []) {
        self.matches = matches
        self.extras = extras
        (events, continuation) = AsyncStream.makeStream(of: DeviceEvent.self)
    }

    deinit { end() }

    public var state: State { shared.state }

    /// Returns when what is there now has been announced. Once in a watcher's life.
    @discardableResult public func start() async -> State {
        await withCheckedContinuation { started in
            PortsThread.shared.perform { [matches, extras, shared, continuation, udevID, extrasID] loop in
                let announce: (DeviceEvent) -> Void = { continuation.yield($0) }
                if matches.isEmpty {
                    shared.state = .watching
                } else {
                    let devices = UdevSource(matches: matches, shared: shared, announce: announce)
                    devices.begin()
                    loop.add(devices, id: udevID)
                }
                if !extras.isEmpty {
                    let nodes = ExtraSource(extras, announce: announce)
                    nodes.begin()
                    loop.add(nodes, id: extrasID)
                }
                started.resume(returning: shared.state)
            }
        }
    }

    /// Idempotent; `events` ends.
    public func stop() async {
        end()
        await PortsThread.turn()
    }

    private func end() {
        continuation.finish()
        PortsThread.shared.perform { [udevID, extrasID] loop in
            loop.remove(udevID)
            loop.remove(extrasID)
        }
    }
}

/// What has been announced, so that nothing arrives or departs twice.
struct KnownPorts {
    private struct Entry: Equatable {
        var candidate: PortCandidate
        /// Differs when it is another plugging-in of the same thing in the same place.
        var plugging: String
    }

    private var known: [String: Entry] = [:]
    private let announce: (DeviceEvent) -> Void

    init(announce: @escaping (DeviceEvent) -> Void) { self.announce = announce }

    mutating func present(_ candidate: PortCandidate, plugging: String) {
        let entry = Entry(candidate: candidate, plugging: plugging)
        guard known[candidate.syspath] != entry else { return }
        absent(candidate.syspath)
        known[candidate.syspath] = entry
        announce(.arrived(candidate))
    }

    mutating func absent(_ syspath: String) {
        guard known.removeValue(forKey: syspath) != nil else { return }
        announce(.departed(syspath))
    }

    /// Departs whatever isn't in `syspaths`.
    mutating func only(_ syspaths: Set<String>) {
        for path in known.keys.sorted() where !syspaths.contains(path) { absent(path) }
    }
}
