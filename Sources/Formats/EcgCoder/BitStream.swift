/// Bits, most significant first.
struct BitWriter {
    private(set) var bytes: [UInt8] = []
    private var pending: UInt64 = 0
    private var count = 0

    /// - Parameter width: 0...48; the value's higher bits must be 0.
    mutating func put(_ value: UInt64, _ width: Int) {
        pending = pending << UInt64(width) | value
        count += width
        while count >= 8 {
            count -= 8
            bytes.append(UInt8(truncatingIfNeeded: pending >> UInt64(count)))
        }
    }

    /// Elias gamma of value + 1: short for small values, no upper limit below 2^47.
    mutating func put(gamma value: UInt64) {
        let width = 64 - (value + 1).leadingZeroBitCount
        put(0, width - 1)
        put(value + 1, width)
    }

    /// Golomb-Rice with the given number of low bits; meant for values not far above 2^low.
    mutating func put(rice value: UInt64, low: Int) {
        put(gamma: value >> UInt64(low))
        put(value & (1 << UInt64(low) - 1), low)
    }

    consuming func finished() -> [UInt8] {
        var writer = self
        if writer.count > 0 { writer.put(0, 8 - writer.count) }
        return writer.bytes
    }
}

/// Reads what `BitWriter` wrote. Past the end it delivers zeros and says so: damaged input ends in an error, never in a trap.
struct BitReader {
    private let bytes: ArraySlice<UInt8>
    private var index: Int
    private var pending: UInt64 = 0
    private var count = 0
    private(set) var isExhausted = false

    init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        index = bytes.startIndex
    }

    /// - Parameter width: 0...48.
    mutating func take(_ width: Int) -> UInt64 {
        while count < width {
            var byte: UInt8 = 0
            if index < bytes.endIndex {
                byte = bytes[index]
                index += 1
            } else {
                isExhausted = true
            }
            pending = pending << 8 | UInt64(byte)
            count += 8
        }
        count -= width
        return pending >> UInt64(count) & (1 << UInt64(width) - 1)
    }

    mutating func takeGamma() -> UInt64 {
        var zeros = 0
        while take(1) == 0 {
            zeros += 1
            if zeros == 47 || isExhausted { return 0 }
        }
        return (1 << UInt64(zeros) | take(zeros)) - 1
    }

    mutating func takeRice(low: Int) -> UInt64 { (takeGamma() & 0xFFFF_FFFF) << UInt64(low) | take(low) }
}

/// Signed numbers as unsigned ones, small magnitudes first: 0, -1, 1, -2, …
enum ZigZag {
    static func encode(_ value: Int64) -> UInt64 { UInt64(bitPattern: value << 1 ^ value >> 63) }
    static func decode(_ value: UInt64) -> Int64 { Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1) }
}
