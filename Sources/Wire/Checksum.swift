/// CRC-16 with the polynomial 1021, not reflected, no final XOR.
public enum CRC16 {
    /// Initial value FFFF; of `123456789` it is 29B1. ResMed cards and PC-80B files (devices.md 4.3, 6.2).
    public static func ccittFalse(_ bytes: ArraySlice<UInt8>) -> UInt16 { run(bytes, from: 0xFFFF) }
    public static func ccittFalse(_ bytes: [UInt8]) -> UInt16 { run(bytes[...], from: 0xFFFF) }

    /// Initial value 0; of `123456789` it is 31C3. PC-180D files (devices.md 6.2).
    public static func xmodem(_ bytes: ArraySlice<UInt8>) -> UInt16 { run(bytes, from: 0) }
    public static func xmodem(_ bytes: [UInt8]) -> UInt16 { run(bytes[...], from: 0) }

    private static func run(_ bytes: ArraySlice<UInt8>, from initial: UInt16) -> UInt16 {
        var value = initial
        for byte in bytes { value = value << 8 ^ table[Int(UInt8(truncatingIfNeeded: value >> 8) ^ byte)] }
        return value
    }

    private static let table: [UInt16] = (0..<256).map { index in
        (0..<8).reduce(UInt16(index) << 8) { value, _ in value & 0x8000 == 0 ? value << 1 : value << 1 ^ 0x1021 }
    }
}

/// CRC-32 as in Ethernet, zip and PNG; of `123456789` it is CBF43926.
public enum CRC32 {
    public static func ieee(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        var value: UInt32 = 0xFFFF_FFFF
        for byte in bytes { value = value >> 8 ^ table[Int(UInt8(truncatingIfNeeded: value) ^ byte)] }
        return ~value
    }

    public static func ieee(_ bytes: [UInt8]) -> UInt32 { ieee(bytes[...]) }

    private static let table: [UInt32] = (0..<256).map { index in
        (0..<8).reduce(UInt32(index)) { value, _ in value & 1 == 0 ? value >> 1 : value >> 1 ^ 0xEDB8_8320 }
    }
}
