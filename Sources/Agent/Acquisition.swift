import Clinical
public import Devices
import Ports
public import Wire

/// Where the actions of a session go, other than to the port. The agent writes them into the store; `record` only looks.
public protocol SessionSink: Sendable {
    /// Returns when what the action means is durable. Throwing ends the session: the data can't be kept.
    func perform(_ action: DialogueAction) async throws(Problem)
}

/// The one pump for all devices: moves bytes between a port and a driver's pure state machine, and hands what the driver
/// decided to the sink. A driver never sees a clock, a descriptor or the database.
public struct Acquisition: Sendable {
    /// Why the pump stopped.
    public enum Outcome: Sendable, Equatable {
        case finished(SessionEnd)
        case portFailed(PortError)
        case sinkFailed(Problem)
    }

    private enum Event: Sendable {
        case bytes(Arrival)
        case portEnded(PortError)
        /// At that time, not when its turn comes: what had arrived by then stands before it.
        case timer(Int, at: UInt64)
        case stop
        case abandon
    }

    private let port: any Port
    private let clock: HostClock
    private let sink: any SessionSink
    private let mayRenew: Bool
    /// The tests' way to know that a wait is over.
    var sleep: @Sendable (Duration) async throws -> Void = { try await Task.sleep(for: $0) }
    private let backlog = Backlog()
    private let events: AsyncStream<Event>
    private let inlet: AsyncStream<Event>.Continuation

    /// - Parameter mayRenew: whether the driver may let the device begin anew.
    public init(port: any Port, clock: HostClock, sink: any SessionSink, mayRenew: Bool = true) {
        self.port = port
        self.clock = clock
        self.sink = sink
        self.mayRenew = mayRenew
        (events, inlet) = AsyncStream.makeStream(of: Event.self)
    }

    /// A person (or the daemon's shutdown) ends the session; the driver says goodbye to the device first. A driver or a
    /// device that doesn't come to an end within two seconds is abandoned: what was received is sealed all the same.
    public func stop() {
        inlet.yield(.stop)
        let inlet = inlet
        Task {
            try? await Task.sleep(for: .seconds(2))
            inlet.yield(.abandon)
        }
    }

    /// Runs until the driver finishes, the cable fails or the sink refuses. Closes the port.
    @concurrent
    public func run(_ dialogue: any Dialogue) async -> Outcome {
        var dialogue = dialogue
        let reader = Task { [port, inlet, backlog] in
            do {
                for try await arrival in port.incoming {
                    // What isn't taken waits in the port, which has a bound; and a person's stop stands behind little.
                    await backlog.enter(arrival.bytes.count)
                    inlet.yield(.bytes(arrival))
                }
                inlet.yield(.portEnded(.gone))
            } catch {
                inlet.yield(.portEnded(error as? PortError ?? .gone))
            }
        }
        let outcome = await pump(&dialogue)
        reader.cancel()
        backlog.open()
        await port.close()
        return outcome
    }

    private func pump(_ dialogue: inout any Dialogue) async -> Outcome {
        var timer: (generation: Int, task: Task<Void, Never>?) = (0, nil)
        defer { timer.task?.cancel() }
        var failure: Outcome?

        func execute(_ actions: [DialogueAction]) async -> Outcome? {
            for action in actions {
                switch action {
                case .send(let bytes):
                    // A cable that is gone is noticed here or by the reader, whichever is first; it ends the same way.
                    guard failure == nil else { continue }
                    do throws(PortError) {
                        try await port.write(bytes)
                    } catch {
                        failure = .portFailed(error)
                    }
                case .control(let request):
                    guard failure == nil else { continue }
                    do throws(PortError) {
                        _ = try await port.control(request)
                    } catch {
                        failure = .portFailed(error)
                    }
                case .renew:
                    guard failure == nil, mayRenew else { continue }
                    // Where the line can't, it goes on as it was; an end is told by the reader.
                    try? await port.renew()
                    try? await sink.perform(action)
                case .ask(let duration):
                    timer.task?.cancel()
                    timer.generation += 1
                    let generation = timer.generation
                    timer.task = Task {
                        guard (try? await elapse(duration)) != nil else { return }
                        inlet.yield(.timer(generation, at: clock.monotonic))
                    }
                case .finish(let end):
                    return failure ?? .finished(end)
                default:
                    do throws(Problem) {
                        try await sink.perform(action)
                    } catch {
                        // What can't be kept isn't acknowledged. The device is told to stop; nothing more is written.
                        return .sinkFailed(error)
                    }
                }
            }
            return nil
        }

        func conclude() async -> Outcome? {
            guard let reason = failure else { return nil }
            return await execute(dialogue.gone(at: clock.monotonic)) ?? reason
        }

        var outcome = await execute(dialogue.start(at: clock.monotonic))
        if outcome == nil { outcome = await conclude() }
        if let outcome { return await farewell(outcome, &dialogue) }
        for await event in events {
            let actions: [DialogueAction]
            switch event {
            case .bytes(let arrival):
                actions = dialogue.received(arrival.bytes, from: arrival.endpoint, at: arrival.at)
                backlog.leave(arrival.bytes.count)
            case .timer(let generation, let at):
                guard generation == timer.generation else { continue }
                // A disk that took seconds for the samples before it is no silence of the device's.
                actions = dialogue.timerFired(at: at)
            case .stop: actions = dialogue.stop(at: clock.monotonic)
            case .portEnded(let error):
                failure = failure ?? .portFailed(error)
                actions = []
            case .abandon:
                failure = failure ?? .portFailed(.system("stop", 110))
                actions = []
            }
            var outcome = await execute(actions)
            if outcome == nil { outcome = await conclude() }
            if let outcome { return await farewell(outcome, &dialogue) }
        }
        return failure ?? .portFailed(.gone)
    }

    /// Where the whole process stood still (a starved or sleeping laptop), the wait is over before what came meanwhile was read: then
    /// that is waited for, too.
    private func elapse(_ duration: Duration) async throws {
        let due = clock.monotonic + UInt64(max(0, duration / .nanoseconds(1)))
        try await sleep(duration)
        guard clock.monotonic > due + Self.late else { return }
        await PortsThread.turn()
        try await Task.sleep(for: min(duration, Self.recovery))
    }

    /// Nanoseconds that a busy laptop may be late without anything having stood still.
    private static let late: UInt64 = 200_000_000
    /// Until what waited at libusb and in the device has come through a laptop that everything else wants as well; 0.2 s was not enough
    /// where two devices and their bench woke up on two cores.
    private static let recovery = Duration.seconds(1)

    /// After the store refused, the device is told to stop so that it keeps its own copy; answers are of no interest.
    private func farewell(_ outcome: Outcome, _ dialogue: inout any Dialogue) async -> Outcome {
        guard case .sinkFailed = outcome else { return outcome }
        for bytes in dialogue.unkept(at: clock.monotonic) { try? await port.write(bytes) }
        return outcome
    }
}

extension Acquisition.Outcome {
    /// How what is still open is sealed after this.
    var reason: Recording.EndReason {
        switch self {
        case .finished(.done): .stopped
        case .finished: .deviceEnded
        case .portFailed: .deviceGone
        case .sinkFailed: .storageFailed
        }
    }

    /// What a person is told; nil when all went well.
    public var problem: Problem? {
        switch self {
        case .finished(.done): nil
        case .finished(.notThisDevice): .notThisDevice
        case .finished(.busyRecording): .deviceRecording
        case .finished(.holdsMore(let count)): .deviceHoldsMore(count)
        case .finished(.deviceEnded): .deviceSilent
        case .portFailed(let error): Problem(error)
        case .sinkFailed(let problem): problem
        }
    }
}
