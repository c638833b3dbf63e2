import Clinical
import Foundation
import Testing

@testable import Formats

@Suite struct DicomTests {
    @Test func twelveLeadsRoundTrip() throws {
        let wave = contecCase(samples: 900).waveform12
        let notes = [Note(kind: .gap, at: 0.5, text: "a gap"), Note(kind: .device, text: "é")]
        let bytes = try DicomECGWriter.write(wave, header: dicomHeader(), notes: notes)
        #expect(try DicomECGWriter.write(wave, header: dicomHeader(), notes: notes) == bytes)
        let file = try DicomWaveformFile(decoding: bytes)
        #expect(file.sopClass == .twelveLead && file.groups.count == 1 && file.groups[0].label == "RHYTHM")
        let read = file.groups[0].waveform
        #expect(read.channels.map(\.signal) == wave.channels.map(\.signal))
        #expect(read.channels.allSatisfy { $0.scale == Ratio(5, 2) && $0.rate == Ratio(800) && $0.unit == "uV" })
        for (index, samples) in wave.samples.enumerated() {
            let factor: Sample = wave.channels[index].derivation == nil ? 2 : 1
            #expect(read.samples[index] == samples.map { $0 == .absent ? .absent : $0 * factor })
        }
        #expect(file.start == morning && !file.isSimulated && file.notes.isEmpty)
        #expect(file.annotations == ["gap: a gap", "device: é"])
        #expect(
            file.claim
                == IdentityClaim(
                    name: "Éloïse-Duçœur Anne Zoé", sex: .female, birthDate: "1938-04-12", patientID: "pat-0001",
                    issuer: "TEST"))
    }

    @Test func simulatedAndInterruptedAndUndatedAreVisible() throws {
        let wave = contecCase(samples: 10).waveform12
        let bytes = try DicomECGWriter.write(
            wave, header: dicomHeader(start: nil, simulated: true, interrupted: true))
        let file = try DicomWaveformFile(decoding: bytes)
        #expect(file.isSimulated && file.start == nil && file.startText == "20261123140059")
        #expect(
            file.annotations == [
                "SIMULATED DATA", "recording interrupted",
                "start time unknown: dates are those of the capture or import",
            ])
    }

    @Test(arguments: [
        (800, 16384, "dicom-12-lead-ecg"), (800, 16385, "dicom-general-ecg"), (200, 100, "dicom-12-lead-ecg"),
        (199, 100, "dicom-ambulatory-ecg"), (1000, 100, "dicom-12-lead-ecg"),
    ])
    func picksTheObjectThatFits(rate: Int, samples: Int, format: String) throws {
        var wave = contecCase(samples: samples).waveform12
        for index in wave.channels.indices { wave.channels[index].rate = Ratio(rate) }
        let file = try FileDecoder.decode(DicomECGWriter.write(wave, header: dicomHeader()))
        #expect(file.format == format && file.waveform.samples.allSatisfy { $0.count == samples })
    }

    private func channel(_ signal: Channel.Signal, scale: Ratio = Ratio(1), rate: Int = 500) -> Channel {
        Channel(
            signal: signal, name: "x", unit: "uV", rate: Ratio(rate), scale: scale, range: -32767...32767,
            calibration: .verified)
    }

    @Test func valuesThatOverflowTheCommonStepGetTheirOwnGroup() throws {
        let wave = Waveform(
            channels: [
                channel(.ecgI, scale: Ratio(5)), channel(.ecgII, scale: Ratio(5, 2)), channel(.ecgIII, scale: Ratio(5)),
            ],
            samples: [[32767, -32767], [32767, .absent], [1, 2]])
        let file = try DicomWaveformFile(decoding: DicomECGWriter.write(wave, header: dicomHeader()))
        #expect(file.groups.map { $0.waveform.channels.map(\.signal) } == [[.ecgI, .ecgIII], [.ecgII]])
        #expect(file.groups.map { $0.waveform.channels[0].scale } == [Ratio(5), Ratio(5, 2)])
        #expect(file.groups[0].waveform.samples == [[32767, -32767], [1, 2]])
        #expect(file.groups[1].waveform.samples == [[32767, .absent]])
    }

    @Test func refusesWhatWouldNeedRoundingOrClipping() {
        func attempt(_ channels: [Channel], _ samples: [[Sample]]) throws -> [UInt8] {
            try DicomECGWriter.write(Waveform(channels: channels, samples: samples), header: dicomHeader())
        }
        #expect(throws: EncodeError.empty) { try attempt([channel(.ecgI)], [[]]) }
        #expect(throws: EncodeError.self) { try attempt([channel(.ecgI, scale: Ratio(1, 3))], [[1]]) }
        #expect(throws: EncodeError.self) { try attempt([channel(.spo2)], [[1]]) }
        #expect(throws: EncodeError.self) { try attempt([channel(.ecgI, rate: 49)], [[1]]) }
    }

    @Test func identifiersAreNeverCutOrEmpty() {
        let wave = contecCase(samples: 1).waveform12
        for id in ["", " ", String(repeating: "1", count: 65), "a\\b", "a "] {
            var header = dicomHeader()
            header.subject.id = id
            #expect(throws: EncodeError.self) { try DicomECGWriter.write(wave, header: header) }
        }
        for uid in ["", "1", "1.", "1.02", "1.a", "2.25.\(String(repeating: "1", count: 60))"] {
            var header = dicomHeader()
            header.sopInstance = uid
            #expect(throws: EncodeError.self) { try DicomECGWriter.write(wave, header: header) }
        }
    }

    @Test func uidsFromUUIDs() throws {
        let uuid = try #require(UUID(uuidString: "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"))
        // The example of PS3.5 annex B.2.
        #expect(DicomUID.make(uuid) == "2.25.329800735698586629295641978511506172918")
        #expect(DicomUID.isValid(DicomUID.make(uuid)))
    }

    @Test func survivesAnything() throws {
        let bytes = try DicomECGWriter.write(
            contecCase(samples: 6).waveform12, header: dicomHeader(simulated: true),
            notes: [Note(kind: .gap, at: 0, text: "x")])
        torture(bytes, keeping: 600, rounds: 500, seed: 12) { _ = try? DicomWaveformFile(decoding: $0) }
    }
}

/// Data sets made by hand: the variants that our own writer never writes.
@Suite struct DicomReaderTests {
    private struct Element {
        var tag: UInt32
        var representation: String
        var value: [UInt8]
        var undefined = false
    }

    private func little(_ value: UInt32, _ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * UInt32($0))) }
    }

    private func encode(_ elements: [Element], implicit: Bool) -> [UInt8] {
        elements.flatMap { element -> [UInt8] in
            let tag = little(element.tag >> 16, 2) + little(element.tag & 0xFFFF, 2)
            let length = element.undefined ? 0xFFFF_FFFF : UInt32(element.value.count)
            let end: [UInt8] = element.undefined ? [0xFE, 0xFF, 0xDD, 0xE0, 0, 0, 0, 0] : []
            if implicit { return tag + little(length, 4) + element.value + end }
            let long = ["SQ", "OW", "OB", "UN"].contains(element.representation)
            return tag + Array(element.representation.utf8) + (long ? [0, 0] : []) + little(length, long ? 4 : 2)
                + element.value + end
        }
    }

    private func text(_ tag: UInt32, _ representation: String, _ text: String) -> Element {
        Element(
            tag: tag, representation: representation, value: Array((text.utf8.count % 2 == 0 ? text : text + " ").utf8))
    }

    private func sequence(_ tag: UInt32, _ items: [[Element]], implicit: Bool, undefined: Bool) -> Element {
        let bytes = items.flatMap { item -> [UInt8] in
            let content = encode(item, implicit: implicit)
            let length = undefined ? 0xFFFF_FFFF : UInt32(content.count)
            return [0xFE, 0xFF, 0x00, 0xE0] + little(length, 4) + content
                + (undefined ? [0xFE, 0xFF, 0x0D, 0xE0, 0, 0, 0, 0] : [])
        }
        return Element(tag: tag, representation: "SQ", value: bytes, undefined: undefined)
    }

    private func part10(_ elements: [Element], implicit: Bool, syntax: String? = nil) -> [UInt8] {
        let name = syntax ?? (implicit ? "1.2.840.10008.1.2" : "1.2.840.10008.1.2.1")
        return Array(repeating: 0, count: 128) + Array("DICM".utf8)
            + encode(
                [
                    Element(
                        tag: 0x0002_0010, representation: "UI",
                        value: Array(name.utf8) + (name.utf8.count % 2 == 0 ? [] : [0]))
                ], implicit: false)
            + encode(elements, implicit: implicit)
    }

    /// One channel, of two samples unless said otherwise.
    private func object(
        kind: String, bits: UInt32, data: [UInt8], sensitivity: String = "1", factor: String = "1",
        baseline: String = "0",
        padding: [UInt8]? = nil, scheme: (String, String) = ("MDC", "2:1"), implicit: Bool = false,
        undefined: Bool = false,
        privateDepth: Int = 0, samples: UInt32 = 2
    ) -> [UInt8] {
        func code(_ tag: UInt32, _ value: String, _ scheme: String) -> Element {
            sequence(
                tag, [[text(0x0008_0100, "SH", value), text(0x0008_0102, "SH", scheme)]], implicit: implicit,
                undefined: undefined)
        }
        let channel = [
            code(0x003A_0208, scheme.1, scheme.0), text(0x003A_0210, "DS", sensitivity),
            code(0x003A_0211, "uV", "UCUM"),
            text(0x003A_0212, "DS", factor), text(0x003A_0213, "DS", baseline),
        ]
        var group = [
            Element(tag: 0x003A_0005, representation: "US", value: [1, 0]),
            Element(tag: 0x003A_0010, representation: "UL", value: little(samples, 4)),
            text(0x003A_001A, "DS", "500"), sequence(0x003A_0200, [channel], implicit: implicit, undefined: undefined),
            Element(tag: 0x5400_1004, representation: "US", value: little(bits, 2)), text(0x5400_1006, "CS", kind),
        ]
        if let padding { group.append(Element(tag: 0x5400_100A, representation: "OW", value: padding)) }
        group.append(Element(tag: 0x5400_1010, representation: "OW", value: data))
        var nested = [Element(tag: 0x0009_1001, representation: "LO", value: Array("private!".utf8))]
        for _ in 0..<privateDepth { nested = [sequence(0x0009_1010, [nested], implicit: implicit, undefined: true)] }
        return part10(
            [text(0x0008_002A, "DT", "20260304093015.250000+0100")] + nested
                + [sequence(0x5400_0100, [group], implicit: implicit, undefined: undefined)], implicit: implicit)
    }

    @Test(
        arguments: [
            ("SB", 8, [0xFF, 0x7F], [-1, 127]), ("UB", 8, [0xFF, 0x01], [255, 1]),
            ("SS", 16, [0xFE, 0xFF, 0x00, 0x80], [-2, -32768]),
            ("US", 16, [0xFE, 0xFF, 0x00, 0x80], [65534, 32768]),
            ("SL", 32, [0xFE, 0xFF, 0xFF, 0xFF, 0, 0, 1, 0], [-2, 65536]),
            ("UL", 32, [0xFE, 0xFF, 0xFF, 0x7F, 0, 0, 1, 0], [2_147_483_646, 65536]),
        ] as [(String, UInt32, [UInt8], [Sample])])
    func readsEveryKindOfSample(kind: String, bits: UInt32, data: [UInt8], expected: [Sample]) throws {
        for (implicit, undefined) in [(false, false), (false, true), (true, false), (true, true)] {
            let file = try DicomWaveformFile(
                decoding: object(kind: kind, bits: bits, data: data, implicit: implicit, undefined: undefined))
            #expect(file.groups[0].waveform.samples == [expected])
            #expect(file.groups[0].waveform.channels[0].signal == .ecgI)
            #expect(file.start == LocalTime(year: 2026, month: 3, day: 4, hour: 9, minute: 30, second: 15))
        }
    }

    @Test func scaleFactorBaselineAndPaddingAreExact() throws {
        let data: [UInt8] = [10, 0, 0x00, 0x80]
        let file = try DicomWaveformFile(
            decoding: object(
                kind: "SS", bits: 16, data: data, sensitivity: "4.8828125", factor: "2", baseline: "-12.20703125",
                padding: [0x00, 0x80], scheme: ("SCPECG", "5.6.3-9-62")))
        let wave = file.groups[0].waveform
        #expect(wave.channels[0].signal == .ecgAVR && wave.channels[0].unit == "uV")
        #expect(wave.samples[0][1] == .absent)
        #expect(wave.channels[0].physical(wave.samples[0][0]) == 10 * 9.765625 - 12.20703125)
        #expect(file.notes.isEmpty)
    }

    @Test func paddingAtTheEndOf32BitsLeavesTheBaselineItsRoom() throws {
        let data: [UInt8] = [100, 0, 0, 0, 0, 0, 0, 0x80]
        let file = try DicomWaveformFile(
            decoding: object(
                kind: "SL", bits: 32, data: data, sensitivity: "2.44", baseline: "-2.5", padding: [0, 0, 0, 0x80]))
        let wave = file.groups[0].waveform
        #expect(wave.samples[0][1] == .absent)
        #expect(wave.channels[0].physical(wave.samples[0][0]) == 241.5)
        #expect(file.notes.isEmpty)
    }

    @Test func aBaselineWithoutRoomCostsTheLowestBitAndSaysSo() throws {
        let data: [UInt8] = [0xFF, 0xFF, 0xFF, 0x7F, 7, 0, 0, 0]
        let file = try DicomWaveformFile(decoding: object(kind: "SL", bits: 32, data: data, baseline: "3"))
        let wave = file.groups[0].waveform
        #expect(wave.samples[0] == [1 << 30 | 1, 5] && wave.channels[0].scale == Ratio(2))
        #expect(wave.channels[0].range.upperBound == 1 << 30 | 1)
        #expect(file.notes.map(\.text) == ["group 1: channel 1: the baseline is rounded to 2 steps"])
    }

    @Test("a signal that is stored upside down is turned round: no scale is negative")
    func negativeSensitivity() throws {
        let file = try DicomWaveformFile(
            decoding: object(kind: "SS", bits: 16, data: [10, 0, 0x00, 0x80], sensitivity: "-2.5", baseline: "5"))
        let channel = file.groups[0].waveform.channels[0]
        #expect(channel.scale == Ratio(5, 2) && channel.range == -32765...32770)
        #expect(file.groups[0].waveform.samples[0].map { channel.physical($0) } == [-20, 81925])
    }

    @Test("a patient's number: the INS where there is one, with who gave it out")
    func issuers() throws {
        func claim(_ elements: [Element], _ implicit: Bool) throws -> IdentityClaim {
            let bytes = part10(elements, implicit: implicit)
            // The header's reader, which every file of a medium meets, says the same.
            let header = try DicomHeader(bytes).claim
            #expect(try DicomWaveformFile.claim(DicomPart10.dataset(bytes)) == header)
            return header
        }
        for (implicit, undefined) in [(false, false), (false, true), (true, false), (true, true)] {
            func qualifiers(_ oid: String, _ kind: String = "ISO") -> Element {
                sequence(
                    0x0010_0024, [[text(0x0040_0032, "LO", oid), text(0x0040_0033, "CS", kind)]], implicit: implicit,
                    undefined: undefined)
            }
            let ins = "1.2.250.1.213.1.4.8"
            let sop = text(0x0008_0016, "UI", "1.2.840.10008.5.1.4.1.1.3.1")
            let local = [sop, text(0x0010_0020, "LO", "LOCAL-7"), text(0x0010_0021, "LO", "CH NANCY")]
            #expect(try claim(local, implicit).issuer == "CH NANCY")
            #expect(try claim(local + [qualifiers("1.2.3.4")], implicit).issuer == "1.2.3.4")
            #expect(try claim(local + [qualifiers("http://x", "URI")], implicit).issuer == "CH NANCY")
            let other = sequence(
                0x0010_1002,
                [
                    [text(0x0010_0020, "LO", "77"), qualifiers("1.2.3")],
                    [text(0x0010_0020, "LO", "281046902401234"), text(0x0010_0022, "CS", "TEXT"), qualifiers(ins)],
                ], implicit: implicit, undefined: undefined)
            let both = try claim(local + [other], implicit)
            #expect(both.patientID == "281046902401234" && both.issuer == ins)
            #expect(try claim([sop], implicit).patientID == "" && claim([sop], implicit).issuer == nil)
        }
    }

    @Test("texts in any declared character set, in items too")
    func characterSets() throws {
        let name: [UInt8] = [0xC9, 0x6D, 0x69, 0x6C, 0x65]
        let item = [Element(tag: 0x0070_0006, representation: "ST", value: name + [0x20])]
        let bytes = part10(
            [
                text(0x0008_0005, "CS", "ISO_IR 100"),
                Element(tag: 0x0010_0010, representation: "PN", value: name + [0x20]),
                sequence(0x0040_B020, [item], implicit: false, undefined: false),
            ], implicit: false)
        let dataset = try DicomPart10.dataset(bytes)
        #expect(dataset.text(0x0010_0010) == "Émile")
        #expect(dataset.items(0x0040_B020).first?.text(0x0070_0006) == "Émile")
    }

    @Test("a cut file gives its complete samples, and says that it is cut")
    func cutShort() throws {
        for (implicit, undefined) in [(false, false), (false, true), (true, false), (true, true)] {
            let whole = object(
                kind: "SS", bits: 16, data: [1, 0, 2, 0], implicit: implicit, undefined: undefined, privateDepth: 1)
            let end = undefined ? 16 : 0
            let file = try DicomWaveformFile(decoding: whole.dropLast(end + 1))
            #expect(file.groups[0].waveform.samples == [[1]])
            #expect(file.notes.contains { $0.kind == .gap && $0.text.contains("cut short") })
            // Without a sample it is nothing.
            for missing in 4...40 {
                #expect(throws: DecodeError.self) { try DicomWaveformFile(decoding: whole.dropLast(end + missing)) }
            }
        }
    }

    @Test func privateSequencesAreSteppedOverButNotForEver() throws {
        for implicit in [false, true] {
            let shallow = object(kind: "SS", bits: 16, data: [1, 0, 2, 0], implicit: implicit, privateDepth: 10)
            #expect(try DicomWaveformFile(decoding: shallow).groups[0].waveform.samples == [[1, 2]])
            let deep = object(kind: "SS", bits: 16, data: [1, 0, 2, 0], implicit: implicit, privateDepth: 2000)
            let error = #expect(throws: DecodeError.self) { try DicomWaveformFile(decoding: deep) }
            #expect(error?.description.contains("nested deeper") == true)
        }
    }

    /// G.711's tables by their segments' ends; test_offline_tools.py holds all codes against another decoder.
    @Test(arguments: [
        ("MB", [0xFF, 0xFE, 0xF0, 0xEF, 0xE0, 0x8F, 0x80], [0, 2, 30, 33, 93, 4191, 8031]),
        ("MB", [0x7F, 0x7E, 0x70, 0x6F, 0x00], [0, -2, -30, -33, -8031]),
        ("AB", [0xD5, 0xD4, 0xDA, 0xC5, 0xF5, 0xAA], [1, 3, 31, 33, 66, 4032]),
        ("AB", [0x55, 0x54, 0x5A, 0x45, 0x2A], [-1, -3, -31, -33, -4032]),
    ])
    func compandedSamples(kind: String, codes: [UInt8], values: [Sample]) throws {
        let file = try DicomWaveformFile(
            decoding: object(kind: kind, bits: 8, data: codes, samples: UInt32(codes.count)))
        let waveform = file.groups[0].waveform
        #expect(waveform.samples == [values])
        #expect(waveform.channels[0].range == (kind == "MB" ? -8031...8031 : -4032...4032))
        #expect(file.notes.isEmpty)
    }

    @Test("of an index every record in use counts, wherever its offsets lead; names are the same in any dress")
    func directory() throws {
        func record(_ kind: String, _ file: String?, inUse: [UInt8] = [0xFF, 0xFF]) -> [Element] {
            [
                Element(tag: 0x0004_1410, representation: "US", value: inUse), text(0x0004_1430, "CS", kind),
            ] + (file.map { [text(0x0004_1500, "CS", $0)] } ?? [])
        }
        for (implicit, undefined) in [(false, false), (false, true), (true, false), (true, true)] {
            let bytes = part10(
                [
                    text(0x0008_0016, "UI", "1.2.840.10008.1.3.10"),
                    sequence(
                        0x0004_1220,
                        [
                            record("PATIENT", nil), record("IMAGE", "DICOM\\IM000001"),
                            record("IMAGE", "DICOM\\IM000002"),
                            record("IMAGE", "DICOM\\DELETED", inUse: [0, 0]), record("IMAGE", "..\\X"),
                            record("SR DOCUMENT", "DICOM\\IM000001"), record("SR DOCUMENT", "SR1"),
                        ], implicit: implicit, undefined: undefined),
                ], implicit: implicit)
            let directory = try DicomDirectory(decoding: bytes)
            #expect(directory.files == [["DICOM", "IM000001"], ["DICOM", "IM000002"], ["SR1"]])
            #expect(directory.missing(among: []) == 3)
            #expect(directory.missing(among: [["dicom", "im000001.dcm"], ["DICOM", "IM000002.;1"], ["sr1"]]) == 0)
            #expect(directory.missing(among: [["IM000001"], ["DICOM", "IM000002"], ["DICOM", "SR1"]]) == 2)
            // What is cut still names what it names.
            let cut = try? DicomDirectory(decoding: Array(bytes.dropLast(12)))
            #expect(cut.map { $0.files.count <= 3 } ?? true)
            torture(bytes, keeping: 170, rounds: 200, seed: 4) { _ = try? DicomDirectory(decoding: $0) }
        }
        #expect(throws: DecodeError.self) { try DicomDirectory(decoding: part10([], implicit: false)) }
    }

    @Test func fewerSamplesThanAnnouncedAreNoted() throws {
        let file = try DicomWaveformFile(decoding: object(kind: "SS", bits: 16, data: [1, 0]))
        #expect(file.groups[0].waveform.samples == [[1]] && file.notes.count == 1)
    }

    @Test func saysWhatIsWrong() {
        func message(_ bytes: [UInt8]) -> String {
            do {
                _ = try DicomWaveformFile(decoding: bytes)
                return ""
            } catch { return error.description }
        }
        #expect(message(object(kind: "FL", bits: 32, data: [1, 2])).contains("samples of kind FL"))
        #expect(message(object(kind: "SS", bits: 8, data: [1, 2])).contains("8 bits allocated contradict"))
        #expect(message(part10([text(0x0008_0016, "UI", "1.2")], implicit: false)).contains("no waveform object"))
        #expect(message(part10([], implicit: false, syntax: "1.2.840.10008.1.2.1.99")).contains("ends before"))
        #expect(message(object(kind: "SS", bits: 16, data: [1, 0, 2, 0]).dropLast(4)).contains("ends before"))
        #expect(message([1, 2, 3]).contains("no DICM mark"))
    }

    @Test func survivesAnything() {
        for (implicit, undefined) in [(false, true), (true, false), (true, true)] {
            let bytes = object(
                kind: "SL", bits: 32, data: Array(repeating: 0x80, count: 8), sensitivity: "0.1", baseline: "7.77",
                implicit: implicit, undefined: undefined, privateDepth: 3)
            torture(bytes, keeping: 170, rounds: 400, seed: 3) { _ = try? DicomWaveformFile(decoding: $0) }
        }
    }
}
