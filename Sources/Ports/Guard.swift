import Synchronization
public import Wire

/// The last gate before the cable: refuses a write that would complete a forbidden sequence (erase, firmware), also one
/// that was begun in earlier writes. Nothing of a refused write is sent, and what a driver does about it doesn't matter.
public final class GuardedPort: Port {
    private let port: any Port
    private let forbidden: [ForbiddenBytes]
    /// The end of what was let through: as much as a pattern could need.
    private let tail = Mutex<[UInt8]>([])
    private let reach: Int
    private let turns = Turnstile()

    public init(_ port: any Port, forbidden: [ForbiddenBytes]) {
        self.port = port
        self.forbidden = forbidden
        reach = max(0, (forbidden.map { $0.pattern.count }.max() ?? 0) - 1)
    }

    public var incoming: AsyncThrowingStream<Arrival, any Error> { port.incoming }

    /// Throws `.forbidden` with the reason; else as the port behind.
    public func write(_ bytes: [UInt8]) async throws(PortError) {
        // Two writes at once must pass in the order in which they were looked at.
        await turns.enter()
        defer { turns.leave() }
        let refusal = tail.withLock { tail -> ForbiddenBytes? in
            let all = tail + bytes
            if let match = forbidden.first(where: { $0.occurs(in: all) }) { return match }
            tail = Array(all.suffix(reach))
            return nil
        }
        if let refusal { throw .forbidden(refusal.reason) }
        try await port.write(bytes)
    }

    /// Data to the device is looked at as a write is (a HID output report may travel this way), by itself.
    public func control(_ request: ControlRequest) async throws(PortError) -> [UInt8] {
        await turns.enter()
        defer { turns.leave() }
        if let match = forbidden.first(where: { $0.occurs(in: request.data) }) { throw .forbidden(match.reason) }
        return try await port.control(request)
    }

    public func renew() async throws(PortError) {
        await turns.enter()
        defer { turns.leave() }
        try await port.renew()
    }

    public func close() async { await port.close() }
}

/// Lets one in at a time, first come, first served.
final class Turnstile: Sendable {
    private struct State {
        var occupied = false
        var waiting: [CheckedContinuation<Void, Never>] = []
    }

    private let state = Mutex(State())

    func enter() async {
        await withCheckedContinuation { continuation in
            let free = state.withLock { state in
                if state.occupied {
                    state.waiting.append(continuation)
                    return false
                }
                state.occupied = true
                return true
            }
            if free { continuation.resume() }
        }
    }

    func leave() {
        let next = state.withLock { state -> CheckedContinuation<Void, Never>? in
            if state.waiting.isEmpty {
                state.occupied = false
                return nil
            }
            return state.waiting.removeFirst()
        }
        next?.resume()
    }
}
