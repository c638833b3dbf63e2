import HTTPTypes
import Hummingbird
import Synchronization

/// Faults that a test asks for on the command line: what real servers and networks get wrong (README, "Faults"). There is no
/// other way to switch one on.
///
/// A COUNT is a number, or `all`. A LANE is `facts` (POST /fhir), `task` (PUT /fhir/Task/…), `worklist` (GET /fhir/…),
/// `create` (POST /files), `bytes` (PATCH), `head` (HEAD), `receipt`, `hello` (discovery and ping), `token`, or `any`.
///
/// - `status=CODE:COUNT[:LANE]`: answered with CODE, and nothing is done
/// - `done-but-status=CODE:COUNT[:LANE]`: done, and answered with CODE all the same
/// - `stall=COUNT[:LANE]`: never answered
/// - `lose-answer=every:N`: each Nth POST, PUT, PATCH or DELETE is done, and the connection closed without its answer
/// - `drop-after-bytes=N`: the connection is cut in the middle of a body each N bytes of upload
/// - `offset=WAY:COUNT`: an offset in an answer to HEAD is a lie: `zero`, `ahead` (more than there is) or `end` (all of it)
/// - `corrupt=COUNT`: one byte of that many chunks is kept wrong, behind the back of Upload-Checksum
/// - `lie-in-receipt`: receipts carry another hash
/// - `slow-receipts=COUNT`: the first questions for a receipt are answered with 202
/// - `no-receipt=COUNT`: that many uploads end as if the server had been killed between the last byte and the receipt: complete to
///   HEAD, and for the receipt 404 until the upload is dropped or announced again
/// - `poison=ID`: every transaction that names the document is refused whole
/// - `portal=COUNT`: 200 and HTML to everything; `redirect=COUNT`: 302 to another host
/// - `no-metadata`: a finished upload is forgotten by the next HEAD (404), as by servers that clean up too early
/// - `wrong-certificate=name` or `=expired`: the certificate is for another host, or out of date
/// - `short-tokens=COUNT`: that many access tokens are worth nothing once they were used
final class Faults: Sendable {
    enum Lane: String, Sendable { case facts, task, worklist, create, bytes, head, receipt, hello, token, any, other }

    /// What becomes of one request.
    enum Fate: Sendable, Equatable {
        case served
        case refused(Int)
        case servedButRefused(Int)
        case stalled
        case portal
        case redirected
    }

    private struct Rule {
        var fate: Fate
        var left: Int
        var lane: Lane
    }

    private struct State {
        var rules: [Rule] = []
        var loseEvery: Int?
        var changes = 0
        var dropAfter: Int?
        var bytes = 0
        var offsets: (way: String, left: Int)?
        var corrupt = 0
        var slowReceipts = 0
        var noReceipts = 0
        var unreceipted: Set<String> = []
        var shortTokens = 0
    }

    private let state: Mutex<State>
    private let lies: Bool
    private let poison: [String]
    let forgetsFinished: Bool
    /// `name` or `expired`.
    let certificate: String?
    /// As given, for the warning at the start.
    let names: [String]

    init(_ switches: [String]) throws {
        var state = State()
        var lies = false
        var forgets = false
        var poison: [String] = []
        var certificate: String?
        for text in switches {
            let sides = text.split(separator: "=", maxSplits: 1).map(String.init)
            let value = sides.count > 1 ? sides[1] : ""
            let parts = value.split(separator: ":").map(String.init)
            func count(_ index: Int) throws -> Int {
                guard index < parts.count else { throw Trouble("--fault \(text): a COUNT is missing") }
                if parts[index] == "all" { return .max }
                guard let number = Int(parts[index]), number > 0 else {
                    throw Trouble("--fault \(text): a COUNT is a positive number, or all")
                }
                return number
            }
            func lane(_ index: Int) throws -> Lane {
                guard index < parts.count else { return .any }
                guard let lane = Lane(rawValue: parts[index]), lane != .other else {
                    throw Trouble("--fault \(text): there is no lane \(parts[index])")
                }
                return lane
            }
            func code() throws -> Int {
                guard let code = parts.first.flatMap({ Int($0) }), (300...599).contains(code) else {
                    throw Trouble("--fault \(text): CODE is from 300 to 599")
                }
                return code
            }
            switch sides.first {
            case "lie-in-receipt" where sides.count == 1: lies = true
            case "no-metadata" where sides.count == 1: forgets = true
            case "drop-after-bytes":
                guard let bytes = Int(value), bytes > 0 else { throw Trouble("--fault drop-after-bytes=BYTES") }
                state.dropAfter = bytes
            case "status":
                state.rules.append(Rule(fate: .refused(try code()), left: try count(1), lane: try lane(2)))
            case "done-but-status":
                state.rules.append(Rule(fate: .servedButRefused(try code()), left: try count(1), lane: try lane(2)))
            case "stall": state.rules.append(Rule(fate: .stalled, left: try count(0), lane: try lane(1)))
            case "portal": state.rules.append(Rule(fate: .portal, left: try count(0), lane: .any))
            case "redirect": state.rules.append(Rule(fate: .redirected, left: try count(0), lane: .any))
            case "lose-answer":
                guard value.hasPrefix("every:"), let every = Int(value.dropFirst(6)), every > 0 else {
                    throw Trouble("--fault lose-answer=every:COUNT")
                }
                state.loseEvery = every
            case "offset":
                guard let way = parts.first, ["zero", "ahead", "end"].contains(way) else {
                    throw Trouble("--fault offset=zero|ahead|end:COUNT")
                }
                state.offsets = (way, try count(1))
            case "corrupt": state.corrupt = try count(0)
            case "slow-receipts": state.slowReceipts = try count(0)
            case "no-receipt": state.noReceipts = try count(0)
            case "short-tokens": state.shortTokens = try count(0)
            case "poison" where !value.isEmpty: poison.append(value.lowercased())
            case "wrong-certificate" where ["name", "expired"].contains(value): certificate = value
            default: throw Trouble("unknown fault \(text)")
            }
        }
        self.state = Mutex(state)
        self.lies = lies
        self.poison = poison
        self.certificate = certificate
        forgetsFinished = forgets
        names = switches
    }

    static func lane(_ request: Request) -> Lane {
        let path = request.uri.path
        switch request.method {
        case .patch: return .bytes
        case .head where path.hasPrefix("/files"): return .head
        case .post where path.hasPrefix("/files"): return .create
        case .post where path == "/fhir" || path == "/fhir/": return .facts
        case .put where path.hasPrefix("/fhir/Task/"): return .task
        case .get where path.hasSuffix("/receipt"): return .receipt
        case .put where path.hasPrefix("/fhir/Binary/"): return .bytes
        case .get where path.hasPrefix("/fhir/Binary/"): return .receipt
        case .get where path.hasPrefix("/fhir/"): return .worklist
        case .get where path.hasPrefix("/.well-known/") || path.hasSuffix("/ping"): return .hello
        case .post where path.hasSuffix("/token"): return .token
        default: return .other
        }
    }

    func fate(_ lane: Lane) -> Fate {
        state.withLock { state in
            for index in state.rules.indices where state.rules[index].left > 0 {
                guard state.rules[index].lane == .any || state.rules[index].lane == lane else { continue }
                if state.rules[index].left < .max { state.rules[index].left -= 1 }
                return state.rules[index].fate
            }
            return .served
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

    /// The offset that HEAD names.
    func offset(_ position: Int, of length: Int) -> Int {
        state.withLock { state in
            guard let lie = state.offsets, lie.left > 0 else { return position }
            if lie.left < .max { state.offsets?.left -= 1 }
            return switch lie.way {
            case "zero": 0
            case "end": length
            default: min(length, position + 1000)
            }
        }
    }

    /// Whether this chunk is kept with a wrong byte.
    func corrupts() -> Bool { take(\.corrupt) }

    /// Whether this question for a receipt is put off.
    func putsOffReceipt() -> Bool { take(\.slowReceipts) }

    /// Whether this complete upload is never looked at again.
    func losesReceipt(of rid: String) -> Bool {
        guard take(\.noReceipts) else { return false }
        _ = state.withLock { $0.unreceipted.insert(rid) }
        return true
    }

    func hasLostReceipt(of rid: String) -> Bool { state.withLock { $0.unreceipted.contains(rid) } }

    /// The upload begins again, like any other.
    func findsReceipt(of rid: String) { _ = state.withLock { $0.unreceipted.remove(rid) } }

    /// Whether this token is worth nothing after its first use.
    func shortensToken() -> Bool { take(\.shortTokens) }

    private func take(_ count: WritableKeyPath<State, Int>) -> Bool {
        state.withLock { state in
            guard state[keyPath: count] > 0 else { return false }
            if state[keyPath: count] < .max { state[keyPath: count] -= 1 }
            return true
        }
    }

    func isPoisoned(_ id: String) -> Bool { poison.contains(id.lowercased()) }
    var hasPoison: Bool { !poison.isEmpty }
}
