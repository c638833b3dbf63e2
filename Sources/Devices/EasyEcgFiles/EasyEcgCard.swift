public import Clinical
import Wire

/// Makes files of a PC-80B's or PC-180D's memory with one synthetic beat a second, always the same for the same record. Where
/// real files have nothing, they say `SIM` and digits, which marks them as simulated.
public enum EasyEcgCard {
    public enum Damage: String, Sendable, CaseIterable { case none, flippedSample, cut, sectionChecksum }

    public struct Record: Sendable, Equatable {
        /// 1…300
        public var number: Int
        public var start: LocalTime
        public var damage: Damage

        public init(number: Int, start: LocalTime, damage: Damage = .none) {
            self.number = number
            self.start = start
            self.damage = damage
        }
    }

    /// 30 s at 150 Hz.
    static let samples = 4500

    /// One file of a PC-80B: `ECG_0/1.SCP`.
    public static func pc80b(_ record: Record) -> [UInt8] {
        var rhythm = ByteWriter()
        rhythm.littleEndian(UInt16(806))
        rhythm.littleEndian(UInt16(6666))
        rhythm.append(contentsOf: [0, 0])
        rhythm.littleEndian(UInt16(2 * samples))
        for index in 0..<samples {
            // The device marks each beat in the highest bit.
            rhythm.littleEndian(UInt16(2048 + beat(index)) | (index % 150 == 75 ? 0x8000 : 0))
        }
        let start = record.start
        let date: [UInt8] =
            [25, 4, 0, UInt8(truncatingIfNeeded: start.year), UInt8(start.year >> 8)]
            + [UInt8(start.month), UInt8(start.day)]
        let time: [UInt8] = [26, 3, 0, UInt8(start.hour), UInt8(start.minute), UInt8(start.second), 0xFF, 0, 0]
        let mark = Array("SIM\(padded(record.number, 3))".utf8)
        var file = assemble(
            [
                (1, mark, date + time), (2, [], [1, 0, 1, 0, 2, 1, 0, 0, 0, 0, 8, 0, 0, 0]),
                (3, [], [1, 4, 1, 0, 0, 0, 0x94, 0x11, 0, 0, 1, 0]), (6, [], rhythm.bytes),
                (9, [], [UInt8](repeating: 0, count: 584)),
            ], base: 1, reserved: Array("SCPECG".utf8), wrong: record.damage == .sectionChecksum
        ) { CRC16.ccittFalse($0) }
        file.replaceSubrange(2..<6, with: (0..<4).map { UInt8(truncatingIfNeeded: file.count >> (8 * $0)) })
        let sum = CRC16.ccittFalse(file[2...])
        file.replaceSubrange(0..<2, with: [UInt8(truncatingIfNeeded: sum), UInt8(sum >> 8)])
        return damaged(file, record.damage)
    }

    /// One file of a PC-180D: a block of 32768 bytes, three leads of which the second is the sum of the others.
    public static func pc180d(_ record: Record) -> [UInt8] {
        let values = (0..<samples).flatMap { index in
            let beat = beat(index)
            return [beat / 2, beat, beat - beat / 2].map { UInt16($0 + 512) }
        }
        var rhythm = ByteWriter()
        rhythm.littleEndian(UInt16(9524))
        rhythm.littleEndian(UInt16(150))
        rhythm.append(contentsOf: [0, 0])
        rhythm.littleEndian(UInt16(values.count / 4 * 6))
        for index in stride(from: 0, to: values.count - 3, by: 4) {
            let fourth = values[index + 3]
            rhythm.littleEndian(values[index] | (fourth & 0xF00) << 2)
            rhythm.littleEndian(values[index + 1] | (fourth & 0x0F0) << 6)
            rhythm.littleEndian(values[index + 2] | (fourth & 0x00F) << 10)
        }
        let start = record.start
        let id = Array("SIM\(padded(record.number, 5))".utf8)
        let subject: [UInt8] = [2, 30, 0] + id + [UInt8](repeating: 0, count: 30 - id.count)
        let date: [UInt8] =
            [25, 4, 0, UInt8(start.year >> 8), UInt8(truncatingIfNeeded: start.year)]
            + [UInt8(start.month), UInt8(start.day)]
        let time: [UInt8] = [26, 3, 0, UInt8(start.hour), UInt8(start.minute), UInt8(start.second), 0, 0, 0, 0]
        var file = assemble(
            [
                (1, [], subject + date + time), (2, [], [1, 0, 1, 0, 2, 1, 0, 0, 0, 0, 8, 0, 0, 0]),
                (3, [], [3, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), (6, [], rhythm.bytes),
                (9, [], [UInt8](repeating: 0, count: 584)),
            ], base: 0, reserved: [], wrong: record.damage == .sectionChecksum
        ) { CRC16.xmodem($0) }
        let length = file.count
        file.replaceSubrange(
            2..<6,
            with: [0, 0, UInt8(truncatingIfNeeded: length), UInt8(truncatingIfNeeded: length >> 8)])
        // This section's checksum is stored the other way round.
        if let rhythm = EasyEcgSection.pointers(file).first(where: { $0.id == 6 }) {
            file.swapAt(rhythm.start, rhythm.start + 1)
        }
        let sum = CRC16.xmodem(file[2...])
        file.replaceSubrange(0..<2, with: [UInt8(sum >> 8), UInt8(truncatingIfNeeded: sum)])
        file += [UInt8](repeating: 0xFF, count: EasyEcgFile.blockSize - file.count)
        return damaged(file, record.damage)
    }

    private static func damaged(_ file: [UInt8], _ damage: Damage) -> [UInt8] {
        var file = file
        switch damage {
        case .flippedSample: file[2000] ^= 0x04
        case .cut: file.removeLast(file.count / 2)
        case .none, .sectionChecksum: break
        }
        return file
    }

    /// Room for checksum and length, section 0, then the sections.
    private static func assemble(
        _ sections: [(id: UInt16, reserved: [UInt8], data: [UInt8])], base: Int, reserved: [UInt8], wrong: Bool,
        checksum: (ArraySlice<UInt8>) -> UInt16
    ) -> [UInt8] {
        func section(_ id: UInt16, _ reserved: [UInt8], _ data: [UInt8]) -> [UInt8] {
            var writer = ByteWriter()
            writer.littleEndian(id)
            writer.littleEndian(UInt32(data.count + 16))
            writer.append(contentsOf: [13, 13] + reserved + [UInt8](repeating: 0, count: 6 - reserved.count) + data)
            let sum = checksum(writer.bytes[...]) ^ (wrong && id == 3 ? 1 : 0)
            return [UInt8(truncatingIfNeeded: sum), UInt8(sum >> 8)] + writer.bytes
        }
        let bodies = sections.map { section($0.id, $0.reserved, $0.data) }
        var pointers = ByteWriter()
        var place = 82 + base
        for (id, length, start) in [(0, 76, 6 + base)]
            + zip(sections, bodies).map({ entry, body in
                defer { place += body.count }
                return (Int(entry.id), body.count, place)
            })
        {
            pointers.littleEndian(UInt16(id))
            pointers.littleEndian(UInt32(length))
            pointers.littleEndian(UInt32(start))
        }
        return [UInt8](repeating: 0, count: 6) + section(0, reserved, pointers.bytes) + bodies.flatMap { $0 }
    }

    /// Steps: an R wave of 150 and a T wave of 40 once a second.
    private static func beat(_ index: Int) -> Int {
        func bump(_ distance: Int, _ width: Int, _ height: Int) -> Int {
            let distance = abs(distance)
            return distance >= width ? 0 : height * (width - distance) / width
        }
        let phase = index % 150
        return bump(phase - 75, 5, 150) + bump(phase - 110, 15, 40) - bump(phase - 81, 4, 30)
    }

    private static func padded(_ number: Int, _ width: Int) -> String {
        let digits = String(max(0, number)).suffix(width)
        return String(repeating: "0", count: width - digits.count) + digits
    }
}
