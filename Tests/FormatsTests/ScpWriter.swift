/// Writes small SCP-ECG records for tests: sections with their checksums, in any encoding that the reader knows.
struct ScpWriter {
    var sections: [(id: Int, body: [UInt8])] = []

    static func little(_ value: Int, _ width: Int) -> [UInt8] {
        (0..<width).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
    }

    /// Bit by bit, unlike the reader's table.
    static func crc(_ bytes: some Sequence<UInt8>) -> [UInt8] {
        var crc = 0xFFFF
        for byte in bytes {
            crc ^= Int(byte) << 8
            for _ in 0..<8 { crc = crc & 0x8000 != 0 ? (crc << 1 ^ 0x1021) & 0xFFFF : crc << 1 }
        }
        return little(crc, 2)
    }

    static func section(_ id: Int, _ body: [UInt8]) -> [UInt8] {
        let padded = body.count.isMultiple(of: 2) ? body : body + [0]
        let reserved = id == 0 ? Array("SCPECG".utf8) : Array(repeating: 0, count: 6)
        let rest = little(id, 2) + little(padded.count + 16, 4) + [20, 20] + reserved + padded
        return crc(rest) + rest
    }

    func encoded() -> [UInt8] {
        let ids = Set(0..<12).union(sections.map(\.id)).sorted()
        let size = 16 + 10 * ids.count
        var pointers: [UInt8] = []
        var bodies: [UInt8] = []
        for id in ids {
            if id == 0 {
                pointers += Self.little(0, 2) + Self.little(size, 4) + Self.little(7, 4)
            } else if let section = sections.first(where: { $0.id == id }) {
                let bytes = Self.section(id, section.body)
                pointers += Self.little(id, 2) + Self.little(bytes.count, 4) + Self.little(7 + size + bodies.count, 4)
                bodies += bytes
            } else {
                pointers += Self.little(id, 2) + Self.little(0, 8)
            }
        }
        let rest = Self.section(0, pointers) + bodies
        let record = Self.little(rest.count + 6, 4) + rest
        return Self.crc(record) + record
    }

    /// Fields by tag.
    static func patient(_ fields: [(UInt8, [UInt8])]) -> [UInt8] {
        fields.flatMap { [$0.0] + little($0.1.count, 2) + $0.1 } + [255, 0, 0]
    }

    static func leads(_ numbers: [Int], samples: Int, flags: UInt8 = 4, from start: Int = 1) -> [UInt8] {
        [UInt8(numbers.count), flags]
            + numbers.flatMap { little(start, 4) + little(start + samples - (start == 0 ? 0 : 1), 4) + [UInt8($0)] }
    }

    static func signals(_ leads: [[UInt8]], differences: UInt8, bimodal: UInt8 = 0) -> [UInt8] {
        little(2500, 2) + little(2000, 2) + [differences, bimodal] + leads.flatMap { little($0.count, 2) }
            + leads.flatMap { $0 }
    }

    static func differences(_ values: [Int], _ order: Int) -> [Int] {
        values.indices.map { index in
            switch order {
            case 1 where index > 0: values[index] - values[index - 1]
            case 2 where index > 1: values[index] - 2 * values[index - 1] + values[index - 2]
            default: values[index]
            }
        }
    }

    /// Raw 16-bit values.
    static func raw(_ values: [Int]) -> [UInt8] { values.flatMap { little($0, 2) } }

    /// The default Huffman table.
    static func huffman(_ values: [Int]) -> [UInt8] {
        packed(
            values.map { value in
                switch value {
                case 0: "0"
                case -8...8: String(repeating: "1", count: abs(value)) + (value < 0 ? "01" : "00")
                case -128...127: "1111111110" + binary(value, 8)
                default: "1111111111" + binary(value, 16)
                }
            })
    }

    static func binary(_ value: Int, _ width: Int) -> String {
        (0..<width).reversed().map { value >> $0 & 1 == 1 ? "1" : "0" }.joined()
    }

    static func packed(_ codes: [String]) -> [UInt8] {
        let bits = Array(codes.joined())
        return stride(from: 0, to: bits.count, by: 8).map { start in
            (0..<8).reduce(UInt8(0)) { $0 << 1 | (start + $1 < bits.count && bits[start + $1] == "1" ? 1 : 0) }
        }
    }
}
