/// Raw DEFLATE (RFC 1951), as the Deflated Explicit VR Little Endian transfer syntax has it (PS3.5 A.5). Own code because the
/// formats import no C; it stops at a limit, so that a few bytes can't fill the memory.
struct Inflate {
    enum Failure: Error {
        case damaged
        case tooLong
    }

    /// A hundred times the input and a megabyte: text and padding come to about that, bombs to a thousand times.
    static func limit(of count: Int) -> Int { 100 * count + 1 << 20 }

    private let bytes: ArraySlice<UInt8>
    private var index: Int
    private var pending: UInt32 = 0
    private var held = 0
    private var output: [UInt8] = []
    private let limit: Int

    /// - Returns: what the bytes stand for, and whether that is all: there is no end mark where they are cut.
    static func decode(_ bytes: ArraySlice<UInt8>) throws(Failure) -> (bytes: [UInt8], isComplete: Bool) {
        var inflate = Inflate(bytes, limit: limit(of: bytes.count))
        let isComplete = try inflate.run()
        return (inflate.output, isComplete)
    }

    /// The beginning: as much as `limit` bytes, or what there is until the compressed bytes end or make no sense.
    static func beginning(of bytes: ArraySlice<UInt8>, limit: Int) -> (bytes: [UInt8], isComplete: Bool) {
        var inflate = Inflate(bytes, limit: limit)
        let isComplete = (try? inflate.run()) ?? false
        return (inflate.output, isComplete)
    }

    private init(_ bytes: ArraySlice<UInt8>, limit: Int) {
        self.bytes = bytes
        index = bytes.startIndex
        self.limit = limit
    }

    /// The compressed bytes are at their end.
    private var isSpent = false

    /// Lowest bit first.
    private mutating func take(_ count: Int) throws(Failure) -> Int {
        while held < count {
            guard index < bytes.endIndex else {
                isSpent = true
                throw .damaged
            }
            pending |= UInt32(bytes[index]) << UInt32(held)
            index += 1
            held += 8
        }
        defer {
            pending >>= UInt32(count)
            held -= count
        }
        return Int(pending & (1 << UInt32(count) - 1))
    }

    private mutating func run() throws(Failure) -> Bool {
        do throws(Failure) {
            try blocks()
            return true
        } catch {
            guard isSpent else { throw error }
            return false
        }
    }

    private mutating func blocks() throws(Failure) {
        var isLast = false
        while !isLast {
            isLast = try take(1) == 1
            switch try take(2) {
            case 0: try stored()
            case 1: try compressed(Self.fixed.literals, Self.fixed.distances)
            case 2:
                let (literals, distances) = try tables()
                try compressed(literals, distances)
            default: throw .damaged
            }
        }
    }

    private mutating func append(_ byte: UInt8) throws(Failure) {
        guard output.count < limit else { throw .tooLong }
        output.append(byte)
    }

    private mutating func stored() throws(Failure) {
        // What is left of the byte that holds the block's kind is dropped.
        index -= held / 8
        (pending, held) = (0, 0)
        let length = try take(16)
        guard try take(16) == length ^ 0xFFFF else { throw .damaged }
        for _ in 0..<length { try append(UInt8(try take(8))) }
    }

    /// How many codes of each length there are, and their symbols in the order of the codes.
    private struct Table {
        var counts = [Int](repeating: 0, count: 16)
        var symbols: [Int] = []

        init(_ lengths: [Int]) throws(Failure) {
            for length in lengths where length > 0 { counts[length] += 1 }
            var room = 1
            for length in 1..<16 {
                room = room * 2 - counts[length]
                guard room >= 0 else { throw .damaged }
            }
            for length in 1..<16 {
                for (symbol, own) in lengths.enumerated() where own == length { symbols.append(symbol) }
            }
        }
    }

    private static let fixed: (literals: Table, distances: Table) = {
        let lengths = (0..<288).map { $0 < 144 ? 8 : $0 < 256 ? 9 : $0 < 280 ? 7 : 8 }
        guard let literals = try? Table(lengths), let distances = try? Table(Array(repeating: 5, count: 30)) else {
            preconditionFailure("the fixed tables of RFC 1951 3.2.6 are complete")
        }
        return (literals, distances)
    }()

    private mutating func symbol(_ table: Table) throws(Failure) -> Int {
        var (code, first, place) = (0, 0, 0)
        for length in 1..<16 {
            code |= try take(1)
            let count = table.counts[length]
            if code - first < count { return table.symbols[place + code - first] }
            place += count
            first = (first + count) << 1
            code <<= 1
        }
        throw .damaged
    }

    private mutating func tables() throws(Failure) -> (Table, Table) {
        let (literals, distances, codes) = (try take(5) + 257, try take(5) + 1, try take(4) + 4)
        let order = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]
        var lengths = [Int](repeating: 0, count: 19)
        for place in order.prefix(codes) { lengths[place] = try take(3) }
        let table = try Table(lengths)
        var all: [Int] = []
        while all.count < literals + distances {
            switch try symbol(table) {
            case let length where length < 16: all.append(length)
            case 16:
                guard let last = all.last else { throw .damaged }
                all += repeatElement(last, count: try take(2) + 3)
            case 17: all += repeatElement(0, count: try take(3) + 3)
            default: all += repeatElement(0, count: try take(7) + 11)
            }
        }
        guard all.count == literals + distances else { throw .damaged }
        return (try Table(Array(all[..<literals])), try Table(Array(all[literals...])))
    }

    private static let lengthBase = [
        3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227,
        258,
    ]
    private static let lengthExtra = [
        0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0,
    ]
    private static let distanceBase = [
        1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097,
        6145,
        8193, 12289, 16385, 24577,
    ]

    private mutating func compressed(_ literals: Table, _ distances: Table) throws(Failure) {
        while true {
            let symbol = try symbol(literals)
            if symbol == 256 { return }
            if symbol < 256 {
                try append(UInt8(symbol))
                continue
            }
            guard symbol - 257 < Self.lengthBase.count else { throw .damaged }
            let length = Self.lengthBase[symbol - 257] + (try take(Self.lengthExtra[symbol - 257]))
            let code = try self.symbol(distances)
            guard code < Self.distanceBase.count else { throw .damaged }
            let distance = Self.distanceBase[code] + (try take(max(0, code / 2 - 1)))
            guard distance <= output.count else { throw .damaged }
            for _ in 0..<length { try append(output[output.count - distance]) }
        }
    }
}
