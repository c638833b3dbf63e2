public import Clinical
import Wire

/// Makes files as the vendors' programs save them, with a synthetic night: always the same for the same start and length. `SIM`
/// and digits, where the formats have free room, mark them as simulated.
public enum OximeterFileMaker {
    public enum Damage: String, Sendable, CaseIterable {
        case none
        /// The end is missing.
        case cut
        /// ChoiceMMed: a date that doesn't exist in the middle.
        case impossibleDate
    }

    /// A Contec `.SpO2` file.
    /// - Parameter start: nil as on a CMS50D+, which has no clock.
    public static func contec(start: LocalTime?, seconds: Int, damage: Damage = .none) -> [UInt8] {
        var writer = ByteWriter(reserving: 1084 + 2 * seconds)
        writer.littleEndian(UInt32(856))
        writer.append(contentsOf: [UInt8](repeating: 0, count: 852))
        writer.littleEndian(UInt32(1))
        writer.append(contentsOf: Array("SIM00001".utf8) + [UInt8](repeating: 0, count: 188))
        let date = start.map { [$0.year, $0.month, $0.day, $0.hour, $0.minute, $0.second] }
        for value in date ?? [0, 0, 0, 0, 0, 0] { writer.littleEndian(UInt32(value)) }
        writer.littleEndian(UInt32(seconds))
        for (spo2, pulse) in night(seconds) { writer.append(contentsOf: spo2 == 0 ? [0x7F, 0xFF] : [spo2, pulse]) }
        return damage == .cut ? writer.bytes.dropLast(5) : writer.bytes
    }

    /// A ChoiceMMed `.dat` file, at most 65535 s.
    /// - Parameter pause: seconds without records after the first half.
    public static func choiceMMed(start: LocalTime, seconds: Int, pause: Int = 0, damage: Damage = .none) -> [UInt8] {
        let count = min(max(seconds, 0), 0xFFFF)
        var writer = ByteWriter(reserving: 3 + 11 * count)
        writer.append(0x31)
        writer.littleEndian(UInt16(count))
        for (index, (spo2, pulse)) in night(count).enumerated() {
            let offset = index < count / 2 ? index : index + pause
            guard let time = LocalTime(civilSeconds: start.civilSeconds + offset) else { break }
            let month = damage == .impossibleDate && index == count * 3 / 4 ? 13 : time.month
            writer.append(contentsOf: [0, 0, 0x31])
            writer.append(
                contentsOf: [time.year - 2000, month, time.day, time.hour, time.minute, time.second].map { UInt8($0) })
            writer.append(contentsOf: [spo2, pulse])
        }
        return damage == .cut ? writer.bytes.dropLast(5) : writer.bytes + Array("SIM00001".utf8)
    }

    /// 96 %, falling to 87 for twenty seconds every three minutes; the finger is out for ten seconds each quarter of an hour.
    private static func night(_ seconds: Int) -> [(UInt8, UInt8)] {
        (0..<max(0, seconds)).map { second in
            if second % 900 >= 890 { return (0, 0) }
            return second % 180 >= 160 ? (87, 74) : (96, 62)
        }
    }
}
