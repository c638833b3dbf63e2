import Clinical

/// How samples lie in a signal file (formats.md 5).
enum WFDBFormat: Int {
    /// No samples: how a layout segment describes a signal.
    case null = 0
    case differences8 = 8
    case signed16 = 16
    case signed24 = 24
    case signed32 = 32
    case bigEndian16 = 61
    case offset8 = 80
    case offset16 = 160
    case packed12 = 212
    case packed10 = 310
    case packed10low = 311
    case flac8 = 508
    case flac16 = 516
    case flac24 = 524

    /// Of a sample.
    var bits: Int {
        switch self {
        case .null, .differences8, .signed16, .bigEndian16, .offset16, .flac16: 16
        case .signed24, .flac24: 24
        case .signed32: 32
        case .offset8, .flac8: 8
        case .packed12: 12
        case .packed10, .packed10low: 10
        }
    }

    var isFlac: Bool { self == .flac8 || self == .flac16 || self == .flac24 }

    /// Stands for a sample that is missing; differences have none.
    var invalid: Int? { self == .differences8 ? nil : -1 << (bits - 1) }

    var range: ClosedRange<Int> { -1 << (bits - 1)...(1 << (bits - 1)) - 1 }

    /// All samples of a file, in order. For differences: the differences. The bytes say how many there are.
    func unpack(_ bytes: ArraySlice<UInt8>) -> [Int] {
        switch self {
        case .differences8: bytes.map { Int(Int8(bitPattern: $0)) }
        case .offset8: bytes.map { Int($0) - 128 }
        case .signed16: Self.words(bytes, 2)
        case .signed24: Self.words(bytes, 3)
        case .signed32: Self.words(bytes, 4)
        case .bigEndian16:
            stride(from: bytes.startIndex, to: bytes.endIndex - 1, by: 2).map {
                Int(Int16(truncatingIfNeeded: UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1])))
            }
        case .offset16: Self.words(bytes, 2).map { Int(UInt16(truncatingIfNeeded: $0)) - 32768 }
        case .packed12:
            Self.groups(bytes, 3, partial: [2: 1]) {
                [$0[0] | ($0[1] & 0x0F) << 8, $0[2] | ($0[1] & 0xF0) << 4]
            }
        case .packed10:
            Self.groups(bytes, 4, partial: [2: 1]) {
                [
                    ($0[0] | $0[1] << 8) >> 1, ($0[2] | $0[3] << 8) >> 1, $0[1] >> 3 | ($0[3] >> 3) << 5,
                ]
            }
        case .packed10low:
            Self.groups(bytes, 4, partial: [2: 1, 3: 2]) {
                let word = $0[0] | $0[1] << 8 | $0[2] << 16 | $0[3] << 24
                return [word, word >> 10, word >> 20]
            }
        case .null, .flac8, .flac16, .flac24: []
        }
    }

    private static func words(_ bytes: ArraySlice<UInt8>, _ width: Int) -> [Int] {
        let spare = Int64(64 - 8 * width)
        return stride(from: bytes.startIndex, to: bytes.endIndex - width + 1, by: width).map { start in
            let value = (0..<width).reduce(Int64(0)) { $0 | Int64(bytes[start + $1]) << Int64(8 * $1) }
            return Int((value << spare) >> spare)
        }
    }

    /// Samples that share bytes.
    /// - Parameter partial: how many samples the last bytes hold when the last group is cut.
    private static func groups(
        _ bytes: ArraySlice<UInt8>, _ width: Int, partial: [Int: Int], _ split: ([Int]) -> [Int]
    ) -> [Int] {
        let sampleBits = width == 3 ? 12 : 10
        let spare = Int.bitWidth - sampleBits
        var values: [Int] = []
        var start = bytes.startIndex
        while start < bytes.endIndex {
            let part = bytes[start..<min(start + width, bytes.endIndex)].map(Int.init)
            let full = split(part + Array(repeating: 0, count: width - part.count))
            let kept = part.count == width ? full.count : partial[part.count] ?? 0
            values += full.prefix(kept).map { ($0 << spare) >> spare }
            start += width
        }
        return values
    }
}
