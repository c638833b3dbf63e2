import Clinical
import Formats
import Testing

/// What EN 1064 allows a cart to do to a rhythm before it writes it, done here by hand and undone by the reader.
@Suite struct SCPReductionTests {
    private let rate4 = 8000
    /// Two leads with a beat every 40 samples and something of their own between.
    private func rhythm(_ count: Int) -> [[Int]] {
        (0..<2).map { lead in
            (0..<count).map { index in
                let phase = index % 40
                return (phase < 12 ? beat[lead][phase] : 0) + (index * 7 % 5) - 2
            }
        }
    }
    private let beat = [
        [0, 5, 20, 90, 300, 800, 400, -200, -60, -10, 3, 0], [0, -3, -9, -40, -90, -300, 120, 80, 30, 8, 1, 0],
    ]

    /// Section 4: reference beat of 12 samples at 2 ms, fiducial at its sixth.
    private func beats(_ places: [(type: Int, start: Int, fiducial: Int, end: Int)], protected: [(Int, Int)]) -> [UInt8]
    {
        ScpWriter.little(24, 2) + ScpWriter.little(6, 2) + ScpWriter.little(places.count, 2)
            + places.flatMap {
                ScpWriter.little($0.type, 2) + ScpWriter.little($0.start, 4) + ScpWriter.little($0.fiducial, 4)
                    + ScpWriter.little($0.end, 4)
            } + protected.flatMap { ScpWriter.little($0.0, 4) + ScpWriter.little($0.1, 4) }
    }

    private func record(
        _ leads: [[Int]], count: Int, flags: UInt8, beats: [UInt8], bimodal: UInt8 = 0, microseconds: Int = 2000
    ) -> [UInt8] {
        var six = ScpWriter.signals(
            leads.map { ScpWriter.huffman(ScpWriter.differences($0, 1)) }, differences: 1, bimodal: bimodal)
        six.replaceSubrange(2..<4, with: ScpWriter.little(microseconds, 2))
        var writer = ScpWriter()
        writer.sections = [
            (1, ScpWriter.patient([])), (2, ScpWriter.little(19999, 2)),
            (3, ScpWriter.leads([1, 2], samples: count, flags: flags)), (4, beats),
            (5, ScpWriter.signals(beat.map { ScpWriter.huffman(ScpWriter.differences($0, 2)) }, differences: 2)),
            (6, six),
        ]
        return writer.encoded()
    }

    @Test func aSubtractedBeatComesBack() throws {
        let whole = rhythm(200)
        // Beats at 1, 41, ...; the third is of another type and was left alone.
        let places = (0..<5).map { number in
            (type: number == 2 ? 1 : 0, start: 40 * number + 1, fiducial: 40 * number + 6, end: 40 * number + 12)
        }
        var residual = whole
        for place in places where place.type == 0 {
            for lead in 0..<2 { for index in 0..<12 { residual[lead][place.start - 1 + index] -= beat[lead][index] } }
        }
        let file = try SCPFile(
            decoding: record(residual, count: 200, flags: 5, beats: beats(places, protected: [])))
        #expect(file.groups[0].waveform.samples == whole.map { $0.map { Sample($0) } })
        #expect(file.groups[0].waveform.channels.allSatisfy { $0.calibration == .unverified })
        #expect(file.notes.contains { $0.text.contains("added to 4 beats") })
        // The subtraction may begin late and end early, at the edges of the record too.
        let edge = [(type: 0, start: 1, fiducial: 2, end: 5), (type: 0, start: 198, fiducial: 199, end: 230)]
        var cut = whole
        for lead in 0..<2 {
            for index in 0..<5 { cut[lead][index] -= beat[lead][index + 4] }
            for index in 197..<200 { cut[lead][index] -= beat[lead][index - 198 + 5] }
        }
        let other = try SCPFile(decoding: record(cut, count: 200, flags: 5, beats: beats(edge, protected: [])))
        #expect(other.groups[0].waveform.samples == whole.map { $0.map { Sample($0) } })
    }

    @Test func whatWasThinnedOutIsFilledUp() throws {
        // A ramp outside the protected stretch, so that a straight line is the truth.
        let whole = (0..<2).map { lead in
            (0..<64).map { index in (16..<28).contains(index) ? beat[lead][index - 16] * 2 : index * 8 }
        }
        var stored: [[Int]] = [[], []]
        for lead in 0..<2 {
            var index = 0
            while index < 64 {
                if (16..<28).contains(index) {
                    stored[lead].append(whole[lead][index])
                    index += 1
                } else {
                    stored[lead].append(whole[lead][index..<index + 4].reduce(0, +) / 4)
                    index += 4
                }
            }
        }
        let file = try SCPFile(
            decoding: record(
                stored, count: 64, flags: 4,
                beats: beats([(type: 1, start: 0, fiducial: 22, end: 0)], protected: [(17, 28)]), bimodal: 1,
                microseconds: rate4))
        let wave = file.groups[0].waveform
        #expect(wave.channels[0].rate == Ratio(500) && wave.samples.map(\.count) == [64, 64])
        for lead in 0..<2 {
            #expect(wave.samples[lead][16..<28].map { Int($0) } == Array(whole[lead][16..<28]))
            // Inside a stretch the line is exact; at its ends the last block is held.
            for index in 2..<13 { #expect(abs(Int(wave.samples[lead][index]) - whole[lead][index]) <= 1) }
            for index in 30..<62 { #expect(abs(Int(wave.samples[lead][index]) - whole[lead][index]) <= 1) }
        }
        #expect(file.notes.contains { $0.text.contains("one sample in 4") })
    }

    @Test func whatWasThinnedOutByAnUnknownRateIsRefused() {
        let places = [(type: 1, start: 0, fiducial: 22, end: 0)]
        let bytes = record(
            rhythm(40), count: 64, flags: 4, beats: beats(places, protected: [(17, 28)]), bimodal: 1,
            microseconds: 2000)
        let error = #expect(throws: DecodeError.self) { try SCPFile(decoding: bytes) }
        #expect(error?.description.contains("thinned out") == true)
    }

    @Test func ratesThatDoNotFitAreRefused() {
        let places = [(type: 0, start: 1, fiducial: 6, end: 12)]
        for microseconds in [3000, 1000, 20_000] {
            let bytes = record(
                rhythm(40), count: 40, flags: 5, beats: beats(places, protected: []), microseconds: microseconds)
            #expect(throws: DecodeError.self) { try SCPFile(decoding: bytes) }
        }
    }

    @Test func tablesLeadToOneAnother() throws {
        func code(_ prefix: Int, _ total: Int, _ mode: Int, _ value: Int, _ base: Int) -> [UInt8] {
            [UInt8(prefix), UInt8(total), UInt8(mode)] + ScpWriter.little(value, 2) + ScpWriter.little(base, 4)
        }
        // First: 0 -> 0, 10 -> second, 11 -> default. Second: 0 -> 7, 1 and three bits -> 100 + literal, then stays.
        let tables =
            ScpWriter.little(2, 2) + ScpWriter.little(3, 2) + code(1, 1, 1, 0, 0) + code(2, 2, 0, 2, 1)
            + code(2, 2, 0, 19999, 3) + ScpWriter.little(2, 2) + code(1, 1, 1, 7, 0) + code(1, 4, 1, 100, 1)
        func file(_ bits: [String], samples: Int) throws -> SCPFile {
            var writer = ScpWriter()
            writer.sections = [
                (1, ScpWriter.patient([])), (2, tables), (3, ScpWriter.leads([8], samples: samples)),
                (6, ScpWriter.signals([ScpWriter.packed(bits)], differences: 0)),
            ]
            return try SCPFile(decoding: writer.encoded())
        }
        let switched = try file(["0", "10", "0", "1101", "1011", "0"], samples: 5)
        #expect(switched.groups[0].waveform.samples == [[0, 7, 97, 103, 7]])
        #expect(switched.notes.contains { $0.text.contains("lead to one another") })
        let standard = try file(["11", "1100", "101", "0"], samples: 3)
        #expect(standard.groups[0].waveform.samples == [[2, -1, 0]])
    }

    @Test func aRecordThatIsCutGivesTheLeadsThatAreThere() throws {
        let values = (0..<3).map { lead in (0..<50).map { $0 * (lead + 1) } }
        var writer = ScpWriter()
        writer.sections = [
            (1, ScpWriter.patient([])), (2, ScpWriter.little(19999, 2)), (3, ScpWriter.leads([1, 2, 61], samples: 50)),
            (6, ScpWriter.signals(values.map { ScpWriter.huffman($0) }, differences: 0)),
        ]
        let bytes = writer.encoded()
        let lead = ScpWriter.huffman(values[2]).count
        let file = try SCPFile(decoding: bytes.dropLast(lead + 30))
        let samples = file.groups[0].waveform.samples
        #expect(samples[0] == values[0].map { Sample($0) })
        let held = samples[1].prefix { $0 != .absent }
        #expect(held.count > 5 && held.count < 50 && Array(held) == values[1].prefix(held.count).map { Sample($0) })
        #expect(samples.allSatisfy { $0.count == 50 } && samples[2].allSatisfy { $0 == .absent })
        #expect(file.notes.contains { $0.text == "section 6 is cut short" })
        // Without the lead section there is nothing to show.
        #expect(throws: DecodeError.self) { try SCPFile(decoding: Array(bytes.prefix(220))) }
        for length in 0..<bytes.count { _ = try? SCPFile(decoding: Array(bytes.prefix(length))) }
    }
}
