/// The kernel's usbmon as text: `ffff9d2c4f0 3575914555 S Bo:1:005:2 -115 31 = 55534243 5e000000`
/// (Documentation/usb/usbmon.rst; the older form without the bus number is read too).
enum UsbmonText {
    /// Nil when the text isn't that.
    static func packets(_ text: [UInt8]) -> [USBPacket]? {
        var packets: [USBPacket] = []
        var isUsbmon = false
        for line in text.split(separator: UInt8(ascii: "\n")) {
            let words = line.split { $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }
            if words.isEmpty || words[0].first == UInt8(ascii: "#") { continue }
            guard words.count >= 5, let address = Address(words[3]), let time = Double(string(words[1])),
                words[2].count == 1, let event = words[2].first
            else {
                // The first line decides what the text is.
                if isUsbmon { continue } else { return nil }
            }
            isUsbmon = true
            if let packet = packet(event, address, Array(words[4...]), time / 1e6) { packets.append(packet) }
        }
        return isUsbmon ? packets : nil
    }

    private struct Address {
        var type: UInt8
        var isInput: Bool
        var device: USBPacket.Device
        var endpoint: UInt8

        init?(_ word: ArraySlice<UInt8>) {
            let parts = word.split(separator: UInt8(ascii: ":"))
            guard parts.count == 3 || parts.count == 4, parts[0].count == 2, let type = parts[0].first,
                [UInt8(ascii: "C"), UInt8(ascii: "Z"), UInt8(ascii: "I"), UInt8(ascii: "B")].contains(type),
                let direction = parts[0].last, direction == UInt8(ascii: "i") || direction == UInt8(ascii: "o"),
                let endpoint = UInt8(string(parts[parts.count - 1])), endpoint < 16,
                let address = UInt16(string(parts[parts.count - 2])),
                let bus = parts.count == 4 ? UInt16(string(parts[1])) : 0
            else { return nil }
            self.type = type
            isInput = direction == UInt8(ascii: "i")
            device = USBPacket.Device(bus: bus, address: address)
            self.endpoint = endpoint
        }
    }

    private static func packet(
        _ event: UInt8, _ address: Address, _ words: [ArraySlice<UInt8>], _ seconds: Double
    ) -> USBPacket? {
        let isControl = address.type == UInt8(ascii: "C")
        let isSubmission = event == UInt8(ascii: "S")
        guard isSubmission || event == UInt8(ascii: "C"), address.type != UInt8(ascii: "Z") else { return nil }
        var setup: [UInt8] = []
        if isControl, isSubmission, words.count >= 6, words[0].elementsEqual("s".utf8) {
            // bmRequestType, bRequest, wValue, wIndex, wLength: numbers, not bytes.
            let fields = words[1...5].compactMap { UInt16(string($0), radix: 16) }
            guard fields.count == 5 else { return nil }
            setup = [UInt8(truncatingIfNeeded: fields[0]), UInt8(truncatingIfNeeded: fields[1])]
            for field in fields[2...] { setup += [UInt8(truncatingIfNeeded: field), UInt8(field >> 8)] }
        }
        let data =
            words.firstIndex { $0.elementsEqual("=".utf8) }
            .map { words[($0 + 1)...].compactMap(hex).flatMap(\.self) } ?? []
        guard isControl else {
            guard isSubmission != address.isInput else { return nil }
            return USBPacket(
                device: address.device, endpoint: address.endpoint | (address.isInput ? 0x80 : 0), isControl: false,
                data: data[...], seconds: seconds)
        }
        if isSubmission {
            return USBPacket(
                device: address.device, endpoint: 0, isControl: true, setup: setup,
                data: address.isInput ? [] : data[...], seconds: seconds)
        }
        guard address.isInput else { return nil }
        return USBPacket(
            device: address.device, endpoint: 0x80, isControl: true, data: data[...], seconds: seconds)
    }

    private static func string(_ word: ArraySlice<UInt8>) -> String { String(decoding: word, as: UTF8.self) }
}

/// `00000000  7d 81 a0 80  |}...|`, `00000000: 7d81 a080  }...`, or bytes alone.
enum HexDump {
    /// Nil when the text isn't that, or when a line says who spoke (then it is a transcript).
    static func bytes(_ text: [UInt8]) -> [UInt8]? {
        var all: [UInt8] = []
        for line in text.split(separator: UInt8(ascii: "\n")) {
            guard let bytes = bytes(line: line, at: all.count) else { return nil }
            all += bytes
        }
        return all.isEmpty ? nil : all
    }

    private static func bytes(line: ArraySlice<UInt8>, at place: Int) -> [UInt8]? {
        // What stands behind a bar, or behind two spaces after the bytes of a line with an offset, is their picture.
        var words = line.prefix { $0 != UInt8(ascii: "|") }.split { $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }
        guard let first = words.first else { return [] }
        let isOffset = first.last == UInt8(ascii: ":") || (first.count > 4 && words.count > 1) || (first.count >= 7)
        guard isOffset else { return all(words) }
        // hexdump and od without options show words in the machine's order, not bytes.
        if first.count == 7, first.last != UInt8(ascii: ":") { return nil }
        let digits = first.last == UInt8(ascii: ":") ? first.dropLast() : first
        guard let offset = Int(String(decoding: digits, as: UTF8.self), radix: 16) else { return all(words) }
        // hexdump's last line is the length alone; an offset that leads elsewhere is none.
        guard offset == place else { return first.count % 2 == 0 ? all(words) : nil }
        words.removeFirst()
        return words.isEmpty ? [] : pictured(line, digits: first, words)
    }

    /// The bytes of a line that may have a picture behind them.
    private static func pictured(
        _ line: ArraySlice<UInt8>, digits: ArraySlice<UInt8>, _ words: [ArraySlice<UInt8>]
    ) -> [UInt8]? {
        var bytes: [UInt8] = []
        var end = words[0].startIndex
        for word in words {
            // Two spaces in the middle of sixteen are hexdump's; xxd has them only before its picture.
            let gap = word.startIndex - end
            if gap >= 2, digits.last == UInt8(ascii: ":"), !bytes.isEmpty { break }
            guard bytes.count < 16, let more = hex(word) else { break }
            bytes += more
            end = word.endIndex
        }
        return bytes.isEmpty ? nil : bytes
    }

    private static func all(_ words: [ArraySlice<UInt8>]) -> [UInt8]? {
        var bytes: [UInt8] = []
        for word in words {
            guard let more = hex(word) else { return nil }
            bytes += more
        }
        return bytes
    }
}
