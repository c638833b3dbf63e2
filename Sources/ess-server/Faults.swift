import Synchronization

/// Faults that a test asks for on the command line. There is no other way to switch one on.
///
/// - `drop-after-bytes=N`: the connection is cut in the middle of a body each N bytes of upload
/// - `lie-in-receipt`: receipts carry another hash
/// - `status=CODE:N`: the first N requests are answered with CODE, and nothing is done
/// - `lose-answer=every:N`: each Nth POST, PUT, PATCH or DELETE is done, and the connection closed without its answer
final class Faults: Sendable {
    private struct State {
        var status: (code: Int, left: Int)?
        var loseEvery: Int?
        var changes = 0
        var dropAfter: Int?
        var bytes = 0
    }

    private let state: Mutex<State>
    private let lies: Bool
    /// As given, for the warning at the start.
    let names: [String]

    init(_ switches: [String]) throws {
        var state = State()
        var lies = false
        for text in switches {
            let sides = text.split(separator: "=", maxSplits: 1).map(String.init)
            let value = sides.count > 1 ? sides[1] : ""
            switch sides.first {
            case "lie-in-receipt" where sides.count == 1: lies = true
            case "drop-after-bytes":
                guard let bytes = Int(value), bytes > 0 else { throw Trouble("--fault drop-after-bytes=BYTES") }
                state.dropAfter = bytes
            case "status":
                let parts = value.split(separator: ":").map { Int($0) }
                guard parts.count == 2, let code = parts[0], let count = parts[1], (400...599).contains(code), count > 0
                else { throw Trouble("--fault status=CODE:COUNT, CODE from 400 to 599") }
                state.status = (code, count)
            case "lose-answer":
                guard value.hasPrefix("every:"), let every = Int(value.dropFirst(6)), every > 0 else {
                    throw Trouble("--fault lose-answer=every:COUNT")
                }
                state.loseEvery = every
            default: throw Trouble("unknown fault \(text)")
            }
        }
        self.state = Mutex(state)
        self.lies = lies
        names = switches
    }

    /// The status that this request gets instead of being done.
    func status() -> Int? {
        state.withLock { state in
            guard let status = state.status, status.left > 0 else { return nil }
            state.status?.left -= 1
            return status.code
        }
    }

    func losesAnswer(to method: String) -> Bool {
        guard ["POST", "PUT", "PATCH", "DELETE"].contains(method) else { return false }
        return state.withLock { state in
            guard let every = state.loseEvery else { return false }
            state.changes += 1
            return state.changes.isMultiple(of: every)
        }
    }

    /// How many of these bytes still arrive before the connection is cut; nil when it is not.
    func cut(within bytes: Int) -> Int? {
        state.withLock { state in
            guard let limit = state.dropAfter else { return nil }
            state.bytes += bytes
            guard state.bytes >= limit else { return nil }
            let late = state.bytes - limit
            state.bytes = 0
            return bytes - late
        }
    }

    func receiptHash(_ sha256: String) -> String {
        guard lies, let first = sha256.first else { return sha256 }
        return (first == "0" ? "1" : "0") + sha256.dropFirst()
    }
}
