/// CRC-16/CCITT (polynomial 1021, start FFFF, most significant bit first, no final xor), as SCP-ECG uses it.
enum CRC16 {
    private static let table: [UInt16] = (0..<256).map { index in
        (0..<8).reduce(UInt16(index) << 8) { value, _ in value & 0x8000 == 0 ? value << 1 : value << 1 ^ 0x1021 }
    }

    static func ccitt(_ bytes: ArraySlice<UInt8>) -> UInt16 {
        var crc: UInt16 = .max
        for byte in bytes { crc = crc << 8 ^ table[Int(UInt8(truncatingIfNeeded: crc >> 8) ^ byte)] }
        return crc
    }
}
