/// One resumable upload (tus 1.0.0, sync.md 1.2) as decisions: answers in, the next request out. No clock, no network.
///
/// Believes nothing but the offset that the server names: after anything unclear it asks (HEAD) before the next byte. That all
/// bytes are there proves nothing either; the receipt does.
public struct Upload: Sendable, Equatable {
    public struct Limits: Sendable, Equatable {
        /// Bytes of one PATCH: the first, the least and the most.
        public var firstChunk: Int
        public var leastChunk: Int
        public var mostChunk: Int
        /// A chunk that took less doubles the next one, one that took more than `slow` halves it.
        public var fast: Duration
        public var slow: Duration
        /// Attempts that confirm no new byte, before it gives up for now.
        public var strikes: Int

        public init(
            firstChunk: Int = 256 << 10, leastChunk: Int = 16 << 10, mostChunk: Int = 4 << 20,
            fast: Duration = .seconds(2), slow: Duration = .seconds(10), strikes: Int = 3
        ) {
            let most = max(1, mostChunk)
            self.firstChunk = min(firstChunk, most)
            self.leastChunk = min(leastChunk, most)
            self.mostChunk = most
            self.fast = fast
            self.slow = slow
            self.strikes = strikes
        }
    }

    public struct Answer: Sendable, Equatable {
        public var status: Int
        /// `Upload-Offset` and `Upload-Length`.
        public var offset: Int?
        public var length: Int?
        /// Absolute, and on our origin.
        public var location: String?
        public var elapsed: Duration
        /// What a status other than 2xx means in general.
        public var refusal: UplinkError?
        /// A connection broke under the request before this answer came over another one.
        public var wasRepeated: Bool

        public init(
            status: Int, offset: Int? = nil, length: Int? = nil, location: String? = nil, elapsed: Duration = .zero,
            refusal: UplinkError? = nil, wasRepeated: Bool = false
        ) {
            self.wasRepeated = wasRepeated
            self.status = status
            self.offset = offset
            self.length = length
            self.location = location
            self.elapsed = elapsed
            self.refusal = refusal
        }
    }

    public enum Event: Sendable, Equatable {
        /// The answer to the last request, whatever its status.
        case answered(Answer)
        /// The last request got no answer, or one with the wrong origin; whether it arrived is unknown.
        case failed(UplinkError)
    }

    public enum Action: Sendable, Equatable {
        /// Write down where the upload is, before its first byte goes.
        case remember(location: String)
        /// Write down what the server has.
        case confirm(offset: Int)
        case create
        case ask(location: String)
        case append(location: String, offset: Int, count: Int, checksum: Bool)
        /// The server has `size` bytes.
        case finish
        case stop(UplinkError)
    }

    private enum Step: Sendable, Equatable { case idle, creating, asking, appending(count: Int), ended }

    public let size: Int
    private let limits: Limits
    private var location: String?
    private var offset = 0
    /// The most that the server ever named of this upload: one that goes to and fro makes no progress.
    private var furthest = 0
    /// The last byte went out, and what became of it is unknown.
    private var mayBeComplete = false
    /// What is known of the line; to be handed to the next upload.
    public private(set) var pace: Pace
    private var step = Step.idle
    private var strikes = 0
    private var creations = 0
    private var checksums: Bool
    /// Our own connection broke under it, so that a lock on it is probably ours.
    private var mayBeLocked: Bool

    /// - Parameters:
    ///   - size: bytes; may be 0.
    ///   - location: of an earlier attempt.
    ///   - checksums: whether the server checks each chunk.
    ///   - mayBeLocked: our own connection broke under it a short while ago.
    ///   - pace: of the upload before; nil when there was none.
    public init(
        size: Int, location: String?, checksums: Bool, limits: Limits = Limits(), mayBeLocked: Bool = false,
        pace: Pace? = nil
    ) {
        self.size = size
        self.location = location
        self.checksums = checksums
        self.limits = limits
        self.mayBeLocked = mayBeLocked
        self.pace = Pace(limits, after: pace)
    }

    public mutating func start() -> [Action] {
        guard step == .idle else { return [] }
        return [location == nil ? create() : ask()]
    }

    public mutating func handle(_ event: Event) -> [Action] {
        switch (step, event) {
        case (.idle, _), (.ended, _): return []
        case (_, .failed(let error)): return failed(error)
        case (.creating, .answered(let answer)): return created(answer)
        case (.asking, .answered(let answer)): return told(answer)
        case (.appending(let count), .answered(let answer)): return appended(answer, count: count)
        }
    }

    // MARK: Answers

    private mutating func created(_ answer: Answer) -> [Action] {
        switch answer.status {
        case 200, 201:
            guard let location = answer.location else { return [stop(.malformed("an upload without a Location"))] }
            self.location = location
            // The server may know the recording and name the upload that it has: its offset is what counts, and only a
            // fresh one (201) begins at 0. Were that wrong, the first PATCH answers 409.
            self.offset = 0
            let isFresh = answer.status == 201 && answer.offset ?? 0 == 0
            return [.remember(location: location), isFresh ? append() : ask()]
        default: return refused(answer)
        }
    }

    private mutating func told(_ answer: Answer) -> [Action] {
        switch answer.status {
        case 200, 204:
            guard let offset = answer.offset else { return again(.malformed("no Upload-Offset")) }
            // Another length is another upload; more than everything is no upload at all.
            guard answer.length ?? size == size, (0...size).contains(offset) else { return anew() }
            return advance(to: offset)
        case 404, 410: return gone()
        default: return refused(answer)
        }
    }

    private mutating func appended(_ answer: Answer, count: Int) -> [Action] {
        if answer.wasRepeated {
            mayBeLocked = true
            mayBeComplete = mayBeComplete || offset + count >= size
            _ = pace.wasCut(limits)
        }
        switch answer.status {
        case 200, 204:
            // Only an offset within what we sent is an answer to it.
            guard let offset = answer.offset, offset > self.offset, offset <= self.offset + count else {
                return again(.malformed("an offset that does not follow"))
            }
            pace.arrived(count, in: answer.elapsed, limits)
            return advance(to: offset)
        case 404, 410: return gone()
        case 400 where checksums:
            // An algorithm that was offered and isn't known.
            checksums = false
            return again(.permanent(status: 400, "a chunk was refused"))
        case 409, 415, 460: return again(.permanent(status: answer.status, "a chunk was refused"))
        case 413:
            guard pace.isTooLarge(count, limits) else { return [stop(.permanent(status: 413, "a chunk is too large"))] }
            return again(.permanent(status: 413, "a chunk is too large"))
        default: return refused(answer)
        }
    }

    private mutating func failed(_ error: UplinkError) -> [Action] {
        switch error {
        case .link, .malformed:
            // The bytes may have arrived. Without a location nothing is lost but an orphan, that expires.
            guard location != nil, case .appending(let count) = step else { return [stop(error)] }
            mayBeLocked = true
            mayBeComplete = mayBeComplete || offset + count >= size
            // As long as a smaller chunk can be tried, a cut says something about the chunk, not about the upload.
            guard !pace.wasCut(limits) else { return [ask()] }
            return again(error)
        default: return [stop(error)]
        }
    }

    // MARK: Next steps

    private mutating func advance(to new: Int) -> [Action] {
        if new > furthest {
            strikes = 0
            furthest = new
        }
        offset = new
        guard new < size else {
            step = .ended
            return [.confirm(offset: new), .finish]
        }
        return [.confirm(offset: new), append()]
    }

    private mutating func append() -> Action {
        guard let location else { return create() }
        guard offset < size else {
            // An empty upload is complete when it is created; ask, since only the server's word counts.
            return ask()
        }
        let count = min(pace.chunk, size - offset)
        step = .appending(count: count)
        return .append(location: location, offset: offset, count: count, checksum: checksums)
    }

    private mutating func ask() -> Action {
        guard let location else { return create() }
        step = .asking
        return .ask(location: location)
    }

    private mutating func create() -> Action {
        location = nil
        offset = 0
        furthest = 0
        mayBeComplete = false
        creations += 1
        // Each new upload may make progress before it is forgotten, so strikes alone would not end this.
        guard creations <= limits.strikes else {
            return stop(.malformed("the server forgets the upload again and again"))
        }
        step = .creating
        return .create
    }

    private mutating func strike(_ error: UplinkError) -> Action? {
        strikes += 1
        return strikes >= limits.strikes ? stop(error) : nil
    }

    private mutating func again(_ error: UplinkError) -> [Action] { [strike(error) ?? ask()] }

    /// A server that clears complete uploads away says the same of one that it never completed: only the receipt tells, and is asked
    /// for before the next attempt. All bytes twice would be the price on the slowest lines.
    private mutating func gone() -> [Action] {
        mayBeComplete ? [stop(.transient(status: 404, retryAfter: .zero))] : anew()
    }

    /// The upload is gone, expired or another one's: a new one under the same identity.
    private mutating func anew() -> [Action] {
        [create()]
    }

    private mutating func refused(_ answer: Answer) -> [Action] {
        switch answer.refusal {
        // A lock that a dead connection holds lives about half a minute (sync.md 1.2.2), unless the server says so itself. When the
        // dead connection is our own it is worth asking sooner: many servers notice the new request and let go.
        case .transient(423, let retryAfter):
            return [stop(.transient(status: 423, retryAfter: retryAfter ?? .seconds(mayBeLocked ? 1 : 30)))]
        case .transient(503, let retryAfter):
            return [stop(.transient(status: 503, retryAfter: max(retryAfter ?? .zero, .seconds(30))))]
        case .some(let error): return [stop(error)]
        case nil: return [stop(.malformed("status \(answer.status) to an upload"))]
        }
    }

    private mutating func stop(_ error: UplinkError) -> Action {
        step = .ended
        return .stop(error)
    }
}
