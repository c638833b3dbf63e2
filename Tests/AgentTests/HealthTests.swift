import Logging
import Ports
import Store
import Synchronization
import Testing

@testable import Agent

@Suite struct HealthTests {
    /// What the watchdog was given, to wait for and to count.
    private final class Bowl: Sendable {
        private let count = Mutex(0)
        private let portions: AsyncStream<Void>
        private let inlet: AsyncStream<Void>.Continuation

        init() { (portions, inlet) = AsyncStream.makeStream() }

        var now: Int { count.withLock { $0 } }

        func fill() {
            count.withLock { $0 += 1 }
            inlet.yield()
        }

        /// Returns after so many more.
        func wait(for more: Int) async {
            var left = more
            for await _ in portions {
                left -= 1
                if left == 0 { return }
            }
        }
    }

    private func health(
        beat: @escaping @Sendable () async throws(StoreError) -> Void = {},
        steps: @escaping @Sendable () -> UInt64 = { 0 },
        status: @escaping @Sendable () async throws -> String = { "Prêt." }, into bowl: Bowl
    ) -> Health {
        Health(
            Health.Signs(beat: beat, steps: steps, status: status), interval: .milliseconds(10), feed: { bowl.fill() },
            tell: { _ in }, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    /// Runs it for as long as the body takes.
    private func running(_ health: Health, _ body: () async -> Void) async {
        let task = Task { await health.run() }
        await body()
        task.cancel()
    }

    /// Ends when its task is cancelled; nothing else ends it.
    private static func hang() async {
        let (never, inlet) = AsyncStream.makeStream(of: Never.self)
        for await _ in never {}
        inlet.finish()
    }

    @Test func aStatusThatTakesLongMakesNoBeatLate() async {
        let bowl = Bowl()
        await running(
            health(
                status: {
                    await Self.hang(); return ""
                }, into: bowl)
        ) { await bowl.wait(for: 3) }
        #expect(bowl.now >= 3)
    }

    /// A key rotation or the purge of a large file holds the writer; while it works it is progress.
    @Test func aLongTransactionThatGoesOnIsProgress() async {
        let bowl = Bowl()
        let steps = Atomic<UInt64>(0)
        let health = health(
            beat: { () async throws(StoreError) in await Self.hang() },
            steps: { steps.wrappingAdd(1, ordering: .relaxed).newValue }, into: bowl)
        await running(health) { await bowl.wait(for: 3) }
        #expect(bowl.now >= 3)
    }

    @Test func aWriterThatStandsStillIsNone() async {
        let bowl = Bowl()
        let looks = Bowl()
        let health = health(
            beat: { () async throws(StoreError) in await Self.hang() },
            steps: {
                looks.fill()
                return 7
            }, into: bowl)
        await running(health) {
            await looks.wait(for: 6)
            #expect(bowl.now == 0)
        }
    }

    @Test func aFullDiskIsAnAnswerAndAnotherFailureIsNone() async {
        let bowl = Bowl()
        await running(health(beat: { () async throws(StoreError) in throw .diskFull }, into: bowl)) {
            await bowl.wait(for: 3)
        }
        let none = Bowl()
        let asked = Bowl()
        let failing = health(
            beat: { () async throws(StoreError) in
                asked.fill()
                throw .system("I/O error")
            }, into: none)
        await running(failing) { await asked.wait(for: 4) }
        #expect(none.now == 0)
    }

    /// A night that is rendered on a slow laptop keeps every thread of the pool for a while.
    @Test func aBusyPoolMakesNoBeatLate() async {
        let bowl = Bowl()
        let health = health(beat: { () async throws(StoreError) in await PortsThread.turn() }, into: bowl)
        await running(health) {
            await bowl.wait(for: 1)
            let enough = bowl.now + 3
            let end = ContinuousClock.now + .seconds(5)
            await withTaskGroup(of: Void.self) { group in
                for _ in 0..<64 {
                    group.addTask { @concurrent in
                        while bowl.now < enough, ContinuousClock.now < end {}
                    }
                }
            }
            #expect(bowl.now >= enough, "not fed while the pool was busy")
        }
    }

    @Test func aPoolThatNeverAnswersIsAFault() async {
        let bowl = Bowl()
        let asked = Bowl()
        var health = health(
            beat: { () async throws(StoreError) in asked.fill() },
            status: {
                await Self.hang(); return ""
            }, into: bowl)
        health.patience = .zero
        await running(health) { await asked.wait(for: 4) }
        #expect(bowl.now == 0)
    }

    // MARK: Before READY

    @Test func aStartIsWaitedForWhileBytesMove() async {
        let asks = Bowl()
        let bytes = Atomic<UInt64>(0)
        let task = Task {
            await StartPatience.extend(
                every: .milliseconds(5), bytes: { bytes.wrappingAdd(4096, ordering: .relaxed).newValue },
                ask: { asks.fill() })
        }
        await asks.wait(for: 3)
        task.cancel()
        let none = Bowl()
        let looks = Bowl()
        let standing = Task {
            await StartPatience.extend(
                every: .milliseconds(5),
                bytes: {
                    looks.fill()
                    return 4096
                }, ask: { none.fill() })
        }
        await looks.wait(for: 5)
        standing.cancel()
        #expect(none.now == 0)
    }

    @Test func whatThisProcessReadsIsCounted() {
        let before = StartPatience.bytesMoved()
        #expect(before > 0 && StartPatience.bytesMoved() > before)
    }
}
