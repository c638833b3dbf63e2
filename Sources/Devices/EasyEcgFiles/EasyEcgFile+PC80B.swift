import Clinical
import Wire

extension EasyEcgFile {
    /// SCP-ECG's numbers of the leads that a handheld device can name.
    private static let leads: [UInt8: (signal: Channel.Signal, name: String)] = [
        1: (.ecgI, "I"), 2: (.ecgII, "II"), 61: (.ecgIII, "III"), 3: (.ecgV1, "V1"), 4: (.ecgV2, "V2"),
        5: (.ecgV3, "V3"), 6: (.ecgV4, "V4"), 7: (.ecgV5, "V5"), 8: (.ecgV6, "V6"),
    ]

    mutating func readPC80B(_ bytes: [UInt8]) throws(WireError) {
        var reader = ByteReader(bytes)
        let checksum: UInt16 = try reader.littleEndian()
        let length: UInt32 = try reader.littleEndian()
        guard Int(length) == bytes.count else {
            throw .malformed(offset: 2, "\(length) bytes announced, \(bytes.count) in the file; copy it again")
        }
        guard CRC16.ccittFalse(bytes[2...]) == checksum else {
            throw .malformed(offset: 0, "the checksum is wrong; copy the file again")
        }
        for pointer in EasyEcgSection.pointers(bytes) {
            let section = try EasyEcgSection.find(pointer.id, in: bytes, base: 1)
            let stated = UInt16(section.checksum.0) | UInt16(section.checksum.1) << 8
            if CRC16.ccittFalse(section.covered) != stated {
                surprise("the checksum of section \(pointer.id) is wrong")
            }
        }
        let subject = try EasyEcgSection.find(1, in: bytes, base: 1)
        simulatedSerial = Self.mark(subject.bytes.dropFirst(10).prefix(6))
        let tags = subject.tags
        setStart(date: tags[25], yearBytes: (1, 0), time: tags[26])

        let definition = Array(try EasyEcgSection.find(3, in: bytes, base: 1).data)
        guard definition.count >= 11, definition[0] == 1 else {
            throw .malformed(offset: 0, "the lead definition is not that of one lead")
        }
        let lead = Self.leads[definition[10]] ?? (.other, "ECG")
        var rhythm = ByteReader(try EasyEcgSection.find(6, in: bytes, base: 1).data)
        let step: UInt16 = try rhythm.littleEndian()
        let interval: UInt16 = try rhythm.littleEndian()
        let coding = (try rhythm.u8(), try rhythm.u8())
        let size: UInt16 = try rhythm.littleEndian()
        guard coding == (0, 0) else { throw .malformed(offset: 0, "the samples are coded in an unknown way") }
        guard (1000...20_000).contains(interval) else {
            throw .malformed(offset: 0, "the sampling interval is impossible")
        }
        let data = try rhythm.bytes(Int(size))
        guard size > 0, size % 2 == 0 else { throw .malformed(offset: 0, "there are no samples, or half of one") }
        let samples = stride(from: data.startIndex, to: data.endIndex, by: 2).map { index in
            // Above the twelve bits are the device's marks for beats.
            Sample(UInt16(data[index]) | UInt16(data[index + 1] & 0x0F) << 8) - 2048
        }
        // 6666 µs is how the file says 150 Hz.
        let rate = interval == 6666 ? Ratio(150) : Ratio(1_000_000, Int(interval))
        // The file says 806 nV a step, another source 3.03 µV: until somebody measures it, steps are steps.
        notes.append(
            Note(kind: .device, text: "amplitude in steps: their size is not settled (the file says \(step) nV a step)")
        )
        waveform = Waveform(
            channels: [
                Channel(
                    signal: lead.signal, name: lead.name, unit: "1", rate: rate, scale: Ratio(1), range: -2048...2047,
                    calibration: .unverified)
            ], samples: [samples])
    }
}
