import Clinical
import Formats
import Testing

@Suite struct WFDBSegmentsTests {
    private func decode(_ header: String, _ files: [String: [UInt8]]) throws -> DecodedFile {
        try FileDecoder.decode(Array(header.utf8), named: "r.hea") { files[$0] }
    }

    private func words(_ values: [Int]) -> [UInt8] { values.flatMap { ScpWriter.little($0, 2) } }

    @Test func segmentsFollowEachOtherWithGaps() throws {
        let files: [String: [UInt8]] = [
            "a.hea": Array("a 2 100 2\na.dat 16 1000 16 0 1 4 0 I\na.dat 16 1000 16 0 2 6 0 II\n".utf8),
            "a.dat": words([1, 2, 3, 4]),
            // Another gain, and a file that is cut.
            "b.hea": Array("b 2 100 3\nb.dat 16 500 16 0 5 0 0 I\nb.dat 16 1000 16 0 6 0 0 II\n".utf8),
            "b.dat": words([5, 6, 7, 8]),
        ]
        let file = try decode("r/3 2 100 7 9:05:07 22/11/2026\na 2\n~ 2\nb 3\n", files)
        #expect(file.format == "wfdb" && file.start == morning)
        #expect(file.waveform.channels.map(\.signal) == [.ecgI, .ecgII])
        #expect(file.waveform.channels.map(\.scale) == [Ratio(1, 1000), Ratio(1, 1000)])
        #expect(
            file.waveform.samples == [
                [1, 3, .absent, .absent, 10, 14, .absent], [2, 4, .absent, .absent, 6, 8, .absent],
            ])
        #expect(file.notes.contains(Note(kind: .gap, at: 0.02, duration: 0.02, text: "nothing recorded")))
        #expect(file.notes.contains { $0.text == "segment 3: signal 1: 3 frames announced, 2 in the file" })
    }

    @Test func aLayoutNamesWhatSegmentsMayHave() throws {
        let files: [String: [UInt8]] = [
            "l.hea": Array("l 2 100 0\n~ 0 1000 16 0 0 0 0 V\n~ 0 200 16 0 0 0 0 II\n".utf8),
            "a.hea": Array("a 1 100 2\na.dat 16 400 16 0 1 4 0 II\n".utf8), "a.dat": words([1, 3]),
            "b.hea": Array("b 2 100 1\nb.dat 16 200 16 0 9 9 0 II\nb.dat 16 1000 16 0 8 8 0 V\n".utf8),
            "b.dat": words([9, 8]),
        ]
        let file = try decode("r/3 2 100 3\nl 0\na 2\nb 1\n", files)
        #expect(file.waveform.channels.map(\.name) == ["V", "II"])
        #expect(file.waveform.samples == [[.absent, .absent, 8], [1, 3, 18]])
        #expect(file.waveform.channels[1].scale == Ratio(1, 400))
    }

    @Test func hostileSegmentsEnd() throws {
        let one: [String: [UInt8]] = [
            "a.hea": Array("a 1 100 2\na.dat 16 1000 16 0 1 4 0 I\n".utf8), "a.dat": words([1, 3]),
            "r.hea": Array("r/1 1 100\nr 5\n".utf8),
        ]
        for header in [
            "r/1 1 100\nr 5\n", "r/2 1 100\na 2\n~ 99999999999\n", "r/1 1 100\n~ 5\n", "r/2 1 100\na 2\n",
            "r/1 1 100\n../a 2\n",
        ] {
            #expect(throws: DecodeError.self, "\(header)") { try decode(header, one) }
        }
        torture(Array("r/2 1 100 4\na 2\n~ 2\n".utf8), keeping: 4, rounds: 200, seed: 3) { bytes in
            _ = try? FileDecoder.decode(bytes, named: "r.hea") { one[$0] }
        }
    }
}
