import Synchronization

/// How much the reader may be ahead of the pump. One reader waits; the pump never does.
final class Backlog: Sendable {
    private struct State {
        var size = 0
        var isOpen = false
        var waiting: CheckedContinuation<Void, Never>?
    }

    /// Bytes; an arrival of any size gets in where nothing is.
    static let bound = 1 << 17
    /// Counted for each arrival beside its bytes: a flood of single bytes is one too.
    private static let overhead = 64

    private let state = Mutex(State())

    /// Returns when there is room, or nobody takes anything any more.
    func enter(_ bytes: Int) async {
        await withCheckedContinuation { continuation in
            let mayGo = state.withLock { state in
                let mayGo = state.isOpen || state.size < Self.bound
                if !mayGo { state.waiting = continuation }
                return mayGo
            }
            if mayGo { continuation.resume() }
        }
        state.withLock { $0.size += bytes + Self.overhead }
    }

    func leave(_ bytes: Int) {
        state.withLock { state in
            state.size -= bytes + Self.overhead
            return state.size < Self.bound ? state.waiting.take() : nil
        }?.resume()
    }

    /// Nothing is taken any more: nobody waits.
    func open() {
        state.withLock { state in
            state.isOpen = true
            return state.waiting.take()
        }?.resume()
    }
}
