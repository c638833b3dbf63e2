import Clinical
import Testing
import Wire

@testable import Devices

/// Numbers that no honest device sends: kept as far as they can be understood, and never the end of the daemon.
@Suite("PHDC: numbers of the wire")
struct PhdcHostileTests {
    private static let element = (
        kind: PhdcClass.numeric, code: UInt32(0x0002_71B8), handle: UInt16(1),
        map: [(PhdcAttributeID.basicValue, UInt16(2))]
    )

    /// A glucose meter's store, heard up to the description of its one segment.
    private static func meter(period: UInt32, usage: UInt32) -> [[UInt8]] {
        let numeric = PhdcConfiguration.numeric(
            1, 0x71B8, 0xF040, unit: 0x0852, map: [(PhdcAttributeID.basicValue, 2)])
        var info = PhdcSimulator.Configuration.segment(
            0, [element], [], header: 0, start: PhdcDriverTests.start, period: period
        ).info
        info.attributes.removeAll { $0.id == PhdcAttributeID.segmentUsage }
        info.attributes.append(PhdcAttribute(PhdcAttributeID.segmentUsage, long: usage))
        return [
            PhdcFrames.association(0x4002),
            PhdcFrames.configuration([numeric, PhdcSimulator.Configuration.store(2, period: 0)], id: 0x4002),
            PhdcFrames.segments([info], of: 2),
        ]
    }

    private static func portion(_ index: UInt32, _ count: UInt32, _ status: UInt16, invoke: UInt16 = 9) -> [UInt8] {
        PhdcFrames.entries(
            PhdcSegmentData(
                instance: 0, index: index, count: count, status: status,
                entries: PhdcSimulator.Configuration.sfloat(95)), of: 2, invoke: invoke)
    }

    @Test("a time that no clock can count up to is none")
    func segmentTime() throws {
        let report = PhdcFrames.heard(
            Self.meter(period: 0xFFFF_FFFE, usage: 3) + [Self.portion(.max, 1, PhdcSegmentData.lastEntry)])
        let recording = try #require(report.recordings.first)
        #expect(recording.readings.map(\.value) == [95] && recording.readings[0].at == nil)
        #expect(recording.end == .deviceEnded)
    }

    @Test("entries that a count claims and nobody sent were not received")
    func count() throws {
        let report = PhdcFrames.heard(
            Self.meter(period: 8000 * 60, usage: 3) + [
                Self.portion(0, .max, PhdcSegmentData.firstEntry),
                Self.portion(1, 1, 0, invoke: 10), Self.portion(2, 1, PhdcSegmentData.lastEntry, invoke: 11),
            ])
        let recording = try #require(report.recordings.first)
        #expect(recording.readings.count == 3)
        #expect(recording.end == .deviceEnded, "what was announced did not come")
    }

    @Test("a compound of more components than a byte can be doubled to")
    func compound() {
        let data: [UInt8] = [0, 128, 0, 0] + [UInt8](repeating: 0, count: 256)
        let report = PhdcFrames.heard([PhdcFrames.report([PhdcSimulator.Configuration.fixed(7, data)])])
        #expect(report.surprises.count == 1)
    }
}
