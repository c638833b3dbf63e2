import Clinical
import Devices
import Testing

@testable import Devices

/// Erasing an oximeter's memory: everything or nothing, and only what the server has.
@Suite("Contec oximeter: erasing its memory")
struct ContecOximeterErasureTests {
    typealias Driver = ContecOximeterDriverTests
    typealias Configuration = ContecOximeterSimulator.Configuration

    static func nights(_ change: @escaping (inout Configuration) -> Void) -> (inout Configuration) -> Void {
        let start = LocalTime(year: 2026, month: 11, day: 21, hour: 22, minute: 40, second: 0)
        return { device in
            device.memory = (0..<2).map {
                ContecOximeterNight(segment: UInt8($0), start: start, seconds: 60 + $0, seed: 3)
            }
            change(&device)
        }
    }

    /// As a download names them.
    static func sources() -> Set<String> {
        var bench = Driver.bench(.download(known: []), nights { _ in })
        bench.run(until: 200)
        return Set(bench.recordings.compactMap(\.start.item?.source))
    }

    static func session(
        received: Set<String>? = nil, isConfirmed: Bool = true,
        _ change: @escaping (inout Configuration) -> Void = { _ in }
    ) -> (bench: Bench, erased: Int) {
        var bench = Driver.bench(.erase(received: received ?? sources(), isConfirmed: isConfirmed), nights(change))
        bench.run(until: 200)
        return (bench, (bench.device as? ContecOximeterSimulator)?.eraseCommands ?? -1)
    }

    @Test("what is received goes; asked afterwards, the device holds nothing")
    func erases() {
        let (bench, commands) = Self.session()
        #expect(bench.finish == .done && commands == 1)
        #expect(bench.skipped.count == 2)
        #expect(bench.sent.filter { $0.count == 9 && $0[2] == 0xAE } == [bytes("7D 85 AE 80 FF 80 80 80 80")])
        var again = Bench(ContecOximeterProtocol(goal: .download(known: [])), bench.device)
        again.run(until: 200)
        #expect(again.finish == .done && again.recordings.isEmpty)
        #expect(bench.violations.isEmpty)
    }

    @Test("without a person's word it only looks")
    func looks() {
        let (bench, commands) = Self.session(isConfirmed: false)
        #expect(bench.finish == .done && bench.skipped.count == 2 && commands == 0)
    }

    @Test("one night without a receipt, and nothing goes")
    func holdsMore() throws {
        let all = Self.sources()
        #expect(all.count == 2)
        let (bench, commands) = Self.session(received: [try #require(all.first)])
        #expect(bench.finish == .holdsMore(1) && commands == 0)
        let (none, never) = Self.session(received: [])
        #expect(none.finish == .holdsMore(2) && never == 0)
    }

    @Test("a night that nobody fetched stays, also with the start and length of one that was")
    func twins() {
        let (bench, commands) = Self.session { $0.memory[1].seed = 4 }
        #expect(bench.finish == .holdsMore(1) && commands == 0 && bench.skipped.count == 1)
        #expect(bench.recordings.isEmpty && bench.violations.isEmpty)
    }

    @Test("an empty memory is not erased")
    func empty() {
        let (bench, commands) = Self.session { $0.memory = [] }
        #expect(bench.finish == .done && commands == 0 && bench.skipped.isEmpty)
    }

    /// A3 and A4 tell what is there; A5 tells when: without it the night isn't the one that was received.
    @Test(
        "a device that doesn't say what it holds loses nothing", arguments: [0xA3, 0xA4, 0xA5] as [UInt8],
        [false, true])
    func evasive(_ code: UInt8, refuses: Bool) {
        let (bench, commands) = Self.session { device in
            if refuses { device.unsupported = [code] } else { device.silent = [code] }
        }
        #expect(commands == 0)
        switch bench.finish {
        case .deviceEnded, .holdsMore: break
        default: Issue.record("\(String(describing: bench.finish))")
        }
    }

    @Test("a device that can't erase says so")
    func unable() {
        let (bench, commands) = Self.session { $0.unsupported = [0xAE] }
        #expect(bench.finish == .deviceEnded("erase: not supported") && commands == 0)
    }

    @Test("refused, or only said to be done: the session says so")
    func unclear() {
        let (failed, _) = Self.session { $0.eraseReason = 0x04 }
        #expect(failed.finish == .deviceEnded("erase: delete failed"))
        let (lied, commands) = Self.session { $0.erasesNothing = true }
        #expect(lied.finish == .deviceEnded("the memory isn't empty after it was erased") && commands == 1)
    }

    @Test("pulled or stopped at any step, it never says that it is done when the memory is still full")
    func interrupted() {
        let whole = Self.session().bench
        for step in 1...whole.actions {
            var bench = Driver.bench(.erase(received: Self.sources(), isConfirmed: true), Self.nights { _ in })
            bench.run(until: 200) { $0.actions >= step }
            if bench.finish != nil { continue }
            bench.unplug()
            #expect(bench.finish != nil && bench.finish != .done, "step \(step)")
        }
    }
}
