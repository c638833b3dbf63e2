import Clinical
import Testing
import Wire

@testable import Devices

/// Says the same frames to whoever associates.
private struct Telling: DeviceSimulator {
    let association: [UInt8]
    let frames: [[UInt8]]
    private var hasAssociated = false
    private var hasTold = false

    init(_ configuration: UInt16, _ frames: [[UInt8]]) {
        association = PhdcFrames.association(configuration)
        self.frames = frames
    }

    mutating func received(_ bytes: [UInt8], at now: UInt64) -> [[UInt8]] {
        guard !hasTold else { return [] }
        hasTold = true
        return frames
    }
    mutating func tick(at now: UInt64) -> [[UInt8]] {
        hasAssociated = true
        return [association]
    }
    func nextTick(after now: UInt64) -> UInt64? { hasAssociated ? nil : now + 1000 }
}

@Suite("PHDC: what reports mean")
struct PhdcMeaningTests {
    typealias ID = PhdcAttributeID
    typealias Configuration = PhdcSimulator.Configuration
    private static let stamp = PhdcClock.absolute(from: PhdcDriverTests.start)
    private static let weight = Configuration.fixed(1, Configuration.float(624, -1) + stamp)

    @Test("an unconfirmed report before the device has said who it is: kept when it goes", arguments: [0, 1, 2])
    func goes(_ how: Int) {
        let report = PhdcFrames.report([Self.weight], confirmed: false)
        let release = PhdcApdu.releaseRequest(reason: 0).wire
        var bench = Bench(PhdcProtocol(goal: .live), Telling(0x05DC, how == 0 ? [report, release] : [report]))
        bench.run(until: 0.5)
        if how == 1 { bench.unplug() }
        if how == 2 { bench.stop() }
        #expect(bench.recordings.map(\.readings.count) == [1] && bench.recordings[0].end != nil)
        #expect(bench.recordings[0].raw.contains(stretch: Self.stamp))
        #expect(bench.identities.map(\.serial) == ["0A1B2CFFFE000404"] && bench.violations.isEmpty)
    }

    @Test("a probe keeps nothing, and what waits for a confirmation is the device's")
    func notKept() {
        for (goal, confirmed) in [(.identify, false), (.live, true)] as [(SessionGoal, Bool)] {
            let frames = [
                PhdcFrames.report([Self.weight], confirmed: confirmed), PhdcApdu.releaseRequest(reason: 0).wire,
            ]
            var bench = Bench(PhdcProtocol(goal: goal), Telling(0x05DC, frames))
            bench.run(until: 0.5)
            #expect(bench.recordings.isEmpty)
        }
    }

    private static func lead(_ bits: UInt8, _ significant: UInt8, _ scale: [UInt8]) -> PhdcObject {
        PhdcObject(
            kind: PhdcClass.array, handle: 1,
            attributes: [
                PhdcAttribute(ID.type, long: 0x0002_0101), PhdcAttribute(ID.unit, 0x10B2 as UInt16),
                PhdcAttribute(ID.samplePeriod, long: 32),
                PhdcAttribute(ID.arraySpecification, [0, 4, bits, significant, 0, 0]),
                PhdcAttribute(ID.scale32, scale), PhdcConfiguration.mapAttribute([(ID.samples, 16)]),
            ])
    }

    private static func long(_ values: [Int]) -> [UInt8] {
        values.flatMap { value in (0..<4).map { UInt8(truncatingIfNeeded: value >> (24 - 8 * $0)) } }
    }

    @Test("samples of 32 bits, with a sign and without", arguments: [255, 32, 24] as [UInt8])
    func wide(_ significant: UInt8) throws {
        let isSigned = significant == 255
        let limits = isSigned ? [-200_000, 200_000] : [0, 400_000]
        let scale = Configuration.float(-10, 0) + Configuration.float(10, 0) + Self.long(limits)
        let values = isSigned ? [0, 100, -100, Int(Int32.min)] : [200_000, 200_100, 199_900, 0xFFFF_FFFF]
        let report = PhdcFrames.heard([
            PhdcFrames.association(0x4000), PhdcFrames.configuration([Self.lead(32, significant, scale)]),
            PhdcFrames.report([Configuration.fixed(1, Self.long(values))], confirmed: false),
        ])
        let channel = try #require(report.recordings.first?.channels.first)
        // 0.05 µV a step.
        #expect(channel.name == "I" && channel.unit == "uV" && channel.samples == 4 && channel.absent == 1)
        #expect(channel.minimum == -5 && channel.maximum == 5 && channel.sum == 0)
    }

    /// A temperature whose configuration says more exactly of what it is.
    private static func temperature(_ more: [PhdcAttribute], _ map: [(UInt16, UInt16)]) -> PhdcObject {
        var object = PhdcConfiguration.numeric(1, 0x4B5C, 0xF040, unit: 0x17A0, map: map)
        for attribute in more { object.set(attribute) }
        return object
    }

    private static func codes(_ object: PhdcObject, _ frames: [[UInt8]]) -> [String?] {
        PhdcFrames.heard([PhdcFrames.association(0x4000), PhdcFrames.configuration([object])] + frames)
            .recordings.flatMap(\.readings).map(\.code)
    }

    @Test("the configuration says what a value is of; a report may say otherwise, from then on")
    func metric() {
        let plain = PhdcFrames.report([Configuration.fixed(1, Configuration.float(372, -1))])
        let map = [(ID.simpleValue, UInt16(4))]
        #expect(
            Self.codes(Self.temperature([PhdcAttribute(ID.metricID, 0xE008 as UInt16)], map), [plain]) == [
                "MDC 2:57352"
            ])
        #expect(
            Self.codes(Self.temperature([PhdcAttribute(ID.metricPartition, 0x80 as UInt16)], map), [plain])
                == ["MDC 128:19292"])
        func said(_ number: UInt16, _ more: [PhdcAttribute]) -> [UInt8] {
            let value = PhdcAttribute(ID.simpleValue, Configuration.float(372, -1))
            let item = PhdcScanReport.Item(person: nil, content: .variable(handle: 1, more + [value]))
            return PhdcFrames.event(0x0D1E, PhdcScanReport(number: number, items: [item]).wire, invoke: 2 + number)
        }
        let codes = Self.codes(
            Self.temperature([], map),
            [said(0, []), said(1, [PhdcAttribute(ID.metricID, 0xE008 as UInt16)]), said(2, [])])
        #expect(codes == ["MDC 2:19292", "MDC 2:57352", "MDC 2:57352"])
    }

    @Test("two values of the same thing in one report are two measurements")
    func twice() {
        func sfloat(_ value: Int) -> [UInt8] { Configuration.sfloat(value) }
        let report = PhdcFrames.heard([
            PhdcFrames.association(0x0190),
            PhdcFrames.report([
                Configuration.fixed(1, sfloat(97)), Configuration.fixed(10, sfloat(60)),
                Configuration.fixed(1, sfloat(91)), Configuration.fixed(10, sfloat(80)),
            ]),
        ])
        #expect(report.recordings[0].readings.map(\.value) == [97, 60, 91, 80])
        #expect(report.recordings[0].readings.map(\.sequence) == [0, 0, 1, 1])
    }

    @Test("part of a configuration that nobody heard is no configuration")
    func assumption() {
        let pulse = PhdcFrames.report([Configuration.fixed(2, Configuration.sfloat(120) + Self.stamp)])
        let report = PhdcFrames.heard([pulse])
        #expect(report.recordings[0].readings.map(\.name) == ["other"])
        #expect(report.recordings[0].readings[0].flags == ["configuration not heard"])
    }

    @Test("a state that the device calls invalid says so")
    func invalid() {
        let state = PhdcObject(
            kind: PhdcClass.enumeration, handle: 4,
            attributes: [
                PhdcAttribute(ID.type, long: 0x0080_55D8),
                PhdcConfiguration.mapAttribute([(ID.status, 2), (ID.bits16, 2)]),
            ])
        func notes(_ status: [UInt8]) -> [String] {
            PhdcFrames.heard([
                PhdcFrames.association(0x4000), PhdcFrames.configuration([state]),
                PhdcFrames.report([Configuration.fixed(4, status + [0x80, 0])]),
            ]).recordings[0].notes.map(\.text).filter { $0.contains("lead wire off") }
        }
        #expect(notes([0x80, 0]).count == 1 && notes([0x80, 0])[0].hasSuffix("lead wire off (invalid)"))
        #expect(notes([0, 0])[0].hasSuffix("lead wire off"))
    }

    @Test(
        "padding that looks like the beginning of something",
        arguments: [[0x50], [0, 0, 0x50], [0xE7], [0xE7, 0]] as [[UInt8]])
    func padding(_ padding: [UInt8]) {
        var framer = PhdcFramer()
        let apdu = PhdcFrames.report([Self.weight])
        #expect(framer.take(apdu + padding, at: 0).first == .apdu(apdu))
        let rest = framer.take(apdu, at: 1_000_000_000)
        #expect(rest.last == .apdu(apdu) && !rest.contains { if case .lost = $0 { true } else { false } })
        _ = framer.take(apdu + padding, at: 2_000_000_000)
        #expect(!framer.expire(at: 9_000_000_000).contains { if case .lost = $0 { true } else { false } })
        // An APDU may still begin at the end of a transfer.
        var cut = PhdcFramer()
        #expect(cut.take(apdu + apdu.prefix(1), at: 0) == [.apdu(apdu)])
        #expect(cut.take(Array(apdu.dropFirst()), at: 1) == [.apdu(apdu)])
    }
}
