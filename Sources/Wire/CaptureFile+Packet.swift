/// One packet of a capture, by the header that usbmon or USBPcap puts in front of it.
extension CaptureFile {
    /// Packets that were printed whole, their capture's header in front; nil when they are something else.
    static func packets(printed: [[UInt8]]) -> [USBPacket]? {
        func number(_ bytes: [UInt8], _ at: Int, _ width: Int) -> Int {
            (0..<width).reduce(0) { $0 | Int(bytes[at + $1]) << (8 * $1) }
        }
        for (type, header) in [(220, 64), (189, 48)] as [(UInt32, Int)] {
            let fits = printed.allSatisfy { packet in
                packet.count >= header && "SCE".utf8.contains(packet[8]) && packet[9] <= 3
                    && number(packet, 36, 4) == packet.count - header
            }
            if fits { return printed.compactMap { try? packet($0[...], type, 0, false) } }
        }
        let fits = printed.allSatisfy { packet in
            packet.count >= 27 && 27...28 ~= number(packet, 0, 2) && packet[22] <= 3
                && number(packet, 23, 4) == packet.count - number(packet, 0, 2)
        }
        return fits ? printed.compactMap { try? packet($0[...], 249, 0, false) } : nil
    }

    /// Nil for what is nobody's here; an error when it is shorter than its header.
    static func packet(
        _ content: ArraySlice<UInt8>, _ type: UInt32, _ seconds: Double, _ isBig: Bool
    ) throws(WireError) -> USBPacket? {
        switch type {
        case 189, 220: return try usbmon(content, header: type == 189 ? 48 : 64, seconds, isBig)
        case 249: return try usbpcap(content, seconds)
        default: return nil
        }
    }

    /// Linux' struct usbmon_packet (Documentation/usb/usbmon.rst), in the byte order of the machine that captured.
    private static func usbmon(
        _ content: ArraySlice<UInt8>, header: Int, _ seconds: Double, _ isBig: Bool
    ) throws(WireError) -> USBPacket? {
        var reader = Reader(content, isBig: isBig)
        try reader.bytes.skip(8)
        let type = try reader.bytes.u8()
        let transfer = try reader.bytes.u8()
        let endpoint = try reader.bytes.u8()
        let address = UInt16(try reader.bytes.u8())
        let bus = try reader.number(UInt16.self)
        let hasSetup = try reader.bytes.u8() == 0
        try reader.bytes.skip(1 + 12 + 4)
        let length = Int(try reader.number(UInt32.self))
        let captured = Int(try reader.number(UInt32.self))
        let setup = Array(try reader.bytes.bytes(8))
        try reader.bytes.skip(header - 48)
        // Isochronous transfers are nobody's here. An error has no bytes.
        guard transfer != 0, type == UInt8(ascii: "S") || type == UInt8(ascii: "C") else { return nil }
        let isSubmission = type == UInt8(ascii: "S")
        let data = reader.bytes.rest().prefix(captured)
        // The kernel's buffer has a limit, and so may the program that captured.
        let missing = max(0, length - data.count)
        let device = USBPacket.Device(bus: bus, address: address)
        let isOutput = endpoint & 0x80 == 0
        guard transfer == 2 else {
            guard isSubmission == isOutput else { return nil }
            return USBPacket(
                device: device, endpoint: endpoint, isControl: false, data: data, missing: missing, seconds: seconds)
        }
        if isSubmission, hasSetup {
            return USBPacket(
                device: device, endpoint: 0, isControl: true, setup: setup, data: isOutput ? data : [],
                missing: isOutput ? missing : 0, seconds: seconds)
        }
        guard !isSubmission, !isOutput else { return nil }
        return USBPacket(
            device: device, endpoint: 0x80, isControl: true, data: data, missing: missing, seconds: seconds)
    }

    /// USBPcap's packet header (desowin.org/usbpcap/captureformat.html), little-endian.
    private static func usbpcap(_ content: ArraySlice<UInt8>, _ seconds: Double) throws(WireError) -> USBPacket? {
        var reader = ByteReader(content)
        let header = Int(try reader.littleEndian(UInt16.self))
        try reader.skip(8 + 4 + 2)
        let isCompletion = try reader.u8() & 1 != 0
        let bus = try reader.littleEndian(UInt16.self)
        let address = try reader.littleEndian(UInt16.self)
        let endpoint = try reader.u8()
        let transfer = try reader.u8()
        let count = Int(try reader.littleEndian(UInt32.self))
        guard header >= reader.offset, (1...3).contains(transfer) else { return nil }
        let stage = transfer == 2 ? try reader.u8() : 0
        try reader.skip(header - reader.offset)
        let data = reader.rest().prefix(count)
        let missing = count - data.count
        let device = USBPacket.Device(bus: bus, address: address)
        guard transfer == 2 else {
            guard isCompletion == (endpoint & 0x80 != 0) else { return nil }
            return USBPacket(
                device: device, endpoint: endpoint, isControl: false, data: data, missing: missing, seconds: seconds)
        }
        if stage == 0, !isCompletion, data.count >= 8 {
            return USBPacket(
                device: device, endpoint: 0, isControl: true, setup: Array(data.prefix(8)), data: data.dropFirst(8),
                missing: missing, seconds: seconds)
        }
        // Of an older version: the data of an output request by itself.
        if stage == 1, !isCompletion, endpoint & 0x80 == 0 {
            return USBPacket(device: device, endpoint: 0, isControl: true, data: data, seconds: seconds)
        }
        guard isCompletion, endpoint & 0x80 != 0 || stage == 1 || stage == 3, !data.isEmpty else { return nil }
        return USBPacket(device: device, endpoint: 0x80, isControl: true, data: data, seconds: seconds)
    }
}
