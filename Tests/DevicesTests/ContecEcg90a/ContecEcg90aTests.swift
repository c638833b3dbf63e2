import Clinical
import Foundation
import Testing
import Wire

@testable import Devices

@Suite("Contec ECG90A, live")
struct ContecEcg90aTests {
    typealias Configuration = ContecEcg90aSimulator.Configuration

    static func bench(_ goal: SessionGoal, _ seconds: Double = 12, _ change: (inout Configuration) -> Void = { _ in })
        -> Bench
    {
        var configuration = Configuration()
        change(&configuration)
        var bench = Bench(ContecEcg90aProtocol(goal: goal), ContecEcg90aSimulator(configuration))
        bench.run(until: seconds)
        bench.stop()
        bench.run(until: seconds + 2)
        return bench
    }

    @Test("the notes' frame, and the leads that follow from it")
    func frame() {
        let raw = ContecEcg90aReport.frame(bytes("87 ED 0D 88 02 03 88 04 05 88 06 07"))
        #expect(raw == [2029, 2061, 2050, 2051, 2052, 2053, 2054, 2055])
        let channels = ContecEcg90a.leads.channels
        let values = zip(channels, ContecEcg90a.leads.twelve(raw.map(LiveEcgLeads.sample))).map { $0.physical($1) }
        #expect(values[0] == -160 && values[1] == -95 && values[2] == 65)
        // aVR = III/2 - II, aVL = II/2 - III, aVF = (II + III)/2
        #expect(values[3] == 127.5 && values[4] == -112.5 && values[5] == -15)
        #expect(Array(values[6...]) == [10, 15, 20, 25, 30, 35])
        #expect(channels.map(\.name) == ["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"])
        #expect(
            ContecEcg90aReport(ContecEcg90aReport.wire(frames: [raw, raw, raw, raw, raw])[...])
                == .samples([raw, raw, raw, raw, raw]))
    }

    @Test("the probe sends 82 only, also when nobody answers")
    func probe() {
        #expect(Set(Self.bench(.identify).sent.map { $0[0] }) == [0x82])
        var silent = Bench(ContecEcg90aProtocol(goal: .live), SilentDevice())
        silent.run(until: 10)
        #expect(Set(silent.sent.map { $0[0] }) == [0x82] && silent.finish == .notThisDevice)
    }

    @Test("streams what the simulator meant, in the vendor's order of commands")
    func live() throws {
        let bench = Self.bench(.live)
        #expect(bench.finish == .done)
        #expect(bench.sent.map { $0[0] } == [0x82, 0x91, 0x93, 0xA1, 0x90, 0x91])
        #expect(bench.sent.allSatisfy { $0.count == 8 })
        let kept = try #require(bench.recordings.first)
        #expect(kept.end == .stopped && kept.notes.isEmpty && kept.gaps.isEmpty)
        let samples = kept.samples
        #expect(samples[1].count > 800 * 11 && Set(samples.map(\.count)).count == 1)
        #expect(
            samples[1] == (0..<samples[1].count).map { Sample(LiveEcgHeart.raw(sample: $0, rate: 800, lead: 0) - 2048) }
        )
        #expect(kept.raw.count == samples[1].count / 5 * 64)
        #expect(bench.identities.first?.isSimulated == true && bench.identities.first?.support == .singleSource)
        #expect(bench.violations.isEmpty)
    }

    @Test("what comes late is no loss")
    func late() {
        var builder = LiveEcgBuilder(ContecEcg90a.leads, rate: 800)
        var notes: [DialogueAction] = []
        let lead = [Sample](repeating: 0, count: 8)
        // Nothing for 0.8 s, just when ten seconds are over; then everything at once, and on as before.
        for millisecond in stride(from: 0, to: 30_000, by: 10) {
            let isStalled = (9_500..<10_300).contains(millisecond)
            let count = isStalled ? 0 : millisecond == 10_300 ? 8 * 81 : 8
            // The driver looks at the clock after each report, also while the others of the heap still wait.
            for _ in 0..<count / 8 {
                for _ in 0..<8 { notes += builder.append(lead) }
                notes += builder.watch(at: UInt64(millisecond) * 1_000_000)
            }
        }
        #expect(notes.isEmpty)
        // And what never comes is one.
        for millisecond in stride(from: 30_000, to: 60_000, by: 10) where !(35_000..<35_300).contains(millisecond) {
            for _ in 0..<8 { notes += builder.append(lead) }
            notes += builder.watch(at: UInt64(millisecond) * 1_000_000)
        }
        #expect(notes.count == 1)
    }

    /// 29 s: longer than a window and its grace, as after a laptop slept with its device still powered.
    @Test("what comes seconds late is no loss; what never comes is one", arguments: [0, 8], [12, 38])
    func lateBySeconds(_ lost: Int, _ back: Int) {
        var builder = LiveEcgBuilder(ContecEcg90a.leads, rate: 800)
        var notes: [Note] = []
        var waiting = 0
        // 70 s in steps of 10 ms; from 9 s on nothing arrives, then all of it at once. `lost`: samples of each second.
        for step in 0..<7000 {
            waiting += step % 100 == 0 ? 8 - lost : 8
            guard !(900..<back * 100).contains(step) else { continue }
            // The driver looks at the clock after each report of the heap.
            while waiting > 0 {
                for _ in 0..<min(8, waiting) { _ = builder.append(Array(repeating: 0, count: 8)) }
                waiting -= min(8, waiting)
                for action in builder.watch(at: UInt64(step) * 10_000_000) {
                    if case .note(let note) = action { notes.append(note) }
                }
            }
        }
        #expect(notes.isEmpty == (lost == 0) && notes.allSatisfy { $0.kind == .gap }, "\(notes.map(\.text))")
    }

    @Test("lost reports are seen by the clock")
    func losses() throws {
        let kept = try #require(Self.bench(.live, 25) { $0.losesEvery = 50 }.recordings.first)
        #expect(kept.notes.contains { $0.kind == .gap })
    }

    @Test("an electrode that is off has no value, in every lead that needs it")
    func electrodeOff() throws {
        let kept = try #require(Self.bench(.live) { $0.electrodeOff = 100..<200 }.recordings.first)
        for lead in 0..<6 {
            #expect(kept.samples[lead].count { $0 == .absent } == (lead == 2 ? 0 : 500))
        }
        #expect(kept.notes.count == 1 && kept.notes[0].kind == .sensor && kept.notes[0].duration == 500.0 / 800)
    }

    @Test("silence ends the recording as interrupted")
    func stalls() {
        let bench = Self.bench(.live) { $0.stallsAfter = 400 }
        #expect(bench.recordings.first?.end == .deviceEnded)
        #expect(bench.finish == .deviceEnded("the live stream fell silent"))
    }

    @Test(
        "the session reads the same from outside, and the fixtures are up to date",
        arguments: ["live", "electrode-off"])
    func fixtures(_ name: String) throws {
        let bench = Self.bench(.live, 3) { if name != "live" { $0.electrodeOff = 100..<150 } }
        let text = bench.transcript.rendered()
        let report = replay(try Transcript(parsing: text), through: ContecEcg90a.profile)
        #expect(report.identity == bench.identities.first)
        #expect(report.recordings.map(\.samples) == bench.recordings.map { $0.samples[0].count })
        #expect(report.recordings.map(\.bytes) == bench.recordings.map(\.raw.count))
        try Fixtures.check(name, of: ContecEcg90a.profile, text: text)
    }
}
