public import Clinical
import Wire

/// The vendor program's `.SpO2` file of a stored night (devices.md 3.11): a header of 856 bytes, a block of 200, date, count,
/// then pairs SpO2, pulse once a second. Variants of other models (four bytes a sample, `.spo`) are not read.
public struct ContecSpO2: Sendable, Equatable {
    static let headerSize = 856
    static let dataStart = 1084

    /// Nil when the date is zero (CMS50D+ has no clock) or no date.
    public var start: LocalTime?
    public var startText: String
    /// SpO2 in % and pulse rate in 1/min, once a second.
    public var waveform: Waveform
    public var notes: [Note]
    /// The simulated device's serial; nil for a real file. The format has no field for it, so our simulator writes `SIM` and
    /// digits into the block at 856, of which only the first four bytes are known.
    public var simulatedSerial: String?

    /// True when the sizes at offsets 0 and 856 are those of the format.
    public static func isHeader(_ bytes: [UInt8]) -> Bool {
        bytes.count >= dataStart && bytes[0] == 0x58 && bytes[1] == 0x03 && bytes[2] == 0 && bytes[3] == 0
            && bytes[headerSize..<headerSize + 4].elementsEqual([1, 0, 0, 0])
    }

    public init(decoding bytes: [UInt8]) throws(DecodeError) {
        guard Self.isHeader(bytes) else { throw .notRecognised("no .SpO2 header") }
        var date: [Int] = []
        var count = 0
        do {
            var reader = ByteReader(bytes)
            try reader.skip(1056)
            for _ in 0..<6 { date.append(Int(try reader.littleEndian(UInt32.self))) }
            count = Int(try reader.littleEndian(UInt32.self))
        } catch {
            throw .damaged(format: "contec-spo2", "the header is cut short")
        }
        let body = bytes[Self.dataStart...]
        if body.count == count * 4, count > 0 {
            throw .unsupported(format: "contec-spo2", "four bytes a sample (CMS50I); only the two-byte kind is read")
        }
        guard body.count / 2 >= count else {
            throw .damaged(
                format: "contec-spo2", "\(count) samples announced, \(body.count / 2) in the file; copy it again")
        }
        let mark = bytes[(Self.headerSize + 4)...].prefix(16).prefix { $0 != 0 }
        if mark.starts(with: "SIM".utf8), mark.count > 3, mark.dropFirst(3).allSatisfy({ (0x30...0x39).contains($0) }) {
            simulatedSerial = String(decoding: mark, as: UTF8.self)
        }
        startText = date.map(String.init).joined(separator: " ")
        start = LocalTime(
            year: date[0], month: date[1], day: date[2], hour: date[3], minute: date[4], second: date[5])
        notes = []
        if start == nil { notes.append(Note(kind: .surprise, text: "the start is unknown")) }
        func column(_ offset: Int, invalid: Set<UInt8>) -> [Sample] {
            (0..<count).map { index in
                let byte = body[body.startIndex + 2 * index + offset]
                return invalid.contains(byte) ? .absent : Sample(byte)
            }
        }
        func channel(_ signal: Channel.Signal, _ name: String, _ unit: String, _ top: Sample) -> Channel {
            Channel(
                signal: signal, name: name, unit: unit, rate: Ratio(1), scale: Ratio(1), range: 0...top,
                calibration: .verified)
        }
        // A pulse of 127 is a pulse; SpO2 has no value above 100.
        waveform = Waveform(
            channels: [channel(.spo2, "SpO2", "%", 100), channel(.pulseRate, "Pulse rate", "/min", 254)],
            samples: [column(0, invalid: [0x7F, 0xFF]), column(1, invalid: [0xFF])])
    }
}
