import Wire

/// The Huffman tables of a record: the default one, or its own.
struct SCPHuffmanTables {
    private(set) var tables: [SCPHuffman]
    /// Whether codes lead from one table to another, which no file has shown yet.
    var switches: Bool { tables.contains(where: \.switches) }

    static let standard = SCPHuffmanTables(tables: [.standard])

    private init(tables: [SCPHuffman]) { self.tables = tables }

    /// A section 2 that brings its own tables.
    init(_ body: ArraySlice<UInt8>) throws(DecodeError) {
        var reader = ByteReader(body)
        tables = []
        do {
            let count = try reader.littleEndian(UInt16.self)
            for _ in 0..<count { tables.append(try SCPHuffman(&reader)) }
        } catch let error as DecodeError {
            throw error
        } catch {
            throw SCPRecord.damaged("a Huffman table is cut short")
        }
        guard !tables.isEmpty else { throw SCPRecord.damaged("there is no Huffman table") }
    }

    /// At most `count` values; fewer when the bytes end or hold no code. Each lead begins with the first table.
    func decode(_ bytes: ArraySlice<UInt8>, count: Int) -> [Int] {
        var bits = BitReader(bytes)
        var values: [Int] = []
        var table = tables[0]
        while values.count < count, let symbol = table.next(&bits) {
            switch symbol {
            case .value(let value): values.append(value)
            case .table(SCPHuffman.standardNumber): table = .standard
            // Tables count from 1.
            case .table(let number):
                guard tables.indices.contains(number - 1) else { return values }
                table = tables[number - 1]
            }
        }
        return values
    }
}

/// One of SCP-ECG's Huffman tables (formats.md 4.2 section 2, 4.3). A code is a prefix, then bits of a literal value, if any.
struct SCPHuffman {
    enum Symbol {
        case value(Int)
        /// Go on with this table.
        case table(Int)
    }

    private struct Code {
        var prefixBits: Int
        var literalBits: Int
        var value: Int
        var isSwitch = false
    }

    /// Prefixes with a leading 1 bit, so that their length counts.
    private var codes: [UInt64: Code] = [:]
    private var longest = 0

    /// The table that every record may name instead of bringing its own.
    static let standardNumber = 19999

    /// k ones, a zero and a sign for ±k up to 8; nine ones and a zero before 8 bits; ten ones before 16.
    static let standard: SCPHuffman = {
        var table = SCPHuffman()
        table.add(prefix: 0, bits: 1, literal: 0, value: 0)
        for magnitude in 1...8 {
            let ones = (UInt64(1) << UInt64(magnitude) - 1) << 2
            table.add(prefix: ones, bits: magnitude + 2, literal: 0, value: magnitude)
            table.add(prefix: ones | 1, bits: magnitude + 2, literal: 0, value: -magnitude)
        }
        table.add(prefix: 0b11_1111_1110, bits: 10, literal: 8, value: 0)
        table.add(prefix: 0b11_1111_1111, bits: 10, literal: 16, value: 0)
        return table
    }()

    private init() {}

    /// One table of a section 2.
    fileprivate init(_ reader: inout ByteReader) throws {
        for _ in 0..<(try reader.littleEndian(UInt16.self)) {
            let (prefix, total, mode) = (Int(try reader.u8()), Int(try reader.u8()), try reader.u8())
            let value = Int(try reader.littleEndian(Int16.self))
            let base = try reader.littleEndian(UInt32.self)
            guard (1...32).contains(prefix), (prefix...prefix + 16).contains(total) else {
                throw SCPRecord.damaged("the Huffman table is not possible")
            }
            // The first bit on the line is the lowest of the base code.
            let bits = (0..<prefix).reduce(UInt64(0)) { $0 << 1 | UInt64(base >> UInt32($1) & 1) }
            add(prefix: bits, bits: prefix, literal: total - prefix, value: value, isSwitch: mode == 0)
        }
    }

    var switches: Bool { codes.values.contains(where: \.isSwitch) }

    private mutating func add(prefix: UInt64, bits: Int, literal: Int, value: Int, isSwitch: Bool = false) {
        codes[1 << UInt64(bits) | prefix] = Code(
            prefixBits: bits, literalBits: literal, value: value, isSwitch: isSwitch)
        longest = max(longest, bits)
    }

    /// Nil when the bytes end or hold no code. A literal's bits count from the code's value.
    fileprivate func next(_ bits: inout BitReader) -> Symbol? {
        var prefix: UInt64 = 1
        var length = 0
        var found: Code?
        while found == nil, length < longest {
            prefix = prefix << 1 | bits.take(1)
            length += 1
            found = codes[prefix]
        }
        guard let found else { return nil }
        var value = found.value
        if found.literalBits > 0 {
            let shift = UInt64(64 - found.literalBits)
            value += Int(Int64(bitPattern: bits.take(found.literalBits) << shift) >> Int64(shift))
        }
        guard !bits.isExhausted else { return nil }
        return found.isSwitch ? .table(found.value) : .value(value)
    }
}
