/// A recorded USB conversation of another program's making: what `replay` takes beside the agent's own transcripts.
///
/// - pcapng and pcap files of Wireshark or tcpdump, link types USB_LINUX (189), USB_LINUX_MMAPPED (220) and USBPCAP (249);
/// - the text of the kernel's usbmon (`cat /sys/kernel/debug/usb/usbmon/1u`), which cuts long transfers at 32 bytes;
/// - the HTML report of USBlyzer, the XML log of SnoopyPro;
/// - a hexadecimal dump of what the device said, or of a capture's packets (`HexDump`);
/// - lines of bytes that begin with IN or OUT.
///
/// Everything becomes a `Transcript`: output transfers are `>`, what came in is `<`, requests of the control endpoint carry
/// their setup packet and the endpoint 00 or 80. A transfer that the capture shows only in part is left out, and counted: what
/// its halves would say together, the device never said.
public enum Capture {
    /// Which device of a bus is meant, when a capture has several.
    public struct Wanted: Sendable, Equatable {
        /// Lower-case hexadecimal, four digits each; nil: any.
        public var vendorID: String?
        public var productID: String?
        /// Class, subclass and protocol of an interface, six digits; nil: any.
        public var interface: String?

        public init(vendorID: String, productID: String) {
            self.vendorID = vendorID
            self.productID = productID
        }

        public init(interface: String) { self.interface = interface }
    }

    /// Who talks in a capture.
    public struct Device: Sendable, Equatable {
        public var bus: UInt16
        public var address: UInt16
        /// Lower-case hexadecimal; nil when no descriptor was captured.
        public var vendorID: String?
        public var productID: String?
        /// Beside control requests.
        public var bytes: Int
    }

    /// What was said with one device.
    public struct Conversation: Sendable {
        public var transcript: Transcript
        /// Nil where there is only one, and nothing says which.
        public var device: Device?
        /// It has a wanted identity.
        public var isWanted = false
        /// Before these events something is missing of what the device said.
        public var breaks: [Int] = []
        /// Transfers that were left out because the capture shows only a part of them.
        public var cuts = 0
        /// The most that it shows of one of them.
        public var shown = 0
        /// From the first to the last transfer beside control requests, in the capture's time.
        public var span: ClosedRange<Double>?
        /// Of the file, whoever's it is.
        public var damage = Damage()
    }

    /// What could not be read of a capture's file.
    public struct Damage: Sendable, Equatable {
        /// Records that are damaged by themselves; those behind them were read.
        public var skipped = 0
        /// The bytes at the file's end that were not read.
        public var unread: Range<Int>?
        /// They are the beginning of a record, as a program leaves it that was still writing.
        public var isCut = false

        public var isWhole: Bool { skipped == 0 && unread == nil }
    }

    /// - Parameter wanted: devices that this can be a conversation with; without any, or when the capture doesn't say who is
    ///   who, the device that moved the most bytes is taken.
    public static func transcript(_ bytes: [UInt8], wanted: [Wanted] = []) throws(TranscriptError) -> Transcript {
        try conversations(bytes, wanted: wanted).first?.transcript
            ?? Transcript(header: TranscriptHeader(isPresent: false))
    }

    /// Every conversation that can be meant, the likeliest first: with the devices that have a wanted identity, then with those
    /// that were not introduced; where nobody has a wanted identity, with the others too.
    public static func conversations(_ bytes: [UInt8], wanted: [Wanted]) throws(TranscriptError) -> [Conversation] {
        switch try read(bytes) {
        case .packets(let found): conversations(found, wanted)
        case .transcript(let transcript): [Conversation(transcript: transcript)]
        }
    }

    /// The devices of a capture, those first that moved the most; none where it has no names for them.
    public static func devices(_ bytes: [UInt8]) -> [Device] {
        guard case .packets(let found)? = try? read(bytes) else { return [] }
        let names = CapturedNames(found.packets)
        return byTraffic(found.packets).map { device($0.device, names, $0.bytes) }
    }

    /// What could not be read of it; nothing where its form doesn't say.
    public static func damage(_ bytes: [UInt8]) -> Damage {
        guard case .packets(let found)? = try? read(bytes) else { return Damage() }
        return found.damage
    }

    /// Whether this is a capture of another program, as far as its first bytes say so.
    public static func isCapture(_ bytes: [UInt8]) -> Bool {
        let beginning = Array(bytes.prefix(8192))
        if CaptureFile.isOne(beginning) || UsbmonText.packets(beginning) != nil { return true }
        return (try? CaptureReport.packets(beginning)).flatMap(\.self) != nil
    }

    private enum Content {
        case packets(CaptureFile.Found)
        case transcript(Transcript)
    }

    private static func read(_ bytes: [UInt8]) throws(TranscriptError) -> Content {
        if let found = try CaptureFile.packets(bytes) { return .packets(found) }
        try refuseForeign(bytes)
        if let packets = try CaptureReport.packets(bytes) { return .packets(CaptureFile.Found(packets: packets)) }
        if let packets = UsbmonText.packets(bytes) { return .packets(CaptureFile.Found(packets: packets)) }
        if let dump = try HexDump(bytes) {
            if let packets = CaptureFile.packets(printed: dump.packets) {
                return .packets(CaptureFile.Found(packets: packets))
            }
            return .transcript(transcript(raw: dump.packets))
        }
        return .transcript(try Transcript(parsing: DirectedText.transcript(bytes) ?? bytes))
    }

    /// What is no text can be none of the rest: a sentence with the way out.
    private static func refuseForeign(_ bytes: [UInt8]) throws(TranscriptError) {
        if bytes.isEmpty {
            throw TranscriptError(line: 0, what: "the file is empty", remedy: "give a capture, a dump or a transcript")
        }
        let packers: [(name: String, magic: [UInt8])] = [
            ("gzip", [0x1F, 0x8B]), ("zip", [0x50, 0x4B, 3, 4]), ("bzip2", [0x42, 0x5A, 0x68]),
            ("xz", [0xFD, 0x37, 0x7A, 0x58, 0x5A]), ("zstd", [0x28, 0xB5, 0x2F, 0xFD]),
            ("7-Zip", [0x37, 0x7A, 0xBC, 0xAF]),
        ]
        if let packer = packers.first(where: { bytes.starts(with: $0.magic) }) {
            throw TranscriptError(line: 0, what: "a file packed with \(packer.name)", remedy: "unpack it first")
        }
        if bytes.starts(with: [0xFF, 0xFE]) || bytes.starts(with: [0xFE, 0xFF]) {
            throw TranscriptError(line: 0, what: "text in UTF-16", remedy: "save the file as UTF-8")
        }
        let beginning = bytes.prefix(4096)
        let strange = beginning.count { $0 < 0x20 && !(0x09...0x0D ~= $0) && $0 != 0x1B }
        guard strange * 20 > beginning.count || beginning.contains(0) else { return }
        throw TranscriptError(
            line: 0, what: "no text, and no capture of USB that is known",
            remedy:
                "add --raw when it is what a device said, byte for byte; a recording file is read by `ess-agent decode`"
        )
    }

    /// What the device said, byte for byte.
    public static func transcript(raw bytes: [UInt8]) -> Transcript { transcript(raw: [bytes]) }

    private static func transcript(raw pieces: [[UInt8]]) -> Transcript {
        Transcript(
            header: TranscriptHeader(isPresent: false),
            events: pieces.flatMap { bytes in
                stride(from: 0, to: bytes.count, by: 4096).map {
                    TranscriptEvent(kind: .fromDevice, bytes: Array(bytes[$0..<min($0 + 4096, bytes.count)]))
                }
            })
    }

    private static func conversations(_ read: CaptureFile.Found, _ wanted: [Wanted]) -> [Conversation] {
        let names = CapturedNames(read.packets)
        let speakers = byTraffic(read.packets)
        let meant = speakers.filter { speaker in wanted.contains { names.fits(speaker.device, $0) } }
        let strangers = speakers.filter { !names.knows($0.device) && !meant.contains($0) }
        var taken = meant + strangers
        if meant.isEmpty {
            taken = wanted.isEmpty ? speakers : strangers + speakers.filter { names.knows($0.device) }
        }
        let spoken = Dictionary(grouping: read.packets, by: \.device)
        return taken.prefix(mostSpeakers).map { speaker in
            var found = conversation(spoken[speaker.device] ?? [])
            let device = device(speaker.device, names, speaker.bytes)
            (found.transcript.header.vendorID, found.transcript.header.productID) = (device.vendorID, device.productID)
            found.device = device
            found.isWanted = meant.contains(speaker)
            found.damage = read.damage
            return found
        }
    }

    /// A bus has 127 places, and nobody's capture has so many devices that talk.
    private static let mostSpeakers = 32

    private static func device(_ device: USBPacket.Device, _ names: CapturedNames, _ bytes: Int) -> Device {
        let name = names.identity(device)
        return Device(
            bus: device.bus, address: device.address, vendorID: name?.vendor, productID: name?.product, bytes: bytes)
    }

    private static func conversation(_ packets: [USBPacket]) -> Conversation {
        var found = Conversation(transcript: Transcript(header: TranscriptHeader(isPresent: false)))
        var last: Double?
        var behind = 0
        for packet in packets {
            // What was there is unknown, and may have been this device's.
            if packet.behind != behind {
                behind = packet.behind
                if found.breaks.last != found.transcript.events.count {
                    found.breaks.append(found.transcript.events.count)
                }
            }
            if !packet.isControl {
                let span = found.span ?? packet.seconds...packet.seconds
                found.span = min(span.lowerBound, packet.seconds)...max(span.upperBound, packet.seconds)
            }
            // What the control endpoint answers is descriptors: nobody's values.
            if packet.missing > 0, !packet.isControl || !packet.isInput {
                found.cuts += 1
                found.shown = max(found.shown, packet.data.count)
                if packet.isInput, found.breaks.last != found.transcript.events.count {
                    found.breaks.append(found.transcript.events.count)
                }
                continue
            }
            guard let event = packet.event(after: max(0, packet.seconds - (last ?? packet.seconds))) else { continue }
            last = packet.seconds
            found.transcript.events.append(event)
        }
        return found
    }

    private struct Speaker: Equatable {
        var device: USBPacket.Device
        var bytes: Int
    }

    /// Who moved bytes beside control requests, the most first.
    private static func byTraffic(_ packets: [USBPacket]) -> [Speaker] {
        var moved: [USBPacket.Device: Int] = [:]
        for packet in packets { moved[packet.device, default: 0] += packet.isControl ? 0 : packet.data.count }
        return moved.map { Speaker(device: $0.key, bytes: $0.value) }
            .sorted { (-$0.bytes, $0.device.order) < (-$1.bytes, $1.device.order) }
    }
}

/// Who is who in a capture, by the descriptors that were read while it ran (USB 2.0, tables 9-8, 9-10 and 9-12).
private struct CapturedNames {
    private var identities: [USBPacket.Device: (vendor: String, product: String)] = [:]
    private var interfaces: [USBPacket.Device: Set<String>] = [:]

    init(_ packets: [USBPacket]) {
        for packet in packets where packet.isControl && packet.isInput && packet.data.count >= 12 {
            let bytes = Array(packet.data)
            switch (bytes[0], bytes[1]) {
            case (18, 1):
                identities[packet.device] = (Self.hex([bytes[9], bytes[8]]), Self.hex([bytes[11], bytes[10]]))
            case (9, 2): interfaces[packet.device, default: []].formUnion(Self.interfaces(of: bytes))
            default: break
            }
        }
    }

    func knows(_ device: USBPacket.Device) -> Bool { identities[device] != nil }
    func identity(_ device: USBPacket.Device) -> (vendor: String, product: String)? { identities[device] }

    func fits(_ device: USBPacket.Device, _ wanted: Capture.Wanted) -> Bool {
        if let interface = wanted.interface { return interfaces[device]?.contains(interface) ?? false }
        guard let identity = identities[device] else { return false }
        return identity.vendor == wanted.vendorID && identity.product == wanted.productID
    }

    private static func interfaces(of configuration: [UInt8]) -> [String] {
        var found: [String] = []
        var at = 0
        while at + 1 < configuration.count, configuration[at] >= 2, at + Int(configuration[at]) <= configuration.count {
            if configuration[at] >= 9, configuration[at + 1] == 4 { found.append(hex(configuration[at + 5...at + 7])) }
            at += Int(configuration[at])
        }
        return found
    }

    private static func hex(_ bytes: some Sequence<UInt8>) -> String {
        hexadecimal(Array(bytes)).filter { $0 != " " }.lowercased()
    }
}

/// One transfer of a capture, where its bytes are known: an output at its submission, an input at its completion.
struct USBPacket: Sendable {
    struct Device: Hashable, Sendable {
        var bus: UInt16
        var address: UInt16

        /// A stable choice between two that moved as much: the lower one.
        var order: Int { Int(bus) << 16 | Int(address) }
    }

    var device: Device
    /// With the direction in bit 7.
    var endpoint: UInt8
    var isControl: Bool
    /// Of a control request; empty otherwise.
    var setup: [UInt8] = []
    var data: ArraySlice<UInt8>
    /// So many bytes more were moved, and the capture doesn't show them.
    var missing = 0
    /// Since whatever time the capture counts from.
    var seconds: Double
    /// So many damaged records of the capture come before it.
    var behind = 0

    var isInput: Bool { endpoint & 0x80 != 0 }

    func event(after: Double) -> TranscriptEvent? {
        let bytes = setup + data
        guard !bytes.isEmpty else { return nil }
        return TranscriptEvent(
            kind: isInput ? .fromDevice : .toDevice, endpoint: endpoint, bytes: bytes, after: after)
    }
}
