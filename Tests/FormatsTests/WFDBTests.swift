import Clinical
import Formats
import Foundation
import Testing

@Suite struct WFDBTests {
    private func decode(_ header: String, _ files: [String: [UInt8]]) throws -> DecodedFile {
        try FileDecoder.decode(Array(header.utf8), named: "r.hea") { files[$0] }
    }

    private func sum(_ values: [Int]) -> Int16 { values.reduce(0) { $0 &+ Int16(truncatingIfNeeded: $1) } }

    @Test func readsLeadsScaleAndTime() throws {
        let header = """
            # a comment first
            r 2 500/500 4 9:05:07.5 22/11/2026
            r.dat 16 1000(-3)/mV 16 0 7 \(sum([7, -1, -32768, 2])) 0 avf
            r.dat 16 0 12 5 100 \(sum([100, 101, 102, 103])) 0 chest
            # Age: 81  Sex: ?
            # Sex: Female
            """
        let data = [7, 100, -1, 101, -32768, 102, 2, 103].flatMap { ScpWriter.little($0, 2) }
        let file = try decode(header, ["r.dat": data])
        #expect(file.format == "wfdb" && file.start == morning && file.notes.isEmpty)
        #expect(file.claim == IdentityClaim(sex: .female, age: 81))
        #expect(file.waveform.channels.map(\.signal) == [.ecgAVF, .other])
        #expect(file.waveform.channels.map(\.scale) == [Ratio(1, 1000), Ratio(1, 200)])
        #expect(file.waveform.channels.map(\.calibration) == [.singleSource, .unverified])
        #expect(file.waveform.samples == [[10, 2, .absent, 5], [95, 96, 97, 98]])
        let wrong = try decode(header.replacing("-3)", with: "0)").replacing(" 7 ", with: " 8 "), ["r.dat": data])
        #expect(wrong.notes.contains { $0.text == "signal 1: the first sample is not what the header says" })
        let changed = try decode(header, ["r.dat": data.dropLast(2) + [9, 9]])
        #expect(changed.notes.contains { $0.text == "signal 2: the checksum is wrong" })
        let cut = try decode(header, ["r.dat": data.dropLast(5)])
        #expect(cut.notes.contains { $0.text == "signal 1: 4 frames announced, 2 in the file" })
    }

    @Test func framesSkewAndOffset() throws {
        let header = "r 2 100 3\nr.dat 80x2:1+3 200 8 0\nr.dat 80 200 8 0\n"
        let frames: [[UInt8]] = [[1, 2, 3], [4, 5, 6], [7, 8, 9], [10, 11, 12]]
        let file = try decode(header, ["r.dat": [9, 9, 9] + frames.flatMap { $0.map { $0 + 128 } }])
        #expect(file.waveform.samples == [[4, 5, 7, 8, 10, 11], [3, 6, 9]])
        #expect(file.waveform.channels.map(\.rate) == [Ratio(200), Ratio(100)])
    }

    @Test func saysWhatIsMissing() throws {
        let header = "r 1 100 3\nr.dat 16\n"
        let alone = #expect(throws: DecodeError.self) { try FileDecoder.decode(Array(header.utf8)) }
        #expect(alone?.description.contains("not beside it") == true)
        let segments = #expect(throws: DecodeError.self) { try decode("r/2 1 100\na 10\nb 10\n", [:]) }
        #expect(segments?.description.contains("header of a segment") == true)
        for name in ["../r.dat", "/etc/r.dat", "~", "-"] {
            #expect(throws: DecodeError.self) { try decode("r 1 100 1\n\(name) 16\n", [name: [1, 0]]) }
        }
        #expect(throws: DecodeError.self) { try decode("r 1 100 1\nr.dat 17\n", ["r.dat": [1, 0]]) }
        #expect(throws: DecodeError.self) { try decode("r 1 0 1\nr.dat 16\n", ["r.dat": [1, 0]]) }
        #expect(throws: DecodeError.self) { try decode("r 2 100 1\nr.dat 16\n", ["r.dat": [1, 0]]) }
        #expect(throws: DecodeError.self) {
            try decode("r 1 100 1\nr.dat 16 200(99999999999999999)\n", ["r.dat": [1, 0]])
        }
        #expect(try decode("r 1 100 99999999999999\nr.dat 16\n", ["r.dat": [1, 0]]).waveform.samples == [[1]])
        struct Broken: Error {}
        #expect(throws: DecodeError.self) {
            try FileDecoder.decode(Array(header.utf8), named: "") { _ in throw Broken() }
        }
    }

    @Test func noDamageCrashesIt() {
        let header = Array(
            "r 3 250/5 4 9:05:07 22/11/2026\na.dat 212x2 200(5)/mV 12 0 1 2 0 II\na.dat 212 200 12 0 1 2 0 V1\nb.dat 8 200 12 0 1 2 0 x\n# 69 M\n"
                .utf8)
        let data = (0..<40).map { UInt8($0 * 37 & 0xFF) }
        torture(header, keeping: 40, rounds: 100, seed: 3) { bytes in
            _ = try? WFDBRecord(header: bytes) { _ in data }
        }
        for format in [8, 16, 24, 32, 61, 80, 160, 212, 310, 311, 508, 516, 524] {
            for length in 0...data.count {
                _ = try? WFDBRecord(header: Array("r 1 100\nd \(format)\n".utf8)) { _ in Array(data.prefix(length)) }
            }
        }
    }

    // MARK: - FLAC

    /// One frame of the given subframes; verbatim ones, each with its own depth.
    private func flac(_ subframes: [(values: [Int], depth: Int)], assignment: Int, channels: Int) -> [UInt8] {
        let count = subframes[0].values.count
        var head = Array("fLaC".utf8) + [0x80, 0, 0, 34] + Array(repeating: 0, count: 10)
        head += ScpWriter.packed([
            ScpWriter.binary(100, 20) + ScpWriter.binary(channels - 1, 3) + ScpWriter.binary(15, 5)
                + ScpWriter.binary(count, 36)
        ])
        head += Array(repeating: 0, count: 16)
        var bits = "1111111111111000" + "0110" + "0000" + ScpWriter.binary(assignment, 4) + "0000"
        bits += "00000000" + ScpWriter.binary(count - 1, 8) + "00000000"
        for subframe in subframes {
            let isConstant = Set(subframe.values).count == 1
            bits += isConstant ? "00000000" : "00000010"
            for value in isConstant ? [subframe.values[0]] : subframe.values {
                bits += ScpWriter.binary(value, subframe.depth)
            }
        }
        let frame = ScpWriter.packed([bits])
        var crc = 0
        for byte in frame {
            crc ^= Int(byte) << 8
            for _ in 0..<8 { crc = crc & 0x8000 != 0 ? (crc << 1 ^ 0x8005) & 0xFFFF : crc << 1 }
        }
        return head + frame + [UInt8(crc >> 8), UInt8(crc & 0xFF)]
    }

    @Test func undoesStereo() throws {
        let (left, right) = ([5, -7, 300, -32768, 9], [4, 2, -300, 32767, 9])
        let side = zip(left, right).map { $0 - $1 }
        let middle = zip(left, right).map { ($0 + $1) >> 1 }
        let header = "r 2 100 5\nr.dat 516 200 16 0\nr.dat 516 200 16 0\n"
        for (assignment, pair) in [
            (1, [(left, 16), (right, 16)]), (8, [(left, 16), (side, 17)]), (9, [(side, 17), (right, 16)]),
            (10, [(middle, 16), (side, 17)]),
        ] {
            let bytes = flac(pair.map { ($0.0, $0.1) }, assignment: assignment, channels: 2)
            let samples = try decode(header, ["r.dat": bytes]).waveform.samples
            #expect(samples == [[5, -7, 300, .absent, 9], [4, 2, -300, 32767, 9]], "assignment \(assignment)")
            for index in 42..<bytes.count where index != bytes.count {
                var damaged = bytes
                damaged[index] ^= 0x10
                #expect(throws: DecodeError.self) { try decode(header, ["r.dat": damaged]) }
            }
        }
        let flat = flac([(Array(repeating: -3, count: 200), 16)], assignment: 0, channels: 1)
        #expect(try decode("r 1 100\nr.dat 516\n", ["r.dat": flat]).waveform.samples[0].count == 200)
        torture(flat, keeping: 42, rounds: 50, seed: 8) { bytes in
            _ = try? WFDBRecord(header: Array("r 1 100\nr.dat 516\n".utf8)) { _ in bytes }
        }
    }
}

/// What wfdb 4.3.1 writes for signals of 32 bits: the whole range, and a baseline that leaves no room in it.
@Suite struct WFDBWideSignalTests {
    @Test func aBaselineOf32BitsCostsTheLowestBits() throws {
        func word(_ value: Int32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }
        let bytes = word(.max) + word(-2_147_483_647) + word(1_000_000) + word(.min)
        let record = try WFDBRecord(header: Array("r 1 100 4\nr.dat 32 2(2000000000)/mV 0 0 0 0 0 Temp  skin \n".utf8))
        {
            _ in bytes
        }
        let channel = record.waveform.channels[0]
        #expect(channel.name == "Temp  skin" && channel.scale == Ratio(1))
        let values = record.waveform.samples[0].map { channel.physical($0) }
        #expect(values == [73_741_824, -2_073_741_823, -999_500_000, nil])
        #expect(record.notes.contains { $0.text == "signal 1: with its baseline it is rounded to 2 steps" })
    }
}

@Suite(.enabled(if: Shared.has("data/ecg/wfdb/100.hea"), "needs ../shared/data/ecg")) struct WFDBFilesTests {
    private func read(_ path: String) throws -> DecodedFile {
        let folder = path.split(separator: "/").dropLast().joined(separator: "/")
        return try FileDecoder.decode(Shared.bytes("data/ecg/\(path).hea"), named: path) {
            Shared.has("data/ecg/\(folder)/\($0)") ? try Shared.bytes("data/ecg/\(folder)/\($0)") : nil
        }
    }

    private func sums(_ file: DecodedFile) -> [Int] {
        file.waveform.samples.map { $0.reduce(0) { $1 == .absent ? $0 : $0 + Int($1) } }
    }

    /// Sums of digital value - baseline, as the python package wfdb 4.3.1 gives them. The checksums agree too: no notes.
    @Test(arguments: [
        ("wfdb/100", [-39_818_867, -24_834_476]),
        ("wfdb/a103l", [-13_855_499, 712_769_235, 508_279_825]),
        (
            "wfdb/binformats",
            [165465, -750, -251, -517, 747, -6824, -1621, -2145, -103_338_557, -26_804_401_573]
        ),
        ("wfdb/mixedsignals", [-41076, -45764, -43275, 50_235_587, 58_297_530, 19_143_107]),
        (
            "wfdb/s0010_re",
            [
                -8337, -16369, 6829, 4582, 11687, -16657, -12469, 5636, -14299, -17916, -6668, -17545, -13009, 7109,
                -1992,
            ]
        ),
        (
            "wfdb12/E07500",
            [1250, -5598, -6996, 2114, 4235, -6469, -2044, -520375, 96791, -68456, -55526, 7912]
        ),
        ("holter2/data_84_1", [4_804_210_333, 4_584_750_105]),
    ])
    func haveTheValuesOfAnotherReader(path: String, expected: [Int]) throws {
        let file = try read(path)
        #expect(sums(file) == expected && file.notes.isEmpty)
    }

    @Test func gainsAreExactAndInvalidIsAbsent() throws {
        let mixed = try read("wfdb/mixedsignals")
        #expect(mixed.waveform.samples.map { $0.filter { $0 == .absent }.count } == [1024, 1024, 1024, 192, 0, 0])
        #expect(mixed.waveform.channels.map(\.rate).first == Ratio(24989, 100))
        let holter = try read("holter2/data_84_1")
        #expect(holter.waveform.channels[0].scale == Ratio(1_000_000_000_000, 9_151_773_049_645_391))
        #expect(try read("wfdb12/E07500").claim == IdentityClaim(sex: .male, age: 78))
    }
}
