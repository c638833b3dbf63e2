import Clinical
import Wire

extension EasyEcgFile {
    mutating func readPC180D(_ bytes: [UInt8]) throws(WireError) {
        var reader = ByteReader(bytes)
        let checksum: UInt16 = try reader.bigEndian()
        // The two halves are swapped: high word first, each little-endian.
        let high: UInt16 = try reader.littleEndian()
        let low: UInt16 = try reader.littleEndian()
        let length = Int(high) << 16 | Int(low)
        guard length >= Self.headerSize, length <= bytes.count else {
            throw .malformed(offset: 2, "\(length) bytes announced, \(bytes.count) in the file; copy it again")
        }
        guard CRC16.xmodem(bytes[2..<length]) == checksum else {
            throw .malformed(offset: 0, "the checksum is wrong; copy the file again")
        }
        if bytes.count != Self.blockSize { surprise("the file is not a block of \(Self.blockSize) bytes") }
        for id: UInt16 in [0, 1, 2, 3, 6] {
            let section = try EasyEcgSection.find(id, in: bytes, base: 0)
            let (first, second) = section.checksum
            let stated = id == 6 ? UInt16(first) << 8 | UInt16(second) : UInt16(second) << 8 | UInt16(first)
            if CRC16.xmodem(section.covered) != stated { surprise("the checksum of section \(id) is wrong") }
        }
        let tags = try EasyEcgSection.find(1, in: bytes, base: 0).tags
        setSubject(tags[2])
        // The year has its high byte first here.
        setStart(date: tags[25], yearBytes: (0, 1), time: tags[26])

        var definition = ByteReader(try EasyEcgSection.find(3, in: bytes, base: 0).data)
        let count = Int(try definition.u8())
        guard (1...12).contains(count) else { throw .malformed(offset: 0, "the number of leads is impossible") }
        var rhythm = ByteReader(try EasyEcgSection.find(6, in: bytes, base: 0).data)
        let step: UInt16 = try rhythm.littleEndian()
        // Where SCP-ECG has the interval in µs, this one has the rate.
        let rate: UInt16 = try rhythm.littleEndian()
        try rhythm.skip(2)
        let size: UInt16 = try rhythm.littleEndian()
        guard step > 0, (50...1000).contains(rate) else {
            throw .malformed(offset: 0, "the scale or the sampling rate is impossible")
        }
        let samples = Self.unpacked(try rhythm.bytes(Int(size)))
        guard !samples.isEmpty, samples.count % count == 0 else {
            throw .malformed(offset: 0, "the samples don't divide among the leads")
        }
        notes.append(
            Note(
                kind: .device,
                text: "neither the leads' names nor the amplitude is settled (the file says \(step) nV a step)"))
        waveform = Waveform(
            channels: (1...count).map { number in
                Channel(
                    signal: .other, name: "ECG lead \(number)", unit: "uV", rate: Ratio(Int(rate)),
                    scale: Ratio(Int(step), 1000), range: -512...511, calibration: .unverified)
            },
            samples: (0..<count).map { lead in
                stride(from: lead, to: samples.count, by: count).map { samples[$0] }
            })
    }

    private mutating func setSubject(_ value: ArraySlice<UInt8>?) {
        let text = Array((value ?? []).prefix { $0 != 0 })
        simulatedSerial = Self.mark(text)
        // What isn't printable is no number that anybody typed; zeros are the device's default.
        guard simulatedSerial == nil, text.allSatisfy({ (0x20..<0x7F).contains($0) }),
            text.contains(where: { $0 != UInt8(ascii: "0") && $0 != 0x20 })
        else { return }
        patientID = String(decoding: text, as: UTF8.self)
    }

    /// Four samples in three words: each word has one in its low ten bits, and bits 10 to 13 of the three words are the
    /// fourth. Offset binary; bits 14 and 15 (10 and 11 of the fourth) are the device's marks for beats.
    private static func unpacked(_ data: ArraySlice<UInt8>) -> [Sample] {
        var samples: [Sample] = []
        var index = data.startIndex
        while index + 6 <= data.endIndex {
            let words = (0..<3).map { UInt16(data[index + 2 * $0]) | UInt16(data[index + 2 * $0 + 1]) << 8 }
            let fourth = (words[0] & 0x3C00) >> 2 | (words[1] & 0x3C00) >> 6 | (words[2] & 0x3C00) >> 10
            samples += (words + [fourth]).map { Sample($0 & 0x3FF) - 512 }
            index += 6
        }
        return samples
    }
}
