/// CRC-32 as in zlib (polynomial EDB88320, reflected, start and final xor all ones).
enum CRC32 {
    private static let table: [UInt32] = (0..<256).map { index in
        (0..<8).reduce(UInt32(index)) { value, _ in value & 1 == 0 ? value >> 1 : value >> 1 ^ 0xEDB8_8320 }
    }

    /// Of all slices, one after the other.
    static func of(_ slices: ArraySlice<UInt8>...) -> UInt32 {
        var crc: UInt32 = .max
        for slice in slices {
            for byte in slice { crc = crc >> 8 ^ table[Int(UInt8(truncatingIfNeeded: crc) ^ byte)] }
        }
        return ~crc
    }
}
