import Clinical
import Testing
import Wire

@testable import Devices

/// An oximeter's night: a number each second, without a time for each.
@Suite("PHDC: numbers kept at equal distances")
struct PhdcTrendTests {
    private typealias Configuration = PhdcSimulator.Configuration

    /// What the driver makes of a session of other entries: of SpO2 and pulse, or of as many of the two as `objects` says.
    private static func fetched(
        _ entries: [[UInt8]], objects: Int = 2, header: UInt16 = 0, period: UInt32 = 8000
    ) -> [Bench.Kept] {
        let map = [(PhdcAttributeID.basicValue, UInt16(2))]
        let elements = [(UInt32(0x0002_4BB8), UInt16(1)), (0x0002_481A, 10)]
            .map { (kind: PhdcClass.numeric, code: $0.0, handle: $0.1, map: map) }
        return PhdcDriverTests.run(
            "oximeter-stored", .download(known: []),
            {
                $0.stores[2] = [
                    Configuration.segment(
                        0, Array(elements.prefix(objects)), entries, header: header, start: PhdcDriverTests.start,
                        period: period)
                ]
            }
        ).recordings
    }

    @Test("a night is two channels, not thousands of readings")
    func night() throws {
        let bench = PhdcDriverTests.run("oximeter-stored", .download(known: []))
        let kept = try #require(bench.recordings.first)
        #expect(bench.finish == .done && bench.recordings.count == 1 && kept.end == .finished)
        #expect(kept.start.modality == .oximetry && kept.start.item?.samples == 600)
        #expect(kept.start.item?.start == PhdcDriverTests.start)
        let channels = kept.start.channels
        #expect(channels.map(\.signal) == [.spo2, .pulseRate] && channels.map(\.unit) == ["%", "/min"])
        #expect(channels.allSatisfy { $0.rate.value == 1 })
        #expect(kept.readings.isEmpty)
        let spo2 = kept.samples[0].map(channels[0].physical)
        let pulse = kept.samples[1].map(channels[1].physical)
        let seconds = 2..<600
        #expect(spo2.prefix(2) == [nil, nil] && pulse.prefix(2) == [nil, nil])
        #expect(
            spo2.dropFirst(2).map(\.self)
                == seconds.map { (second: Int) -> Double? in Double(965 - second % 7 * 5) / 10 })
        #expect(pulse.dropFirst(2).map(\.self) == seconds.map { (second: Int) -> Double? in Double(58 + second % 5) })
    }

    @Test("what a channel can't say exactly is absent there, and a reading beside it")
    func fine() throws {
        let kept = try #require(
            Self.fetched([
                Configuration.sfloat(97) + Configuration.sfloat(60),
                Configuration.sfloat(1234, -2) + Configuration.sfloat(61),
                Configuration.sfloat(98) + Configuration.sfloat(900),
            ]).first)
        let channels = kept.start.channels
        #expect(kept.samples[0].map(channels[0].physical) == [97, nil, 98])
        #expect(kept.samples[1].map(channels[1].physical) == [60, 61, nil])
        #expect(kept.readings.map(\.value.value) == [12.34, 900] && kept.readings.map(\.kind) == [.spo2, .pulseRate])
        #expect(kept.readings.map(\.at) == [1, 2].map { PhdcDriverTests.start.adding(seconds: $0) })
    }

    @Test("slower than a value in ten seconds, or with a time for each: readings, as they are")
    func single() {
        let values = (96..<99).map { Configuration.sfloat($0) }
        let stamp = PhdcClock.absolute(from: PhdcDriverTests.start)
        for recordings in [
            Self.fetched(values, objects: 1, period: 88_000),
            Self.fetched(values.map { stamp + $0 }, objects: 1, header: 0x8000),
        ] {
            #expect(recordings.count == 1 && recordings.allSatisfy(\.start.channels.isEmpty))
            #expect(recordings.flatMap(\.readings).map(\.value.value) == [96, 97, 98])
        }
    }
}
