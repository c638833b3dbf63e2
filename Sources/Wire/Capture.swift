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
        /// Lower-case hexadecimal, four digits each.
        public var vendorID: String
        public var productID: String

        public init(vendorID: String, productID: String) {
            self.vendorID = vendorID
            self.productID = productID
        }
    }

    /// - Parameter wanted: devices that this can be a conversation with; without any, or when the capture doesn't say who is
    ///   who, the device that moved the most bytes is taken.
    public static func transcript(_ bytes: [UInt8], wanted: [Wanted] = []) throws(TranscriptError) -> Transcript {
        if let packets = try CaptureFile.packets(bytes) { return conversation(packets, wanted) }
        if let packets = UsbmonText.packets(bytes) { return conversation(packets, wanted) }
        if let said = HexDump.bytes(bytes) { return transcript(raw: said) }
        return try Transcript(parsing: bytes)
    }

    /// What the device said, byte for byte.
    public static func transcript(raw bytes: [UInt8]) -> Transcript {
        Transcript(
            header: TranscriptHeader(isPresent: false),
            events: stride(from: 0, to: bytes.count, by: 4096).map {
                TranscriptEvent(kind: .fromDevice, bytes: Array(bytes[$0..<min($0 + 4096, bytes.count)]))
            })
    }

    private static func conversation(_ packets: [USBPacket], _ wanted: [Wanted]) -> Transcript {
        let names = names(packets)
        // The same device has another address each time it is plugged in: all of them count.
        var meant = Set(names.filter { wanted.contains($0.value) }.map(\.key))
        if meant.isEmpty, let busiest = busiest(packets) { meant = [busiest] }
        var header = TranscriptHeader(isPresent: false)
        if let name = meant.compactMap({ names[$0] }).first {
            (header.vendorID, header.productID) = (name.vendorID, name.productID)
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

    /// Who is who, by the device descriptors that were read while the capture ran (USB 2.0, table 9-8).
    private static func names(_ packets: [USBPacket]) -> [USBPacket.Device: Wanted] {
        var names: [USBPacket.Device: Wanted] = [:]
        for packet in packets where packet.isControl && packet.isInput && packet.data.count >= 12 {
            guard packet.data.starts(with: [18, 1]) else { continue }
            let at = packet.data.startIndex
            func id(_ offset: Int) -> String {
                hexadecimal([packet.data[at + offset + 1], packet.data[at + offset]]).filter { $0 != " " }.lowercased()
            }
            names[packet.device] = Wanted(vendorID: id(8), productID: id(10))
        }
        return names
    }

    private static func busiest(_ packets: [USBPacket]) -> USBPacket.Device? {
        var moved: [USBPacket.Device: Int] = [:]
        for packet in packets where !packet.isControl { moved[packet.device, default: 0] += packet.data.count }
        return moved.max { ($0.value, $1.key.order) < ($1.value, $0.key.order) }?.key
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
