import Clinical
import Testing
import Wire

@testable import Devices

/// Stamps of counters and of clocks that were set: what can't be of this moment is never taken for it (phdc.md 3.3).
@Suite("PHDC: whose moment a stamp is")
struct PhdcClockTests {
    typealias ID = PhdcAttributeID
    private static let ticks: UInt32 = 0x1000_0000
    private static let microseconds: UInt64 = 3_000_000_000_000

    private static func bytes(_ value: UInt64, _ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * UInt64(count - 1 - $0))) }
    }

    /// A scale that counts ticks or microseconds; with a calendar where wanted.
    private static func scale(
        _ stamps: [[UInt8]], map: (UInt16, UInt16) = (ID.relativeStamp, 4), clocks: [PhdcAttribute],
        after: Double = 0.5, _ goal: SessionGoal = .live
    ) -> Bench {
        PhdcDriverTests.run("scale", goal) { device in
            device.configuration = PhdcConfiguration(
                id: 0x4000,
                objects: [PhdcConfiguration.numeric(1, 0xE140, 0xF040, unit: 0x06C3, map: [(ID.simpleValue, 4), map])])
            device.attributes = clocks
            device.reports = stamps.enumerated().map { index, stamp in
                PhdcSimulator.Report(
                    items: [
                        PhdcSimulator.Configuration.fixed(1, PhdcSimulator.Configuration.float(624, -1) + stamp)
                    ], after: after + Double(index) / 10)
            }
        }
    }

    private static let counter = PhdcAttribute(ID.relativeTime, long: ticks)
    private static let calendar = PhdcAttribute(
        ID.dateAndTime, PhdcClock.absolute(from: PhdcDriverTests.start))
    private static func ticks(ago seconds: Int) -> [UInt8] {
        bytes(UInt64(ticks &- UInt32(truncatingIfNeeded: seconds * 8000)), 4)
    }

    @Test(
        "a device that only counts: of this moment only what is",
        arguments: [0, 30, 75, 18_000, 4 * 86_400, 6 * 86_400])
    func counted(_ ago: Int) throws {
        for goal in [.live, .download(known: [])] as [SessionGoal] {
            let recordings = Self.scale([Self.ticks(ago: ago)], clocks: [Self.counter], goal).recordings
            let recording = try #require(recordings.first)
            #expect(recordings.count == 1 && recording.readings.count == 1)
            #expect(recording.start.kind == (ago > 60 ? .stored : .live))
            guard ago > 60 else { continue }
            let item = try #require(recording.start.item)
            #expect(item.start == nil && !item.isShared && (ago...ago + 3).contains(item.ago ?? 0))
        }
    }

    @Test("what is counted since the clocks were read is live, a turn of the counter ago or not")
    func since() {
        let bench = Self.scale([Self.ticks(ago: -5)], clocks: [Self.calendar, Self.counter], after: 5)
        #expect(bench.recordings.map(\.start.kind) == [.live])
        #expect(bench.recordings[0].readings[0].at == PhdcDriverTests.start.adding(seconds: 5))
    }

    @Test(
        "a count is of the past, also beyond half a turn of the counter", arguments: [86_400, 4 * 86_400, 6 * 86_400])
    func dated(_ ago: Int) throws {
        let bench = Self.scale([Self.ticks(ago: ago)], clocks: [Self.calendar, Self.counter])
        let recording = try #require(bench.recordings.first)
        #expect(recording.start.kind == .stored)
        #expect(recording.start.item?.start == PhdcDriverTests.start.adding(seconds: -ago))
        #expect(recording.start.item?.ago == nil)
        #expect(recording.readings[0].flags.contains(PhdcReadingTime.isAmbiguous) == (ago > 3 * 86_400 + 9000))
    }

    @Test("microseconds as well; what they have not counted up to is nobody's before a person decides")
    func microseconds() throws {
        let clock = PhdcAttribute(ID.highResolutionTime, Self.bytes(Self.microseconds, 8))
        func scale(_ ago: Int) -> [Bench.Kept] {
            let stamp = UInt64(Int(Self.microseconds) - ago * 1_000_000)
            return Self.scale([Self.bytes(stamp, 8)], map: (ID.highResolutionStamp, 8), clocks: [clock]).recordings
        }
        #expect(scale(30).map(\.start.kind) == [.live])
        let kept = try #require(scale(300).first)
        #expect(kept.start.kind == .stored && (300...303).contains(kept.start.item?.ago ?? 0))
        #expect(kept.start.item?.isShared == false)
        let ahead = try #require(scale(-300).first)
        #expect(ahead.start.kind == .stored && ahead.start.item?.isShared == true && ahead.start.item?.ago == nil)
    }

    @Test("a count that nothing tells the age of is not of this moment")
    func uncounted() throws {
        let bench = Self.scale(
            [Self.ticks(ago: 0), Self.ticks(ago: 5000), Self.ticks(ago: 4900)], clocks: [Self.calendar])
        #expect(bench.recordings.map(\.start.kind) == [.stored, .stored])
        #expect(bench.recordings.allSatisfy { $0.start.item?.isShared == true && $0.start.item?.start == nil })
        #expect(bench.recordings.map(\.readings.count) == [1, 2])
    }

    @Test("a date that the device's own clock has not reached is of another clock", arguments: [30, 300, 86_400])
    func ahead(_ seconds: Int) throws {
        let stamp = PhdcClock.absolute(from: PhdcDriverTests.start.adding(seconds: seconds)!)
        let bench = Self.scale([stamp], map: (ID.timeStamp, 8), clocks: [Self.calendar])
        let recording = try #require(bench.recordings.first)
        #expect(recording.start.kind == (seconds > 60 ? .stored : .live))
        // Neither a loan nor a visit can be found by such a date.
        #expect((recording.start.item?.isShared == true) == (seconds > 60))
        #expect(recording.readings[0].flags == (seconds > 60 ? ["later than the device's clock"] : []))
    }

    @Test("a segment's entries go back as far as the counter does, and say when that is not enough")
    func segment() throws {
        let element = (
            kind: PhdcClass.numeric, code: UInt32(0x0002_71B8), handle: UInt16(1), map: [(ID.basicValue, UInt16(2))]
        )
        func entries(_ began: Int, _ ago: Int) -> Bench {
            PhdcDriverTests.run("glucose", .download(known: [])) { device in
                device.attributes = [Self.calendar, Self.counter]
                device.stores[2]?[0] = PhdcSimulator.Configuration.segment(
                    0, [element], [Self.ticks(ago: ago) + PhdcSimulator.Configuration.sfloat(95)], header: 0x4000,
                    start: PhdcDriverTests.start.adding(seconds: -began))
            }
        }
        let recent = try #require(entries(4 * 86_400 + 60, 4 * 86_400).recordings.first?.readings.first)
        #expect(recent.at == PhdcDriverTests.start.adding(seconds: -4 * 86_400))
        let old = try #require(entries(30 * 86_400, 3600).recordings.first?.readings.first)
        #expect(old.flags.contains(PhdcReadingTime.isAmbiguous))
    }

    @Test("two people in one session: from the second on it waits for a decision")
    func persons() {
        let bench = PhdcDriverTests.run("scale", .live) { device in
            device.reports = [1, 1, 2, 1].enumerated().map { index, person in
                let stamp = PhdcClock.absolute(from: PhdcDriverTests.start)
                return PhdcSimulator.Report(
                    items: [
                        PhdcSimulator.Configuration.fixed(
                            1, PhdcSimulator.Configuration.float(624 + index, -1) + stamp, person: UInt16(person))
                    ], after: 0.5 + Double(index) / 10)
            }
        }
        #expect(bench.recordings.map(\.start.kind) == [.live, .live, .live])
        #expect(bench.recordings.map { $0.start.item?.isShared ?? false } == [false, true, true])
        #expect(Set(bench.recordings.compactMap(\.start.item?.source)).count == 2)
    }
}
