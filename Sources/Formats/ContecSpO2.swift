public import Clinical
import Wire

/// The vendor program's file of a stored night (devices.md 3.11, formats.md 3.4): `.SpO2` has the size of its header, a block
/// of 200 bytes, date, count, then SpO2 and pulse once a second; `.spo` and `.spoR` a date as text, then pulse and SpO2. A night
/// that is cut short gives what is there.
public struct ContecSpO2: Sendable, Equatable {
    static let headerSize = 856
    /// Bytes that `isHeader` needs at most.
    public static let dataStart = 1084
    private static let format = "contec-spo2"

    /// Nil when the date is zero (CMS50D+ has no clock) or no date.
    public var start: LocalTime?
    public var startText: String
    /// SpO2 in % and pulse rate in 1/min, once a second.
    public var waveform: Waveform
    public var notes: [Note]
    /// The simulated device's serial; nil for a real file. The format has no field for it, so our simulator writes `SIM` and
    /// digits into the block at 856, of which only the first four bytes are known.
    public var simulatedSerial: String?

    private enum Kind: Equatable {
        /// Two independent sources: a header of 856 bytes, a block that begins with 1.
        case known
        /// As one public reader describes it: a header of any size.
        case otherHeader(Int)
        /// `.spo`, `.spoR`.
        case text(dataStart: Int, date: String)
    }

    /// True when sizes and date are where one of the kinds has them.
    public static func isHeader(_ bytes: [UInt8]) -> Bool { kind(bytes) != nil }

    private static func kind(_ bytes: [UInt8]) -> Kind? {
        guard bytes.count >= 44 else { return nil }
        let size = Int(bytes[0]) | Int(bytes[1]) << 8
        if let date = textDate(bytes), (44...4096).contains(size), size <= bytes.count {
            return .text(dataStart: size, date: date)
        }
        guard bytes[2] == 0, bytes[3] == 0, (8...headerSize).contains(size), bytes.count >= size + 228 else {
            return nil
        }
        if size == headerSize, bytes[headerSize..<headerSize + 4].elementsEqual([1, 0, 0, 0]) { return .known }
        // Without the known size, only a real date tells it from any other file.
        let (date, count) = header(bytes, at: size)
        return time(date) != nil && count > 0 ? .otherHeader(size) : nil
    }

    /// `MM/dd/yy HH:mm:ss` in UTF-16 from byte 8.
    private static func textDate(_ bytes: [UInt8]) -> String? {
        let shape = Array("00/00/00 00:00:00".utf8)
        var text: [UInt8] = []
        for (index, expected) in shape.enumerated() {
            let (low, high) = (bytes[8 + 2 * index], bytes[9 + 2 * index])
            guard high == 0, expected == 0x30 ? (0x30...0x39).contains(low) : low == expected else { return nil }
            text.append(low)
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// Six numbers of a date, and how many samples there are; the caller has looked that they fit.
    private static func header(_ bytes: [UInt8], at base: Int) -> (date: [Int], count: Int) {
        let numbers = (0..<7).map { field in
            (0..<4).reduce(0) { $0 | Int(bytes[base + 200 + 4 * field + $1]) << (8 * $1) }
        }
        return (Array(numbers.prefix(6)), numbers[6])
    }

    private static func time(_ date: [Int]) -> LocalTime? {
        LocalTime(year: date[0], month: date[1], day: date[2], hour: date[3], minute: date[4], second: date[5])
    }

    public init(decoding bytes: [UInt8]) throws(DecodeError) {
        guard let kind = Self.kind(bytes) else { throw .notRecognised("no .SpO2 header") }
        notes = []
        waveform = Waveform(channels: [], samples: [])
        startText = ""
        switch kind {
        case .known: try read(bytes, base: Self.headerSize, calibration: .verified)
        case .otherHeader(let base):
            try read(bytes, base: base, calibration: .unverified)
            notes.append(Note(kind: .surprise, text: "a header of \(base) bytes: a variant that nobody has verified"))
        case .text(let dataStart, let date):
            startText = date
            let fields = date.split { "/ :".contains($0) }.compactMap { Int($0) }
            start = Self.time([2000 + fields[2], fields[0], fields[1], fields[3], fields[4], fields[5]])
            fill(bytes[dataStart...], width: 2, count: (bytes.count - dataStart) / 2, spo2: 1, .unverified)
            notes.append(Note(kind: .surprise, text: "the .spo variant: a layout from one source, unverified"))
        }
        if waveform.samples.allSatisfy(\.isEmpty) {
            throw .damaged(format: Self.format, "it ends before its first sample; copy it again")
        }
        if start == nil { notes.append(Note(kind: .surprise, text: "the start is unknown")) }
    }

    private mutating func read(
        _ bytes: [UInt8], base: Int, calibration: Calibration
    ) throws(DecodeError) {
        let (date, count) = Self.header(bytes, at: base)
        startText = date.map(String.init).joined(separator: " ")
        start = Self.time(date)
        let mark = bytes[(base + 4)...].prefix(16).prefix { $0 != 0 }
        if mark.starts(with: "SIM".utf8), mark.count > 3, mark.dropFirst(3).allSatisfy({ (0x30...0x39).contains($0) }) {
            simulatedSerial = String(decoding: mark, as: UTF8.self)
        }
        let body = bytes[(base + 228)...]
        guard let width = Self.width(body, count: count, isKnown: base == Self.headerSize) else {
            throw .damaged(
                format: Self.format, "\(count) samples announced, what follows is no saturation; copy it again")
        }
        let held = min(count, body.count / width)
        if width != 2 {
            notes.append(
                Note(kind: .surprise, text: "\(width) bytes a sample (CMS50I): a layout from one source, unverified"))
        }
        if held < count {
            notes.append(Note(kind: .gap, text: "\(count) samples announced, \(held) in the file"))
        }
        if body.count > held * width {
            notes.append(
                Note(kind: .surprise, text: "\(body.count - held * width) bytes after the last sample were not read"))
        }
        // The last two bytes of a sample are SpO2 and pulse in every variant.
        fill(body, width: width, count: held, spo2: width - 2, width == 2 ? calibration : .unverified)
    }

    /// Bytes a sample: what divides evenly, or, in a file that is cut, what gives saturations. Of the known kind only two widths are
    /// known: a few bytes after the samples must not make three of two, and a saturation of a pulse. A saturation that can't be (101)
    /// is a sample without a value; it says nothing against the width.
    private static func width(_ body: ArraySlice<UInt8>, count: Int, isKnown: Bool) -> Int? {
        func isPlausible(_ width: Int, percent: Int) -> Bool {
            let held = min(count, body.count / width)
            let saturations = (0..<held).count { index in
                Self.isPossible(saturation: body[body.startIndex + index * width + width - 2])
            }
            return saturations * 100 >= held * percent
        }
        if count > 0, body.count.isMultiple(of: count), case let even = body.count / count,
            isKnown ? [2, 4].contains(even) : (2...8).contains(even), isPlausible(even, percent: 50)
        {
            return even
        }
        return [2, 4].first { isPlausible($0, percent: 95) }
    }

    /// A percentage, or one of the two marks of "no value".
    private static func isPossible(saturation: UInt8) -> Bool {
        saturation <= 100 || saturation == 0x7F || saturation == 0xFF
    }

    private mutating func fill(
        _ body: ArraySlice<UInt8>, width: Int, count: Int, spo2: Int, _ calibration: Calibration
    ) {
        let pulse = spo2 == width - 1 ? spo2 - 1 : spo2 + 1
        func column(_ offset: Int, values: ClosedRange<UInt8>) -> [Sample] {
            (0..<count).map { index in
                let byte = body[body.startIndex + width * index + offset]
                return values.contains(byte) ? Sample(byte) : .absent
            }
        }
        let odd = (0..<count).count { !Self.isPossible(saturation: body[body.startIndex + width * $0 + spo2]) }
        if odd > 0 {
            notes.append(Note(kind: .surprise, text: "\(odd) saturations above 100 %: taken as no value"))
        }
        func channel(_ signal: Channel.Signal, _ name: String, _ unit: String, _ top: Sample) -> Channel {
            Channel(
                signal: signal, name: name, unit: unit, rate: Ratio(1), scale: Ratio(1), range: 0...top,
                calibration: calibration)
        }
        // A pulse of 127 is a pulse; SpO2 has no value above 100. Nobody alive has 0 of either.
        waveform = Waveform(
            channels: [channel(.spo2, "SpO2", "%", 100), channel(.pulseRate, "Pulse rate", "/min", 254)],
            samples: [column(spo2, values: 1...100), column(pulse, values: 1...254)])
    }
}
