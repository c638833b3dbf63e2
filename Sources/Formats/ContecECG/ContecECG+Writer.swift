import Clinical
import Wire

extension ContecECG {
    /// The file. For simulators and tests: reading what this wrote gives the same value.
    /// - Throws: `.invalid` when a field doesn't have its fixed length or a sample is outside -2048…2047.
    public func encoded() throws(EncodeError) -> [UInt8] {
        guard (1...7).contains(caseNumber.utf8.count), startText.utf8.count == 19,
            nameBytes.count == Self.nameLimit, footer.count == Self.footerSize
        else { throw .invalid("a header field of the .ECG file has the wrong length") }
        guard leads.count == Self.stored.count, leads.allSatisfy({ $0.count == count }) else {
            throw .invalid("an .ECG file has eight leads of equal length")
        }
        var writer = ByteWriter(reserving: Self.headerSize + 16 * count + Self.footerSize)
        func padded(_ text: String, _ size: Int) -> [UInt8] {
            Array(text.utf8) + Array(repeating: 0, count: size - text.utf8.count)
        }
        writer.append(contentsOf: padded(caseNumber, 10))
        writer.append(contentsOf: padded(startText, 22))
        writer.append(contentsOf: nameBytes)
        writer.append(contentsOf: [sexCode, age, weight])
        for index in 0..<count {
            for lead in leads {
                guard lead[index] != .absent else {
                    writer.littleEndian(Self.noSignal)
                    continue
                }
                let code = Int(lead[index]) + Self.offset
                guard (0...Int(Self.highest)).contains(code) else {
                    throw .invalid("an .ECG sample is outside -2048...2047")
                }
                writer.littleEndian(UInt16(code))
            }
        }
        writer.append(contentsOf: footer)
        return writer.bytes
    }
}
