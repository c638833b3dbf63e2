import Synchronization
import Testing

@testable import Agent

@Suite("How far the reader is ahead of the pump", .timeLimit(.minutes(1)))
struct BacklogTests {
    @Test("as far as the bound, and not at all in the way when nothing is taken any more")
    func bound() async {
        let backlog = Backlog()
        let ahead = Mutex((now: 0, most: 0))
        let (arrivals, inlet) = AsyncStream.makeStream(of: Void.self)
        let reader = Task {
            for _ in 0..<5000 {
                await backlog.enter(4096)
                ahead.withLock { $0 = ($0.now + 1, max($0.most, $0.now + 1)) }
                inlet.yield()
            }
            inlet.finish()
        }
        var count = 0
        for await _ in arrivals {
            count += 1
            if count % 100 == 0 { await Task.yield() }
            ahead.withLock { $0.now -= 1 }
            backlog.leave(4096)
        }
        await reader.value
        #expect(count == 5000)
        #expect(ahead.withLock { $0.most } <= Backlog.bound / (4096 + 64) + 1)
        backlog.open()
        for _ in 0..<100 { await backlog.enter(1 << 20) }
    }
}
