internal import Clinical

/// The canonical bytes of decoded samples, stored as they are where a `PayloadCoding` has nothing better: version (1), number of channels (u16), then per channel the number of samples
/// (u32), the width of one (1, 2 or 4) and the samples, all little-endian two's complement. A width's least value stands
/// for "absent". The narrowest width that fits is the only one allowed: equal samples are equal bytes.
enum SampleCoding {
    private static let version: UInt8 = 1

    static func encode(_ channels: [[Sample]]) -> [UInt8] {
        precondition(channels.count <= UInt16.max, "more channels than the encoding can count")
        var bytes: [UInt8] = [version]
        append(UInt16(channels.count), to: &bytes)
        for samples in channels {
            precondition(samples.count <= UInt32.max, "more samples than the encoding can count")
            let width = width(of: samples)
            append(UInt32(samples.count), to: &bytes)
            bytes.append(UInt8(width))
            switch width {
            // They fit: cut without a check each, which the compiler does many at a time.
            case 1:
                bytes += samples.map { UInt8(bitPattern: $0 == .absent ? .min : Int8(truncatingIfNeeded: $0)) }
            case 2:
                append(
                    samples.map { ($0 == .absent ? Int16.min : Int16(truncatingIfNeeded: $0)).littleEndian }, to: &bytes
                )
            default: append(samples.map(\.littleEndian), to: &bytes)
            }
        }
        return bytes
    }

    /// Bytes of what `encode` makes of them.
    static func size(of channels: [[Sample]]) -> Int { channels.reduce(3) { $0 + 5 + $1.count * width(of: $1) } }

    /// Every second of every device goes through here: copied as a whole, not byte by byte.
    private static func append<T: FixedWidthInteger>(_ values: [T], to bytes: inout [UInt8]) {
        // Integers have no padding: their bytes are all defined.
        unsafe values.withUnsafeBytes { unsafe bytes.append(contentsOf: $0) }
    }

    /// - Throws: `.corrupt` for anything that `encode` can't have written. Allocates no more than the bytes justify.
    static func decode(_ bytes: [UInt8]) throws(StoreError) -> [[Sample]] {
        var rest = bytes[...]
        guard try take(UInt8.self, &rest) == version else { throw .corrupt("samples of an unknown encoding") }
        let count = Int(try take(UInt16.self, &rest))
        // A channel needs five bytes at least.
        guard count * 5 <= rest.count else { throw .corrupt("samples are cut") }
        var channels: [[Sample]] = []
        channels.reserveCapacity(count)
        for _ in 0..<count {
            let length = Int(try take(UInt32.self, &rest))
            let width = Int(try take(UInt8.self, &rest))
            guard width == 1 || width == 2 || width == 4, length <= rest.count / width else {
                throw .corrupt("samples are cut")
            }
            var samples: [Sample] = []
            samples.reserveCapacity(length)
            for _ in 0..<length {
                switch width {
                case 1:
                    let value = try take(Int8.self, &rest)
                    samples.append(value == .min ? .absent : Sample(value))
                case 2:
                    let value = try take(Int16.self, &rest)
                    samples.append(value == .min ? .absent : Sample(value))
                default: samples.append(try take(Sample.self, &rest))
                }
            }
            guard self.width(of: samples) == width else { throw .corrupt("samples are not in canonical form") }
            channels.append(samples)
        }
        guard rest.isEmpty else { throw .corrupt("bytes after the samples") }
        return channels
    }

    private static func width(of samples: [Sample]) -> Int {
        var (low, high) = (Sample(0), Sample(0))
        for sample in samples {
            let value = sample == .absent ? 0 : sample
            low = min(low, value)
            high = max(high, value)
        }
        // A width's least value stands for "absent".
        if low > Sample(Int8.min), high <= Sample(Int8.max) { return 1 }
        return low > Sample(Int16.min) && high <= Sample(Int16.max) ? 2 : 4
    }

    private static func append<T: FixedWidthInteger>(_ value: T, to bytes: inout [UInt8]) {
        for shift in stride(from: 0, to: T.bitWidth, by: 8) { bytes.append(UInt8(truncatingIfNeeded: value >> shift)) }
    }

    private static func take<T: FixedWidthInteger>(_: T.Type, _ rest: inout ArraySlice<UInt8>) throws(StoreError) -> T {
        let size = T.bitWidth / 8
        guard rest.count >= size else { throw .corrupt("samples are cut") }
        var value: T = 0
        for (index, byte) in rest.prefix(size).enumerated() { value |= T(truncatingIfNeeded: byte) << (8 * index) }
        rest.removeFirst(size)
        return value
    }
}
