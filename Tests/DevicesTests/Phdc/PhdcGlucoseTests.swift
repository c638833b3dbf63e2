import Clinical
import Testing
import Wire

@testable import Devices

/// What a glucose meter keeps is not all the patient's, and its clock may have been set since.
@Suite("PHDC: glucose meters")
struct PhdcGlucoseTests {
    /// Codes of ISO/IEEE 11073-10417, partition 2, as antidote's and OpenHealth's lists have them (`MDC_CONC_GLU_…`).
    private static let kinds: [(code: UInt16, flags: [String])] = [
        (28948, []), (29112, []), (29116, ["capillary plasma"]), (29120, ["venous whole blood"]),
        (29124, ["venous plasma"]), (29128, ["arterial whole blood"]), (29132, ["arterial plasma"]),
        (29140, ["interstitial fluid"]),
    ]
    private static let control: UInt16 = 29136

    /// A meter as real ones are laid out: entries of an absolute time, a basic value and a measurement status.
    private static func meter(
        _ code: UInt16, status: UInt16 = 0, adjustment: Int? = nil, person: UInt16? = nil
    ) -> (inout PhdcSimulator.Configuration) -> Void {
        let element = (
            kind: PhdcClass.numeric, code: 0x0002_0000 | UInt32(code), handle: UInt16(1),
            map: [(PhdcAttributeID.basicValue, UInt16(2)), (PhdcAttributeID.status, UInt16(2))]
        )
        let entries = (0..<2).map { index in
            PhdcClock.absolute(from: PhdcDriverTests.start.adding(seconds: index * 60)!)
                + PhdcSimulator.Configuration.sfloat(95 + index) + [UInt8(status >> 8), UInt8(status & 0xFF)]
        }
        var segment = PhdcSimulator.Configuration.segment(
            0, [element], entries, header: 0x8000, start: PhdcDriverTests.start)
        if let adjustment {
            let bits = UInt64(bitPattern: Int64(adjustment * 100))
            segment.info.attributes.append(
                PhdcAttribute(
                    PhdcAttributeID.timeAdjustment, (0..<6).map { UInt8(truncatingIfNeeded: bits >> (40 - 8 * $0)) }))
        }
        if let person { segment.info.attributes.append(PhdcAttribute(PhdcAttributeID.segmentPerson, person)) }
        return { $0.stores[2]?[0] = segment }
    }

    private static func download(_ change: (inout PhdcSimulator.Configuration) -> Void) throws -> Bench.Kept {
        let bench = PhdcDriverTests.run("glucose", .download(known: []), change)
        #expect(bench.finish == .done && bench.recordings.count == 1)
        return try #require(bench.recordings.first)
    }

    @Test("glucose is glucose, whatever it was measured in", arguments: kinds)
    func samples(_ code: UInt16, _ flags: [String]) throws {
        let kept = try Self.download(Self.meter(code))
        #expect(kept.readings.map(\.kind) == [.glucose, .glucose] && kept.readings.map(\.value.value) == [95, 96])
        #expect(kept.readings.allSatisfy { $0.flags == flags && $0.code == "MDC 2:\(code)" && $0.unit == "mg/dL" })
    }

    @Test("a control solution is nobody's glucose: told, kept with its bytes, and never a value")
    func controlSolution() throws {
        let kept = try Self.download(Self.meter(Self.control))
        #expect(kept.readings.isEmpty)
        let told = kept.notes.filter { $0.text.contains("control solution, no patient's value") }
        #expect(
            told.map(\.text) == [
                "object 1, glucose of a control solution (MDC 2:29136) = 95 mg/dL: a control solution, no patient's value"
                    + " at 2026-11-22 23:05:09",
                "object 1, glucose of a control solution (MDC 2:29136) = 96 mg/dL: a control solution, no patient's value"
                    + " at 2026-11-22 23:06:09",
            ])
        #expect(!kept.raw.isEmpty)
    }

    @Test(
        "so is what the meter itself calls a test or a demonstration (MeasurementStatus, phdc.md 7.3)",
        arguments: [(0x0800, "test data"), (0x0400, "demo data")] as [(UInt16, String)])
    func tests(_ status: UInt16, _ word: String) throws {
        let kept = try Self.download(Self.meter(29112, status: status))
        #expect(kept.readings.isEmpty)
        #expect(kept.notes.count { $0.text.contains("\(word), no patient's value") } == 2)
    }

    @Test(
        "an entry's own date is corrected as its segment says (phdc.md 10.2), the raw one stays",
        arguments: [3600, -86_400, 0])
    func adjustment(_ seconds: Int) throws {
        let kept = try Self.download(Self.meter(29112, adjustment: seconds))
        let starts = [0, 60].map { PhdcDriverTests.start.adding(seconds: $0 + seconds) }
        #expect(kept.readings.map(\.at) == starts && kept.start.item?.start == starts[0])
        #expect(kept.readings.map(\.rawTime) == ["20 26 11 22 23 05 09 00", "20 26 11 22 23 06 09 00"])
        let flags = seconds == 0 ? [] : ["device clock corrected by \(seconds) s"]
        #expect(kept.readings.allSatisfy { $0.flags == flags })
        // The same measurement is the same one, whatever the clock is said to have been.
        let plain = try Self.download(Self.meter(29112))
        #expect(kept.readings.map(\.source) == plain.readings.map(\.source))
    }

    @Test("a correction that leads out of the calendar leaves no date")
    func impossible() throws {
        let kept = try Self.download(Self.meter(29112, adjustment: 1 << 39))
        #expect(kept.readings.allSatisfy { $0.at == nil && $0.flags == ["invalid time"] && $0.rawTime != nil })
    }

    @Test("a memory of two people is nobody's before a person says whose (phdc.md 10.1)")
    func persons() {
        for (others, isShared) in [([], false), ([1], false), ([2], true)] as [([UInt16], Bool)] {
            let bench = PhdcDriverTests.run("glucose", .download(known: [])) {
                Self.meter(29112, person: 1)(&$0)
                guard var segment = $0.stores[2]?[0] else { return }
                for (index, person) in others.enumerated() {
                    segment.info.instance = UInt16(7 + index)
                    segment.info.attributes.removeAll {
                        [PhdcAttributeID.segmentPerson, PhdcAttributeID.instance].contains($0.id)
                    }
                    segment.info.attributes += [
                        PhdcAttribute(PhdcAttributeID.instance, segment.info.instance),
                        PhdcAttribute(PhdcAttributeID.segmentPerson, person),
                    ]
                    $0.stores[2]?.append(segment)
                }
            }
            #expect(bench.recordings.count == 1 + others.count)
            #expect(bench.recordings.allSatisfy { $0.start.item?.isShared == isShared })
        }
    }

    @Test("the published meter: two results, a meal before and after, exercise")
    func published() throws {
        let recorded = try #require(PhdcListenerTests.report("L1", "L2").recordings.first)
        #expect(
            PhdcListenerTests.texts(recorded) == [
                "glucose 85.0 mmol/L at 2009-06-12 12:05:00", "glucose 110.0 mmol/L at 2009-06-12 12:05:00",
                "other 90.0 % at 2009-06-12 12:05:00",
            ])
        #expect(recorded.readings.map(\.code) == ["MDC 2:29112", "MDC 2:29112", "MDC 128:29152"])
        for state in ["meal (MDC 128:29256) = 29260: before a meal", "meal (MDC 128:29256) = 29264: after a meal"] {
            #expect(recorded.notes.contains { $0.text.contains(state) })
        }
    }

    @Test("the published meter, asked with its own object called a control solution")
    func publishedControl() throws {
        let names = ["L1", "L2"]
        let frames = names.map { name in
            var bytes = PhdcVectors.bytes(name)
            if let place = bytes.firstRange(of: [0x00, 0x02, 0x71, 0xB8]) {
                bytes.replaceSubrange(place, with: [0x00, 0x02, 0x71, 0xD0])
            }
            return TranscriptEvent.received(bytes, after: 0.05)
        }
        let transcript = Transcript(
            header: TranscriptHeader(model: "published example", date: "2026-11-27"), events: frames)
        let recorded = try #require(replay(transcript, through: Phdc.profile).recordings.first)
        #expect(recorded.readings.map(\.code) == ["MDC 128:29152"])
        #expect(recorded.notes.count { $0.text.contains("control solution, no patient's value") } == 2)
    }
}
