/// A recorded USB conversation of another program's making: what `replay` takes beside the agent's own transcripts.
///
/// - pcapng and pcap files of Wireshark or tcpdump, link types USB_LINUX (189), USB_LINUX_MMAPPED (220) and USBPCAP (249);
/// - the text of the kernel's usbmon (`cat /sys/kernel/debug/usb/usbmon/1u`), which cuts long transfers at 32 bytes;
/// - a hexadecimal dump (xxd, hexdump -C, or bytes alone) of what the device said.
///
/// Everything becomes a `Transcript`: output transfers are `>`, what came in is `<`, requests of the control endpoint carry
/// their setup packet and the endpoint 00 or 80.
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

    /// - Parameter wanted: devices that this can be a conversation with; without any, or when the capture doesn't say who is
    ///   who, the device that moved the most bytes is taken.
    public static func transcript(_ bytes: [UInt8], wanted: [Wanted] = []) throws(TranscriptError) -> Transcript {
        try conversations(bytes, wanted: wanted).first ?? Transcript(header: TranscriptHeader(isPresent: false))
    }

    /// Every conversation that can be meant, the likeliest first; more than one where the capture doesn't say who is who, or
    /// where several devices have a wanted identity.
    public static func conversations(_ bytes: [UInt8], wanted: [Wanted]) throws(TranscriptError) -> [Transcript] {
        if let packets = try CaptureFile.packets(bytes) { return conversations(packets, wanted) }
        if let packets = UsbmonText.packets(bytes) { return conversations(packets, wanted) }
        if let said = HexDump.bytes(bytes) { return [transcript(raw: said)] }
        return [try Transcript(parsing: bytes)]
    }

    /// What the device said, byte for byte.
    public static func transcript(raw bytes: [UInt8]) -> Transcript {
        Transcript(
            header: TranscriptHeader(isPresent: false),
            events: stride(from: 0, to: bytes.count, by: 4096).map {
                TranscriptEvent(kind: .fromDevice, bytes: Array(bytes[$0..<min($0 + 4096, bytes.count)]))
            })
    }

    private static func conversations(_ packets: [USBPacket], _ wanted: [Wanted]) -> [Transcript] {
        let names = CapturedNames(packets)
        let speakers = byTraffic(packets)
        let meant = speakers.filter { speaker in wanted.contains { names.fits(speaker, $0) } }
        // The same device has another address each time it is plugged in: all of them count, or one of them.
        let groups: [[USBPacket.Device]]
        if meant.isEmpty {
            // Whoever was not introduced comes first.
            let (unknown, others) = (speakers.filter { !names.knows($0) }, speakers.filter { names.knows($0) })
            groups = (wanted.isEmpty ? speakers : unknown + others).prefix(mostSpeakers).map { [$0] }
        } else {
            groups = [meant] + (meant.count > 1 ? meant.prefix(mostSpeakers).map { [$0] } : [])
        }
        return groups.map { conversation(packets, of: Set($0), names) }
    }

    /// A bus has 127 places, and nobody's capture has so many devices that talk.
    private static let mostSpeakers = 32

    private static func conversation(
        _ packets: [USBPacket], of meant: Set<USBPacket.Device>, _ names: CapturedNames
    ) -> Transcript {
        var header = TranscriptHeader(isPresent: false)
        if let name = meant.compactMap({ names.identity($0) }).first {
            (header.vendorID, header.productID) = (name.vendor, name.product)
        }
        var events: [TranscriptEvent] = []
        var last: Double?
        for packet in packets where meant.contains(packet.device) {
            guard let event = packet.event(after: max(0, packet.seconds - (last ?? packet.seconds))) else { continue }
            last = packet.seconds
            events.append(event)
        }
        return Transcript(header: header, events: events)
    }

    /// Who moved bytes beside control requests, the most first.
    private static func byTraffic(_ packets: [USBPacket]) -> [USBPacket.Device] {
        var moved: [USBPacket.Device: Int] = [:]
        for packet in packets { moved[packet.device, default: 0] += packet.isControl ? 0 : packet.data.count }
        return moved.keys.sorted { (-(moved[$0] ?? 0), $0.order) < (-(moved[$1] ?? 0), $1.order) }
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
    /// Since whatever time the capture counts from.
    var seconds: Double

    var isInput: Bool { endpoint & 0x80 != 0 }

    func event(after: Double) -> TranscriptEvent? {
        let bytes = setup + data
        guard !bytes.isEmpty else { return nil }
        return TranscriptEvent(
            kind: isInput ? .fromDevice : .toDevice, endpoint: endpoint, bytes: bytes, after: after)
    }
}
