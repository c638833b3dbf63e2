/// How large a chunk this line bears, learned from one upload to the next.
///
/// A server that checks chunks (tus `checksum`) keeps nothing of one that is cut, so each cut costs half a chunk on average; a small
/// chunk costs a round trip. As long as nothing was cut chunks double while they go fast; after the first cut only when many in a row
/// went well, so that on a line that is cut again and again they stay where both costs are small.
public struct Pace: Sendable, Equatable {
    /// Bytes of the next PATCH.
    public private(set) var chunk: Int
    /// What something in between takes at most, as far as it said so (413).
    private var largest: Int
    private var wasEverCut = false
    /// Whole chunks that went well since the last change.
    private var streak = 0

    /// Bytes per second of the last whole chunk, from its first byte to the server's answer.
    private var rate = 0.0

    /// The largest chunks go fast, and nothing was ever cut.
    public var isUnbounded: Bool { !wasEverCut && chunk >= largest }

    /// Bytes of documents that may be under way at once without holding the first of them up: one chunk; on a fast line four of the
    /// largest, or what it carries in a second.
    public var together: Int { isUnbounded ? max(4 * chunk, Int(min(rate, 1e9))) : chunk }

    /// Two uploads on one line at the same time: the one that was cut knows more.
    func joined(_ other: Pace?) -> Pace {
        guard let other, other.wasEverCut, !wasEverCut else { return self }
        return other
    }

    /// Whole chunks in a row that are believed after a cut.
    static let enough = 16

    init(_ limits: Upload.Limits, after before: Pace?) {
        largest = min(before?.largest ?? limits.mostChunk, limits.mostChunk)
        chunk = min(before?.chunk ?? limits.firstChunk, largest)
        wasEverCut = before?.wasEverCut ?? false
        streak = before?.streak ?? 0
    }

    mutating func arrived(_ count: Int, in elapsed: Duration, _ limits: Upload.Limits) {
        if elapsed > limits.slow { return change(to: max(limits.leastChunk, chunk / 2)) }
        guard elapsed < limits.fast, count == chunk else { return }
        rate = Double(count) / max(1e-3, elapsed / .seconds(1))
        streak += 1
        if !wasEverCut || streak >= Self.enough { change(to: min(chunk * 2, largest)) }
    }

    /// - Returns: whether a smaller chunk is worth trying.
    mutating func wasCut(_ limits: Upload.Limits) -> Bool {
        wasEverCut = true
        streak = 0
        guard chunk > limits.leastChunk else { return false }
        change(to: max(limits.leastChunk, chunk / 2))
        return true
    }

    /// - Returns: whether a smaller chunk is worth trying. What is too large is learned once, not at the price of a chunk each time.
    mutating func isTooLarge(_ count: Int, _ limits: Upload.Limits) -> Bool {
        guard chunk > limits.leastChunk else { return false }
        change(to: max(limits.leastChunk, min(chunk, count) / 2))
        largest = chunk
        return true
    }

    private mutating func change(to new: Int) {
        chunk = new
        streak = 0
    }
}
