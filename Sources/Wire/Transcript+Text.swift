/// Reads line by line, then decides once for each direction whether its lines begin with an endpoint.
struct TranscriptParser {
    private struct Line {
        var event: TranscriptEvent
        /// Nothing says yet whether the first byte is an endpoint.
        var undecided = false
    }

    private var header = TranscriptHeader(isPresent: false)
    private var lines: [Line] = []

    mutating func read(_ text: [UInt8]) throws(TranscriptError) {
        var rest = text[...]
        if rest.starts(with: [0xEF, 0xBB, 0xBF]) { rest = rest.dropFirst(3) }
        var number = 0
        while !rest.isEmpty {
            number += 1
            let end = rest.firstIndex(of: UInt8(ascii: "\n")) ?? rest.endIndex
            let line = rest[..<end]
            rest = rest[end...].dropFirst()
            guard line.count <= Transcript.longestLine else {
                throw TranscriptError(
                    line: number, what: "longer than \(Transcript.longestLine) characters",
                    remedy: "spread the bytes over several lines")
            }
            try read(line: trimmed(line), number: number)
        }
    }

    func transcript() -> Transcript {
        let out = evidence(.toDevice) { $0 < 0x10 }
        let back = evidence(.fromDevice) { 0x80...0x8F ~= $0 }
        // A file with endpoints has them both ways; one single line proves nothing by itself. The host may use several
        // (requests go to endpoint 0); what comes back is clear when it always comes from one, or says so in each line.
        let inferred =
            out.alike && back.alike && back.consistent
            && (out.consistent || back.lines > 1)
            && (out.lines > 1 || back.lines > 1 || (out.lines == 1 && back.lines == 1))
        let events = lines.map { line in
            var event = line.event
            guard line.undecided, let first = event.bytes.first else { return event }
            let stated = event.kind == .toDevice ? out.stated : back.stated
            if stated.contains(first) || (stated.isEmpty && inferred) {
                event.endpoint = first
                event.bytes.removeFirst()
            }
            return event
        }
        return Transcript(header: header, events: events)
    }

    private struct Evidence {
        var lines = 0
        var stated: Set<UInt8> = []
        /// Every line begins with what could be an endpoint, and has more.
        var alike = true
        /// It is always the same one; requests and answers of endpoint 0 aside.
        var consistent = true
    }

    /// What the lines of one direction say about endpoints.
    private func evidence(_ kind: TranscriptEvent.Kind, looksLikeOne: (UInt8) -> Bool) -> Evidence {
        var evidence = Evidence()
        var first: UInt8?
        for line in lines where line.event.kind == kind {
            evidence.lines += 1
            if let endpoint = line.event.endpoint { evidence.stated.insert(endpoint) }
            guard line.undecided, line.event.bytes.count > 1, looksLikeOne(line.event.bytes[0]) else {
                evidence.alike = false
                evidence.consistent = false
                continue
            }
            let endpoint = line.event.bytes[0]
            if kind == .fromDevice, endpoint == 0x80 { continue }
            if first ?? endpoint != endpoint { evidence.consistent = false }
            first = endpoint
        }
        return evidence
    }

    private mutating func read(line: ArraySlice<UInt8>, number: Int) throws(TranscriptError) {
        guard let sign = line.first else { return }
        let rest = line.dropFirst()
        switch sign {
        case UInt8(ascii: "#"): try read(comment: rest, number: number)
        case UInt8(ascii: ">"): lines.append(try bytes(.toDevice, rest, number: number))
        case UInt8(ascii: "<"): lines.append(try bytes(.fromDevice, rest, number: number))
        case UInt8(ascii: "!"): lines.append(Line(event: try failure(rest, number: number)))
        case UInt8(ascii: "="): lines.append(Line(event: try note(rest, number: number)))
        default:
            throw TranscriptError(
                line: number, what: "begins with \(shown(line.prefix(1)))",
                remedy: "begin it with > (to the device), < (from the device), ! (error), = (note) or # (remark)")
        }
    }

    private mutating func read(comment: ArraySlice<UInt8>, number: Int) throws(TranscriptError) {
        let words = fields(comment)
        guard !header.isPresent, words.count >= 2, words[0].elementsEqual("ess-agent".utf8),
            words[1].elementsEqual("transcript".utf8)
        else { return }
        header.isPresent = true
        if words.count > 2, let version = Int(String(decoding: words[2], as: UTF8.self)), version != Transcript.version
        {
            throw TranscriptError(
                line: number, what: "transcript version \(version)",
                remedy: "read it with a newer ess-agent; this one knows version \(Transcript.version)")
        }
        for word in words.dropFirst(2) {
            let text = String(decoding: word, as: UTF8.self)
            let parts = text.split(separator: ":", omittingEmptySubsequences: false)
            if parts.count == 2, parts.allSatisfy({ $0.utf8.count == 4 && $0.utf8.allSatisfy { digit($0) != nil } }) {
                header.vendorID = parts[0].lowercased()
                header.productID = parts[1].lowercased()
            } else if word.count == 10, word.allSatisfy({ 0x30...0x39 ~= $0 || $0 == UInt8(ascii: "-") }) {
                header.date = text
            }
        }
        if let open = comment.firstIndex(of: UInt8(ascii: "\"")),
            let close = comment[(open + 1)...].firstIndex(of: UInt8(ascii: "\""))
        {
            header.model = String(decoding: comment[(open + 1)..<close], as: UTF8.self)
        }
    }

    private func bytes(
        _ kind: TranscriptEvent.Kind, _ rest: ArraySlice<UInt8>, number: Int
    ) throws(TranscriptError) -> Line {
        var event = TranscriptEvent(kind: kind)
        var line = Line(event: event, undecided: true)
        let words = fields(rest)
        var index = 0
        if let first = words.first, words.count > 1, isEndpointField(first),
            words[1].first != UInt8(ascii: "+"), words[1].first != UInt8(ascii: "#"), wide(rest, after: first)
        {
            event.endpoint = hex(first)?.first
            line.undecided = false
            index = 1
        }
        while index < words.count {
            let word = words[index]
            if word.first == UInt8(ascii: "#") { break }
            if word.first == UInt8(ascii: "+") {
                guard let seconds = seconds(word) else {
                    throw TranscriptError(
                        line: number, what: "\(shown(word)) is no time", remedy: "write seconds as +0.0021")
                }
                event.after = seconds
                // What follows the time is a remark.
                break
            }
            // An explicit "none", of an endpoint or of bytes.
            if word.elementsEqual("-".utf8), event.bytes.isEmpty {
                line.undecided = false
                index += 1
                continue
            }
            guard let more = hex(word) else {
                throw TranscriptError(
                    line: number, what: "\(shown(word)) is not bytes in hexadecimal",
                    remedy: "write two digits for each byte, and # before a remark")
            }
            if event.bytes.isEmpty, line.undecided, more.count > 1 { line.undecided = false }
            event.bytes += more
            index += 1
        }
        line.event = event
        return line
    }

    private func failure(_ rest: ArraySlice<UInt8>, number: Int) throws(TranscriptError) -> TranscriptEvent {
        var event = TranscriptEvent(kind: .error)
        var text = trimmed(rest)
        if let first = fields(text).first {
            if first.elementsEqual("-".utf8) {
                text = trimmed(text.dropFirst(1))
            } else if isEndpointField(first) {
                event.endpoint = hex(first)?.first
                text = trimmed(text.dropFirst(first.count))
            }
        }
        (event.text, event.after) = try textAndTime(text, number: number)
        return event
    }

    private func note(_ rest: ArraySlice<UInt8>, number: Int) throws(TranscriptError) -> TranscriptEvent {
        var event = TranscriptEvent(kind: .note)
        var text = trimmed(rest)
        if fields(text).first?.elementsEqual("note".utf8) == true { text = trimmed(text.dropFirst(4)) }
        (event.text, event.after) = try textAndTime(text, number: number)
        return event
    }

    /// A time is the last word of the line, or it is part of the text.
    private func textAndTime(_ rest: ArraySlice<UInt8>, number: Int) throws(TranscriptError) -> (String, Double) {
        var text = rest
        var after = 0.0
        if let last = fields(rest).last, last.first == UInt8(ascii: "+"), let time = seconds(last) {
            after = time
            text = trimmed(rest[..<last.startIndex])
        }
        guard let valid = String(validating: text, as: UTF8.self) else {
            throw TranscriptError(line: number, what: "not UTF-8 text", remedy: "save the file as UTF-8")
        }
        return (valid, after)
    }

    private func isEndpointField(_ word: ArraySlice<UInt8>) -> Bool {
        // An address is direction and number; anything else there is data.
        guard let value = hex(word), value.count == 1 else { return false }
        return value[0] & 0x70 == 0
    }

    /// True when two spaces or a tab follow the field.
    private func wide(_ line: ArraySlice<UInt8>, after word: ArraySlice<UInt8>) -> Bool {
        let gap = line[word.endIndex...].prefix { isSpace($0) }
        return gap.count > 1 || gap.contains(UInt8(ascii: "\t"))
    }
}

extension Transcript {
    /// The text, always with a header; reads back as the same events. Texts lose line breaks and outer white space, an
    /// event of more than a million bytes becomes several, times are written to the nanosecond.
    public func rendered() -> String {
        var text = "# ess-agent transcript \(Transcript.version)"
        if let vendor = header.vendorID, let product = header.productID { text += "   device \(vendor):\(product)" }
        if let model = header.model {
            text += " \"" + String(oneLine(model).map { $0 == "\"" ? "'" : $0 }) + "\""
        }
        if let date = header.date { text += "   \(oneLine(date))" }
        text += "\n"
        for event in events { event.render(into: &text) }
        return text
    }
}

extension TranscriptEvent {
    private static let mostBytesInALine = 1_000_000

    /// The event's line or lines, each with its line break: what a tap appends to a file.
    public func rendered() -> String {
        var text = ""
        render(into: &text)
        return text
    }

    fileprivate func render(into text: inout String) {
        switch kind {
        case .toDevice, .fromDevice:
            var rest = bytes[...]
            var time = after
            repeat {
                text += kind == .toDevice ? "> " : "< "
                text += endpoint.map { hexadecimal([$0]) } ?? "-"
                text += "  "
                text += rest.isEmpty ? "-" : hexadecimal(rest.prefix(Self.mostBytesInALine))
                text += timeField(time) + "\n"
                rest = rest.dropFirst(Self.mostBytesInALine)
                time = 0
            } while !rest.isEmpty
        case .error:
            text += "! " + (endpoint.map { hexadecimal([$0]) } ?? "-") + "  " + textAndTime() + "\n"
        case .note:
            text += "= note " + textAndTime() + "\n"
        }
    }

    private func textAndTime() -> String {
        let line = oneLine(text)
        // A last word that reads as a time would be taken for one.
        let explicit = fields(Array(line.utf8)[...]).last.flatMap { seconds($0) } != nil
        let time = timeField(after)
        return line + (time.isEmpty && explicit ? "   +0.0000" : time)
    }
}

private func timeField(_ after: Double) -> String {
    guard after > 0 else { return "" }
    let nanoseconds = Int((min(after, longestTime) * 1e9).rounded())
    guard nanoseconds > 0 else { return "" }
    var fraction = String(nanoseconds % 1_000_000_000)
    fraction = String(repeating: "0", count: 9 - fraction.count) + fraction
    while fraction.count > 4, fraction.last == "0" { fraction.removeLast() }
    return "   +\(nanoseconds / 1_000_000_000).\(fraction)"
}

/// Seconds: thirty years. Larger is nonsense, and would not fit in nanoseconds for ever.
private let longestTime = 1e9

private func seconds(_ word: ArraySlice<UInt8>) -> Double? {
    guard word.first == UInt8(ascii: "+"), 2...32 ~= word.count,
        word.dropFirst().allSatisfy({ 0x30...0x39 ~= $0 || $0 == UInt8(ascii: ".") }),
        let value = Double(String(decoding: word.dropFirst(), as: UTF8.self)), value <= longestTime
    else { return nil }
    return value
}

private func oneLine(_ text: String) -> String {
    let line = text.utf8.map { $0 < 0x20 || $0 == 0x7F ? 0x20 : $0 }
    return String(decoding: trimmed(line[...]), as: UTF8.self)
}

private func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0D }

private func trimmed(_ line: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    var line = line.drop { isSpace($0) }
    while let last = line.last, isSpace(last) { line.removeLast() }
    return line
}

private func fields(_ line: ArraySlice<UInt8>) -> [ArraySlice<UInt8>] { line.split { isSpace($0) } }

private func shown(_ word: ArraySlice<UInt8>) -> String {
    let safe = word.prefix(24).map { 0x20...0x7E ~= $0 ? $0 : UInt8(ascii: "?") }
    return "\"" + String(decoding: safe, as: UTF8.self) + "\""
}

private func digit(_ character: UInt8) -> UInt8? {
    switch character {
    case 0x30...0x39: character - 0x30
    case 0x41...0x46: character - 0x41 + 10
    case 0x61...0x66: character - 0x61 + 10
    default: nil
    }
}

/// Nil unless the field is an even, positive number of hexadecimal digits, with or without `0x`.
func hex(_ word: ArraySlice<UInt8>) -> [UInt8]? {
    var digits = word
    if digits.count > 2, digits.first == UInt8(ascii: "0"), digits.dropFirst().first.map({ $0 | 0x20 }) == 0x78 {
        digits = digits.dropFirst(2)
    }
    guard !digits.isEmpty, digits.count.isMultiple(of: 2) else { return nil }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(digits.count / 2)
    var index = digits.startIndex
    while index < digits.endIndex {
        guard let high = digit(digits[index]), let low = digit(digits[index + 1]) else { return nil }
        bytes.append(high << 4 | low)
        index += 2
    }
    return bytes
}

/// `7D 81 A6`
func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
    let digits = Array("0123456789ABCDEF".utf8)
    var text: [UInt8] = []
    for byte in bytes {
        if !text.isEmpty { text.append(0x20) }
        text.append(digits[Int(byte >> 4)])
        text.append(digits[Int(byte & 0x0F)])
    }
    return String(decoding: text, as: UTF8.self)
}
