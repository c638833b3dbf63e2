import Agent
import FoundationEssentials
import Testing
import Uplink

@Suite("What the sync engine does next")
struct SyncStateMachineTests {
    typealias Machine = SyncStateMachine

    let document = UUID()
    let other = UUID()

    func machine() -> Machine { Machine(shortestPause: 5, longestPause: 300, worklistInterval: 300) }

    func online() -> Machine {
        var machine = machine()
        machine.succeeded(.greet, now: 0)
        machine.succeeded(.worklist, now: 0)
        machine.succeeded(.answers, now: 0)
        return machine
    }

    var work: Machine.Work {
        Machine.Work(unannounced: ["v1"], documents: [(document, "v1"), (other, "v2")], unfinished: ["v3"])
    }

    @Test func nothingBeforeTheServerIsKnown() {
        #expect(machine().next(work, now: 0) == .greet)
    }

    @Test func worklistThenFactsThenBytesThenFinal() {
        var machine = machine()
        machine.succeeded(.greet, now: 0)
        #expect(machine.next(work, now: 0) == .worklist)
        machine.succeeded(.worklist, now: 0)
        #expect(machine.next(work, now: 1) == .announce(visit: "v1"))
        machine.succeeded(.announce(visit: "v1"), now: 1)
        var left = work
        left.unannounced = []
        #expect(machine.next(left, now: 1) == .answers)
        machine.succeeded(.answers, now: 1)
        #expect(machine.next(left, now: 1) == .bytes(document))
        left.documents = []
        #expect(machine.next(left, now: 1) == .finish(visit: "v3"))
        left.unfinished = []
        #expect(machine.next(left, now: 1) == .rest(until: 300))
        #expect(machine.next(left, now: 300) == .worklist)
    }

    /// Once a server may have been told of a document, nobody here can say any more that it is somebody else's: an agent
    /// that was online this morning doesn't try it in a house without a network.
    @Test func aServerThatWasSilentIsAskedWhetherItIsThereBeforeItIsToldOfAnythingNew() {
        var machine = online()
        #expect(machine.next(work, now: 5) == .announce(visit: "v1"))
        #expect(machine.next(work, now: 60) == .knock)
        _ = machine.failed(.knock, .link("x"), now: 61, jitter: 0)
        #expect(machine.next(work, now: 62) == .rest(until: 66))
        #expect(machine.next(work, now: 66) == .greet)
        machine.succeeded(.greet, now: 67)
        #expect(machine.next(work, now: 67) == .announce(visit: "v1"))
        #expect(machine.next(work, now: 80) == .knock)
        machine.succeeded(.knock, now: 81)
        #expect(machine.next(work, now: 81) == .announce(visit: "v1"))
        // It answered, if only that it is busy; what waits for its time asks for no greeting.
        let busy = UplinkError.transient(status: 503, retryAfter: .seconds(30))
        _ = machine.failed(.announce(visit: "v1"), busy, now: 81, jitter: 0)
        #expect(machine.next(work, now: 86) == .bytes(document))
        // Its bytes would be a first word, too.
        #expect(machine.next(work, now: 87) == .knock)
        #expect(machine.next(Machine.Work(documents: [(document, "v1")]), now: 87) == .bytes(document))
    }

    @Test func bytesWaitForTheFactsOfTheirVisitOnly() {
        var machine = online()
        _ = machine.failed(.announce(visit: "v1"), .transient(status: 503, retryAfter: nil), now: 1, jitter: 0)
        // v1's facts failed and pause; its bytes and v2's go on.
        #expect(machine.next(work, now: 1) == .bytes(document))
    }

    @Test(arguments: [
        (UplinkError.link("x"), "offline"), (.tls("x"), "certificate"), (.captivePortal("x"), "portal"),
        (.unauthorised, "unauthorised"), (.version("x"), "version"),
    ])
    func theLinkPausesAsAWholeAndNoItemIsBlamed(error: UplinkError, reason: String) {
        var machine = online()
        #expect(machine.failed(.bytes(document), error, now: 10, jitter: 0.5) == .none)
        guard case .paused(let until, let why) = machine.link else {
            Issue.record("not paused")
            return
        }
        #expect(why == reason)
        #expect(machine.next(work, now: 10) == .rest(until: until))
        #expect(machine.next(work, now: until) == .greet)
    }

    /// The line breaks under this one each time, and a greeting goes well in between.
    @Test(arguments: [Machine.Step.announce(visit: "v1"), .worklist, .reply("q"), .entries(visit: "v1")])
    func whatAlwaysBreaksItsConnectionWaits(step: Machine.Step) {
        var machine = online()
        #expect(machine.failed(step, .link("reset"), now: 0, jitter: 0) == .none)
        machine.succeeded(.greet, now: 5)
        guard case .retry(let at) = machine.failed(step, .link("reset"), now: 5, jitter: 0) else {
            Issue.record("it goes first again")
            return
        }
        guard case .paused(let until, _) = machine.link else {
            Issue.record("the link pauses all the same")
            return
        }
        #expect(at > until)
        machine.succeeded(.greet, now: until)
        #expect(machine.next(work, now: until) != step)
        // It is tried for ever, and never set aside.
        var now = at
        var last = 0.0
        for _ in 0..<50 {
            guard case .retry(let next) = machine.failed(step, .link("reset"), now: now, jitter: 0.9) else {
                Issue.record("only ever a retry")
                return
            }
            last = next - now
            machine.succeeded(.greet, now: next)
            now = next
        }
        #expect(last >= 270)
        machine.succeeded(step, now: now)
        #expect(machine.failed(step, .link("reset"), now: now, jitter: 0) == .none)
        machine.networkChanged()
        #expect(machine.failed(step, .link("reset"), now: now, jitter: 0) == .none)
    }

    @Test func aNetworkThatDropsEverythingDelaysNobody() {
        var machine = online()
        for round in 0..<20 {
            let now = Double(round) * 1000
            #expect(machine.failed(.bytes(document), .link("down"), now: now, jitter: 0) == .none)
            #expect(machine.failed(.greet, .link("down"), now: now + 400, jitter: 0) == .none)
            machine.succeeded(.greet, now: now + 800)
        }
        // And one that lets some through each time, neither.
        for round in 20..<40 {
            #expect(machine.failed(.bytes(document), .link("cut"), now: Double(round) * 1000, jitter: 0) == .none)
            machine.progressed(document)
            machine.succeeded(.greet, now: Double(round) * 1000 + 500)
        }
    }

    @Test func pausesGrowUpToTheLongestAndANudgeEndsThem() {
        var machine = machine()
        var now = 0.0
        var last = 0.0
        for _ in 0..<20 {
            _ = machine.failed(.greet, .link("down"), now: now, jitter: 0.99)
            guard case .paused(let until, _) = machine.link else { return }
            #expect(until - now <= 300.001)
            #expect(until - now >= min(last, 290))
            last = until - now
            now = until
        }
        #expect(last > 250)
        machine.nudge()
        #expect(machine.next(work, now: now) == .greet)
    }

    @Test func refusalCountsOnlyWhenRepeatedAfterTenMinutes() {
        var machine = online()
        let error = UplinkError.permanent(status: 422, "no")
        guard case .retry = machine.failed(.bytes(document), error, now: 0, jitter: 0) else {
            Issue.record("first refusal must be tried again")
            return
        }
        guard case .retry = machine.failed(.bytes(document), error, now: 599, jitter: 0) else {
            Issue.record("too early to believe it")
            return
        }
        #expect(machine.failed(.bytes(document), error, now: 601, jitter: 0) == .quarantine)
    }

    @Test func anotherAnswerStartsTheCountAnew() {
        var machine = online()
        _ = machine.failed(.bytes(document), .permanent(status: 404, ""), now: 0, jitter: 0)
        _ = machine.failed(.bytes(document), .permanent(status: 422, ""), now: 300, jitter: 0)
        guard case .retry = machine.failed(.bytes(document), .permanent(status: 422, ""), now: 700, jitter: 0) else {
            Issue.record("422 was first heard 400 s ago")
            return
        }
    }

    @Test func lockedUploadWaitsThirtySeconds() {
        var machine = online()
        let consequence = machine.failed(.bytes(document), .transient(status: 423, retryAfter: nil), now: 0, jitter: 0)
        guard case .retry(let at) = consequence else {
            Issue.record("must be tried again")
            return
        }
        #expect(at >= 30)
    }

    @Test func aLockThatTheServerOrTheUploadKnowsIsAskedForSoonAndLaterEachTime() {
        var machine = online()
        var delays: [Double] = []
        for round in 0..<7 {
            let error = UplinkError.transient(status: 423, retryAfter: .seconds(1))
            let now = Double(round)
            guard case .retry(let at) = machine.failed(.bytes(document), error, now: now, jitter: 0.5) else {
                Issue.record("must be tried again")
                return
            }
            delays.append(at - now)
        }
        #expect(delays == [1, 2, 4, 8, 16, 30, 30])
        machine.succeeded(.bytes(document), now: 100)
        #expect(
            machine.failed(.bytes(document), .transient(status: 423, retryAfter: .seconds(90)), now: 100, jitter: 0)
                == .retry(at: 190))
        #expect(
            machine.failed(.bytes(other), .transient(status: 423, retryAfter: .seconds(1)), now: 100, jitter: 0)
                == .retry(at: 101))
        // The others go on meanwhile.
        var left = work
        left.unannounced = []
        left.documents = [(other, "v2")]
        #expect(machine.next(left, now: 100) == .bytes(other))
    }

    @Test func aServerThatIsTooBusyIsLeftAlone() {
        var left = work
        left.unannounced = []
        left.unfinished = []
        // 429 is said of us, not of the document.
        var machine = online()
        _ = machine.failed(.bytes(document), .transient(status: 429, retryAfter: .seconds(40)), now: 1, jitter: 0)
        #expect(machine.next(left, now: 2) == .rest(until: 41))
        #expect(machine.next(left, now: 41) == .bytes(document))
        // 503 may be one document's bad luck; three of them aren't.
        machine = online()
        for id in [document, other] {
            _ = machine.failed(.bytes(id), .transient(status: 503, retryAfter: nil), now: 1, jitter: 0)
            #expect(machine.next(left, now: 1) == .bytes(document))
        }
        _ = machine.failed(.bytes(UUID()), .transient(status: 503, retryAfter: nil), now: 1, jitter: 0)
        #expect(machine.next(left, now: 1) == .rest(until: 6))
        machine.succeeded(.bytes(document), now: 6)
        _ = machine.failed(.bytes(document), .transient(status: 503, retryAfter: nil), now: 6, jitter: 0)
        #expect(machine.next(left, now: 6) == .bytes(document))
    }

    @Test func aFullServerStillGetsFactsButNoBytes() {
        var machine = online()
        guard case .retry(let at) = machine.failed(.bytes(document), .serverFull(retryAfter: nil), now: 0, jitter: 0)
        else {
            Issue.record("must be tried again")
            return
        }
        #expect(at >= 30)
        #expect(machine.next(work, now: 1) == .announce(visit: "v1"))
        var left = work
        left.unannounced = []
        left.unfinished = []
        #expect(machine.next(left, now: 1) == .rest(until: at))
        #expect(machine.next(left, now: at) == .bytes(document))
    }

    @Test func oneForbiddenItemIsPoisonAndThreeAreUs() {
        var machine = online()
        for id in [document, other] {
            guard case .retry = machine.failed(.bytes(id), .forbidden(""), now: 0, jitter: 0) else {
                Issue.record("only this item")
                return
            }
        }
        #expect(machine.failed(.bytes(UUID()), .forbidden(""), now: 0, jitter: 0) == .none)
        guard case .paused(_, "unauthorised") = machine.link else {
            Issue.record("the whole lane stops")
            return
        }
    }

    @Test func receiptsAreAskedForWhenTheyAreDueAndBytesGoOnMeanwhile() {
        var machine = online()
        var work = Machine.Work(documents: [(other, "v2")])
        work.unreceipted = [document: 10]
        #expect(machine.next(work, now: 5) == .bytes(other))
        #expect(machine.next(work, now: 10) == .receipt(document))
        work.documents = []
        #expect(machine.next(work, now: 5) == .rest(until: 10))
        #expect(!work.isEmpty)
        _ = machine.failed(.receipt(document), .transient(status: 503, retryAfter: nil), now: 10, jitter: 0)
    }

    @Test func visitsAreReportedLastAndAReportThatFailsHoldsNothingUp() {
        var machine = online()
        var work = Machine.Work()
        work.reports = ["v1": .completed, "v2": .inProgress]
        #expect(machine.next(work, now: 0) == .report(visit: "v1", .completed))
        _ = machine.failed(.report(visit: "v1", .completed), .permanent(status: 405, ""), now: 0, jitter: 0)
        #expect(machine.next(work, now: 0) == .report(visit: "v2", .inProgress))
        work.documents = [(document, "v1")]
        #expect(machine.next(work, now: 0) == .bytes(document))
    }

    @Test func anotherNetworkEndsAPause() {
        var machine = online()
        _ = machine.failed(.bytes(document), .link("gone"), now: 0, jitter: 0)
        machine.networkChanged()
        #expect(machine.next(work, now: 0) == .greet)
    }

    @Test func retryAfterIsHonoured() {
        var machine = online()
        let error = UplinkError.transient(status: 503, retryAfter: .seconds(120))
        #expect(machine.failed(.bytes(document), error, now: 0, jitter: 0) == .retry(at: 120))
    }
}
