import Clinical
import Testing
import Wire

@testable import Devices

@Suite("Contec oximeter: frames")
struct ContecOximeterFrameTests {
    typealias Frame = ContecOximeterFrame
    static let origin = ContecOximeterPlace(user: 0, segment: 0)

    static func pair(_ spo2: UInt8, _ pulse: UInt8, _ perfusion: UInt16? = nil) -> ContecOximeterStoredSample {
        ContecOximeterStoredSample(spo2: spo2, pulse: pulse, perfusion: perfusion)
    }

    /// devices.md 3.7, 3.3 and 3.4.
    static let examples: [(String, Frame)] = [
        ("0A 80 80 81", .segmentCount(user: 0, count: 1)),
        ("10 80 81", .userCount(1)),
        ("05 80 80 F5 F3 E5 F2 80 80", .user(index: 0, name: Array("user".utf8) + [0, 0])),
        ("11 80 81 81 80 80 80 80 80", .notice(kind: 1, [1, 0, 0, 0, 0, 0])),
        ("07 80 80 80 94 8E 88 92", .startDate(origin, century: 20, year: 14, month: 8, day: 18)),
        ("12 80 80 80 82 A6 92 80", .startTime(origin, hour: 2, minute: 38, second: 18, last: 0)),
        ("08 80 80 80 A4 81 80 80", .length(origin, 292)),
        ("0F 80 DE C2 DE C2 DE C2", .stored([pair(94, 66), pair(94, 66), pair(94, 66)])),
        ("09 80 E1 C4 CE 82", .storedWithPerfusion(pair(97, 68, 590))),
        ("0F A0 E0 BD E0 BE DF 83", .stored([pair(96, 61), pair(96, 62), pair(95, 131)])),
        ("0F 8A FF FF FF FF DE C0", .stored([pair(127, 255), pair(127, 255), pair(94, 64)])),
        ("0F 80 DD BF 80 80 80 80", .stored([pair(93, 63), pair(0, 0), pair(0, 0)])),
        ("08 88 80 80 80 E1 80 80", .length(origin, 57_600)),
        ("08 80 80 80 8E 80 80 80", .length(origin, 14)),
        ("06 80 80 87", .version(0, 7)),
        ("0C 80", .free),
    ]

    @Test("real examples decode, and encode to the same bytes", arguments: examples)
    func example(_ wire: String, _ frame: Frame) throws {
        #expect(try Frame(parsing: bytes(wire)) == frame)
        #expect(frame.wire == bytes(wire))
    }

    @Test("V7DOC's length 86031")
    func vendorLength() throws {
        let frame = Frame.length(Self.origin, 86_031)
        #expect(ContecOximeterPacking.unpacked(frame.wire[1...]) == [0, 0, 0x0F, 0x50, 0x01, 0x00])
        #expect(try Frame(parsing: frame.wire) == frame)
    }

    @Test("a real-time frame of a CMS50D+")
    func realTime() throws {
        guard case .realTime(let values) = try Frame(parsing: bytes("01 E0 85 B3 96 C1 E1 FF FF")) else {
            Issue.record("not a real-time frame")
            return
        }
        #expect(values.strength == 5)
        #expect(!values.isProbeOff && !values.isSearching && !values.isSearchingTooLong && !values.isBeat)
        #expect(values.plethysmogram == 51)
        #expect(values.bar == 6)
        #expect(values.isPerfusionInvalid)
        #expect(values.pulse == 65)
        #expect(values.spo2 == 97)
        #expect(values.rawPerfusion == 0xFFFF)
        #expect(values.perfusion == .absent)
    }

    @Test("the high byte carries probe error (E1) and searching (E2)")
    func states() throws {
        guard case .realTime(let off) = try Frame(parsing: bytes("01 E1 85 C0 96 C1 E1 FF FF")),
            case .realTime(let searching) = try Frame(parsing: bytes("01 E2 8F B3 96 C1 E1 FF FF"))
        else {
            Issue.record("not real-time frames")
            return
        }
        #expect(off.isProbeOff && off.plethysmogram == .absent)
        #expect(searching.isSearching && !searching.isProbeOff && searching.plethysmogram == 51)
        #expect(searching.strength == 8, "more than 8 counts as 8")
    }

    @Test("no value stays no value")
    func absent() {
        func live(_ pulse: UInt8, _ spo2: UInt8, _ perfusion: UInt16, flag: UInt8 = 0) -> ContecOximeterRealTime {
            ContecOximeterRealTime(
                data: [5, 60, flag, pulse, spo2, UInt8(truncatingIfNeeded: perfusion), UInt8(perfusion >> 8)])
        }
        for pulse: UInt8 in [0, 0xFF] { #expect(live(pulse, 97, 0).pulse == .absent) }
        for spo2: UInt8 in [0, 0x7F, 101, 128, 255] { #expect(live(60, spo2, 0).spo2 == .absent) }
        for perfusion: UInt16 in [2201, 0xFFFF] { #expect(live(60, 97, perfusion).perfusion == .absent) }
        #expect(live(60, 97, 590, flag: 0x10).perfusion == .absent)
        #expect(live(254, 100, 2200).samples == [60, 100, 254, 2200])
        #expect(live(1, 1, 0).samples == [60, 1, 1, 0])
        #expect(Self.pair(0x7F, 0xFF, 0xFFFF).samples == [.absent, .absent, .absent])
        #expect(Self.pair(0, 0).samples == [.absent, .absent])
    }

    /// One frame of every type, with all bits in use.
    static let everyType: [Frame] = {
        var random = Seeded(state: 3)
        return ContecOximeterFrameType.allCases.flatMap { type in
            (0..<20).compactMap { _ in
                let data = (0..<type.length - 2).map { _ in UInt8.random(in: 0...255, using: &random) }
                return try? Frame(parsing: [type.rawValue] + ContecOximeterPacking.packed(data))
            }
        }
    }()

    @Test("every type round-trips; every truncation and every clear bit 7 is an error")
    func everyFrame() throws {
        #expect(Self.everyType.count == 20 * 21)
        for frame in Self.everyType {
            let wire = frame.wire
            #expect(try Frame(parsing: wire) == frame)
            for count in 0..<wire.count {
                #expect(throws: WireError.self) { try Frame(parsing: Array(wire[..<count])) }
            }
            #expect(throws: WireError.self) { try Frame(parsing: wire + [0x80]) }
            for index in 1..<wire.count {
                var damaged = wire
                damaged[index] &= 0x7F
                #expect(throws: WireError.self) { try Frame(parsing: damaged) }
            }
        }
    }

    @Test("flipped bits never crash, and never decode to something that encodes differently")
    func flippedBits() {
        for frame in Self.everyType {
            for index in frame.wire.indices {
                for bit in 0..<8 {
                    var wire = frame.wire
                    wire[index] ^= 1 << UInt8(bit)
                    if let other = try? Frame(parsing: wire) {
                        // The high byte's unused bits mean nothing.
                        #expect(other.wire.count == wire.count)
                        #expect((try? Frame(parsing: other.wire)) == other)
                    }
                }
            }
        }
    }
}

@Suite("Contec oximeter: commands")
struct ContecOximeterCommandTests {
    typealias Command = ContecOximeterCommand

    @Test("the examples of devices.md 3.5")
    func examples() {
        #expect(Command.download(ContecOximeterPlace(user: 0, segment: 2)).wire == bytes("7D 81 A6 80 82 80 80 80 80"))
        #expect(
            Command.setDate(century: 20, year: 25, month: 11, day: 22, weekday: 6).wire
                == bytes("7D 81 B2 94 99 8B 96 86 80"))
        #expect(Command.setTime(hour: 14, minute: 5, second: 9).wire == bytes("7D 81 B1 8E 85 89 80 80 80"))
        #expect(Command.version.wire == bytes("7D 81 A0 80 80 80 80 80 80"))
        #expect(Command.keepAlive.wire == bytes("7D 81 AF 80 80 80 80 80 80"))
    }

    @Test("erase is not among the codes")
    func noErase() {
        #expect(!Command.Code.allCases.contains { $0.rawValue == 0xAE })
        #expect(Command.Code(rawValue: 0xAE) == nil)
        let erase = bytes("7D 85 AE 80 FF 80 80 80 80")
        let forbidden = ContecOximeter.profile.forbidden
        #expect(forbidden.contains { $0.occurs(in: erase) })
        #expect(forbidden.contains { $0.occurs(in: bytes("7D 81 AE")) })
        let place = ContecOximeterPlace(user: 0x2E, segment: 0xAE)
        let all: [Command] = [
            .version, .startLive, .stopLive, .segmentCount(user: 0xAE), .length(place), .startTime(place),
            .download(place), .stopDownload, .model, .vendor, .identifier, .user(0xAE), .perfusionSupport, .userCount,
            .keepAlive, .storedData, .setTime(hour: 0xAE, minute: 0x2E, second: 0xAE),
            .setDate(century: 0xAE, year: 0xAE, month: 0xAE, day: 0xAE, weekday: 0xAE), .unexplained,
            .storageFormat(place),
        ]
        #expect(Set(all.map(\.code)) == Set(Command.Code.allCases))
        for command in all { #expect(!forbidden.contains { $0.occurs(in: command.wire) }) }
    }

    @Test("three to nine bytes are understood, in any portions", arguments: 3...9)
    func shortForms(_ count: Int) {
        let wire = Array(Command.download(ContecOximeterPlace(user: 1, segment: 2)).wire[..<count])
        for cut in 0...wire.count {
            var collector = ContecOximeterCommandCollector()
            var heard = collector.collect(Array(wire[..<cut])) + collector.collect(Array(wire[cut...]))
            heard += collector.concludeIfWhole().map { [$0] } ?? []
            #expect(heard.map(\.code) == [0xA6])
            #expect(heard.first?.place.user == (count > 3 ? 1 : 0))
            #expect(heard.first?.place.segment == (count > 4 ? 2 : 0))
        }
    }
}

@Suite("Contec oximeter: finding frames")
struct ContecOximeterDecoderTests {
    typealias Piece = ContecOximeterDecoder.Piece

    static let frames = ContecOximeterFrameTests.everyType
    static let stream = frames.flatMap(\.wire)

    static func frames(_ pieces: [Piece]) -> [ContecOximeterFrame] {
        pieces.compactMap { if case .frame(let frame, _) = $0 { frame } else { nil } }
    }

    static func raw(_ pieces: [Piece]) -> [UInt8] {
        pieces.flatMap { piece in
            switch piece {
            case .frame(_, let raw), .lost(let raw, _): raw
            }
        }
    }

    @Test("any portions give the same frames", arguments: 0..<20)
    func portions(_ seed: UInt64) {
        var random = Seeded(state: seed)
        var decoder = ContecOximeterDecoder()
        var pieces: [Piece] = []
        var rest = Self.stream[...]
        while !rest.isEmpty {
            let count = Int.random(in: 1...12, using: &random)
            pieces += decoder.decode(Array(rest.prefix(count)))
            rest = rest.dropFirst(count)
        }
        #expect(Self.frames(pieces) == Self.frames)
        #expect(Self.raw(pieces) == Self.stream)
    }

    @Test("one lost byte costs one frame, wherever it was")
    func lostByte() {
        // Two of each type are enough here: every position in every frame.
        let frames = Self.frames.enumerated().filter { $0.offset % 20 < 2 }.map(\.element)
        let stream = frames.flatMap(\.wire)
        for index in stream.indices {
            var damaged = stream
            damaged.remove(at: index)
            var decoder = ContecOximeterDecoder()
            let pieces = decoder.decode(damaged)
            let found = Self.frames(pieces)
            #expect(found.count == frames.count - 1)
            #expect(Self.raw(pieces) + decoder.partial == damaged)
            // What is left is what was there: nothing is made up.
            var expected = frames[...]
            for frame in found {
                while let next = expected.first, next != frame { expected.removeFirst() }
                #expect(!expected.isEmpty)
                expected = expected.dropFirst()
            }
        }
    }

    @Test("unknown types are reported, and nothing is lost without a word")
    func unknownType() {
        var decoder = ContecOximeterDecoder()
        let pieces = decoder.decode(bytes("42 80 81 0C 80 90 0C 80"))
        #expect(
            pieces == [
                .lost(bytes("42 80 81"), unknownTypes: [0x42]), .frame(.free, raw: bytes("0C 80")),
                .lost(bytes("90"), unknownTypes: []), .frame(.free, raw: bytes("0C 80")),
            ])
    }

    @Test("noise keeps every byte", arguments: 0..<10)
    func noise(_ seed: UInt64) {
        var random = Seeded(state: seed)
        let noise = (0..<20_000).map { _ in UInt8.random(in: 0...255, using: &random) }
        var decoder = ContecOximeterDecoder()
        let pieces = decoder.decode(noise)
        #expect(Self.raw(pieces) + decoder.partial == noise)
    }
}
