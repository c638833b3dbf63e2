/// What somebody printed as hexadecimal: xxd, hexdump -C, od -Ax -tx1, Wireshark's "Copy as Hex Dump", tshark -x, text2pcap's
/// input, or bytes alone (`0680 80c3`, `06:80:80`, `0x06, 0x80`).
///
/// Whether lines begin with an offset is judged for the whole text: digits of an offset that pass for bytes of the device are
/// values that nobody measured.
struct HexDump {
    /// More than any pause of zeros in a conversation: what a `*` stands for is as long as two numbers in the text say.
    private static let mostRepeated = 1 << 20

    private struct Line {
        var number: Int
        /// Without what stands behind a bar.
        var words: [ArraySlice<UInt8>]

        var isRepetition: Bool { words.count == 1 && words[0].elementsEqual("*".utf8) }
    }

    private struct Offset {
        var width: Int
        var hasColon: Bool
        var digits: ArraySlice<UInt8>

        /// Nil when the word can be none.
        init?(_ word: ArraySlice<UInt8>) {
            hasColon = word.last == UInt8(ascii: ":")
            var digits = hasColon ? word.dropLast() : word
            if hasColon, digits.starts(with: "0x".utf8) { digits = digits.dropFirst(2) }
            guard 4...15 ~= digits.count, digits.allSatisfy({ Self.isDigit($0) }) else { return nil }
            width = digits.count
            self.digits = digits
        }

        func value(_ radix: Int) -> Int? { Int(String(decoding: digits, as: UTF8.self), radix: radix) }

        private static func isDigit(_ byte: UInt8) -> Bool {
            0x30...0x39 ~= byte || 0x61...0x66 ~= byte | 0x20
        }
    }

    /// One, or several where offsets begin anew.
    private(set) var packets: [[UInt8]] = []

    /// Nil when the text isn't that, or when a line says who spoke (then it is a transcript).
    init?(_ text: [UInt8]) throws(TranscriptError) {
        let lines = Self.lines(text)
        guard let first = lines.first else { return nil }
        if Self.isOfWords(first) {
            throw TranscriptError(
                line: first.number, what: "words in the machine's order, not bytes",
                remedy: "dump it with xxd, hexdump -vC or od -Ax -tx1")
        }
        if let found = try Self.offset(lines) {
            packets = found
        } else {
            var bytes: [UInt8] = []
            for line in lines {
                guard let more = Self.plain(line.words) else { return nil }
                bytes += more
            }
            packets = [bytes]
        }
        packets.removeAll { $0.isEmpty }
        if packets.isEmpty { return nil }
    }

    private static func lines(_ text: [UInt8]) -> [Line] {
        var lines: [Line] = []
        var number = 0
        for line in text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
            number += 1
            let words = line.prefix { $0 != UInt8(ascii: "|") }.split { $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }
            if words.isEmpty || words[0].first == UInt8(ascii: "#") { continue }
            lines.append(Line(number: number, words: words))
        }
        return lines
    }

    /// hexdump and od without options: an offset of six or seven digits, and groups of four (hexadecimal) or six (octal).
    private static func isOfWords(_ line: Line) -> Bool {
        guard let offset = Offset(line.words[0]), !offset.hasColon, 6...7 ~= offset.width, offset.value(16) == 0,
            line.words.count > 1
        else { return false }
        return line.words.dropFirst().allSatisfy { $0.count == 4 || ($0.count == 6 && offset.width == 7) }
    }

    // MARK: With offsets

    /// Nil when lines don't begin with offsets.
    private static func offset(_ lines: [Line]) throws(TranscriptError) -> [[UInt8]]? {
        guard let first = Offset(lines[0].words[0]), lines[0].words.count > 1 else { return nil }
        let isPair = lines[0].words[1].count == 2
        guard first.hasColon || isPair || first.width == 8 else { return nil }
        for line in lines where !line.isRepetition {
            guard let offset = Offset(line.words[0]), offset.width == first.width, offset.hasColon == first.hasColon
            else { return nil }
        }
        // od counts in octal, in seven digits.
        for radix in first.width == 7 && !first.hasColon ? [16, 8] : [16] {
            if case .packets(let packets) = try read(lines, radix) { return packets }
        }
        // Groups of four bytes look like it: `024f4b00 00`. An offset that nothing goes before is 0, or the next one fits it.
        guard first.hasColon || (isPair && first.value(16) == 0) else { return nil }
        if case .stuck(let line) = try read(lines, 16) {
            throw TranscriptError(
                line: line, what: "the offset, or the one behind it, doesn't fit the bytes before it",
                remedy: "give the whole dump, or bytes without offsets")
        }
        return nil
    }

    private enum Read {
        case packets([[UInt8]])
        /// At this line's number.
        case stuck(Int)
    }

    private static func read(_ lines: [Line], _ radix: Int) throws(TranscriptError) -> Read {
        var packets: [[UInt8]] = [[]]
        var base = 0
        var row: [UInt8] = []
        var repeated = 0
        var widest = 16
        for (index, line) in lines.enumerated() {
            let next = index + 1 < lines.count ? Offset(lines[index + 1].words[0])?.value(radix) : nil
            let place = base + packets[packets.count - 1].count
            if line.isRepetition {
                guard let next, next > place, !row.isEmpty else { return .stuck(line.number) }
                repeated += next - place
                guard repeated <= mostRepeated else {
                    throw TranscriptError(
                        line: line.number, what: "stands for more than \(mostRepeated) bytes",
                        remedy: "dump it with hexdump -vC or od -v")
                }
                packets[packets.count - 1] += (0..<next - place).map { row[$0 % row.count] }
                continue
            }
            guard let offset = Offset(line.words[0])?.value(radix) else { return .stuck(line.number) }
            if index == 0 {
                base = offset
                // Digits of a lone line that doesn't begin at 0: two pairs behind them are a dump's.
                if offset != 0, lines.count == 1, line.words.count < 3 || line.words[2].count != 2 {
                    return .stuck(line.number)
                }
            } else if offset == 0, place != 0 {
                base = 0
                packets.append([])
            } else if offset != place {
                return .stuck(line.number)
            }
            // The last line of hexdump and od is the length.
            if line.words.count == 1 { continue }
            let needed = next.flatMap { $0 > offset ? $0 - offset : nil }
            guard let bytes = bytes(line, needed: needed, atMost: widest) else { return .stuck(line.number) }
            row = bytes
            widest = max(widest, bytes.count)
            packets[packets.count - 1] += bytes
        }
        return .packets(packets)
    }

    /// The bytes of a line that may have a picture behind them.
    /// - Parameter needed: so many, as the next line's offset says.
    private static func bytes(_ line: Line, needed: Int?, atMost: Int) -> [UInt8]? {
        let hasColon = line.words[0].last == UInt8(ascii: ":")
        var bytes: [UInt8] = []
        var end = line.words[0].endIndex
        for word in line.words.dropFirst() {
            if let needed, bytes.count >= needed { break }
            // Two spaces in the middle of sixteen are for the eye; xxd and tcpdump have them only before their picture.
            let gap = word.startIndex - end
            if needed == nil, !bytes.isEmpty, gap >= 3 || (gap == 2 && (hasColon || bytes.count != 8)) { break }
            guard needed != nil || bytes.count < atMost, let more = hex(word) else { break }
            bytes += more
            end = word.endIndex
        }
        guard let needed else { return bytes.isEmpty ? nil : bytes }
        return bytes.count == needed ? bytes : nil
    }

    // MARK: Without

    private static func plain(_ words: [ArraySlice<UInt8>]) -> [UInt8]? {
        var bytes: [UInt8] = []
        for word in words {
            for part in word.split(whereSeparator: { ",;{}".utf8.contains($0) }) {
                if let more = hex(part) {
                    bytes += more
                    continue
                }
                // 06:80:80, 06-80-80
                for pair in part.split(omittingEmptySubsequences: false, whereSeparator: { $0 == 0x3A || $0 == 0x2D }) {
                    guard pair.count == 2, let byte = hex(pair) else { return nil }
                    bytes += byte
                }
            }
        }
        return bytes
    }
}

/// `IN 02 4f 4b` and `OUT: 07, 0x00`: a transcript in others' words.
enum DirectedText {
    /// The same with a transcript's signs; nil unless every line says its direction.
    static func transcript(_ text: [UInt8]) -> [UInt8]? {
        var lines: [UInt8] = []
        var found = false
        for line in text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
            let words = line.split { $0 == 0x20 || $0 == 0x09 || $0 == 0x0D || $0 == UInt8(ascii: ",") }
            defer { lines.append(UInt8(ascii: "\n")) }
            guard let first = words.first else { continue }
            if first.first == UInt8(ascii: "#") {
                lines += line
                continue
            }
            switch String(decoding: first.prefix(5), as: UTF8.self).lowercased() {
            case "in", "in:": lines.append(UInt8(ascii: "<"))
            case "out", "out:": lines.append(UInt8(ascii: ">"))
            default: return nil
            }
            found = true
            for word in words.dropFirst() {
                lines.append(0x20)
                lines += word.contains(0x3A) ? word.map { $0 == 0x3A ? 0x20 : $0 } : Array(word)
            }
        }
        return found ? lines : nil
    }
}
