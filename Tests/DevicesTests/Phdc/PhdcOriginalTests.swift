import Clinical
import Testing
import Wire

@testable import Devices

/// The original bytes of a measurement are in the recording that has its values: the device may erase its own copy once it is told that
/// they are kept (phdc.md 5.4), and they are sent as that person's.
@Suite("PHDC: original bytes")
struct PhdcOriginalTests {
    private static func stamp(_ ago: Int) -> [UInt8] {
        PhdcClock.absolute(from: PhdcDriverTests.start.adding(seconds: -ago)!)
    }

    /// A scale that reports weights, each its own report, measured so long before now.
    private static func scale(_ ago: [Int], _ goal: SessionGoal) -> Bench {
        PhdcDriverTests.run("scale", goal) { device in
            device.reports = ago.enumerated().map { index, ago in
                PhdcSimulator.Report(
                    items: [
                        PhdcSimulator.Configuration.fixed(
                            1, PhdcSimulator.Configuration.float(624 + index, -1) + stamp(ago))
                    ], after: 0.5 + Double(index) / 10)
            }
        }
    }

    @Test("each recording has the bytes of its own reports, the last one too", arguments: [0, 1])
    func each(_ which: Int) {
        // Not 0: what the clock shows is said with the name, in front of the first one.
        let ago = [90_000, 50_000, 3600, 1]
        let bench = Self.scale(ago, which == 0 ? .live : .download(known: []))
        #expect(bench.recordings.count == ago.count)
        for (recording, own) in zip(bench.recordings, ago) {
            for ago in ago { #expect(recording.raw.contains(stretch: Self.stamp(ago)) == (ago == own)) }
        }
        // Nothing is confirmed before it is durable, and nothing is lost on the way.
        #expect(PhdcDriverTests.simulator(bench).confirmed.count == ago.count)
    }

    @Test("two measurements in one report, two recordings: each has the whole report")
    func together() {
        let bench = PhdcDriverTests.run("scale", .live) { device in
            device.reports = [
                PhdcSimulator.Report(
                    items: [90_000, 3600].map {
                        PhdcSimulator.Configuration.fixed(
                            1, PhdcSimulator.Configuration.float(624, -1) + Self.stamp($0))
                    }, after: 0.5)
            ]
        }
        #expect(bench.recordings.count == 2)
        for recording in bench.recordings {
            #expect([90_000, 3600].allSatisfy { recording.raw.contains(stretch: Self.stamp($0)) })
        }
    }

    @Test("one person's bytes are not in another's original")
    func persons() {
        func report(_ person: UInt16, _ ago: Int) -> PhdcScanReport.Item {
            PhdcSimulator.Configuration.fixed(
                1, PhdcSimulator.Configuration.float(624, -1) + Self.stamp(ago), person: person)
        }
        let bench = PhdcDriverTests.run("scale", .live) { device in
            device.reports = [(1, 2000), (2, 1000), (1, 500)].enumerated().map { index, item in
                PhdcSimulator.Report(items: [report(UInt16(item.0), item.1)], after: 0.5 + Double(index) / 10)
            }
        }
        #expect(bench.recordings.map { Set($0.readings.map(\.bank)) } == [[1], [2], [1]])
        for (recording, own) in zip(bench.recordings, [2000, 1000, 500]) {
            for ago in [2000, 1000, 500] {
                #expect(recording.raw.contains(stretch: Self.stamp(ago)) == (ago == own))
            }
        }
    }

    @Test("what was kept before is not in the original of what is new")
    func known() {
        let first = Self.scale([90_000], .download(known: []))
        let marks = first.recordings.flatMap(\.readings).compactMap(\.mark)
        let known = KnownItems(
            [], measurements: Dictionary(marks.map { ($0, nil) }, uniquingKeysWith: { one, _ in one }))
        let again = Self.scale([90_000, 3600], .download(known: known))
        #expect(again.recordings.count == 1 && again.skipped.count == 1)
        #expect(again.recordings[0].raw.contains(stretch: Self.stamp(3600)))
        #expect(!again.recordings[0].raw.contains(stretch: Self.stamp(90_000)))
    }
}
