/// How likely each residual is, given the size of those before it. Encoder and decoder adapt alike, in integers only.
///
/// A residual's zigzag value is split at `shift`: the upper part, 0...30 (31 = more), is five binary decisions with adaptive
/// probabilities, the rest plain bits. Contexts are half octaves of the running mean of the magnitudes.
struct ResidualModel {
    private var quick: [UInt16]
    private var slow: [UInt16]

    static let levels = 72
    static let symbolBits = 5
    static let escape: UInt64 = 31

    init() {
        var start = [UInt16](repeating: 1 << 15, count: Self.levels << Self.symbolBits)
        for level in 0..<Self.levels {
            let row = level < 12 ? level : 12 + level % 2
            for node in 1..<1 << Self.symbolBits {
                let depth = Int.bitWidth - 1 - node.leadingZeroBitCount
                start[level << Self.symbolBits | node] = Self.prior[row * Self.symbolBits + depth] << 4
            }
        }
        quick = start
        slow = start
    }

    /// Of 4096, that a decision is one, for a geometric distribution with the context's mean: rows 0-11 for means below four,
    /// then the two that all larger means share, because `shift` grows with them.
    private static let prior: [UInt16] = [
        46, 46, 46, 46, 323, 46, 46, 46, 73, 488, 46, 46, 46, 158, 683, 46, 46, 46, 284, 878,
        46, 46, 68, 470, 1084, 46, 46, 159, 685, 1268, 46, 46, 327, 932, 1441, 46, 97, 551, 1158, 1580,
        46, 246, 827, 1370, 1699, 68, 470, 1084, 1536, 1788, 204, 762, 1325, 1675, 1860, 426, 1040, 1509, 1774, 1910,
        210, 773, 1333, 1679, 1862, 433, 1047, 1514, 1776, 1911,
    ]

    @inline(__always)
    private mutating func probability(_ index: Int) -> UInt32 {
        let mean = (UInt32(quick[index]) &+ UInt32(slow[index])) >> 5
        return min(max(mean, 8), 4088)
    }

    @inline(__always)
    private mutating func learn(_ index: Int, _ bit: Bool) {
        let (first, second) = (quick[index], slow[index])
        if bit {
            quick[index] = first &+ ((65535 &- first) >> 5)
            slow[index] = second &+ ((65535 &- second) >> 7)
        } else {
            quick[index] = first &- (first >> 5)
            slow[index] = second &- (second >> 7)
        }
    }

    @inline(__always)
    mutating func encode(
        _ residual: Int64, _ size: inout ResidualSize, _ coder: inout RangeEncoder, _ bits: inout BitWriter
    ) {
        let value = ZigZag.encode(residual)
        let (context, shift) = size.context
        let upper = value >> UInt64(shift)
        let symbol = min(upper, Self.escape)
        var node = 1
        for depth in 0..<Self.symbolBits {
            let bit = symbol >> UInt64(Self.symbolBits - 1 - depth) & 1 == 1
            let index = context << Self.symbolBits | node
            coder.encode(bit, one: probability(index))
            learn(index, bit)
            node = node << 1 | (bit ? 1 : 0)
        }
        if symbol == Self.escape { bits.put(gamma: upper - Self.escape) }
        if shift > 0 { bits.put(value & (1 << UInt64(shift) - 1), shift) }
        size.add(residual)
    }

    @inline(__always)
    mutating func decode(
        _ size: inout ResidualSize, _ coder: inout RangeDecoder, _ bits: inout BitReader
    ) -> Int64 {
        let (context, shift) = size.context
        var node = 1
        for _ in 0..<Self.symbolBits {
            let index = context << Self.symbolBits | node
            let bit = coder.decode(one: probability(index))
            learn(index, bit)
            node = node << 1 | (bit ? 1 : 0)
        }
        var upper = UInt64(node & 31)
        if upper == Self.escape { upper &+= bits.takeGamma() }
        var value = upper << UInt64(shift)
        if shift > 0 { value |= bits.take(shift) }
        let residual = ZigZag.decode(value)
        size.add(residual)
        return residual
    }
}

/// The running size of a lead's residuals, 16 times their mean magnitude.
struct ResidualSize {
    private var near: Int
    private var far: Int

    /// - Parameter level: as `level` gave it.
    init(level: Int) {
        let level = min(level, ResidualModel.levels - 1)
        near = (1 << (level / 2)) * (2 + level % 2) / 2
        far = near
    }

    /// Half octaves, 0...71.
    static func level(of size: Int) -> Int {
        let value = UInt64(max(1, size))
        let octave = 63 - value.leadingZeroBitCount
        let half = octave > 0 ? Int(value >> UInt64(octave - 1) & 1) : 0
        return min(octave * 2 + half, ResidualModel.levels - 1)
    }

    @inline(__always)
    var context: (level: Int, shift: Int) {
        let level = Self.level(of: (near &* 3 &+ far) >> 2 &+ 1)
        return (level, max(0, level / 2 - 5))
    }

    @inline(__always)
    mutating func add(_ residual: Int64) {
        let magnitude = Int(min(residual.magnitude, 1 << 34)) << 4
        near &+= (magnitude &- near) >> 3
        far &+= (magnitude &- far) >> 6
    }
}
