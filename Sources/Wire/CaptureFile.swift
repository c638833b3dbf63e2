/// pcap and pcapng, as far as captures of USB need them (draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng).
enum CaptureFile {
    /// How one interface of a capture is written.
    private struct Link {
        var type: UInt32
        /// Seconds of one unit of its time stamps.
        var tick: Double
    }

    /// Reads numbers in the file's byte order.
    struct Reader {
        var bytes: ByteReader
        let isBig: Bool

        init(_ bytes: ArraySlice<UInt8>, isBig: Bool) {
            self.bytes = ByteReader(bytes)
            self.isBig = isBig
        }

        mutating func number<T: FixedWidthInteger>(_: T.Type = T.self) throws(WireError) -> T {
            isBig ? try bytes.bigEndian(T.self) : try bytes.littleEndian(T.self)
        }
    }

    static func isOne(_ bytes: [UInt8]) -> Bool {
        [
            [0x0A, 0x0D, 0x0D, 0x0A], [0xD4, 0xC3, 0xB2, 0xA1], [0x4D, 0x3C, 0xB2, 0xA1], [0xA1, 0xB2, 0xC3, 0xD4],
            [0xA1, 0xB2, 0x3C, 0x4D],
        ].contains(Array(bytes.prefix(4)))
    }

    /// What a file gave, and what it didn't.
    struct Found {
        var packets: [USBPacket] = []
        var damage = Capture.Damage()
    }

    /// Nil when the bytes are no capture. What is cut or damaged is read as far as it goes, and the rest is said.
    static func packets(_ bytes: [UInt8]) throws(TranscriptError) -> Found? {
        switch Array(bytes.prefix(4)) {
        case [0x0A, 0x0D, 0x0D, 0x0A]: return try blocks(bytes)
        case [0xD4, 0xC3, 0xB2, 0xA1]: return try records(bytes, isBig: false, tick: 1e-6)
        case [0x4D, 0x3C, 0xB2, 0xA1]: return try records(bytes, isBig: false, tick: 1e-9)
        case [0xA1, 0xB2, 0xC3, 0xD4]: return try records(bytes, isBig: true, tick: 1e-6)
        case [0xA1, 0xB2, 0x3C, 0x4D]: return try records(bytes, isBig: true, tick: 1e-9)
        default: return nil
        }
    }

    /// What is read of a file, record by record.
    private struct Gathering {
        var found = Found()
        private var headless = Headless()

        init() {}

        mutating func take(
            _ content: ArraySlice<UInt8>, of length: Int, _ link: Link, _ seconds: Double, _ isBig: Bool
        ) {
            headless.look(content, of: length, link)
            do throws(WireError) {
                guard var packet = try CaptureFile.packet(content, link.type, seconds, isBig) else { return }
                packet.behind = found.damage.skipped
                found.packets.append(packet)
            } catch {
                // Less than a packet's header, and the capture's limit is not why.
                if content.count >= length { skip() }
            }
        }

        /// A record whose inside is damaged; those behind it can be read.
        mutating func skip() { found.damage.skipped += 1 }

        /// Nothing says where the next record begins.
        mutating func stop(_ unread: Range<Int>, isCut: Bool) {
            found.damage.unread = unread
            found.damage.isCut = isCut
        }

        func checked() throws(TranscriptError) -> Found {
            try headless.check(found.packets)
            return found
        }
    }

    /// More than any record has: the kernel moves at most 16 MiB at once, and a longer one is a length that is wrong.
    private static let mostOfRecord = (16 << 20) + 65_536

    // MARK: pcap

    private struct RecordHead {
        var seconds: Double
        /// Bytes that are there, and those that were moved.
        var count: Int
        var length: Int
    }

    private static func records(_ bytes: [UInt8], isBig: Bool, tick: Double) throws(TranscriptError) -> Found {
        var gathering = Gathering()
        var reader = Reader(bytes[...], isBig: isBig)
        guard let link = try? fileHead(&reader, tick) else {
            gathering.stop(0..<bytes.count, isCut: true)
            return try gathering.checked()
        }
        try check(link)
        while !reader.bytes.isAtEnd {
            let unread = reader.bytes.offset..<bytes.count
            guard let head = try? recordHead(&reader, tick) else {
                gathering.stop(unread, isCut: true)
                break
            }
            // No packet is empty: zeros are what a file system leaves of a file that it did not finish.
            guard head.count > 0 || head.length > 0 else {
                gathering.stop(unread, isCut: false)
                break
            }
            guard let content = try? reader.bytes.bytes(head.count) else {
                gathering.stop(unread, isCut: head.count <= min(head.length, mostOfRecord))
                break
            }
            gathering.take(content, of: head.length, link, head.seconds, isBig)
        }
        return try gathering.checked()
    }

    private static func fileHead(_ reader: inout Reader, _ tick: Double) throws(WireError) -> Link {
        try reader.bytes.skip(20)
        return Link(type: try reader.number(UInt32.self) & 0xFFFF, tick: tick)
    }

    private static func recordHead(_ reader: inout Reader, _ tick: Double) throws(WireError) -> RecordHead {
        let seconds = Double(try reader.number(UInt32.self))
        let fraction = Double(try reader.number(UInt32.self)) * tick
        let count = Int(try reader.number(UInt32.self))
        let length = Int(try reader.number(UInt32.self))
        return RecordHead(seconds: seconds + fraction, count: count, length: length)
    }

    private static func check(_ link: Link) throws(TranscriptError) {
        guard ![189, 220, 249].contains(link.type) else { return }
        let way = "capture on usbmon (Linux, link types 189 and 220) or with USBPcap (Windows, 249)"
        let name =
            switch link.type {
            case 186: "USB as FreeBSD captures it"
            case 266: "USB as macOS captures it"
            case 288, 293, 294, 295: "the packets of a USB wire, not its transfers"
            default: ""
            }
        throw TranscriptError(
            line: 0,
            what: name.isEmpty
                ? "a capture of link type \(link.type), not of USB"
                : "a USB capture of link type \(link.type) (\(name)), which is not read",
            remedy: way)
    }

    /// Packets of which a capture with a short limit shows less than their header: nobody knows what they were.
    private struct Headless {
        private var count = 0
        private var longest = 0

        mutating func look(_ content: ArraySlice<UInt8>, of length: Int, _ link: Link) {
            let header = link.type == 189 ? 48 : link.type == 220 ? 64 : 27
            guard content.count < min(header, length) else { return }
            count += 1
            longest = max(longest, content.count)
        }

        func check(_ packets: [USBPacket]) throws(TranscriptError) {
            guard count > 0, packets.isEmpty else { return }
            throw TranscriptError(
                line: 0, what: "a capture that shows at most \(longest) bytes of a packet, less than its header",
                remedy: "capture whole packets (Wireshark; dumpcap or tcpdump with -s 0)")
        }
    }

    // MARK: pcapng

    private static func blocks(_ bytes: [UInt8]) throws(TranscriptError) -> Found {
        var gathering = Gathering()
        var links: [Link] = []
        var isBig = false
        var refused: TranscriptError?
        var hasUSB = false
        var rest = bytes[...]
        while !rest.isEmpty {
            let at = rest.startIndex
            if let isNowBig = sectionIsBig(rest) {
                isBig = isNowBig
                links = []
            }
            guard let (kind, length) = head(rest, isBig: isBig), fits(length, rest) else {
                gathering.stop(at..<bytes.count, isCut: isCut(rest, isBig: isBig))
                break
            }
            let next = rest[(at + length)...]
            // Its length stands at both of its ends. Where the two differ, only a whole block behind says that the
            // first is right: what would be read otherwise is the inside of packets.
            guard isClosed(rest, length, isBig: isBig) else {
                guard next.isEmpty || isBlock(next, isBig: isBig) else {
                    gathering.stop(at..<bytes.count, isCut: false)
                    break
                }
                gathering.skip()
                rest = next
                continue
            }
            var body = Reader(rest[(at + 8)..<(at + length - 4)], isBig: isBig)
            rest = next
            do {
                switch kind {
                case 1:
                    // Packets name their interface by its place: it has one whatever its options say.
                    let link = Link(type: UInt32(try body.number(UInt16.self)), tick: 1e-6)
                    links.append(link)
                    do throws(TranscriptError) {
                        try check(link)
                        hasUSB = true
                    } catch {
                        // USB in a form that is not read says more than the network beside it.
                        if refused == nil || link.type > 185 { refused = error }
                    }
                    try options(&body, of: &links[links.count - 1])
                case 2, 6:
                    // The older block has sixteen bits for the interface, and says how many packets were lost.
                    let index = kind == 6 ? Int(try body.number(UInt32.self)) : Int(try body.number(UInt16.self))
                    if kind == 2 { try body.bytes.skip(2) }
                    let high = UInt64(try body.number(UInt32.self))
                    let time = high << 32 | UInt64(try body.number(UInt32.self))
                    let count = Int(try body.number(UInt32.self))
                    let length = Int(try body.number(UInt32.self))
                    let content = try body.bytes.bytes(count)
                    guard links.indices.contains(index) else {
                        gathering.skip()
                        continue
                    }
                    gathering.take(content, of: length, links[index], Double(time) * links[index].tick, isBig)
                case 3:
                    let length = Int(try body.number(UInt32.self))
                    guard let link = links.first else {
                        gathering.skip()
                        continue
                    }
                    // Padded to four bytes, and nothing else says where it ends.
                    let content = body.bytes.rest().prefix(length)
                    gathering.take(content, of: length, link, gathering.found.packets.last?.seconds ?? 0, isBig)
                default: continue
                }
            } catch {
                gathering.skip()
            }
        }
        if let refused, !hasUSB { throw refused }
        return try gathering.checked()
    }

    /// The byte order of a section that begins here, by its mark 1A2B3C4D.
    private static func sectionIsBig(_ rest: ArraySlice<UInt8>) -> Bool? {
        guard rest.starts(with: [0x0A, 0x0D, 0x0D, 0x0A]), rest.count >= 12 else { return nil }
        return rest[rest.startIndex + 8] == 0x1A
    }

    private static func head(_ rest: ArraySlice<UInt8>, isBig: Bool) -> (kind: UInt32, length: Int)? {
        var reader = Reader(rest, isBig: isBig)
        guard let kind = try? reader.number(UInt32.self), let length = try? reader.number(UInt32.self) else {
            return nil
        }
        return (kind, Int(length))
    }

    private static func fits(_ length: Int, _ rest: ArraySlice<UInt8>) -> Bool {
        length >= 12 && length.isMultiple(of: 4) && length <= rest.count
    }

    private static func isClosed(_ rest: ArraySlice<UInt8>, _ length: Int, isBig: Bool) -> Bool {
        var reader = Reader(rest.prefix(length).suffix(4), isBig: isBig)
        return (try? reader.number(UInt32.self)).map { Int($0) } == length
    }

    /// Whether a whole block begins here.
    private static func isBlock(_ rest: ArraySlice<UInt8>, isBig: Bool) -> Bool {
        let order = sectionIsBig(rest) ?? isBig
        guard let (_, length) = head(rest, isBig: order) else { return false }
        return fits(length, rest) && isClosed(rest, length, isBig: order)
    }

    /// Whether what is left is the beginning of a block that was still being written, not one with a wrong length.
    private static func isCut(_ rest: ArraySlice<UInt8>, isBig: Bool) -> Bool {
        guard let (kind, length) = head(rest, isBig: isBig) else { return true }
        guard length >= 12, length.isMultiple(of: 4), length > rest.count, length <= mostOfRecord else { return false }
        // A packet's block is as long as its packet, but for options.
        var reader = Reader(rest.dropFirst(20), isBig: isBig)
        guard kind == 6, let count = try? reader.number(UInt32.self) else { return true }
        let whole = 32 + (Int(count) + 3) & ~3
        return (whole...whole + 65_536).contains(length)
    }

    private static func options(_ body: inout Reader, of link: inout Link) throws(WireError) {
        try body.bytes.skip(6)
        while body.bytes.remaining >= 4 {
            let code = try body.number(UInt16.self)
            let count = Int(try body.number(UInt16.self))
            if code == 0 { break }
            let value = try body.bytes.bytes((count + 3) & ~3).prefix(count)
            // if_tsresol: a power of ten, or of two when bit 7 is set.
            if code == 9, let resolution = value.first {
                let base = resolution & 0x80 == 0 ? 10.0 : 2.0
                link.tick = (0..<min(resolution & 0x7F, 63)).reduce(1.0) { tick, _ in tick / base }
            }
        }
    }
}
