import Clinical
import Wire

/// Numbers in as few bytes as they need (seven bits a byte, low ones first), texts with their length before them.
struct VariableLength {
    private(set) var bytes: [UInt8] = []

    mutating func put(_ value: UInt64) {
        var rest = value
        while rest > 0x7F {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    mutating func put(signed value: Int64) { put(ZigZag.encode(value)) }

    mutating func put(_ text: String) {
        put(UInt64(text.utf8.count))
        bytes += text.utf8
    }

    mutating func put(_ ratio: Ratio) {
        put(signed: Int64(ratio.numerator))
        put(signed: Int64(ratio.denominator))
    }

    /// The first value, then the steps, as differences from the most frequent one.
    mutating func put(_ map: ValueMap) {
        put(UInt64(map.values.count))
        guard let first = map.values.first else { return }
        put(signed: Int64(first))
        let steps = zip(map.values.dropFirst(), map.values).map { Int64($0) - Int64($1) }
        let usual =
            Dictionary(grouping: steps) { $0 }.max { ($0.value.count, $1.key) < ($1.value.count, $0.key) }?.key ?? 1
        put(signed: usual)
        var (coder, bits, model) = (RangeEncoder(), BitWriter(), ResidualModel())
        var size = ResidualSize(level: 8)
        for step in steps { model.encode(step - usual, &size, &coder, &bits) }
        let (coded, plain) = (coder.finished(), bits.finished())
        put(UInt64(coded.count))
        put(UInt64(plain.count))
        bytes += coded + plain
    }

    struct Reader {
        private var reader: ByteReader

        init(_ bytes: ArraySlice<UInt8>) { reader = ByteReader(bytes) }

        mutating func unsigned() throws(WireError) -> UInt64 {
            var value: UInt64 = 0
            for shift in stride(from: UInt64(0), to: 70, by: 7) {
                let byte = try reader.u8()
                value |= UInt64(byte & 0x7F) << shift
                if byte < 0x80 { return value }
            }
            throw .malformed(offset: reader.offset, "a number has no end")
        }

        mutating func signed() throws(WireError) -> Int64 { ZigZag.decode(try unsigned()) }

        /// 0...2^40, more than any count in these streams.
        mutating func integer() throws(WireError) -> Int {
            let value = try unsigned()
            guard value <= 1 << 40 else { throw .malformed(offset: reader.offset, "a number is too large") }
            return Int(value)
        }

        mutating func text() throws(WireError) -> String { String(decoding: try bytes(), as: UTF8.self) }

        mutating func bytes() throws(WireError) -> ArraySlice<UInt8> { try reader.bytes(try integer()) }

        mutating func rest() -> ArraySlice<UInt8> { reader.rest() }

        mutating func ratio() throws(WireError) -> Ratio {
            let (numerator, denominator) = (try signed(), try signed())
            guard denominator > 0 else { throw .malformed(offset: reader.offset, "a ratio") }
            return Ratio(Int(numerator), Int(denominator))
        }

        mutating func map() throws(WireError) -> ValueMap {
            let count = try integer()
            guard count > 0 else { return ValueMap([]) }
            guard count <= ValueMap.limit, let first = Sample(exactly: try signed()) else {
                throw .malformed(offset: reader.offset, "a value map")
            }
            let usual = try signed()
            let (coded, plain) = (try integer(), try integer())
            var coder = RangeDecoder(try reader.bytes(coded))
            var bits = BitReader(try reader.bytes(plain))
            var (model, size) = (ResidualModel(), ResidualSize(level: 8))
            var values = [first]
            for _ in 1..<count {
                let step = model.decode(&size, &coder, &bits) &+ usual
                guard step > 0, step <= Int64(UInt32.max), let last = values.last,
                    let next = Sample(exactly: Int64(last) + step)
                else { throw .malformed(offset: reader.offset, "a value map") }
                values.append(next)
            }
            return ValueMap(values)
        }
    }
}
