import Clinical
import Devices
import Synchronization
import Testing
import Wire

@testable import Agent

/// Collects what a session says.
private final class Collector: SessionSink {
    private let state = Mutex<[DialogueAction]>([])
    private let refuseAfter: Int?

    init(refuseAfter: Int? = nil) { self.refuseAfter = refuseAfter }

    var actions: [DialogueAction] { state.withLock { $0 } }

    func perform(_ action: DialogueAction) async throws(Problem) {
        let count = state.withLock { actions in
            actions.append(action)
            return actions.count { if case .append = $0 { true } else { false } }
        }
        if let refuseAfter, count > refuseAfter { throw Problem.diskLow }
    }

    var samples: Int {
        actions.reduce(0) { if case .append(let block) = $1 { $0 + (block.samples.first?.count ?? 0) } else { $0 } }
    }

    var ends: [Recording.EndReason] { actions.compactMap { if case .end(let reason) = $0 { reason } else { nil } } }
}

/// Lives a hundred times as fast as its driver while the device says nothing: no test waits for a patient one. After `calmAfterRenewal` it is
/// less hurried: then the device answers, on a busy machine late.
private struct Impatient: Dialogue {
    private var dialogue: any Dialogue
    private let calmAfterRenewal: Bool
    private var isCalm = false

    init(_ dialogue: any Dialogue, calmAfterRenewal: Bool) {
        self.dialogue = dialogue
        self.calmAfterRenewal = calmAfterRenewal
    }

    mutating func start(at now: UInt64) -> [DialogueAction] { hurried(dialogue.start(at: now * 100)) }
    mutating func received(_ bytes: [UInt8], at now: UInt64) -> [DialogueAction] {
        hurried(dialogue.received(bytes, at: now * 100))
    }
    mutating func timerFired(at now: UInt64) -> [DialogueAction] { hurried(dialogue.timerFired(at: now * 100)) }
    mutating func stop(at now: UInt64) -> [DialogueAction] { hurried(dialogue.stop(at: now * 100)) }
    mutating func gone(at now: UInt64) -> [DialogueAction] { hurried(dialogue.gone(at: now * 100)) }

    private mutating func hurried(_ actions: [DialogueAction]) -> [DialogueAction] {
        if calmAfterRenewal, actions.contains(.renew) { isCalm = true }
        return actions.map { if case .ask(let duration) = $0 { .ask(isCalm ? duration : duration / 100) } else { $0 } }
    }
}

/// Is busy with the first thing that it is given until the driver's wait is over, and a second longer.
private final class SlowDisk: SessionSink {
    private let clock = HostClock()
    private let freed = Mutex<UInt64>(0)
    private let fired = Mutex<UInt64>(0)
    private let (waits, waited) = AsyncStream.makeStream(of: Void.self)

    /// When it was ready again, nanoseconds.
    var freedAt: UInt64 { freed.withLock { $0 } }
    /// What the driver was told for the end of its wait.
    var firedAt: UInt64 { fired.withLock { $0 } }

    func waitIsOver() { waited.yield() }
    func fired(at time: UInt64) { fired.withLock { $0 = time } }

    func perform(_ action: DialogueAction) async throws(Problem) {
        guard freedAt == 0 else { return }
        for await _ in waits { break }
        // For the two steps between the end of the wait and its being told.
        try? await Task.sleep(for: .seconds(1))
        freed.withLock { $0 = clock.monotonic }
    }
}

/// Waits for a moment, has something kept meanwhile, and ends when its wait is over.
private struct Waiting: Dialogue {
    let disk: SlowDisk

    mutating func start(at now: UInt64) -> [DialogueAction] {
        [.ask(.milliseconds(1)), .note(Note(kind: .device, text: "kept"))]
    }
    mutating func received(_ bytes: [UInt8], at now: UInt64) -> [DialogueAction] { [] }
    mutating func timerFired(at now: UInt64) -> [DialogueAction] {
        disk.fired(at: now)
        return [.finish(.done)]
    }
    mutating func stop(at now: UInt64) -> [DialogueAction] { [.finish(.done)] }
    mutating func gone(at now: UInt64) -> [DialogueAction] { [.finish(.done)] }
}

@Suite("The pump between a port and a driver", .timeLimit(.minutes(1)))
struct AcquisitionTests {
    private let clock = HostClock()

    private func simulated(nights: [ContecOximeterNight]) -> ContecOximeterSimulator {
        var configuration = ContecOximeterSimulator.Configuration()
        configuration.memory = nights
        return ContecOximeterSimulator(configuration)
    }

    private func port(_ device: ContecOximeterSimulator) -> SimulatedPort<ContecOximeterSimulator> {
        SimulatedPort(device, pace: 50, now: { [clock] in clock.monotonic })
    }

    @Test func downloadsWholeNights() async {
        let nights = [ContecOximeterNight(start: LocalTime("2026-11-21 22:40:00"), seconds: 900)]
        let sink = Collector()
        let outcome = await Acquisition(port: port(simulated(nights: nights)), clock: clock, sink: sink)
            .run(ContecOximeter.profile.makeDialogue(.download(known: [])))
        #expect(outcome == .finished(.done))
        #expect(sink.samples == 900)
        #expect(sink.ends == [.finished])
    }

    @Test func stopEndsALiveCapture() async {
        let sink = Collector()
        let acquisition = Acquisition(port: port(simulated(nights: [])), clock: clock, sink: sink)
        async let outcome = acquisition.run(ContecOximeter.profile.makeDialogue(.live))
        // Stop as soon as something was recorded: the condition is the data, not a time.
        while sink.samples == 0, !Task.isCancelled { await Task.yield() }
        acquisition.stop()
        #expect(await outcome == .finished(.done))
        #expect(sink.ends == [.stopped])
    }

    @Test func pulledCableClosesWhatIsOpen() async {
        let sink = Collector()
        let port = port(simulated(nights: []))
        let acquisition = Acquisition(port: port, clock: clock, sink: sink)
        async let outcome = acquisition.run(ContecOximeter.profile.makeDialogue(.live))
        while sink.samples == 0, !Task.isCancelled { await Task.yield() }
        await port.unplug()
        #expect(await outcome == .portFailed(.gone))
        #expect(sink.ends == [.deviceGone])
    }

    @Test func whatCannotBeKeptEndsTheSession() async {
        let sink = Collector(refuseAfter: 1)
        let outcome = await Acquisition(port: port(simulated(nights: [])), clock: clock, sink: sink)
            .run(ContecOximeter.profile.makeDialogue(.live))
        #expect(outcome == .sinkFailed(.diskLow))
    }

    /// A device may erase what is confirmed: what the store refuses must never be.
    @Test(arguments: ["thermometer", "blood-pressure"])
    func whatCannotBeKeptIsNotConfirmed(_ variant: String) async throws {
        let device = try #require(
            Phdc.profile.simulation.make(DeviceSimulation.Order(variant: variant)) as? PhdcSimulator)
        // In real time: a device gives up when its answer doesn't come within three seconds, which fifty times as fast a busy machine
        // can't promise.
        let full = SimulatedPort(device, pace: 1, now: { [clock] in clock.monotonic })
        let refusing = Collector(refuseAfter: 0)
        let outcome = await Acquisition(port: full, clock: clock, sink: refusing).run(Phdc.profile.makeDialogue(.live))
        #expect(outcome == .sinkFailed(.diskLow))
        let refused = await full.simulated
        #expect(refused.confirmed.isEmpty && refused.rejected.count == 1)

        // There is room again: it is all there.
        let port = SimulatedPort(device, pace: 1, now: { [clock] in clock.monotonic })
        let sink = Collector()
        let acquisition = Acquisition(port: port, clock: clock, sink: sink)
        async let again = acquisition.run(Phdc.profile.makeDialogue(.live))
        while await port.simulated.confirmed.isEmpty, !Task.isCancelled { await Task.yield() }
        acquisition.stop()
        #expect(await again == .finished(.done))
        #expect(await port.simulated.rejected.isEmpty)
        #expect(sink.actions.contains { if case .reading = $0 { true } else { false } })
    }

    @Test func aDeviceThatSulksBeginsAnewOnlyWhereItMay() async throws {
        let order = DeviceSimulation.Order(variant: "scale", faults: ["gave-up"])
        let device = try #require(Phdc.profile.simulation.make(order) as? PhdcSimulator)
        for (mayRenew, expected) in [(true, SessionEnd.done), (false, .notThisDevice)] {
            let port = SimulatedPort(device, pace: 50, now: { [clock] in clock.monotonic })
            let sink = Collector()
            let outcome = await Acquisition(port: port, clock: clock, sink: sink, mayRenew: mayRenew)
                .run(Impatient(Phdc.profile.makeDialogue(.identify), calmAfterRenewal: mayRenew))
            #expect(outcome == .finished(expected))
            #expect(await port.simulated.renewals == (mayRenew ? 1 : 0))
            #expect(sink.actions.contains(.renew) == mayRenew)
        }
    }
}

@Suite("A bell", .timeLimit(.minutes(1)))
struct BellTests {
    @Test func ringsBeforeTheWaitCount() async {
        let bell = Bell()
        bell.ring()
        bell.ring()
        await bell.wait(atMost: nil)
    }

    @Test func aWaitEndsWhenItRings() async {
        let bell = Bell()
        async let waiting: Void = bell.wait(atMost: nil)
        bell.ring()
        await waiting
    }

    @Test func aWaitEndsByItself() async {
        await Bell().wait(atMost: .milliseconds(5))
    }

    @Test func cancellationEndsAWaitAndTheBellStaysUsable() async {
        let bell = Bell()
        let task = Task { await bell.wait(atMost: nil) }
        task.cancel()
        await task.value
        bell.ring()
        await bell.wait(atMost: nil)
    }
}

@Suite("Clocks")
struct HostClockTests {
    @Test func offsetsAreWrittenAsRFC3339() throws {
        let local = try #require(LocalTime("2026-11-22 23:05:09"))
        #expect(rfc3339(local, utcOffsetMinutes: 60) == "2026-11-22T23:05:09+01:00")
        #expect(rfc3339(local, utcOffsetMinutes: -210) == "2026-11-22T23:05:09-03:30")
        #expect(rfc3339(local, utcOffsetMinutes: 0) == "2026-11-22T23:05:09+00:00")
    }

    @Test func monotonicTimeNeverGoesBack() {
        let clock = HostClock()
        let first = clock.monotonic
        #expect(clock.monotonic >= first)
        #expect(clock.bootID.count == 36)
    }
}

extension AcquisitionTests {
    @Test("what a slow disk takes is no silence of the device's")
    func slowDisk() async {
        let disk = SlowDisk()
        var acquisition = Acquisition(port: port(simulated(nights: [])), clock: clock, sink: disk)
        acquisition.sleep = { _ in disk.waitIsOver() }
        let outcome = await acquisition.run(Waiting(disk: disk))
        #expect(outcome == .finished(.done))
        // The wait was over while the disk was busy; what arrived until it was ready would have stood behind it.
        #expect(disk.firedAt < disk.freedAt)
    }
}
