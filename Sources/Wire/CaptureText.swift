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
            guard words.count >= 5, let address = Address(words[3]), let time = UInt64(string(words[1])),
                words[2].count == 1, let event = words[2].first
            else {
                // The first line decides what the text is.
                if isUsbmon { continue } else { return nil }
            }
            isUsbmon = true
            if let packet = packet(event, address, Array(words[4...]), Double(time) / 1e6) { packets.append(packet) }
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
        // Behind the status, or behind the setup packet: five words, also where the kernel had none to show.
        let place = words[0].first.map { 0x30...0x39 ~= $0 || $0 == UInt8(ascii: "-") && words[0].count > 1 } ?? false
        let length = (words.count > (place ? 1 : 6) ? Int(string(words[place ? 1 : 6])) : nil) ?? data.count
        let missing = max(0, length - data.count)
        guard isControl else {
            guard isSubmission != address.isInput else { return nil }
            return USBPacket(
                device: address.device, endpoint: address.endpoint | (address.isInput ? 0x80 : 0), isControl: false,
                data: data[...], missing: missing, seconds: seconds)
        }
        if isSubmission {
            return USBPacket(
                device: address.device, endpoint: 0, isControl: true, setup: setup,
                data: address.isInput ? [] : data[...], missing: address.isInput ? 0 : missing, seconds: seconds)
        }
        guard address.isInput else { return nil }
        return USBPacket(
            device: address.device, endpoint: 0x80, isControl: true, data: data[...], missing: missing,
            seconds: seconds)
    }

    private static func string(_ word: ArraySlice<UInt8>) -> String { String(decoding: word, as: UTF8.self) }
}
