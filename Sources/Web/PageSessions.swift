public import Agent
import Synchronization

/// Who may use the page. A way in is asked for through the socket (so the kernel has checked the group), works once and
/// for a minute; it is swapped for a session: a cookie that no script can read, and a token that only scripts of the page
/// know and send as a header. Neither is enough alone: a cookie is sent to every port of 127.0.0.1, so another program's
/// page could collect it; and the header's token can't be sent by a foreign page.
///
/// Sessions live in memory: after a restart of the agent the page is opened anew.
public final class PageSessions: Sendable {
    /// A browser's session.
    public struct Session: Sendable {
        /// Who asked for the way in.
        public var person: String
        /// What the page sends as `X-ESS-Page` with every request.
        public var token: String
        var ends: ContinuousClock.Instant
    }

    private struct State {
        var port = 0
        var invitations: [String: (person: String, ends: ContinuousClock.Instant)] = [:]
        /// By the cookie's value.
        var sessions: [String: Session] = [:]
    }

    /// One nurse's day.
    static let lifetime = Duration.seconds(12 * 3600)
    static let invitationLifetime = Duration.seconds(60)
    private static let limit = 16
    private let now: @Sendable () -> ContinuousClock.Instant
    private let state = Mutex(State())

    /// - Parameter now: a clock that goes on while the laptop sleeps.
    public init(now: @escaping @Sendable () -> ContinuousClock.Instant = { .now }) { self.now = now }

    /// The page's door has opened on this port; 0: it is closed.
    func listens(on port: Int) { state.withLock { $0.port = port } }

    /// A way into the page that works once.
    /// - Throws: `Problem.pageClosed` while the door isn't open: the port may be somebody else's then, and a token in its
    ///   address would be given away.
    public func invite(_ person: String) throws(Problem) -> PageTokenView {
        let token = Self.secret()
        let time = now()
        let port = state.withLock { state in
            state.invitations = state.invitations.filter { $0.value.ends > time }
            guard state.port != 0, state.invitations.count < Self.limit else { return 0 }
            state.invitations[token] = (person, time + Self.invitationLifetime)
            return state.port
        }
        guard port != 0 else { throw .pageClosed }
        // A fragment never reaches a log, a proxy or the server.
        return PageTokenView(
            url: "http://127.0.0.1:\(port)/entrer#\(token)", validFor: Int(Self.invitationLifetime.components.seconds))
    }

    /// Swaps a way in for a session; nil when it is unknown, used or too old.
    func enter(_ token: String) -> (cookie: String, session: Session)? {
        let time = now()
        return state.withLock { state in
            // Tokens have 256 random bits: what a look-up's duration tells about them helps nobody.
            guard let invitation = state.invitations.removeValue(forKey: token), invitation.ends > time else {
                return nil
            }
            state.sessions = state.sessions.filter { $0.value.ends > time }
            if state.sessions.count >= Self.limit,
                let oldest = state.sessions.min(by: { $0.value.ends < $1.value.ends })
            {
                state.sessions[oldest.key] = nil
            }
            let session = Session(person: invitation.person, token: Self.secret(), ends: time + Self.lifetime)
            let cookie = Self.secret()
            state.sessions[cookie] = session
            return (cookie, session)
        }
    }

    func session(cookie: String) -> Session? {
        let time = now()
        return state.withLock { state in
            guard let session = state.sessions[cookie] else { return nil }
            guard session.ends > time else {
                state.sessions[cookie] = nil
                return nil
            }
            return session
        }
    }

    func leave(cookie: String) { state.withLock { _ = $0.sessions.removeValue(forKey: cookie) } }

    /// 256 bits from the kernel, as hexadecimal.
    private static func secret() -> String {
        var random = SystemRandomNumberGenerator()
        return (0..<4).map { _ in
            let hex = String(random.next() as UInt64, radix: 16)
            return String(repeating: "0", count: 16 - hex.count) + hex
        }.joined()
    }
}
