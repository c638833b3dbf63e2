import Clinical
import Foundation
import Testing
import Wire

@testable import Devices

@Suite("PHDC: numbers, times, frames")
struct PhdcCodecTests {
    @Test("every published frame is read and written back, byte for byte", arguments: PhdcVectors.names)
    func roundTrip(_ name: String) throws {
        let bytes = PhdcVectors.bytes(name)
        #expect(try PhdcApdu(bytes).wire == bytes)
    }

    @Test("the reference's frames are these", .enabled(if: FileManager.default.fileExists(atPath: Self.reference.path)))
    func published() throws {
        let text = try String(contentsOf: Self.reference, encoding: .utf8)
        let frames = text.split(separator: "<sub>hex: `").dropFirst().map { String($0.prefix { $0 != "`" }) }
        // K is an annex', L another example, that the reference does not have.
        let names = PhdcVectors.names.filter { !$0.hasPrefix("K") && !$0.hasPrefix("L") }
        #expect(frames.count == names.count)
        let ours = Set(names.map { phdcHexadecimal(PhdcVectors.bytes($0)).filter { $0 != " " } })
        #expect(Set(frames) == ours)
    }

    static let reference = URL(filePath: #filePath).resolvingSymlinksInPath().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "../shared/reference/phdc.md").standardizedFileURL

    @Test("every truncation of every frame is refused", arguments: PhdcVectors.names)
    func truncations(_ name: String) {
        let bytes = PhdcVectors.bytes(name)
        for count in 0..<bytes.count { #expect(throws: WireError.self) { try PhdcApdu(Array(bytes[..<count])) } }
    }

    @Test("flipped bits are read or refused, never worse", arguments: PhdcVectors.names)
    func flips(_ name: String) {
        let bytes = PhdcVectors.bytes(name)
        for index in bytes.indices {
            for bit in 0..<8 as Range<UInt8> {
                var flipped = bytes
                flipped[index] ^= 1 << bit
                guard let apdu = try? PhdcApdu(flipped) else { continue }
                #expect(apdu.wire == flipped)
            }
        }
    }

    // Phdc.md 3.2: values, and where they come from.
    @Test(
        "32-bit numbers",
        arguments: [
            (0xFF00_0270, "62.4"), (0xFF00_0100, "25.6"), (0xFA1E_8480, "2.000000"), (0xFB12_D687, "12.34567"),
            (0xFF00_0174, "37.2"), (0xFFFF_FF9C, "-10.0"), (0x0300_007B, "123e3"), (0x007F_FFFF, "NaN"),
            (0x0080_0000, "NRes"), (0x007F_FFFE, "+INFINITY"), (0x0080_0002, "-INFINITY"), (0x0080_0001, "reserved"),
        ] as [(UInt32, String)])
    func float(_ bits: UInt32, _ text: String) {
        let number = PhdcNumber(float: bits)
        #expect(number.description == text)
        #expect((number.ratio == nil) == (number.special != nil))
        #expect(number.float == bits)
    }

    @Test(
        "16-bit numbers",
        arguments: [
            (0xF258, "60.0"), (0xF3CF, "97.5"), (0xF2CB, "71.5"), (0x0048, "72"), (0x8001, "0.00000001"),
            (0x7001, "1e7"), (0xFFFF, "-0.1"), (0x07FF, "NaN"), (0x0800, "NRes"), (0x07FE, "+INFINITY"),
            (0x0802, "-INFINITY"), (0x0801, "reserved"),
        ] as [(UInt16, String)])
    func sfloat(_ bits: UInt16, _ text: String) {
        let number = PhdcNumber(sfloat: bits)
        #expect(number.description == text)
        #expect(number.sfloat == bits)
    }

    @Test("numbers keep their decimals exactly, and what does not fit is absent")
    func ratios() {
        #expect(PhdcNumber(float: 0xFF00_0270).ratio == Ratio(624, 10))
        #expect(PhdcNumber(float: 0x0300_007B).ratio == Ratio(123_000))
        #expect(PhdcNumber(float: 0x7F00_0001).ratio == nil)
        #expect(PhdcNumber(float: 0x8000_0001).ratio == nil)
        #expect(PhdcNumber(float: 0x7F00_0000).ratio == Ratio(0))
        #expect(PhdcNumber(sfloat: 0x17FF).isSuspicious)
        #expect(PhdcNumber(sfloat: 0x17FF).ratio == Ratio(20_470))
    }

    @Test("times")
    func times() {
        let raw: [UInt8] = [0x20, 0x26, 0x03, 0x14, 0x09, 0x41, 0x30, 0x00]
        #expect(PhdcClock.absolute(raw)?.description == "2026-03-14 09:41:30")
        #expect(PhdcClock.absolute(from: PhdcClock.absolute(raw)!) == raw)
        // A published example mixes BCD and binary.
        #expect(PhdcClock.absolute([0x20, 0x0C, 0x03, 0x0E, 0x09, 0x05, 0, 0]) == nil)
        #expect(PhdcClock.absolute(Array(repeating: 0, count: 8)) == nil)
        // 2026-03-14 08:41:30 UTC, an hour east.
        let seconds = UInt32(PhdcClock.absolute(raw)!.civilSeconds - 3600 + 25567 * 86_400)
        let bytes = (0..<4).map { UInt8(truncatingIfNeeded: seconds >> (24 - 8 * $0)) }
        #expect(PhdcClock.baseOffset(bytes + [0, 0, 0, 60])?.description == "2026-03-14 09:41:30")
        var nameplate = PhdcNameplate()
        nameplate.take([PhdcAttribute(0x0987, raw), PhdcAttribute(0x098F, long: 0xFFFF_F000)], at: 0)
        // The counter rolled over meanwhile.
        func date(_ ticks: UInt32) -> String? { PhdcReadingTime(.relative(ticks), nameplate, at: 0).at?.description }
        #expect(date(0x0000_3000) == "2026-03-14 09:41:32")
        #expect(date(0xFFFF_EFFF) == "2026-03-14 09:41:29")
    }

    @Test("a count or a length that lies is refused")
    func sequences() {
        for bytes: [UInt8] in [
            [0xFF, 0xFF, 0, 0], [0, 1, 0, 0], [0, 1, 0, 4, 0, 1, 0, 2], [0, 2, 0, 2, 0, 1], [0, 0, 0, 2, 0, 1],
            [0, 1, 0xFF, 0xFF, 0, 1],
        ] {
            var reader = ByteReader(bytes)
            #expect(throws: WireError.self) { try reader.codes() }
        }
        var empty = ByteReader([0, 0, 0, 0])
        #expect(throws: Never.self) { try empty.codes() }
    }

    @Test("scales become steps exactly, or are not claimed")
    func scales() throws {
        func wave(_ lower: UInt32, _ upper: UInt32, _ scaled: [UInt8], unit: UInt16 = 0x10B2, sample: [UInt8])
            -> PhdcWave?
        {
            PhdcWave(
                PhdcObject(
                    kind: PhdcClass.array, handle: 1,
                    attributes: [
                        PhdcAttribute(PhdcAttributeID.type, long: 0x0002_0101),
                        PhdcAttribute(PhdcAttributeID.unit, unit),
                        PhdcAttribute(PhdcAttributeID.samplePeriod, long: 32),
                        PhdcAttribute(PhdcAttributeID.arraySpecification, sample),
                        PhdcAttribute(
                            scaled.count == 2 ? PhdcAttributeID.scale8 : PhdcAttributeID.scale16,
                            PhdcAttribute(0, long: lower).value + PhdcAttribute(0, long: upper).value + scaled),
                    ]))
        }
        let signed: [UInt8] = [0, 5, 16, 255, 0, 0]
        let ecg = try #require(wave(0xFFFF_FF9C, 0xFF00_0064, [0xF8, 0x30, 0x07, 0xD0], sample: signed))
        #expect(ecg.channel.unit == "uV" && ecg.channel.scale == Ratio(5) && ecg.channel.rate == Ratio(250))
        #expect(ecg.samples([0xFF, 0xFC, 0x00, 0x0C]) == [-4, 12])
        // 0 to 100 % on 0 to 250, masked to 7 bits: with an offset, -1 to 1 mV on 0 to 3.
        let offset = try #require(wave(0x00FF_FFFF, 0x0000_0001, [0, 0, 0, 3], sample: [0, 1, 16, 16, 0, 0]))
        #expect(offset.samples([0, 0, 0, 3]).map { offset.channel.physical($0) } == [-1000, 1000])
        let masked = try #require(wave(0, 0x0000_007F, [0, 0x7F], sample: [0, 1, 8, 7, 0x10, 0]))
        #expect(masked.samples([0xFF]).map { masked.channel.physical($0) } == [127_000])
        // Both points the same: no scale.
        let flat = try #require(wave(0, 1, [0, 5, 0, 5], sample: signed))
        #expect(flat.channel.unit == "1" && flat.channel.calibration == .unverified)
        #expect(wave(0, 1, [0, 0, 0, 5], sample: [0, 1, 24, 255, 0, 0]) == nil)
        // Of 32 bits the scale says which are meant.
        #expect(wave(0, 1, [0, 0, 0, 5], sample: [0, 1, 32, 32, 0, 0])?.channel.range == 0...5)
    }

    @Test("transfers and APDUs need not be the same")
    func framing() {
        let (first, second) = (PhdcVectors.bytes("A7"), PhdcVectors.bytes("A11"))
        for size in 1...first.count + second.count {
            var framer = PhdcFramer()
            let all = first + second
            let pieces = stride(from: 0, to: all.count, by: size).flatMap {
                framer.take(Array(all[$0..<min($0 + size, all.count)]), at: 0)
            }
            #expect(pieces == [.apdu(first), .apdu(second)])
        }
        var framer = PhdcFramer()
        let preamble = PhdcFramer.signature + [1, 1, 8, 3, 1, 2, 3]
        #expect(
            framer.take(preamble + first + [0, 0, 0], at: 0) == [
                .preamble(preamble), .apdu(first), .padding([0, 0, 0]),
            ])
        #expect(framer.take([], at: 0).isEmpty)
        #expect(framer.take([0xE2, 0x01], at: 0) == [.lost([0xE2, 0x01])])
        // Longer than any APDU may be.
        #expect(framer.take([0xE7, 0x00, 0xFC, 0x00], at: 0) == [.lost([0xE7, 0x00, 0xFC, 0x00])])
        // The rest does not come.
        #expect(framer.take(Array(first[..<20]), at: 5).isEmpty)
        #expect(framer.deadline == 5 + PhdcFramer.patience)
        #expect(framer.take(second, at: 5 + PhdcFramer.patience) == [.lost(Array(first[..<20])), .apdu(second)])
    }

    @Test("the standard configurations are usable, and their maps add up")
    func configurations() throws {
        for (id, lengths) in [
            (0x0190, [2, 2]), (0x0191, [10, 10]), (0x02BC, [18, 10]), (0x0320, [12]), (0x05DC, [12]), (0x06A4, [10]),
        ] as [(UInt16, [Int])] {
            let configuration = try #require(PhdcConfiguration.standard(id))
            #expect(configuration.isUsable)
            #expect(configuration.objects.map { $0.map?.reduce(0) { $0 + Int($1.length) } } == lengths)
            let report = PhdcConfigurationReport(id: id, objects: configuration.objects)
            #expect(try PhdcConfigurationReport(report.wire) == report)
        }
    }
}
