import Testing
import Wire

/// Captures built here by the formats' own rules, and lines as the kernel writes them.
@Suite("Captures of other programs")
struct CaptureTests {
    static func little(_ value: some FixedWidthInteger) -> [UInt8] {
        (0..<(type(of: value).bitWidth / 8)).map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) }
    }

    /// Linux' usbmon_packet.
    static func usbmon(
        _ type: Character, transfer: UInt8, endpoint: UInt8, device: UInt8 = 5, setup: [UInt8]? = nil,
        _ data: [UInt8] = [], mmapped: Bool = true
    ) -> [UInt8] {
        var bytes = little(UInt64(0xFFFF_8800_1234_5678))
        bytes += [type.asciiValue ?? 0, transfer, endpoint, device] + little(UInt16(1))
        bytes += [setup == nil ? 0x2D : 0, data.isEmpty ? 0x3C : 0]
        bytes += little(Int64(0)) + little(Int32(0)) + little(Int32(0)) + little(UInt32(data.count))
        bytes += little(UInt32(data.count)) + (setup ?? Array(repeating: 0, count: 8))
        if mmapped { bytes += Array(repeating: 0, count: 16) }
        return bytes + data
    }

    static func block(_ kind: UInt32, _ body: [UInt8]) -> [UInt8] {
        let padded = body + Array(repeating: 0, count: (4 - body.count % 4) % 4)
        let length = little(UInt32(12 + padded.count))
        return little(kind) + length + padded + length
    }

    /// - Parameter ticks: of each packet, in microseconds unless `resolution` says otherwise.
    static func pcapng(_ packets: [(UInt64, [UInt8])], link: UInt16 = 220, resolution: UInt8? = nil) -> [UInt8] {
        var bytes = block(0x0A0D_0D0A, little(UInt32(0x1A2B_3C4D)) + [1, 0, 0, 0] + little(Int64(-1)))
        let option: [UInt8] = resolution.map { [9, 0, 1, 0, $0, 0, 0, 0, 0, 0, 0, 0] } ?? []
        bytes += block(1, little(link) + [0, 0] + little(UInt32(0)) + option)
        // A block that nobody knows.
        bytes += block(0x0BAD, [1, 2, 3])
        for (time, packet) in packets {
            let count = little(UInt32(packet.count))
            let stamp = little(UInt32(time >> 32)) + little(UInt32(truncatingIfNeeded: time))
            bytes += block(6, little(UInt32(0)) + stamp + count + count + packet)
        }
        return bytes
    }

    static let descriptor: [UInt8] = [18, 1, 0, 2, 0, 0, 0, 64, 0x90, 0x05, 0x28, 0x00, 0, 1, 1, 2, 3, 1]

    @Test func blocksAsOldWiresharksWroteThem() throws {
        let packet = Self.usbmon("C", transfer: 1, endpoint: 0x81, [2, 0x4F, 0x4B])
        let count = Self.little(UInt32(packet.count))
        let time = Self.little(UInt32(0)) + Self.little(UInt32(1_000_000))
        let old = Self.block(2, Self.little(UInt16(0)) + Self.little(UInt16(3)) + time + count + count + packet)
        let events = try Capture.transcript(Self.pcapng([]) + old).events
        #expect(events.map(\.bytes) == [[2, 0x4F, 0x4B]])
    }

    @Test func aDeviceIsFoundByItsInterface() throws {
        let configuration: [UInt8] =
            [9, 2, 25, 0, 1, 1, 0, 0x80, 50] + [9, 4, 0, 0, 2, 0x0F, 0, 0, 0] + [7, 5, 0x81, 2, 64, 0, 0]
        let file = Self.pcapng([
            (1, Self.usbmon("C", transfer: 2, endpoint: 0x80, Self.descriptor)),
            (2, Self.usbmon("C", transfer: 2, endpoint: 0x80, configuration)),
            (3, Self.usbmon("C", transfer: 3, endpoint: 0x82, device: 9, Array(repeating: 1, count: 500))),
            (4, Self.usbmon("C", transfer: 3, endpoint: 0x81, [0xE2, 0, 0, 0])),
        ])
        let wanted = [Capture.Wanted(interface: "0f0000")]
        #expect(try Capture.transcript(file, wanted: wanted).events.last?.bytes == [0xE2, 0, 0, 0])
        // The one that was not introduced comes behind, for a driver that understands it too.
        #expect(try Capture.conversations(file, wanted: wanted).map(\.isWanted) == [true, false])
        // Nobody is: the one that was not introduced comes first.
        let others = try Capture.conversations(file, wanted: [Capture.Wanted(interface: "030101")])
        #expect(others.map { $0.transcript.events.last?.bytes.count } == [500, 4])
    }

    @Test func wiresharkOnUsbmon() throws {
        let file = Self.pcapng(
            [
                (1_000_000, Self.usbmon("S", transfer: 2, endpoint: 0x80, setup: [0x80, 6, 0, 1, 0, 0, 18, 0])),
                (1_000_500, Self.usbmon("C", transfer: 2, endpoint: 0x80, Self.descriptor)),
                // Another device of the same bus, louder.
                (1_000_600, Self.usbmon("C", transfer: 3, endpoint: 0x82, device: 9, Array(repeating: 1, count: 500))),
                (
                    1_001_000,
                    Self.usbmon("S", transfer: 2, endpoint: 0, setup: [0x21, 9, 0, 3, 0, 0, 2, 0], [1, 1])
                ),
                (1_002_000, Self.usbmon("S", transfer: 1, endpoint: 0x02, [7, 0, 0, 0, 0, 0, 0, 0])),
                (1_002_100, Self.usbmon("C", transfer: 1, endpoint: 0x02)),
                (1_002_200, Self.usbmon("S", transfer: 1, endpoint: 0x81)),
                (1_252_000, Self.usbmon("C", transfer: 1, endpoint: 0x81, [2, 0x4F, 0x4B, 0, 0, 0, 0, 0])),
            ])
        let wanted = [Capture.Wanted(vendorID: "0590", productID: "0028")]
        let transcript = try Capture.transcript(file, wanted: wanted)
        #expect(transcript.header.vendorID == "0590" && transcript.header.productID == "0028")
        #expect(
            transcript.events.map(\.bytes) == [
                [0x80, 6, 0, 1, 0, 0, 18, 0], Self.descriptor, [0x21, 9, 0, 3, 0, 0, 2, 0, 1, 1],
                [7, 0, 0, 0, 0, 0, 0, 0], [2, 0x4F, 0x4B, 0, 0, 0, 0, 0],
            ])
        #expect(transcript.events.map(\.endpoint) == [0, 0x80, 0, 0x02, 0x81])
        #expect(transcript.events.map { Int(($0.after * 1e6).rounded()) } == [0, 500, 500, 1000, 250_000])
        // Nobody is wanted: the louder one.
        #expect(try Capture.transcript(file).events.map(\.bytes.count) == [500])
        // Cut anywhere it is read as far as it goes; nothing traps.
        for count in 0..<file.count {
            let part = try? Capture.transcript(Array(file[..<count]), wanted: wanted)
            #expect((part?.events.count ?? 0) <= 5)
        }
    }

    @Test func theOlderFile() throws {
        for (magic, isBig) in [([0xD4, 0xC3, 0xB2, 0xA1] as [UInt8], false), ([0xA1, 0xB2, 0x3C, 0x4D], true)] {
            func number(_ value: UInt32) -> [UInt8] { isBig ? Self.little(value).reversed() : Self.little(value) }
            var packet = Self.usbmon("C", transfer: 3, endpoint: 0x82, [1, 2, 3], mmapped: false)
            if isBig {
                packet.replaceSubrange(12..<14, with: [0, 1])
                packet.replaceSubrange(32..<36, with: number(3))
                packet.replaceSubrange(36..<40, with: number(3))
            }
            var file = magic + Array(repeating: 0, count: 16) + number(189)
            for second in [10, 11] as [UInt32] {
                file += number(second) + number(0) + number(UInt32(packet.count)) + number(UInt32(packet.count))
                file += packet
            }
            let events = try Capture.transcript(file).events
            #expect(events == [.received([1, 2, 3], endpoint: 0x82), .received([1, 2, 3], endpoint: 0x82, after: 1)])
        }
        let ethernet = [0xD4, 0xC3, 0xB2, 0xA1] + Array(repeating: 0, count: 16) + Self.little(UInt32(1))
        let error = #expect(throws: TranscriptError.self) { try Capture.transcript(ethernet) }
        #expect(error?.description.contains("link type 1") == true && error?.description.contains("line") == false)
    }

    @Test func usbpcapOfWindows() throws {
        func packet(_ endpoint: UInt8, transfer: UInt8, completed: Bool, stage: UInt8? = nil, _ data: [UInt8])
            -> [UInt8]
        {
            let header = 27 + (stage == nil ? 0 : 1)
            return Self.little(UInt16(header)) + Self.little(UInt64(1)) + Self.little(UInt32(0))
                + Self.little(UInt16(9))
                + [completed ? 1 : 0] + Self.little(UInt16(1)) + Self.little(UInt16(3)) + [endpoint, transfer]
                + Self.little(UInt32(data.count)) + (stage.map { [$0] } ?? []) + data
        }
        let file = Self.pcapng(
            [
                (0, packet(0x80, transfer: 2, completed: false, stage: 0, [0x80, 6, 0, 1, 0, 0, 18, 0])),
                (0, packet(0x80, transfer: 2, completed: true, stage: 3, Self.descriptor)),
                (0, packet(0, transfer: 2, completed: false, stage: 0, [0x21, 9, 0, 2, 0, 0, 2, 0, 0x82, 0])),
                (0, packet(0x81, transfer: 1, completed: false, [])),
                (2_000_000, packet(0x81, transfer: 1, completed: true, [1, 2, 3])),
            ], link: 249, resolution: 6)
        let events = try Capture.transcript(file).events
        #expect(events.map(\.bytes.count) == [8, 18, 10, 3])
        #expect(events.map(\.endpoint) == [0, 0x80, 0, 0x81])
        #expect(events.last.map { Int(($0.after * 1e6).rounded()) } == 2_000_000)
    }

    @Test func usbmonAsText() throws {
        let text = """
            ffff88003d7f1000 3575914555 S Ci:1:005:0 s 80 06 0100 0000 0012 18 <
            ffff88003d7f1000 3575914560 C Ci:1:005:0 0 18 = 12010002 00000040 90052800 00010102 0301
            ffff88003d7f1000 3575915000 S Co:1:005:0 s 21 09 0300 0000 0002 2 = 0101
            ffff88003d7f1000 3575915100 S Io:1:005:2 -115:1 8 = 07000000 00000000
            ffff88003d7f1000 3575915200 C Io:1:005:2 0:1 8 >
            ffff88003d7f1000 3575915300 S Ii:1:005:1 -115:1 8 <
            ffff88003d7f1000 3576915300 C Ii:1:005:1 0:1 8 = 024f4b00 00000000
            ffff88003d7f1000 3576915300 C Zi:1:006:1 0:1:0:0 0 8 = 024f4b00 00000000
            """
        let events = try Capture.transcript(Array(text.utf8)).events
        #expect(events.map(\.endpoint) == [0, 0x80, 0, 0x02, 0x81])
        #expect(events[0].bytes == [0x80, 6, 0, 1, 0, 0, 18, 0] && events[1].bytes == Self.descriptor)
        #expect(events[2].bytes == [0x21, 9, 0, 3, 0, 0, 2, 0, 1, 1])
        #expect(events[4].bytes == [2, 0x4F, 0x4B, 0, 0, 0, 0, 0])
        #expect(Int((events[4].after * 1e6).rounded()) == 1_000_200)
    }

    @Test(arguments: [
        "00000000  06 80 80 87 02 80 80 c3  cd d3 b5 b0 c6 02 82 81  |................|\n00000010  ff a0  |..|\n00000012\n",
        "00000000: 0680 8087 0280 80c3 cdd3 b5b0 c602 8281  ................\n00000010: ffa0                 ..\n",
        "06 80 80 87 02 80 80 C3 CD D3 B5 B0 C6 02 82 81\nFF A0\n", "06808087028080C3CDD3B5B0C6028281FFA0",
    ])
    func hexadecimal(_ text: String) throws {
        let said: [UInt8] = [6, 128, 128, 135, 2, 128, 128, 195, 205, 211, 181, 176, 198, 2, 130, 129, 255, 160]
        let events = try Capture.transcript(Array(text.utf8)).events
        #expect(events.map(\.kind) == [.fromDevice] && events.flatMap(\.bytes) == said)
    }

    @Test func transcriptsStayTranscripts() throws {
        let text = "# ess-agent transcript 1\n> 01  7D 81 A0\n< 81  06 80 80 87\n"
        #expect(try Capture.transcript(Array(text.utf8)) == Transcript(parsing: text))
        // Words in a machine's order are no bytes, and a sentence is neither.
        for wrong in ["0000000 8006 8780\n", "hello world\n"] {
            #expect(throws: TranscriptError.self) { try Capture.transcript(Array(wrong.utf8)) }
        }
        #expect(Capture.transcript(raw: Array(repeating: 7, count: 5000)).events.map(\.bytes.count) == [4096, 904])
    }

    @Test func damageNeverTraps() throws {
        let file = Self.pcapng(
            [
                (1, Self.usbmon("C", transfer: 2, endpoint: 0x80, Self.descriptor)),
                (2, Self.usbmon("C", transfer: 3, endpoint: 0x81, [1, 2, 3, 4])),
            ], resolution: 9)
        var numbers = SeededNumbers(state: 4)
        for _ in 0..<3000 {
            var damaged = file
            for _ in 0..<Int.random(in: 1...6, using: &numbers) {
                damaged[Int.random(in: 4..<damaged.count, using: &numbers)] = UInt8.random(in: 0...255, using: &numbers)
            }
            _ = try? Capture.transcript(damaged)
        }
    }

    // MARK: Cut and damaged files

    static func transfer(_ number: UInt8) -> [UInt8] {
        usbmon("C", transfer: 3, endpoint: 0x81, [number, 2, 3, 4])
    }

    /// Five transfers. Blocks of the section, of the interface, and one that nobody knows come first.
    static var five: [UInt8] {
        let packets: [(UInt64, [UInt8])] = (1...5).map { (UInt64($0), transfer(UInt8($0))) }
        return pcapng(packets)
    }

    /// The same in the older file: records of 84 bytes.
    static var fiveRecords: [UInt8] {
        var file: [UInt8] = [0xD4, 0xC3, 0xB2, 0xA1] + Array(repeating: 0, count: 16)
        file += little(UInt32(220))
        for number in 1...5 {
            let packet = transfer(UInt8(number))
            let count = little(UInt32(packet.count))
            file += little(UInt32(number)) + little(UInt32(0))
            file += count + count + packet
        }
        return file
    }

    /// Where each block begins.
    static func blocks(of file: [UInt8]) -> [Int] {
        var places: [Int] = []
        var at = 0
        while at < file.count {
            places.append(at)
            at += Int(file[at + 4]) | Int(file[at + 5]) << 8
        }
        return places
    }

    /// The first byte of each transfer that was read.
    static func read(_ file: [UInt8]) throws -> [UInt8] {
        try Capture.transcript(file).events.compactMap(\.bytes.first)
    }

    @Test("what a capture that was still being written has not whole is said, wherever it was cut")
    func cutAnywhere() throws {
        let blocks = Self.blocks(of: Self.five) + [Self.five.count]
        let records = (0...5).map { 24 + $0 * 84 }
        for (file, ends) in [(Self.five, blocks), (Self.fiveRecords, records)] {
            #expect(ends.last == file.count)
            for count in 4...file.count {
                let damage = Capture.damage(Array(file[..<count]))
                let whole = ends.last { $0 <= count } ?? 0
                #expect(damage.isWhole == (whole == count) && damage.skipped == 0)
                guard whole < count else { continue }
                #expect(damage.unread == whole..<count && damage.isCut)
            }
        }
        #expect(try Self.read(Array(Self.five.dropLast(1))) == [1, 2, 3, 4])
        #expect(try Self.read(Array(Self.fiveRecords.dropLast(1))) == [1, 2, 3, 4])
    }

    @Test(
        "a length that is wrong leaves nothing to go on with, and is no cut",
        arguments: [0, 8, 106, 0x0010_0000, 0xFFFF_FFFF] as [UInt32])
    func wrongLength(_ length: UInt32) throws {
        var file = Self.five
        // The third transfer's.
        let at = Self.blocks(of: file)[5]
        file.replaceSubrange(at + 4..<at + 8, with: Self.little(length))
        let damage = Capture.damage(file)
        #expect(damage.unread == at..<file.count && !damage.isCut && damage.skipped == 0)
        #expect(try Self.read(file) == [1, 2])
    }

    @Test("in the older file too, and zeros are no packets")
    func wrongRecord() throws {
        let at = 24 + 2 * 84
        var file = Self.fiveRecords
        file.replaceSubrange(at + 8..<at + 12, with: Self.little(UInt32.max))
        for file in [file, Array(Self.fiveRecords[..<at]) + Array(repeating: 0, count: 252)] {
            let damage = Capture.damage(file)
            #expect(damage.unread == at..<file.count && !damage.isCut && damage.skipped == 0)
            #expect(try Self.read(file) == [1, 2])
        }
    }

    @Test("a block whose inside is damaged is stepped over, counted, and joins nothing")
    func damagedInside() throws {
        let blocks = Self.blocks(of: Self.five)
        let (at, end) = (blocks[5], blocks[6])
        let damages: [(Range<Int>, [UInt8])] = [
            // More bytes than the block has, an interface that the file hasn't, the second length.
            (at + 20..<at + 24, Self.little(UInt32(4096))), (at + 8..<at + 12, Self.little(UInt32(7))),
            (end - 4..<end, Self.little(UInt32(104))),
        ]
        for (place, bytes) in damages {
            var file = Self.five
            file.replaceSubrange(place, with: bytes)
            let found = try #require(try Capture.conversations(file, wanted: []).first)
            #expect(found.transcript.events.compactMap(\.bytes.first) == [1, 2, 4, 5])
            #expect(found.breaks == [2])
            #expect(found.damage.skipped == 1 && found.damage.unread == nil && !found.damage.isWhole)
        }
        // A packet that is shorter than its header, though nothing cut it.
        let short = try #require(
            try Capture.conversations(
                Self.pcapng([
                    (1, Self.usbmon("C", transfer: 3, endpoint: 0x81, [1])), (2, [1, 2, 3]),
                    (3, Self.usbmon("C", transfer: 3, endpoint: 0x81, [3])),
                ]), wanted: []
            ).first)
        #expect(short.damage.skipped == 1 && short.breaks == [1] && short.transcript.events.count == 2)
    }

    @Test("an interface whose options are damaged keeps its packets")
    func damagedInterface() throws {
        var file = Self.pcapng([(1, Self.usbmon("C", transfer: 3, endpoint: 0x81, [7]))], resolution: 9)
        let at = Self.blocks(of: file)[1]
        // The first option's length.
        file.replaceSubrange(at + 18..<at + 20, with: [0xFF, 0xFF])
        #expect(try Self.read(file) == [7])
        #expect(Capture.damage(file).skipped == 1)
    }
}
