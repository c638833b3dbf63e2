/// What USB analysers of Windows print: USBlyzer's HTML report and SnoopyPro's XML log, the forms in which conversations with
/// blood pressure monitors were published. Only their rows are read; they are no documents of a browser's kind.
enum CaptureReport {
    /// Nil when the text isn't marked up.
    static func packets(_ text: [UInt8]) throws(TranscriptError) -> [USBPacket]? {
        let beginning = text.prefix(4096)
        guard beginning.drop(while: { $0 <= 0x20 || $0 > 0x7F }).first == UInt8(ascii: "<") else { return nil }
        let head = String(decoding: beginning, as: UTF8.self)
        let word = head.drop { !$0.isLetter && $0 != ">" }.prefix { $0.isLetter }.lowercased()
        // `<` begins a transcript's line too: with a blank, or with bytes behind it.
        guard ["doctype", "html", "xml", "snoopyprolog", "pdml", "head", "table"].contains(word) else { return nil }
        if head.contains("USBlyzer") { return usblyzer(text[...]) }
        if head.contains("<snoopyprolog") { return snoopyPro(text[...]) }
        throw TranscriptError(
            line: 0, what: "HTML or XML that is no report of USBlyzer and no log of SnoopyPro",
            remedy:
                "give one of those, a pcapng or pcap capture of USB, usbmon's text, a hexadecimal dump or a transcript")
    }

    // MARK: Marks

    /// A mark, and the text up to the next one; attributes are nobody's here.
    private struct Marks: Sequence, IteratorProtocol {
        var rest: ArraySlice<UInt8>

        mutating func next() -> (name: String, text: ArraySlice<UInt8>)? {
            guard let open = rest.firstIndex(of: UInt8(ascii: "<")),
                let close = rest[open...].firstIndex(of: UInt8(ascii: ">"))
            else { return nil }
            let name = rest[(open + 1)..<close].prefix { $0 > 0x20 }.prefix(24)
            let text = rest[(close + 1)...].prefix { $0 != UInt8(ascii: "<") }
            rest = rest[text.endIndex...]
            return (String(decoding: name, as: UTF8.self).lowercased(), text)
        }
    }

    private static func string(_ text: ArraySlice<UInt8>) -> String {
        var text = text.drop { $0 <= 0x20 }
        while let last = text.last, last <= 0x20 { text.removeLast() }
        return String(decoding: text, as: UTF8.self)
    }

    /// Of a text such as `Input Report len:8` or `64 bytes buffer`.
    private static func length(_ details: String) -> Int? {
        let words = details.split { $0 == " " || $0 == "(" || $0 == ")" }
        if let word = words.first(where: { $0.hasPrefix("len:") }) { return Int(word.dropFirst(4)) }
        return words.firstIndex(of: "bytes").flatMap { $0 > 0 ? Int(words[$0 - 1]) : nil }
    }

    // MARK: USBlyzer

    private struct Row {
        var device: String
        var driver: String
        var packet: USBPacket
    }

    /// A request passes through a stack of drivers, and the report lists it once at each: those at the hub's are taken, or
    /// those at one other.
    private static func usblyzer(_ text: ArraySlice<UInt8>) -> [USBPacket] {
        var columns: [String] = []
        var cells: [ArraySlice<UInt8>] = []
        var rows: [Row] = []
        for (name, text) in Marks(rest: text) {
            switch name {
            case "tr": cells = []
            case "th": if columns.count < 64 { columns.append(string(text)) }
            case "td": if cells.count < 64 { cells.append(text) }
            case "/tr": if let row = row(columns, cells) { rows.append(row) }
            default: break
            }
        }
        let drivers = rows.map(\.driver)
        let taken = drivers.first { $0.hasPrefix("usbhub") } ?? drivers.first
        var devices: [String: UInt16] = [:]
        return rows.filter { $0.driver == taken }.map { row in
            var packet = row.packet
            let known = devices[row.device] ?? UInt16(truncatingIfNeeded: devices.count + 1)
            devices[row.device] = known
            packet.device.address = known
            return packet
        }
    }

    private static func row(_ columns: [String], _ cells: [ArraySlice<UInt8>]) -> Row? {
        func cell(_ name: String) -> ArraySlice<UInt8>? {
            columns.firstIndex(of: name).flatMap { $0 < cells.count ? cells[$0] : nil }
        }
        guard let type = cell("Type"), string(type) == "URB", let raw = cell("Raw Data"),
            let direction = cell("I/O").map(string), direction == "in" || direction == "out"
        else { return nil }
        // A request for input and the completion of an output have none.
        var data: [UInt8] = []
        for word in raw.split(whereSeparator: { $0 <= 0x20 }) {
            // An ellipsis, where the report shows only the beginning.
            guard let more = hex(word) else { break }
            data += more
        }
        guard !data.isEmpty else { return nil }
        let details = cell("Request Details").map(string) ?? ""
        let missing = max(0, (length(details) ?? 0) - data.count)
        let place = cell("C:I:E").map(string)?.split(separator: ":").last
        let endpoint = place.flatMap { UInt8($0, radix: 16) } ?? 0
        let isInput = direction == "in"
        var packet = USBPacket(
            device: USBPacket.Device(bus: 0, address: 0), endpoint: isInput ? endpoint | 0x80 : endpoint & 0x7F,
            isControl: endpoint & 0x7F == 0, data: data[...], missing: missing,
            seconds: seconds(cell("Time").map(string) ?? ""))
        // The report says in words what the setup packet said (HID 1.11, section 7.2.2).
        if packet.isControl, !isInput, details.hasPrefix("Set Report") {
            let kind: UInt8 = details.contains("Output") ? 2 : 3
            let count = data.count + missing
            packet.setup = [
                0x21, 9, 0, kind, 0, 0, UInt8(truncatingIfNeeded: count), UInt8(truncatingIfNeeded: count >> 8),
            ]
        }
        return Row(
            device: cell("Device Object").map(string) ?? "",
            driver: (cell("Driver Name").map(string) ?? "").lowercased(),
            packet: packet)
    }

    /// `16:21:38.718`
    private static func seconds(_ time: String) -> Double {
        time.split(separator: ":").prefix(3).reduce(0) { sum, part in
            // Words such as "nan" are numbers to a computer.
            let value = Double(part) ?? 0
            return sum * 60 + (0..<60 ~= value ? value : 0)
        }
    }

    // MARK: SnoopyPro

    /// `<urb>` twice for each transfer: as it was asked for and as it was done; the one that has bytes counts.
    private static func snoopyPro(_ text: ArraySlice<UInt8>) -> [USBPacket] {
        var packets: [USBPacket] = []
        var function = ""
        var milliseconds = 0.0
        var endpoint = 0
        var length = 0
        var data: [UInt8] = []
        for (name, text) in Marks(rest: text) {
            switch name {
            case "urb": (function, endpoint, length, data) = ("", 0, 0, [])
            case "function": function = string(text)
            case "timestamp": milliseconds = UInt32(string(text)).map(Double.init) ?? milliseconds
            case "endpoint": endpoint = Int(string(text)) ?? 0
            case "payloadcount": length += Int(UInt16(string(text)) ?? 0)
            case "payloadbytes":
                for word in text.split(whereSeparator: { $0 <= 0x20 }) { data += hex(word) ?? [] }
            case "/urb":
                guard !data.isEmpty else { continue }
                let isControl = !(1...255 ~= endpoint) || endpoint & 0x7F == 0
                let isInput = isControl ? function == "CONTROL_TRANSFER" : endpoint & 0x80 != 0
                packets.append(
                    USBPacket(
                        device: USBPacket.Device(bus: 0, address: 1),
                        endpoint: isControl ? isInput ? 0x80 : 0 : UInt8(truncatingIfNeeded: endpoint),
                        isControl: isControl, data: data[...], missing: max(0, length - data.count),
                        seconds: milliseconds / 1000))
            default: break
            }
        }
        return packets
    }
}
