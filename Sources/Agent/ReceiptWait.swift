/// A complete upload whose receipt isn't there: when to ask again, and when asking is over.
///
/// A server that was killed between the last byte and the receipt may never give one, however often it is asked: complete by its
/// own word, unknown by its own word. Then the same bytes are sent once more from their first one, under the same identity; if that
/// ends the same way it is a person's matter. Pure: no clock, no network.
public struct ReceiptWait: Sendable, Equatable {
    public enum Answer: Sendable, Equatable {
        /// "Not yet" (202), with the seconds that the server asks for.
        case checking(after: Double?)
        /// It knows of no such recording (404).
        case unknown
    }

    public enum Next: Sendable, Equatable {
        case ask(at: Double)
        /// From the first byte, once.
        case sendAgain
        case setAside
    }

    /// Answers "unknown" in a row that are believed.
    static let enough = 6
    /// A server that says that it is still checking gets this many refusal windows: one hour, and the second time six.
    static let checkingWindows = (first: 6.0, second: 36.0)

    /// When to ask next; monotonic seconds.
    public var due: Double
    private let since: Double
    private let isSecond: Bool
    private let shortest: Double
    private let window: Double
    private(set) var asked = 0
    private var unknowns = 0

    /// - Parameters:
    ///   - now: monotonic seconds.
    ///   - isSecond: these bytes were sent from the start twice already.
    ///   - shortest: the first pause, seconds; each next one is twice as long, at most half a minute.
    ///   - window: seconds after which the same refusal of the same thing is believed (sync.md 4.4).
    public init(now: Double, isSecond: Bool, shortest: Double, window: Double) {
        due = now
        since = now
        self.isSecond = isSecond
        self.shortest = shortest
        self.window = window
    }

    /// The server was asked, and has no receipt.
    public mutating func heard(_ answer: Answer, now: Double) -> Next {
        asked += 1
        let growing = min(30, shortest * Double(1 << min(asked - 1, 8)))
        let waited = now - since
        switch answer {
        case .unknown:
            unknowns += 1
            // Sending again costs bytes, setting aside costs a person: the second needs the whole window.
            if unknowns >= Self.enough, !isSecond || waited >= window { return isSecond ? .setAside : .sendAgain }
            due = now + growing
        case .checking(let after):
            unknowns = 0
            let patience = (isSecond ? Self.checkingWindows.second : Self.checkingWindows.first) * window
            if asked > Self.enough, waited >= patience { return isSecond ? .setAside : .sendAgain }
            due = now + min(max(after ?? growing, 0.2), 60)
        }
        return .ask(at: due)
    }
}
