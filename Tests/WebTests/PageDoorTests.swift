import Agent
import HTTPTypes
import Synchronization
import Testing

@testable import Web

/// A clock that moves only when a test says so.
private final class TestClock: Sendable {
    private let offset = Mutex(Duration.zero)
    private let zero = ContinuousClock.now

    var now: ContinuousClock.Instant { zero + offset.withLock { $0 } }
    func pass(_ duration: Duration) { offset.withLock { $0 += duration } }
}

@Suite struct PageSessionsTests {
    private let clock = TestClock()
    private let sessions: PageSessions

    init() {
        sessions = PageSessions(now: { [clock] in clock.now })
        sessions.listens(on: 8765)
    }

    private func invite(_ person: String = "claire") throws -> String {
        let url = try sessions.invite(person).url
        return String(try #require(url.split(separator: "#").last))
    }

    @Test func aWayInWorksOnce() throws {
        let token = try invite()
        let entered = try #require(sessions.enter(token))
        #expect(entered.session.person == "claire")
        #expect(sessions.session(cookie: entered.cookie)?.token == entered.session.token)
        #expect(sessions.enter(token) == nil)
        #expect(sessions.session(cookie: entered.session.token) == nil)
        #expect(sessions.session(cookie: "") == nil)
    }

    @Test func aWayInIsTooOldAfterAMinute() throws {
        let (early, late) = (try invite(), try invite())
        clock.pass(.seconds(59))
        #expect(sessions.enter(early) != nil)
        clock.pass(.seconds(1))
        #expect(sessions.enter(late) == nil)
    }

    @Test func aSessionEndsWithTheDay() throws {
        let entered = try #require(sessions.enter(try invite()))
        clock.pass(.seconds(12 * 3600 - 1))
        #expect(sessions.session(cookie: entered.cookie) != nil)
        clock.pass(.seconds(1))
        #expect(sessions.session(cookie: entered.cookie) == nil)
    }

    @Test func leavingEndsItForEverybodyWhoHasTheCookie() throws {
        let entered = try #require(sessions.enter(try invite()))
        sessions.leave(cookie: entered.cookie)
        #expect(sessions.session(cookie: entered.cookie) == nil)
    }

    @Test func noWayInWhileTheDoorIsClosed() throws {
        sessions.listens(on: 0)
        #expect(throws: Problem.pageClosed) { try sessions.invite("claire") }
    }

    @Test func tokensAreLongAndNeverTheSame() throws {
        let tokens = try (0..<10).map { _ in try invite() }
        #expect(Set(tokens).count == 10)
        #expect(tokens.allSatisfy { $0.utf8.count == 64 })
    }

    @Test func waysInAndSessionsAreLimited() throws {
        for _ in 0..<16 { _ = try invite() }
        #expect(throws: Problem.self) { try invite() }
        clock.pass(.seconds(60))
        let cookies = try (0..<17).map { _ in try #require(sessions.enter(try invite())).cookie }
        #expect(cookies.count { sessions.session(cookie: $0) != nil } == 16)
        #expect(sessions.session(cookie: cookies[16]) != nil)
    }
}

@Suite struct PageGuardTests {
    private let guardian = PageGuard(port: 8765)

    private func admits(
        _ host: String?, origin: String? = nil, site: String? = nil, mode: String? = nil, path: String = "/api/visits"
    ) -> Bool {
        var request = HTTPRequest(method: .get, scheme: "http", authority: host, path: path)
        request.headerFields[.origin] = origin
        request.headerFields[.secFetchSite] = site
        request.headerFields[.secFetchMode] = mode
        if mode != nil { request.headerFields[.secFetchDestination] = "document" }
        return guardian.admits(request)
    }

    @Test(arguments: ["127.0.0.1:8765", "localhost:8765"])
    func ourOwnNames(host: String) {
        #expect(admits(host))
        #expect(admits(host, origin: "http://\(host)", site: "same-origin"))
        #expect(admits(host, site: "none"))
    }

    @Test(arguments: [
        nil, "", "127.0.0.1", "127.0.0.1:8766", "127.evil.example", "127.0.0.1.evil.example:8765",
        "localhost.evil:8765",
        "[::1]:8765", "0.0.0.0:8765", "127.1:8765", "127.0.0.1:08765", "user@127.0.0.1:8765",
    ])
    func otherNames(host: String?) {
        #expect(!admits(host))
        #expect(!admits(host, origin: host.map { "http://\($0)" }, site: "same-origin"))
    }

    @Test(arguments: ["null", "", "http://evil.example", "https://127.0.0.1:8765", "http://localhost:8765"])
    func otherOrigins(origin: String) { #expect(!admits("127.0.0.1:8765", origin: origin)) }

    @Test func twoOriginsAreNotOurs() {
        var request = HTTPRequest(method: .get, scheme: "http", authority: "127.0.0.1:8765", path: "/")
        request.headerFields[values: .origin] = ["http://127.0.0.1:8765", "http://evil.example"]
        #expect(!guardian.admits(request))
    }

    @Test func onlyANavigationToTheEntranceMayComeFromElsewhere() {
        #expect(admits("127.0.0.1:8765", site: "cross-site", mode: "navigate", path: "/entrer"))
        #expect(!admits("127.0.0.1:8765", site: "cross-site", mode: "navigate", path: "/"))
        #expect(!admits("127.0.0.1:8765", site: "cross-site", mode: "no-cors", path: "/entrer"))
        #expect(!admits("127.0.0.1:8765", site: "same-site", path: "/api/visits"))
    }
}
