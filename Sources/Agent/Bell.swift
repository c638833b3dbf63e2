import Synchronization

/// A bell: many may ring, one waits; rings while nobody waits count as one. (An `AsyncStream` won't do: cancelling one
/// wait ends the whole stream.)
public final class Bell: Sendable {
    private struct State {
        var hasRung = false
        var waiter: CheckedContinuation<Void, Never>?
    }

    private let state = Mutex(State())

    public init() {}

    public func ring() {
        let waiter = state.withLock { state in
            defer { state.waiter = nil }
            state.hasRung = state.waiter == nil
            return state.waiter
        }
        waiter?.resume()
    }

    /// Waits for a ring, at most `limit`; returns at once when cancelled. One waiter at a time. May return early once
    /// after a time-out: callers look at what they wait for, they don't count rings.
    public func wait(atMost limit: Duration?) async {
        let alarm = limit.map { limit in
            Task { if (try? await Task.sleep(for: limit)) != nil { ring() } }
        }
        defer { alarm?.cancel() }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isDue = state.withLock { state in
                    guard !state.hasRung, !Task.isCancelled else {
                        state.hasRung = false
                        return true
                    }
                    state.waiter = continuation
                    return false
                }
                if isDue { continuation.resume() }
            }
        } onCancel: {
            ring()
        }
    }
}
