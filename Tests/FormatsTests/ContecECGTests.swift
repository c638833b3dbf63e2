import Clinical
import Formats
import Testing

@Suite struct ContecECGTests {
    @Test(.enabled(if: Shared.has("data/ecg/contec/0000037.ECG"), "needs ../shared/data/ecg/contec"))
    func readsTheRealFile() throws {
        let bytes = try Shared.bytes("data/ecg/contec/0000037.ECG")
        let file = try ContecECG(decoding: bytes)
        #expect(file.caseNumber == "0000037" && file.count == 8375)
        #expect(file.start == LocalTime(year: 2020, month: 11, day: 15, hour: 12, minute: 59, second: 50))
        #expect(file.claim == IdentityClaim(name: "Testeur", nameLimit: 8, sex: .male, age: 54))
        #expect(file.notes.isEmpty && file.simulatedSerial == nil)
        let wave = file.waveform12
        #expect(
            wave.channels.map(\.name) == ["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"])
        let first = wave.summaries.map(\.first)
        #expect(first == [-105, -90, 15, 97.5, -60, -37.5, nil, nil, nil, nil, nil, nil])
        #expect(wave.summaries[6...].allSatisfy { $0.absent == 8375 && $0.samples == 8375 && $0.rate == 800 })
        // Nothing is lost on the way: the same bytes come out again.
        #expect(try file.encoded() == bytes)
    }

    @Test func derivesLimbLeadsExactlyAtTheExtremes() throws {
        let extremes: [Sample] = [-2048, -2047, -1, 0, 1, 2046, 2047]
        let pairs = extremes.flatMap { second in extremes.map { (second, $0) } }
        var leads = Array(repeating: Array(repeating: Sample(0), count: pairs.count), count: 8)
        leads[0] = pairs.map(\.0)
        leads[1] = pairs.map(\.1)
        var file = contecCase(samples: 1)
        file.leads = leads
        let wave = try ContecECG(decoding: file.encoded()).waveform12
        for (index, pair) in pairs.enumerated() {
            let (second, third) = (5 * Double(pair.0), 5 * Double(pair.1))
            let values = (0..<6).map { wave.channels[$0].physical(wave.samples[$0][index]) }
            #expect(
                values == [
                    second - third, second, third, third / 2 - second, second / 2 - third, (second + third) / 2,
                ])
            #expect((0..<6).allSatisfy { wave.channels[$0].range.contains(wave.samples[$0][index]) })
        }
    }

    @Test func aDerivedLeadIsAbsentWhereASourceIs() {
        var file = contecCase(samples: 3)
        file.leads[0] = [1, .absent, 3]
        file.leads[1] = [.absent, 2, 5]
        let wave = file.waveform12
        for index in [0, 3, 4, 5] { #expect(wave.samples[index].map { $0 == .absent } == [true, true, false]) }
        #expect(
            wave.channels.map(\.derivation) == ["II - III", nil, nil, "III/2 - II", "II/2 - III", "(II + III)/2"]
                + Array(repeating: nil, count: 6))
    }

    @Test func roundTrips() throws {
        var file = contecCase(samples: 500)
        file.nameBytes = [0x4C, 0xE9, 0x61, 0, 0, 0, 0, 0]
        file.footer[27] = 0x16
        file.sexCode = 7
        let bytes = try file.encoded()
        let again = try ContecECG(decoding: bytes)
        file.nameBytes = Array("  Lea B ".utf8)
        #expect(file.name == "Lea B")
        #expect(again.name == "Léa" && again.leads == file.leads && again.footer == file.footer)
        #expect(again.notes.count == 3)
        #expect(try again.encoded() == bytes)
    }

    @Test func impossibleValuesAreAbsentAndCounted() throws {
        var bytes = try contecCase(samples: 4).encoded()
        for (offset, code) in [(0, 0x1000), (2, 0xFFFF), (4, 0x6800), (6, 0x0FFF)] {
            bytes[43 + offset] = UInt8(code & 0xFF)
            bytes[44 + offset] = UInt8(code >> 8)
        }
        let file = try ContecECG(decoding: bytes)
        #expect((0..<4).map { file.leads[$0][0] } == [.absent, .absent, .absent, 2047])
        #expect(file.notes.map(\.text).filter { $0.hasPrefix("2 sample values") }.count == 1)
    }

    @Test func saysWhatIsWrong() throws {
        let bytes = try contecCase(samples: 4).encoded()
        // No byte that may belong to the footer becomes a sample.
        let whole = contecCase(samples: 4).leads
        for (changed, held) in [(bytes + [0], 4), (Array(bytes.dropLast(3)), 3), (Array(bytes.dropLast(36)), 1)] {
            let file = try ContecECG(decoding: changed)
            #expect(file.leads == whole.map { Array($0.prefix(held)) } && file.footer.isEmpty)
            #expect(file.notes.contains { $0.kind == .gap && $0.text.contains("\(held) samples of each lead") })
        }
        // Cut where a block of the disk ends: between two samples.
        let cut = try ContecECG(decoding: Array(contecCase(samples: 40).encoded().dropLast(160)))
        #expect(cut.leads[0].count == 30 && cut.notes.contains { $0.kind == .gap && $0.text.contains("no footer") })
        #expect(throws: DecodeError.self) { try ContecECG(decoding: Array(bytes.prefix(95))) }
        var empty = contecCase(samples: 0)
        empty.leads = Array(repeating: [], count: 8)
        let none = #expect(throws: DecodeError.self) { try ContecECG(decoding: try empty.encoded()) }
        #expect(none?.description.contains("no samples") == true)
        var other = bytes
        other[10] = 0x2F
        #expect(throws: DecodeError.notRecognised("no Contec ECG90A header (case number and date) at the start")) {
            try ContecECG(decoding: other)
        }
    }

    @Test func aDateThatDoesNotExistLeavesTheStartOpen() throws {
        var file = contecCase(samples: 2)
        file.startText = "2026-02-30 10:00:00"
        let again = try ContecECG(decoding: file.encoded())
        #expect(again.start == nil && again.notes.count == 1 && again.startText == file.startText)
    }

    @Test func simulatedOnlyWithADigitBehindTheMark() {
        var file = contecCase(samples: 1)
        file.nameBytes = Array("SIM00042".utf8)
        #expect(file.simulatedSerial == "SIM00042" && file.anonymousClaim.name == nil)
        for name in ["SIMON\0\0\0", "SIMEONI\0", "SIM\0\0\0\0\0", "sim00042"] {
            file.nameBytes = Array(name.utf8)
            #expect(file.simulatedSerial == nil)
        }
    }

    @Test func survivesAnything() throws {
        torture(try contecCase(samples: 12).encoded(), keeping: 43, rounds: 400, seed: 37) {
            _ = try? ContecECG(decoding: $0).waveform12
        }
    }

    @Test func refusesToWriteWhatTheFormatCannotHold() {
        var file = contecCase(samples: 1)
        file.leads[3][0] = 2048
        #expect(throws: EncodeError.self) { try file.encoded() }
        file = contecCase(samples: 1)
        file.leads.removeLast()
        #expect(throws: EncodeError.self) { try file.encoded() }
        file = contecCase(samples: 1)
        file.startText = "now"
        #expect(throws: EncodeError.self) { try file.encoded() }
    }
}
