import Wire

/// Writes EDF files the way ResMed's machines do (devices.md 4.2, 4.3): checksums in the patient field and at the end of each
/// record.
struct ResmedWriter {
    struct Signal {
        var label: String
        var unit = ""
        var physical: (low: String, high: String)
        var digital: (low: Int, high: Int)
        var perRecord: Int
    }

    /// `EDF` or `EDF+D`.
    var variant: String
    /// Seconds, as text: `60.00`.
    var duration: String
    /// `22.11.26`, `22.31.05`
    var date: String
    var time: String
    /// What follows `Startdate`.
    var recording: String
    /// Without the checksum signal, which is added.
    var signals: [Signal]
    /// The S9's files may have neither header checksums.
    var headerChecksums = true

    /// - Parameters:
    ///   - records: bytes of each record without its checksum.
    ///   - announced: the number of records that the header says; nil for the true one.
    func bytes(_ records: [[UInt8]], announced: Int? = nil) -> [UInt8] {
        let all =
            signals + [Signal(label: "Crc16", physical: ("-32768", "32767"), digital: (-32768, 32767), perRecord: 1)]
        var columns: [UInt8] = []
        let fields: [(Int, (Signal) -> String)] = [
            (16, \.label), (80, { _ in "" }), (8, \.unit), (8, \.physical.low), (8, \.physical.high),
            (8, { "\($0.digital.low)" }), (8, { "\($0.digital.high)" }), (80, { _ in "" }), (8, { "\($0.perRecord)" }),
            (32, { _ in "" }),
        ]
        for (width, text) in fields {
            for signal in all { columns += Self.field(text(signal), width) }
        }
        var main: [UInt8] = []
        let texts: [(String, Int)] = [
            ("0", 8), ("X X X X", 80), ("Startdate \(recording)", 80), (date, 8), (time, 8),
            ("\(256 * (all.count + 1))", 8), (variant, 44), ("\(announced ?? records.count)", 8), (duration, 8),
            ("\(all.count)", 4),
        ]
        for (text, width) in texts { main += Self.field(text, width) }
        if headerChecksums {
            // The second is covered by the first only where it lies behind byte 25, so it comes first.
            main.replaceSubrange(20..<25, with: Array(" \(Self.hex(CRC16.ccittFalse(columns)))".utf8))
            main.replaceSubrange(15..<20, with: Array(" \(Self.hex(CRC16.ccittFalse(main[25...])))".utf8))
        }
        var writer = ByteWriter(reserving: main.count + columns.count + records.reduce(0) { $0 + $1.count + 2 })
        writer.append(contentsOf: main)
        writer.append(contentsOf: columns)
        for record in records {
            writer.append(contentsOf: record)
            writer.littleEndian(CRC16.ccittFalse(record))
        }
        return writer.bytes
    }

    /// Digital values, signal after signal.
    static func record(_ signals: [[Int]]) -> [UInt8] {
        var writer = ByteWriter()
        for signal in signals {
            for value in signal { writer.littleEndian(Int16(truncatingIfNeeded: value)) }
        }
        return writer.bytes
    }

    /// The time-keeping list, one annotation, zeros up to `size`.
    static func annotation(onset: Int, duration: Int, text: String, size: Int) -> [UInt8] {
        let lists =
            Array("+0".utf8) + [0x14, 0x14, 0] + Array("+\(onset)".utf8) + [0x15] + Array("\(duration)".utf8)
            + [0x14] + Array(text.utf8) + [0x14]
        return lists + [UInt8](repeating: 0, count: max(0, size - lists.count))
    }

    /// UTF-8, cut or padded (a degree sign takes two bytes, as in real files).
    private static func field(_ text: String, _ width: Int) -> [UInt8] {
        let bytes = Array(text.utf8.prefix(width))
        return bytes + [UInt8](repeating: 0x20, count: width - bytes.count)
    }

    private static func hex(_ value: UInt16) -> String {
        let text = String(value, radix: 16, uppercase: true)
        return String(repeating: "0", count: 4 - text.count) + text
    }
}
