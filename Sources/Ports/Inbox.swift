import Synchronization
import Wire

/// What came in and nobody took away yet, bounded in bytes. Filled by the ports thread, emptied by one consumer.
final class Inbox: Sendable {
    private struct State {
        var arrivals: [Arrival] = []
        /// Arrivals before this one have been taken.
        var taken = 0
        var size = 0
        var waiting: CheckedContinuation<Void, Never>?
        var ended = false
        var failure: PortError?
    }

    /// Counted for each arrival beside its bytes, so that a flood of single bytes is bounded too.
    private static let overhead = 32

    private let bound: Int
    private let state = Mutex(State())

    /// `bound`: bytes.
    init(bound: Int) { self.bound = bound }

    /// The consumer's view; several iterators share it.
    func stream() -> AsyncThrowingStream<Arrival, any Error> {
        AsyncThrowingStream { try await self.next() }
    }

    /// False when there is no room: the inbox has then ended with `.overflow`, and what was in it is still delivered.
    func put(_ arrival: Arrival) -> Bool {
        let (fits, waiting) = state.withLock { state -> (Bool, CheckedContinuation<Void, Never>?) in
            guard !state.ended else { return (true, nil) }
            let size = arrival.bytes.count + Self.overhead
            let fits = state.size + size <= bound
            if fits {
                state.arrivals.append(arrival)
                state.size += size
            } else {
                state.ended = true
                state.failure = .overflow
            }
            return (fits, state.waiting.take())
        }
        waiting?.resume()
        return fits
    }

    /// What is in it is still delivered, then the failure, or the end.
    func end(_ failure: PortError?) {
        let waiting = state.withLock { state -> CheckedContinuation<Void, Never>? in
            if !state.ended {
                state.ended = true
                state.failure = failure
            }
            return state.waiting.take()
        }
        waiting?.resume()
    }

    private func next() async throws -> Arrival? {
        while !Task.isCancelled {
            let (arrival, ended, failure) = state.withLock { state -> (Arrival?, Bool, PortError?) in
                guard state.taken < state.arrivals.count else {
                    defer { if state.ended { state.failure = nil } }
                    return (nil, state.ended, state.failure)
                }
                let arrival = state.arrivals[state.taken]
                state.size -= arrival.bytes.count + Self.overhead
                state.taken += 1
                if state.taken == state.arrivals.count || state.taken > 1024 {
                    state.arrivals.removeFirst(state.taken)
                    state.taken = 0
                }
                return (arrival, false, nil)
            }
            if let arrival { return arrival }
            if let failure { throw failure }
            if ended { return nil }
            await somethingNew()
        }
        return nil
    }

    private func somethingNew() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let previous = state.withLock { state -> CheckedContinuation<Void, Never>? in
                    // What came between the look and now, or a cancellation, must not be slept through.
                    if state.taken < state.arrivals.count || state.ended || Task.isCancelled { return continuation }
                    let previous = state.waiting
                    state.waiting = continuation
                    return previous
                }
                previous?.resume()
            }
        } onCancel: {
            state.withLock { $0.waiting.take() }?.resume()
        }
    }
}
