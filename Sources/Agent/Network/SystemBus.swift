import CHost
import CSystemd
import Glibc
import Synchronization

/// What NetworkManager and logind say on the system bus: whether a connection is metered, whether it has changed, that sleep is
/// over. One thread, which sleeps in sd-bus; a machine without a bus, or without one of the two, simply says nothing.
///
/// @unchecked Sendable: the bus is made, used and freed by the one thread; the rest is behind a Mutex.
final class SystemBus: @unchecked Sendable {
    struct Word: Sendable, Equatable {
        /// NetworkManager's NMMetered is 1 (yes) or 3 (guess-yes).
        var isMetered = false
        /// NMConnectivityState: 0 unknown, 1 none, 2 portal, 3 limited, 4 full. Full often means that nobody checks (sync.md 5).
        var connectivity: UInt32 = 0
    }

    private struct State {
        var word = Word()
        var isStopping = false
    }

    private let state = Mutex(State())
    private let changed: @Sendable (_ isAwake: Bool) -> Void
    private let wake: Int32

    /// - Parameter changed: on the bus's own thread; must not block. True when sleep has just ended.
    init(changed: @escaping @Sendable (_ isAwake: Bool) -> Void) {
        self.changed = changed
        wake = ess_wake_open()
        startThread { self.run() }
    }

    var word: Word { state.withLock { $0.word } }

    func stop() {
        // Under the lock: once the thread has seen the flag, it closes the descriptor.
        state.withLock { state in
            state.isStopping = true
            var one: UInt64 = 1
            _ = unsafe write(wake, &one, 8)
        }
    }

    // MARK: The thread

    private func run() {
        defer { close(wake) }
        while !state.withLock({ $0.isStopping }) {
            converse()
            // A bus that went away (an upgrade of dbus) comes back; a machine without one costs a look in five minutes.
            var file = pollfd(fd: wake, events: Int16(POLLIN), revents: 0)
            _ = unsafe poll(&file, 1, 300_000)
        }
    }

    private func converse() {
        var opened: OpaquePointer?
        guard unsafe sd_bus_open_system(&opened) >= 0, let bus = unsafe opened else { return }
        defer { unsafe sd_bus_flush_close_unref(bus) }
        let this = unsafe Unmanaged.passUnretained(self).toOpaque()  // alive as long as its thread runs
        guard
            unsafe sd_bus_match_signal(
                bus, nil, "org.freedesktop.NetworkManager", "/org/freedesktop/NetworkManager",
                "org.freedesktop.DBus.Properties", "PropertiesChanged", networkChanged, this) >= 0,
            // NetworkManager comes and goes.
            unsafe sd_bus_match_signal(
                bus, nil, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "NameOwnerChanged",
                networkChanged, this) >= 0,
            unsafe sd_bus_match_signal(
                bus, nil, "org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager",
                "PrepareForSleep", sleepChanged, this) >= 0
        else { return }
        unsafe look(bus)
        while !state.withLock({ $0.isStopping }) {
            let code = unsafe sd_bus_process(bus, nil)
            guard code >= 0 else { return }
            if code > 0 { continue }
            if needsLook.exchange(false, ordering: .relaxed) {
                unsafe look(bus)
                continue
            }
            var files = unsafe [
                pollfd(fd: sd_bus_get_fd(bus), events: Int16(sd_bus_get_events(bus)), revents: 0),
                pollfd(fd: wake, events: Int16(POLLIN), revents: 0),
            ]
            guard unsafe poll(&files, 2, -1) >= 0 || errno == EINTR else { return }
        }
    }

    private let needsLook = Atomic(false)

    private func look(_ bus: OpaquePointer) {
        let metered = unsafe ess_bus_network_property(bus, "Metered")
        let connectivity = unsafe ess_bus_network_property(bus, "Connectivity")
        let word = Word(isMetered: metered == 1 || metered == 3, connectivity: connectivity)
        let isNew = state.withLock { state in
            defer { state.word = word }
            return state.word != word
        }
        if isNew { changed(false) }
    }

    fileprivate func heardOfNetwork() { needsLook.store(true, ordering: .relaxed) }
    fileprivate func heardOfSleep(_ begins: Bool) { if !begins { changed(true) } }
}

private let networkChanged: sd_bus_message_handler_t = { _, client, _ in
    if let client = unsafe client {
        unsafe Unmanaged<SystemBus>.fromOpaque(client).takeUnretainedValue().heardOfNetwork()
    }
    return 0
}

private let sleepChanged: sd_bus_message_handler_t = { message, client, _ in
    let flag = unsafe ess_bus_read_flag(message)
    if flag >= 0, let client = unsafe client {
        unsafe Unmanaged<SystemBus>.fromOpaque(client).takeUnretainedValue().heardOfSleep(flag == 1)
    }
    return 0
}

/// Asks logind to let sleep wait while something is written that should be whole (sync.md 5); where there is none, nothing
/// is held, and the store's own transactions are as safe as ever.
enum SleepInhibitor {
    private static let isAbsent = Mutex(false)

    static func hold<Value: Sendable, Failure: Error>(
        _ work: () async throws(Failure) -> Value
    ) async throws(Failure) -> Value {
        let held = await Blocking.run { take() }
        do throws(Failure) {
            let value = try await work()
            if held >= 0 { close(held) }
            return value
        } catch {
            if held >= 0 { close(held) }
            throw error
        }
    }

    private static func take() -> Int32 {
        guard !isAbsent.withLock({ $0 }) else { return -1 }
        var opened: OpaquePointer?
        guard unsafe sd_bus_open_system(&opened) >= 0, let bus = unsafe opened else {
            // No bus now is no bus until the next start.
            isAbsent.withLock { $0 = true }
            return -1
        }
        defer { unsafe sd_bus_flush_close_unref(bus) }
        let held = unsafe ess_bus_inhibit_sleep(bus, "an examination is being stored")
        if held < 0 { isAbsent.withLock { $0 = true } }
        return held
    }
}

/// What timedated says of the wall clock.
enum TimeService {
    /// Asked anew after so long: systemd starts timedated for the question.
    private static let holds: UInt64 = 60_000_000_000
    private static let last = Mutex<(value: Bool, until: UInt64)?>(nil)

    static var isSynchronised: Bool? {
        last.withLock { last in
            let now = HostClock.monotonicNow
            if let last, now < last.until { return last.value }
            let value = ask()
            last = value.map { ($0, now + holds) }
            return value
        }
    }

    private static func ask() -> Bool? {
        var opened: OpaquePointer?
        guard unsafe sd_bus_open_system(&opened) >= 0, let bus = unsafe opened else { return nil }
        defer { unsafe sd_bus_flush_close_unref(bus) }
        let answer = unsafe ess_bus_clock_is_synchronised(bus)
        return answer < 0 ? nil : answer == 1
    }
}
