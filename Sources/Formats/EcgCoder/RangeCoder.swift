/// A binary range coder with carry (the construction of LZMA): each decision costs what its probability says.
struct RangeEncoder {
    private(set) var bytes: [UInt8] = []
    private var low: UInt64 = 0
    private var range: UInt32 = .max
    private var cache: UInt8 = 0
    private var waiting = 0
    private var isFirst = true

    /// - Parameter one: the probability of a one bit, 1...4095 of 4096.
    @inline(__always)
    mutating func encode(_ bit: Bool, one: UInt32) {
        let bound = (range >> 12) &* one
        if bit {
            range = bound
        } else {
            low &+= UInt64(bound)
            range &-= bound
        }
        while range < 1 << 24 {
            range <<= 8
            shift()
        }
    }

    private mutating func shift() {
        if low < 0xFF00_0000 || low > 0xFFFF_FFFF {
            let carry = UInt8(truncatingIfNeeded: low >> 32)
            // The first byte is always 0 and not written.
            if isFirst { isFirst = false } else { bytes.append(cache &+ carry) }
            while waiting > 0 {
                bytes.append(0xFF &+ carry)
                waiting -= 1
            }
            cache = UInt8(truncatingIfNeeded: low >> 24)
        } else {
            waiting += 1
        }
        low = low << 8 & 0xFFFF_FFFF
    }

    consuming func finished() -> [UInt8] {
        var coder = self
        for _ in 0..<5 { coder.shift() }
        // The decoder reads zeros past the end.
        while coder.bytes.last == 0 { coder.bytes.removeLast() }
        return coder.bytes
    }
}

/// Reads what `RangeEncoder` wrote; zeros past the end.
struct RangeDecoder {
    private let bytes: ArraySlice<UInt8>
    private var index: Int
    private var code: UInt32 = 0
    private var range: UInt32 = .max

    init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        index = bytes.startIndex
        for _ in 0..<4 { code = code << 8 | UInt32(next()) }
    }

    @inline(__always)
    private mutating func next() -> UInt8 {
        guard index < bytes.endIndex else { return 0 }
        defer { index &+= 1 }
        return bytes[index]
    }

    @inline(__always)
    mutating func decode(one: UInt32) -> Bool {
        let bound = (range >> 12) &* one
        let bit = code < bound
        if bit {
            range = bound
        } else {
            code &-= bound
            range &-= bound
        }
        while range < 1 << 24 {
            range <<= 8
            code = code << 8 | UInt32(next())
        }
        return bit
    }
}
