import Clinical
import Formats
import Testing

@Suite struct FileDecoderTests {
    @Test func recognisesByContent() throws {
        let wave = contecCase(samples: 20).waveform12
        #expect(try FileDecoder.decode(contecCase(samples: 20).encoded()).format == "contec-ecg")
        #expect(try FileDecoder.decode(EDFWriter.write(wave, header: edfHeader())).format == "edf+c")
        #expect(try FileDecoder.decode(DicomECGWriter.write(wave, header: dicomHeader())).format == "dicom-12-lead-ecg")
    }

    @Test func simulatedFilesSayWhatTheyAreAndNameNobody() throws {
        var file = contecCase(samples: 3)
        file.nameBytes = Array("SIM00042".utf8)
        let decoded = try FileDecoder.decode(file.encoded())
        #expect(decoded.isSimulated && decoded.claim?.name == nil)
        let wave = file.waveform12
        #expect(try FileDecoder.decode(EDFWriter.write(wave, header: edfHeader(simulated: true))).isSimulated)
        #expect(try FileDecoder.decode(DicomECGWriter.write(wave, header: dicomHeader(simulated: true))).isSimulated)
    }

    @Test func refusesWhatItDoesNotKnow() {
        #expect(throws: DecodeError.notRecognised("the file is empty")) { try FileDecoder.decode([]) }
        #expect(throws: DecodeError.self) { try FileDecoder.decode(Array("%PDF-1.7 and so on".utf8)) }
        #expect(throws: DecodeError.self) { try FileDecoder.decode(Array(repeating: 0, count: 5000)) }
    }

    /// A vendor night as devices.md 3.11 describes it.
    private func night(date: [Int], pairs: [(UInt8, UInt8)], announced: Int? = nil) -> [UInt8] {
        func little(_ value: Int) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }
        return little(856) + Array(repeating: 0, count: 852) + little(1) + Array(repeating: 0, count: 196)
            + date.flatMap(little) + little(announced ?? pairs.count) + pairs.flatMap { [$0.0, $0.1] }
    }

    @Test func readsTheVendorNight() throws {
        let bytes = night(date: [2026, 11, 22, 9, 5, 7], pairs: [(97, 61), (0x7F, 0xFF), (0xFF, 127)])
        let file = try FileDecoder.decode(bytes)
        #expect(file.format == "contec-spo2" && file.start == morning)
        #expect(file.waveform.samples == [[97, .absent, .absent], [61, .absent, 127]])
        #expect(try FileDecoder.decode(night(date: [0, 0, 0, 0, 0, 0], pairs: [(97, 61)])).start == nil)
        let short = night(date: [2026, 11, 22, 9, 5, 7], pairs: [(97, 61)], announced: 0xFFFF_FFFF)
        let partial = try FileDecoder.decode(short)
        #expect(partial.waveform.samples == [[97], [61]])
        #expect(partial.notes.map(\.text) == ["4294967295 samples announced, 1 in the file"])
        torture(bytes, keeping: 1084, rounds: 100, seed: 9) { _ = try? ContecSpO2(decoding: $0) }
    }

    @Test func bytesAfterTheSamplesMakeNoOtherWidth() throws {
        // Four samples, four bytes more: three a sample, if that were believed.
        let pairs: [(UInt8, UInt8)] = [(97, 61), (96, 62), (0, 0), (95, 64)]
        let file = try FileDecoder.decode(night(date: [2026, 11, 22, 9, 5, 7], pairs: pairs) + [1, 2, 3, 4])
        #expect(file.waveform.samples == [[97, 96, .absent, 95], [61, 62, .absent, 64]])
        #expect(file.notes.map(\.text) == ["4 bytes after the last sample were not read"])
    }

    @Test func readsTheVariantsOfTheVendorNight() throws {
        // CMS50I: a word of unknown meaning before each pair.
        var wide = night(date: [2026, 11, 22, 9, 5, 7], pairs: [(97, 61), (0x7F, 0xFF)])
        wide.replaceSubrange(1084..., with: [0x12, 0x34, 97, 61, 0, 0, 0x7F, 0xFF])
        let four = try FileDecoder.decode(wide)
        #expect(four.waveform.samples == [[97, .absent], [61, .absent]])
        #expect(four.waveform.channels.allSatisfy { $0.calibration == .unverified })
        // .spo: text in UTF-16, pulse first.
        let date: [UInt8] = "11/22/26 09:05:07".utf8.flatMap { [$0, 0] as [UInt8] }
        var text: [UInt8] = [50, 0, 0, 0, 0, 0, 0, 0] + date
        text += [0, 0, 0, 0, 0, 0, 0, 0, 61, 97, 0xFF, 0x7F]
        let spo = try FileDecoder.decode(text)
        #expect(spo.start == morning && spo.waveform.samples == [[97, .absent], [61, .absent]])
        #expect(spo.notes.contains { $0.text.contains("unverified") })
        #expect(throws: DecodeError.self) { try FileDecoder.decode(text.dropLast(4)) }
        torture(text, keeping: 44, rounds: 100, seed: 10) { _ = try? ContecSpO2(decoding: $0) }
    }

    @Test(.enabled(if: Shared.has("data/ecg/dicom/waveform_ecg.dcm"), "needs ../shared/data/ecg/dicom"))
    func aGroupForEachMultiplexGroup() throws {
        let file = try FileDecoder.decode(Shared.bytes("data/ecg/dicom/waveform_ecg.dcm"))
        #expect(file.format == "dicom-12-lead-ecg" && file.groups.count == 2)
        #expect(file.groups.map { $0.waveform.samples[0].count } == [10000, 1200])
        #expect(file.groups[0].waveform.channels.map(\.signal).prefix(3) == [.ecgI, .ecgII, .ecgIII])
        #expect(file.start == LocalTime(year: 2013, month: 1, day: 25, hour: 10, minute: 59, second: 19))
        #expect(file.waveform.channels.count == 24)
    }
}
