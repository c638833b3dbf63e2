import Clinical

/// The text of a WFDB header (formats.md 5): a line about the record, one for each signal, comments.
struct WFDBHeader {
    struct Signal {
        var file: String
        var format: WFDBFormat
        var samplesPerFrame: Int
        /// Frames by which this signal lies later in the file.
        var skew: Int
        /// Bytes before the first sample.
        var offset: Int
        /// Steps per unit; nil when the header says that nobody knows.
        var gain: Ratio?
        var baseline: Int
        var unit: String
        var initial: Int?
        /// Sum of all samples, 16 bits.
        var checksum: UInt16?
        var description: String
    }

    var name: String
    /// Of a record in several segments: their names (`~` for a gap) and lengths in frames. It has no signals of its own then.
    var segments: [(name: String, frames: Int)]
    /// Signals announced on the record line.
    var signalCount: Int
    /// Frames per second.
    var rate: Ratio
    /// Frames; nil when the header doesn't say.
    var frames: Int?
    var start: LocalTime?
    var startText: String?
    var signals: [Signal]
    var comments: [String]

    static let format = "wfdb"
    private static let longest = 1 << 20

    /// True when the first line that is no comment names a record and its number of signals, and the next one a signal or
    /// segment.
    static func isHeader(_ bytes: [UInt8]) -> Bool {
        let head = bytes.prefix(4096)
        guard head.allSatisfy({ $0 >= 0x20 || $0 == 9 || $0 == 10 || $0 == 13 }) else { return false }
        let lines = lines(head).filter { !$0.hasPrefix("#") && !$0.isEmpty }
        guard let first = lines.first, let record = record(first) else { return false }
        guard record.segments == 0, record.count > 0 else { return record.segments > 0 && lines.count > 1 }
        return lines.count > 1 && (try? signal(lines[1])) != nil
    }

    private static func lines(_ bytes: ArraySlice<UInt8>) -> [String] {
        bytes.split(omittingEmptySubsequences: false) { $0 == 10 || $0 == 13 }.map { line in
            var text = line[...]
            while let byte = text.first, byte == 0x20 || byte == 9 { text.removeFirst() }
            return String(decoding: text, as: UTF8.self)
        }
    }

    private static func fields(_ line: String) -> [Substring] { line.split { $0 == " " || $0 == "\t" } }

    private static func record(_ line: String) -> (name: String, segments: Int, count: Int, rest: [Substring])? {
        let fields = fields(line)
        guard fields.count >= 2, let count = Int(fields[1]), (0...4096).contains(count) else { return nil }
        let name = fields[0].split(separator: "/", omittingEmptySubsequences: false)
        guard (1...2).contains(name.count), isName(name[0]), name.count == 1 || Int(name[1]) != nil else { return nil }
        return (String(name[0]), name.count == 2 ? Int(name[1]) ?? 0 : 0, count, Array(fields.dropFirst(2)))
    }

    private static func isName(_ text: Substring) -> Bool {
        !text.isEmpty && text.utf8.count <= 256
            && text.utf8.allSatisfy {
                (0x30...0x39).contains($0) || (0x41...0x5A).contains($0) || (0x61...0x7A).contains($0) || $0 == 0x5F
                    || $0 == 0x2D
            }
    }

    init(_ bytes: [UInt8]) throws(DecodeError) {
        guard Self.isHeader(bytes) else { throw .notRecognised("no WFDB record line at the start") }
        guard bytes.count <= Self.longest else { throw .damaged(format: Self.format, "the header is too long") }
        var lines = Self.lines(bytes[...]).filter { !$0.isEmpty }
        comments = lines.filter { $0.hasPrefix("#") }.map { String($0.dropFirst().drop { $0 == " " }) }
        lines.removeAll { $0.hasPrefix("#") }
        guard let first = lines.first, let record = Self.record(first) else {
            throw .notRecognised("no WFDB record line at the start")
        }
        (name, signalCount) = (record.name, record.count)
        (segments, signals) = ([], [])
        let rateText = record.rest.first?.prefix { $0 != "/" && $0 != "(" } ?? "250"
        guard let rate = Ratio(decimal: rateText), rate.numerator > 0 else {
            throw .damaged(format: Self.format, "the sampling frequency is no positive number")
        }
        self.rate = rate.reduced
        frames = record.rest.count > 1 ? Int(record.rest[1]).flatMap { $0 > 0 && $0 < 1 << 40 ? $0 : nil } : nil
        let times = record.rest.dropFirst(2).prefix(2).map(String.init)
        startText = times.isEmpty ? nil : times.joined(separator: " ")
        start = Self.start(times)
        guard record.segments == 0 else {
            segments = try Self.segments(lines.dropFirst(), count: record.segments)
            return
        }
        guard lines.count > record.count else {
            throw .damaged(format: Self.format, "\(record.count) signals announced, \(lines.count - 1) described")
        }
        for line in lines[1...record.count] { signals.append(try Self.signal(line)) }
    }

    /// Lines of a segment's name and length; the layout segment of a variable layout has length 0.
    private static func segments(
        _ lines: ArraySlice<String>, count: Int
    ) throws(DecodeError) -> [(name: String, frames: Int)] {
        guard count == lines.count else {
            throw .damaged(format: format, "\(count) segments announced, \(lines.count) listed")
        }
        var segments: [(name: String, frames: Int)] = []
        for line in lines {
            let fields = fields(line)
            guard fields.count >= 2, fields[0] == "~" || isName(fields[0]), let frames = Int(fields[1]),
                (0..<1 << 40).contains(frames)
            else { throw .damaged(format: format, "a segment line is not a name and a length") }
            segments.append((String(fields[0]), frames))
        }
        return segments
    }

    /// `HH:MM:SS` with a fraction that is left alone, and `DD/MM/YYYY`.
    private static func start(_ times: [String]) -> LocalTime? {
        guard times.count == 2 else { return nil }
        let clock = times[0].prefix { $0 != "." }.split(separator: ":").map { Int($0) }
        let day = times[1].split(separator: "/").map { Int($0) }
        guard clock.count == 3, day.count == 3, let hour = clock[0], let minute = clock[1], let second = clock[2],
            let date = day[0], let month = day[1], let year = day[2]
        else { return nil }
        return LocalTime(year: year, month: month, day: date, hour: hour, minute: minute, second: second)
    }

    /// `file format gain bits zero initial checksum block description`; all after the format may be missing.
    private static func signal(_ line: String) throws(DecodeError) -> Signal {
        let fields = fields(line)
        func damaged(_ text: String) -> DecodeError { .damaged(format: format, "a signal line: \(text)") }
        guard fields.count >= 2 else { throw damaged("no format") }
        var parts: [Character: Int] = [:]
        var key: Character = "f"
        for piece in fields[1].split(omittingEmptySubsequences: true, whereSeparator: { "x:+".contains($0) }) {
            if piece.startIndex > fields[1].startIndex { key = fields[1][fields[1].index(before: piece.startIndex)] }
            guard let number = Int(piece), number >= 0, parts[key] == nil else { throw damaged("the format") }
            parts[key] = number
        }
        guard let number = parts["f"] else { throw damaged("the format") }
        guard let format = WFDBFormat(rawValue: number) else {
            throw .unsupported(format: Self.format, "signals in format \(number)")
        }
        let (perFrame, skew, offset) = (parts["x"] ?? 1, parts[":"] ?? 0, parts["+"] ?? 0)
        guard (1...4096).contains(perFrame), skew <= 1 << 24 else { throw damaged("the format") }
        let zero = fields.count > 4 ? Int(fields[4]) ?? 0 : 0
        guard zero.magnitude <= 1 << 40 else { throw damaged("the zero of the converter") }
        var signal = Signal(
            file: String(fields[0]), format: format, samplesPerFrame: perFrame, skew: skew, offset: offset, gain: nil,
            baseline: zero, unit: "mV", initial: nil, checksum: nil,
            description: fields.count > 8 ? String(line[fields[8].startIndex...]).trimmed : "")
        if fields.count > 2 { try gain(fields[2], &signal) }
        if fields.count > 5 { signal.initial = Int(fields[5]) }
        if fields.count > 6 { signal.checksum = Int(fields[6]).map { UInt16(truncatingIfNeeded: $0) } }
        return signal
    }

    /// `gain(baseline)/unit`
    private static func gain(_ field: Substring, _ signal: inout Signal) throws(DecodeError) {
        let halves = field.split(separator: "/", maxSplits: 1)
        guard let first = halves.first else { return }
        if halves.count > 1 { signal.unit = String(halves[1]) }
        let number = first.prefix { $0 != "(" }
        guard let gain = Ratio(decimal: number) else { throw .damaged(format: format, "a signal's gain is no number") }
        if gain.numerator != 0 { signal.gain = gain }
        if number.endIndex < first.endIndex {
            guard first.last == ")", let baseline = Int(first[first.index(after: number.endIndex)...].dropLast()),
                baseline.magnitude <= 1 << 40
            else { throw .damaged(format: format, "a signal's baseline is no number") }
            signal.baseline = baseline
        }
    }
}
