import Synchronization

/// A `Port` that answers from a transcript, at once and in order; `Arrival.at` follows the transcript's own times, so a
/// replay gives the same result every time.
///
/// What the device said before the first host line arrives as soon as the port exists; the rest arrives when the host
/// has written the line it followed. The device falls silent after the last line. A recorded `! gone` or `! overflow`
/// ends the port with that error; other recorded errors (a time-out) are silence.
public final class ReplayPort: Port {
    public enum Order: Sendable {
        /// Host writes must equal the `>` lines, one by one. Anything else fails the write, and the port.
        case strict
        /// A write is answered with what followed the next equal `>` line (or, when all are used, the last equal one);
        /// an unknown write meets silence.
        case tolerant
    }

    /// What to do when every line of the transcript has been played.
    public enum AtEnd: Sendable { case silent, gone }

    private struct Exchange {
        var request: [UInt8]
        var answers: [TranscriptEvent]
        var used = false
    }

    private struct State: ~Copyable {
        var exchanges: [Exchange]
        /// Strict: the next exchange. Tolerant: the one after the last that was used.
        var next = 0
        /// Host's monotonic nanoseconds.
        var now: UInt64
        var failure: String?
        var closed = false
    }

    public let incoming: AsyncThrowingStream<Arrival, any Error>
    private let sink: AsyncThrowingStream<Arrival, any Error>.Continuation
    private let order: Order
    private let atEnd: AtEnd
    private let state: Mutex<State>

    /// `startingAt`: the host's monotonic time, in nanoseconds, of the transcript's beginning.
    public init(_ transcript: Transcript, order: Order = .strict, atEnd: AtEnd = .silent, startingAt: UInt64 = 0) {
        (incoming, sink) = AsyncThrowingStream.makeStream(of: Arrival.self)
        self.order = order
        self.atEnd = atEnd
        var preamble: [TranscriptEvent] = []
        var exchanges: [Exchange] = []
        for event in transcript.events {
            if event.kind == .toDevice {
                // Its own time is the host's affair, but it passed.
                exchanges.append(Exchange(request: event.bytes, answers: [.note("", after: event.after)]))
            } else if exchanges.isEmpty {
                preamble.append(event)
            } else {
                exchanges[exchanges.count - 1].answers.append(event)
            }
        }
        state = Mutex(State(exchanges: exchanges, now: startingAt))
        state.withLock {
            play(preamble, &$0)
            endIfPlayed(&$0)
        }
    }

    /// Why a strict replay failed; nil as long as it did not.
    public var failure: String? { state.withLock { $0.failure } }

    /// `>` lines that the host has not written yet.
    public var remainingWrites: Int { state.withLock { $0.exchanges.count { !$0.used } } }

    public func write(_ bytes: [UInt8]) async throws(PortError) {
        let error: PortError? = state.withLock { state in
            if state.closed { return .gone }
            guard let index = match(bytes, &state) else {
                guard order == .strict else { return nil }
                let expected =
                    state.next < state.exchanges.count
                    ? hexadecimal(state.exchanges[state.next].request) : "nothing more"
                let text = "replay: write \(state.next + 1) should be \(expected), is \(hexadecimal(bytes))"
                state.failure = text
                return end(.system(text, 0), &state)
            }
            state.exchanges[index].used = true
            state.next = index + 1
            play(state.exchanges[index].answers, &state)
            endIfPlayed(&state)
            return nil
        }
        if let error { throw error }
    }

    /// Transcripts have no lines for control transfers, only notes: accepted, answered with nothing.
    public func control(_ request: ControlRequest) async throws(PortError) -> [UInt8] {
        if state.withLock({ $0.closed }) { throw .gone }
        return []
    }

    /// Nobody wrote down what a device said after it: silence.
    public func renew() async throws(PortError) {
        if state.withLock({ $0.closed }) { throw .gone }
    }

    public func close() async {
        state.withLock { $0.closed = true }
        sink.finish()
    }

    private func match(_ bytes: [UInt8], _ state: inout State) -> Int? {
        let exchanges = state.exchanges
        if order == .strict {
            return state.next < exchanges.count && exchanges[state.next].request == bytes ? state.next : nil
        }
        let equal = exchanges.indices.filter { exchanges[$0].request == bytes }
        return equal.first { $0 >= state.next && !exchanges[$0].used } ?? equal.first { !exchanges[$0].used }
            ?? equal.last
    }

    private func play(_ events: [TranscriptEvent], _ state: inout State) {
        for event in events where !state.closed {
            state.now &+= UInt64(max(0, min(event.after, 1e9)) * 1e9)
            switch event.kind {
            case .fromDevice where !event.bytes.isEmpty:
                sink.yield(Arrival(bytes: event.bytes, at: state.now, endpoint: event.endpoint))
            case .error where event.text == "gone": _ = end(.gone, &state)
            case .error where event.text == "overflow": _ = end(.overflow, &state)
            default: break
            }
        }
    }

    private func endIfPlayed(_ state: inout State) {
        guard atEnd == .gone, state.exchanges.allSatisfy(\.used) else { return }
        _ = end(.gone, &state)
    }

    private func end(_ error: PortError, _ state: inout State) -> PortError {
        state.closed = true
        sink.finish(throwing: error)
        return error
    }
}
