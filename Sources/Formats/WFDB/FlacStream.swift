/// Decodes a native FLAC stream to integers, as WFDB's formats 508, 516 and 524 need it. Checksums of all frames are verified.
struct FlacStream {
    private var bits: FlacBits
    private var channels = 0
    private var depth = 0
    private var total = 0

    /// Samples over all channels: twelve hours of three leads at 128 Hz. Silence costs no bytes, so the bytes set no limit.
    private static let limit = 1 << 24

    static func decode(_ bytes: ArraySlice<UInt8>) throws(DecodeError) -> [[Int]] {
        do {
            var stream = FlacStream(bits: FlacBits(bytes))
            return try stream.columns()
        } catch {
            switch error {
            case .damaged: throw .damaged(format: "wfdb", "a FLAC signal file is cut or changed; copy it again")
            case .tooLong: throw .unsupported(format: "wfdb", "a FLAC signal file with more than \(limit) samples")
            }
        }
    }

    private init(bits: FlacBits) { self.bits = bits }

    private mutating func columns() throws(FlacError) -> [[Int]] {
        guard try bits.take(32) == 0x664C_6143 else { throw .damaged }
        var isLast = false
        while !isLast {
            isLast = try bits.take(1) == 1
            let kind = try bits.take(7)
            let size = try bits.take(24)
            if kind == 0, size == 34 {
                try bits.skip(bytes: 10)
                _ = try bits.take(20)
                channels = try bits.take(3) + 1
                depth = try bits.take(5) + 1
                total = try bits.take(4) << 32 | bits.take(32)
                try bits.skip(bytes: 16)
            } else {
                try bits.skip(bytes: size)
            }
        }
        guard channels > 0, (4...32).contains(depth) else { throw .damaged }
        var columns = [[Int]](repeating: [], count: channels)
        while !bits.isAtEnd {
            let frame = try frame()
            for channel in columns.indices { columns[channel] += frame[channel] }
            guard columns[0].count * channels <= Self.limit else { throw .tooLong }
            if total > 0, columns[0].count >= total { break }
        }
        guard total == 0 || columns[0].count == total else { throw .damaged }
        return columns
    }

    private mutating func frame() throws(FlacError) -> [[Int]] {
        let start = bits.bytePosition
        guard try bits.take(15) == 0b111_1111_1111_1100 else { throw .damaged }
        _ = try bits.take(1)
        let (sizeCode, rateCode, assignment) = (try bits.take(4), try bits.take(4), try bits.take(4))
        _ = try bits.take(4)
        // The frame's or sample's number, like UTF-8.
        var lead = try bits.take(8)
        while lead & 0xC0 == 0xC0 {
            guard try bits.take(8) & 0xC0 == 0x80 else { throw .damaged }
            lead = lead << 1 & 0xFF
        }
        let size =
            switch sizeCode {
            case 1: 192
            case 2...5: 576 << (sizeCode - 2)
            case 6: try bits.take(8) + 1
            case 7: try bits.take(16) + 1
            default: 256 << max(0, sizeCode - 8)
            }
        guard sizeCode > 0 else { throw .damaged }
        switch rateCode {
        case 12: _ = try bits.take(8)
        case 13, 14: _ = try bits.take(16)
        case 15: throw .damaged
        default: break
        }
        _ = try bits.take(8)
        guard assignment < 8 ? assignment + 1 == channels : assignment <= 10 && channels == 2 else { throw .damaged }
        var frame: [[Int]] = []
        for channel in 0..<channels {
            let isSide = assignment == 9 ? channel == 0 : (assignment == 8 || assignment == 10) && channel == 1
            frame.append(try subframe(size, isSide ? depth + 1 : depth))
        }
        bits.align()
        let crc = bits.checksum(from: start)
        guard try bits.take(16) == crc else { throw .damaged }
        if assignment >= 8 {
            for index in 0..<size {
                let (first, second) = (frame[0][index], frame[1][index])
                switch assignment {
                case 8: frame[1][index] = first &- second
                case 9: frame[0][index] = first &+ second
                default:
                    let middle = first << 1 | second & 1
                    frame[0][index] = (middle &+ second) >> 1
                    frame[1][index] = (middle &- second) >> 1
                }
            }
        }
        return frame
    }

    private mutating func subframe(_ size: Int, _ fullDepth: Int) throws(FlacError) -> [Int] {
        guard try bits.take(1) == 0 else { throw .damaged }
        let kind = try bits.take(6)
        var wasted = 0
        if try bits.take(1) == 1 { wasted = try bits.unary() + 1 }
        let depth = fullDepth - wasted
        guard depth > 0 else { throw .damaged }
        var values: [Int]
        switch kind {
        case 0: values = Array(repeating: try bits.signed(depth), count: size)
        case 1:
            values = []
            for _ in 0..<size { values.append(try bits.signed(depth)) }
        case 8...12:
            let fixed = [[], [1], [2, -1], [3, -3, 1], [4, -6, 4, -1]]
            values = try predicted(size, depth, coefficients: fixed[kind - 8], shift: 0)
        case 32...63: values = try predicted(size, depth, coefficients: nil, order: kind - 31, shift: 0)
        default: throw .damaged
        }
        return wasted == 0 ? values : values.map { $0 << wasted }
    }

    private mutating func predicted(
        _ size: Int, _ depth: Int, coefficients: [Int]?, order given: Int = 0, shift: Int
    ) throws(FlacError) -> [Int] {
        let order = coefficients?.count ?? given
        guard order <= size else { throw .damaged }
        var values: [Int] = []
        for _ in 0..<order { values.append(try bits.signed(depth)) }
        var (weights, shift) = (coefficients ?? [], shift)
        if coefficients == nil {
            let precision = try bits.take(4) + 1
            guard precision < 16 else { throw .damaged }
            shift = try bits.signed(5)
            guard shift >= 0 else { throw .damaged }
            for _ in 0..<order { weights.append(try bits.signed(precision)) }
        }
        let method = try bits.take(2)
        guard method < 2 else { throw .damaged }
        let partitions = 1 << (try bits.take(4))
        guard size % partitions == 0, size / partitions >= order else { throw .damaged }
        let width = method == 0 ? 4 : 5
        for partition in 0..<partitions {
            let parameter = try bits.take(width)
            let isRaw = parameter == 1 << width - 1
            let raw = isRaw ? try bits.take(5) : 0
            for _ in 0..<(size / partitions - (partition == 0 ? order : 0)) {
                var residual = 0
                if isRaw {
                    residual = raw == 0 ? 0 : try bits.signed(raw)
                } else {
                    let value = try bits.unary() << parameter | bits.take(parameter)
                    residual = value >> 1 ^ -(value & 1)
                }
                var sum = 0
                for lag in 0..<order { sum &+= weights[lag] &* values[values.count - 1 - lag] }
                let value = (sum >> shift) &+ residual
                guard value.magnitude < 1 << 40 else { throw .damaged }
                values.append(value)
            }
        }
        return values
    }
}

enum FlacError: Error {
    case damaged
    case tooLong
}

/// FLAC's bits, most significant first; the end is an error.
struct FlacBits {
    private let bytes: ArraySlice<UInt8>
    private var position: Int
    private var held = 0
    private var count = 0

    init(_ bytes: ArraySlice<UInt8>) {
        self.bytes = bytes
        position = bytes.startIndex
    }

    var isAtEnd: Bool { position == bytes.endIndex }
    /// Only right at a byte's boundary.
    var bytePosition: Int { position }

    /// - Parameter width: 0...32.
    mutating func take(_ width: Int) throws(FlacError) -> Int {
        while count < width {
            guard position < bytes.endIndex else { throw .damaged }
            held = (held & 0xFF_FFFF_FFFF) << 8 | Int(bytes[position])
            position += 1
            count += 8
        }
        count -= width
        return held >> count & (1 << width - 1)
    }

    /// - Parameter width: 1...33.
    mutating func signed(_ width: Int) throws(FlacError) -> Int {
        let high = width > 32 ? try take(width - 32) << 32 : 0
        let value = try high | take(min(width, 32))
        let spare = Int.bitWidth - width
        return (value << spare) >> spare
    }

    mutating func unary() throws(FlacError) -> Int {
        var zeros = 0
        while try take(1) == 0 { zeros += 1 }
        guard zeros < 1 << 31 else { throw .damaged }
        return zeros
    }

    mutating func align() { count -= count % 8 }

    mutating func skip(bytes number: Int) throws(FlacError) {
        guard number <= bytes.endIndex - position else { throw .damaged }
        position += number
    }

    /// CRC-16 (polynomial 8005) of the bytes up to here.
    func checksum(from start: Int) -> Int {
        var crc: UInt16 = 0
        for byte in bytes[start..<position] {
            crc = crc << 8 ^ Self.table[Int(UInt8(truncatingIfNeeded: crc >> 8) ^ byte)]
        }
        return Int(crc)
    }

    private static let table: [UInt16] = (0..<256).map { index in
        (0..<8).reduce(UInt16(index) << 8) { value, _ in value & 0x8000 == 0 ? value << 1 : value << 1 ^ 0x8005 }
    }
}
