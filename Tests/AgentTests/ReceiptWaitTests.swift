import Agent
import Testing

@Suite("A complete upload without a receipt")
struct ReceiptWaitTests {
    func wait(isSecond: Bool) -> ReceiptWait { ReceiptWait(now: 0, isSecond: isSecond, shortest: 1, window: 600) }

    /// Asks whenever it is due, always with the same answer; when that ended, and how.
    func outcome(
        _ answer: ReceiptWait.Answer, isSecond: Bool, most: Int = 10_000
    ) -> (next: ReceiptWait.Next?, at: Double, asked: Int) {
        var wait = wait(isSecond: isSecond)
        var now = 0.0
        for count in 1...most {
            switch wait.heard(answer, now: now) {
            case .ask(let at):
                #expect(at > now && at <= now + 60)
                #expect(wait.due == at)
                now = at
            case let end: return (end, now, count)
            }
        }
        return (nil, now, most)
    }

    @Test func unknownSixTimesIsSentAgain() {
        let end = outcome(.unknown, isSecond: false)
        #expect(end.next == .sendAgain)
        #expect(end.asked == 6)
        #expect(end.at == 31)
    }

    @Test func theSecondTimeIsAPersonsMatterAfterTheWholeWindow() {
        let end = outcome(.unknown, isSecond: true)
        #expect(end.next == .setAside)
        #expect(end.at >= 600 && end.at < 640)
    }

    @Test func aServerThatIsCheckingGetsItsTime() {
        let first = outcome(.checking(after: nil), isSecond: false)
        #expect(first.next == .sendAgain && first.at >= 3600 && first.at < 3700)
        let second = outcome(.checking(after: 5), isSecond: true)
        #expect(second.next == .setAside && second.at >= 6 * 3600)
    }

    @Test func whatTheServerAsksForIsHonouredUpToAMinute() {
        for (asked, expected) in [(5.0, 5.0), (0, 0.2), (86_400, 60), (-3, 0.2)] {
            var wait = wait(isSecond: false)
            #expect(wait.heard(.checking(after: asked), now: 100) == .ask(at: 100 + expected))
        }
    }

    @Test func aSignOfLifeBetweenStartsTheCountAnew() {
        var wait = wait(isSecond: false)
        for _ in 0..<5 { _ = wait.heard(.unknown, now: 0) }
        _ = wait.heard(.checking(after: 1), now: 50)
        for _ in 0..<5 {
            guard case .ask = wait.heard(.unknown, now: 60) else {
                Issue.record("too early")
                return
            }
        }
        #expect(wait.heard(.unknown, now: 61) == .sendAgain)
    }
}
