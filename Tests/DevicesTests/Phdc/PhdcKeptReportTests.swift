import Clinical
import Testing
import Wire

@testable import Devices

/// What a device measured before anybody listened, and reports as soon as somebody does (phdc.md 8.1): it may be the last patient's,
/// so it is asked about its time as everything out of a memory is.
@Suite("PHDC: reports of measurements that were kept")
struct PhdcKeptReportTests {
    private static func measured(_ seconds: Int) -> LocalTime { PhdcDriverTests.start.adding(seconds: seconds)! }

    /// The weights of a scale whose clock shows `PhdcDriverTests.start` now, measured so many seconds before that.
    private static func scale(_ ago: [Int], _ goal: SessionGoal) -> Bench {
        PhdcDriverTests.run("scale", goal) { device in
            device.reports = ago.enumerated().map { index, ago in
                var report = PhdcSimulator.Configuration.scale(at: measured(-ago)).reports[0]
                report.after = 0.5 + Double(index) / 10
                return report
            }
        }
    }

    private static func known(_ bench: Bench) -> KnownItems {
        let marks = bench.recordings.flatMap(\.readings).compactMap(\.mark)
        return KnownItems([], measurements: Dictionary(marks.map { ($0, nil) }, uniquingKeysWith: { one, _ in one }))
    }

    @Test("measured before the session: stored, with its own time; measured now: live", arguments: [86_400, 300, 61])
    func kept(_ ago: Int) throws {
        for goal in [.live, .download(known: [])] as [SessionGoal] {
            let bench = Self.scale([ago], goal)
            let recording = try #require(bench.recordings.first)
            #expect(bench.recordings.count == 1 && recording.start.kind == .stored)
            let item = try #require(recording.start.item)
            #expect(item.start == Self.measured(-ago) && item.rawStart != nil && !item.isShared)
            #expect(recording.readings.count == 1 && PhdcDriverTests.simulator(bench).confirmed.count == 1)
            let now = Self.scale([0], goal)
            #expect(now.recordings.map(\.start.kind) == [.live] && now.recordings[0].start.item == nil)
        }
    }

    @Test("measurements of one sitting are one recording, of another sitting another one")
    func sittings() {
        let bench = Self.scale([90_000, 89_900, 3600, 0], .live)
        #expect(bench.recordings.map(\.start.kind) == [.stored, .stored, .live])
        #expect(bench.recordings.map(\.readings.count) == [2, 1, 1])
        #expect(Set(bench.recordings.compactMap(\.start.item?.source)).count == 2)
    }

    @Test("of two people: nobody's before a person says whose")
    func persons() {
        let bench = PhdcDriverTests.run("blood-pressure", .download(known: [])) {
            $0.reports = PhdcSimulator.Configuration.bloodPressure(at: Self.measured(-86_400)).reports
        }
        #expect(bench.recordings.count == 3)
        #expect(bench.recordings.allSatisfy { $0.start.kind == .stored && $0.start.item?.isShared == true })
    }

    @Test(
        "of one person of a device that keeps people apart: kept is nobody's before a person says whose, measured now is not"
    )
    func oneOfSeveral() {
        func shared(_ ago: Int, _ person: UInt16) -> [Bool] {
            PhdcDriverTests.run("scale", .live) { device in
                let stamp = PhdcClock.absolute(from: Self.measured(-ago))
                device.reports = [
                    PhdcSimulator.Report(
                        items: [
                            PhdcSimulator.Configuration.fixed(
                                1, PhdcSimulator.Configuration.float(624, -1) + stamp, person: person)
                        ], after: 0.5)
                ]
            }.recordings.map { $0.start.item?.isShared ?? false }
        }
        #expect(shared(3600, 1) == [true] && shared(0, 1) == [false] && shared(3600, PhdcScanReport.nobody) == [false])
    }

    @Test("what was fetched before is confirmed, and not kept again")
    func again() {
        let first = Self.scale([90_000, 3600], .download(known: []))
        let known = Self.known(first)
        let again = Self.scale([90_000, 3600], .download(known: known))
        #expect(again.recordings.isEmpty && again.skipped.count == 2 && again.finish == .done)
        #expect(PhdcDriverTests.simulator(again).confirmed.count == 2)
        let more = Self.scale([90_000, 3600, 120], .download(known: known))
        #expect(more.recordings.map(\.start.item?.start) == [Self.measured(-120)])
    }

    @Test("a store that grew brings only what is new, unless what is there was cut")
    func grown() throws {
        func meter(_ values: [Int]) -> (inout PhdcSimulator.Configuration) -> Void {
            let element = (
                kind: PhdcClass.numeric, code: 0x0002_0000 | UInt32(29112), handle: UInt16(1),
                map: [(PhdcAttributeID.basicValue, UInt16(2))]
            )
            let entries = values.enumerated().map { index, value in
                PhdcClock.absolute(from: Self.measured(index * 60)) + PhdcSimulator.Configuration.sfloat(value)
            }
            return {
                $0.stores[2]?[0] = PhdcSimulator.Configuration.segment(
                    0, [element], entries, header: 0x8000, start: Self.measured(0))
            }
        }
        func values(_ bench: Bench) -> [Double] { bench.recordings.flatMap(\.readings).map(\.value.value) }
        let first = PhdcDriverTests.run("glucose", .download(known: []), meter([95, 96]))
        #expect(values(first) == [95, 96] && first.recordings[0].start.item?.last != nil)
        let grown = PhdcDriverTests.run("glucose", .download(known: Self.known(first)), meter([95, 96, 97]))
        #expect(values(grown) == [97])
        // The interrupted recording of the same source will be replaced: everything again.
        let source = try #require(first.recordings[0].start.item?.source)
        let marks = first.recordings.flatMap(\.readings).compactMap(\.mark)
        let cut = KnownItems(
            [], measurements: Dictionary(marks.map { ($0, source) }, uniquingKeysWith: { one, _ in one }))
        let whole = PhdcDriverTests.run("glucose", .download(known: cut), meter([95, 96]))
        #expect(values(whole) == [95, 96])
    }
}
