import Testing
import Wire

@Suite struct ByteTests {
    @Test func readsBackWhatIsWritten() throws {
        var writer = ByteWriter(reserving: 16)
        writer.append(0x7D)
        writer.littleEndian(Int32(-2))
        writer.bigEndian(UInt16(0x1234))
        writer.append(contentsOf: [1, 2, 3])
        var reader = ByteReader(writer.bytes)
        #expect(try reader.u8() == 0x7D)
        #expect(try reader.littleEndian(Int32.self) == -2)
        #expect(try reader.bigEndian(UInt16.self) == 0x1234)
        try reader.skip(1)
        #expect(reader.offset == 8)
        #expect(reader.rest() == [2, 3])
        #expect(reader.isAtEnd)
    }

    @Test func readingTooFarIsAnErrorAndMovesNothing() {
        for count in 0..<4 {
            var reader = ByteReader([UInt8](repeating: 0, count: count))
            #expect(throws: WireError.truncated(offset: 0, needed: 4, available: count)) {
                try reader.littleEndian(UInt32.self)
            }
            #expect(reader.remaining == count)
        }
        var reader = ByteReader([1, 2])
        #expect(throws: WireError.self) { try reader.bytes(-1) }
        #expect(throws: WireError.self) { try reader.bytes(.max) }
    }

    @Test func slicesKeepTheirOwnOffsets() throws {
        var reader = ByteReader([9, 9, 1, 2][2...])
        #expect(reader.offset == 0)
        #expect(try reader.bigEndian(UInt16.self) == 0x0102)
    }

    @Test(
        arguments: [
            ([0xAE], true), ([0x7D, 0x81, 0xAE, 0x80], true), ([0x7D, 0x81, 0xA0], false), ([], false),
            ([0x7D, 0xAE, 0x80], true),
        ] as [([UInt8], Bool)])
    func forbiddenBytesMatchAnywhere(bytes: [UInt8], expected: Bool) {
        #expect(ForbiddenBytes([0xAE], reason: "erase").occurs(in: bytes) == expected)
    }

    @Test func wildcardsStandForOneByte() {
        let erase = ForbiddenBytes([0x7D, nil, 0xAE], reason: "erase")
        #expect(erase.occurs(in: [0, 0x7D, 0x85, 0xAE, 0x80]))
        #expect(!erase.occurs(in: [0x7D, 0xAE]))
        #expect(!erase.occurs(in: [0x7D, 1, 2, 0xAE]))
    }
}
