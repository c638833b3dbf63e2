import Clinical
import Formats
import Testing

@Suite struct EDFTests {
    private func text(_ bytes: [UInt8], _ offset: Int, _ width: Int) -> String {
        String(decoding: bytes[offset..<offset + width], as: UTF8.self)
    }

    @Test func headerSaysWhoWhenAndWithWhat() throws {
        let bytes = try EDFWriter.write(oximetry(seconds: 5), header: edfHeader())
        #expect(text(bytes, 8, 80).hasPrefix("pat-0001 M 12-APR-1938 Eloise_Ducoeur   "))
        #expect(
            text(bytes, 88, 80).hasPrefix(
                "Startdate 22-NOV-2026 0192f3a0-7b1c-7def-8123-456789abcdef X Contec_CMS50F   "))
        #expect(text(bytes, 168, 16) == "22.11.2609.05.07" && text(bytes, 192, 5) == "EDF+C")
        #expect(text(bytes, 236, 8) == "5       " && text(bytes, 244, 8) == "1       ")
        #expect(bytes.prefix(256 * 5).allSatisfy { (32...126).contains($0) })
    }

    @Test func unknownStaysUnknown() throws {
        var header = edfHeader(start: nil)
        (header.patientCode, header.sex, header.birthDate, header.name) = (nil, .unknown, "1938-02-30", nil)
        header.administrationCode = ""
        header.equipment = ""
        let bytes = try EDFWriter.write(oximetry(seconds: 2), header: header)
        #expect(text(bytes, 8, 80).hasPrefix("X X X X  ") && text(bytes, 88, 80).hasPrefix("Startdate X X X X  "))
        #expect(text(bytes, 168, 16) == "01.01.8500.00.00")
        let file = try EDFFile(decoding: bytes)
        #expect(file.start == nil && file.claim == IdentityClaim())
    }

    @Test func aYearThatEDFCannotSayIsKeptAsAnAnnotation() throws {
        let epoch = LocalTime(year: 1970, month: 1, day: 1, hour: 0, minute: 1, second: 2)
        let file = try EDFFile(decoding: EDFWriter.write(oximetry(seconds: 2), header: edfHeader(start: epoch)))
        #expect(
            file.start == nil
                && file.annotations.contains { $0.text == "device: start as the device said it: 1970-01-01 00:01:02" })
    }

    @Test func simulatedDataSayItThreeTimes() throws {
        let bytes = try EDFWriter.write(oximetry(seconds: 3), header: edfHeader(simulated: true))
        #expect(text(bytes, 8, 80).contains(" SIMULATED ") && text(bytes, 88, 80).contains(" SIMULATED"))
        let file = try EDFFile(decoding: bytes)
        #expect(file.isSimulated && file.annotations.first?.text == "device: SIMULATED DATA: not from a patient")
        var long = edfHeader(simulated: true)
        long.name = String(repeating: "é", count: 200)
        long.equipment = String(repeating: "x", count: 200)
        long.administrationCode = String(repeating: "y", count: 200)
        #expect(try EDFFile(decoding: EDFWriter.write(oximetry(seconds: 1), header: long)).isSimulated)
        #expect(try !EDFFile(decoding: EDFWriter.write(oximetry(seconds: 1), header: edfHeader())).isSimulated)
    }

    @Test func aPatientCodeIsNeverCut() {
        var header = edfHeader()
        header.patientCode = String(repeating: "1", count: 65)
        #expect(throws: EncodeError.self) { try EDFWriter.write(oximetry(seconds: 1), header: header) }
        header.patientCode = String(repeating: "1", count: 64)
        #expect(throws: Never.self) { try EDFWriter.write(oximetry(seconds: 1), header: header) }
    }

    @Test func oximetryRoundTrips() throws {
        let wave = oximetry(seconds: 65)
        let notes = [
            Note(kind: .sensor, at: 3, duration: 2.5, text: "finger out"),
            Note(kind: .gap, at: 64.25, text: "3 bytes lost"),
            Note(kind: .surprise, text: "é\u{0}\u{14}\u{15}x"),
        ]
        let bytes = try EDFWriter.write(wave, header: edfHeader(), notes: notes, interrupted: true)
        #expect(try EDFWriter.write(wave, header: edfHeader(), notes: notes, interrupted: true) == bytes)
        let file = try EDFFile(decoding: bytes)
        #expect(file.variant == .edfPlusC && file.records == 65 && file.start == morning)
        #expect(file.waveform.channels.map(\.signal) == wave.channels.map(\.signal))
        #expect(file.waveform.channels.map(\.range) == wave.channels.map(\.range))
        #expect(file.waveform.channels.map(\.unit) == ["%", "/min", "1"])
        #expect(file.waveform.samples[0] == wave.samples[0] && file.waveform.samples[1] == wave.samples[1])
        #expect(file.waveform.samples[2] == wave.samples[2] + Array(repeating: .absent, count: 17))
        #expect(file.claim?.name == "Eloise Ducoeur" && file.claim?.birthDate == "1938-04-12")
        #expect(file.annotations.contains(Note(kind: .device, at: 3, duration: 2.5, text: "sensor: finger out")))
        #expect(file.annotations.contains(Note(kind: .device, at: 64.25, text: "gap: 3 bytes lost")))
        #expect(file.annotations.contains(Note(kind: .device, at: 0, text: "surprise: é   x")))
        #expect(file.annotations.contains { $0.text == "gap: recording interrupted" && $0.at == 65 })
    }

    /// Whoever wrote them: only what this reader found is a note of ours.
    @Test(arguments: ["surprise", "gap", "sensor", "event", "device"])
    func anAnnotationIsNeverTakenForOneOfOurNotes(word: String) throws {
        let notes = [Note(kind: try #require(Note.Kind(rawValue: word)), at: 1, text: "Mme DUPONT Jeanne")]
        let file = try EDFFile(decoding: EDFWriter.write(oximetry(seconds: 2), header: edfHeader(), notes: notes))
        #expect(!file.notes.contains { $0.text.contains("DUPONT") })
        #expect(
            file.annotations.filter { $0.text.contains("DUPONT") }
                == [Note(kind: .device, at: 1, text: "\(word): Mme DUPONT Jeanne")])
    }

    @Test func twelveLeadsRoundTripAtHalfSteps() throws {
        let wave = contecCase(samples: 1601).waveform12
        let file = try EDFFile(decoding: EDFWriter.write(wave, header: edfHeader()))
        #expect(file.waveform.channels.map(\.scale) == wave.channels.map(\.scale))
        #expect(file.waveform.channels.map(\.signal) == wave.channels.map(\.signal))
        #expect(file.waveform.channels.map(\.derivation) == wave.channels.map(\.derivation))
        for (index, samples) in wave.samples.enumerated() {
            #expect(Array(file.waveform.samples[index].prefix(1601)) == samples)
            #expect(file.waveform.samples[index][1601...].allSatisfy { $0 == .absent })
        }
    }

    @Test(arguments: [
        (Ratio(1, 60), 60.0), (Ratio(25, 2), 2.0), (Ratio(100, 3), 3.0), (Ratio(31000), 0.5), (Ratio(256), 1.0),
    ])
    func picksARecordDurationThatFitsTheRate(rate: Ratio, duration: Double) throws {
        let channel = Channel(
            signal: .other, name: "x", unit: "uV", rate: rate, scale: Ratio(1, 4), range: -1000...1000,
            calibration: .verified)
        let wave = Waveform(channels: [channel], samples: [(0..<45001).map { Sample($0 % 2001 - 1000) }])
        let file = try EDFFile(decoding: EDFWriter.write(wave, header: edfHeader()))
        #expect(file.recordDuration.value == duration && file.waveform.channels[0].rate == rate)
        #expect(Array(file.waveform.samples[0].prefix(45001)) == wave.samples[0])
    }

    @Test func refusesWhatWouldNeedRounding() {
        func attempt(_ rate: Ratio, _ scale: Ratio, _ samples: [Sample]) throws -> [UInt8] {
            let channel = Channel(
                signal: .other, name: "x", unit: "uV", rate: rate, scale: scale, range: 0...10, calibration: .verified)
            return try EDFWriter.write(Waveform(channels: [channel], samples: [samples]), header: edfHeader())
        }
        #expect(throws: EncodeError.empty) { try attempt(Ratio(1), Ratio(1), []) }
        #expect(throws: EncodeError.self) { try attempt(Ratio(1, 3607), Ratio(1), [1]) }
        #expect(throws: EncodeError.self) { try attempt(Ratio(1), Ratio(1), [40000, -40000]) }
        #expect(throws: EncodeError.self) { try attempt(Ratio(1), Ratio(1, 99991), [1]) }
        #expect(throws: EncodeError.self) { try attempt(Ratio(1), Ratio(0), [1]) }
        #expect(throws: Never.self) { try attempt(Ratio(1), Ratio(1, 3), [1, 2, .absent]) }
    }

    @Test func manyNotesFindRoom() throws {
        let notes = (0..<900).map { Note(kind: .sensor, at: 1, text: "note \($0) with some words to fill the space") }
        let file = try EDFFile(decoding: EDFWriter.write(oximetry(seconds: 3), header: edfHeader(), notes: notes))
        let texts = file.annotations.map(\.text).filter { $0.hasPrefix("sensor: ") }
        #expect(texts == notes.map { "sensor: \($0.text)" })
        let tooMany = Array(repeating: notes[0], count: 9000)
        #expect(throws: EncodeError.self) {
            try EDFWriter.write(oximetry(seconds: 1), header: edfHeader(), notes: tooMany)
        }
    }

    @Test func readsWhatWasCutOrNeverClosed() throws {
        let wave = oximetry(seconds: 10)
        let bytes = try EDFWriter.write(wave, header: edfHeader())
        let whole = try EDFFile(decoding: bytes)
        var open = bytes
        open.replaceSubrange(236..<244, with: Array("-1      ".utf8))
        let closed = try EDFFile(decoding: open)
        #expect(closed.waveform == whole.waveform && closed.records == 10)
        // The last record keeps what is there of it: SpO2, pulse and 20 samples of the plethysmogram.
        let recordSize = (bytes.count - 256 * 5) / 10
        let cut = try EDFFile(decoding: Array(bytes.dropLast(recordSize - 2 * 22)))
        #expect(cut.records == 10 && cut.waveform.samples[0] == whole.waveform.samples[0])
        #expect(cut.waveform.samples[2][..<560] == whole.waveform.samples[2][..<560])
        #expect(cut.waveform.samples[2].count == 600 && cut.waveform.samples[2][560...].allSatisfy { $0 == .absent })
        #expect(cut.notes.contains { $0.text.contains("last record is cut") })
    }

    @Test(arguments: [
        (252, "x   "), (236, "many    "), (244, "1,0     "), (244, "-1      "), (252, "9999"), (252, "-1  "),
    ])
    func rubbishInANumericFieldIsSaid(offset: Int, field: String) throws {
        var bytes = try EDFWriter.write(oximetry(seconds: 2), header: edfHeader())
        bytes.replaceSubrange(offset..<offset + field.utf8.count, with: Array(field.utf8))
        let error = #expect(throws: DecodeError.self) { try EDFFile(decoding: bytes) }
        #expect(error?.description.hasPrefix("damaged edf file: ") == true)
    }

    @Test func oneOddFieldCostsASignalItsScaleAndNotTheFile() throws {
        let bytes = try EDFWriter.write(
            oximetry(seconds: 2), header: edfHeader(), notes: [Note(kind: .event, at: 1, text: "x")])
        let whole = try EDFFile(decoding: bytes)
        // SpO2, pulse, plethysmogram, annotations; limits from 256 + 104 bytes a signal on.
        func changed(_ fields: [(column: Int, signal: Int, text: String)]) throws -> EDFFile {
            var changed = bytes
            for field in fields {
                let place = 256 + field.column * 4 + 8 * field.signal
                changed.replaceSubrange(
                    place..<place + 8,
                    with: field.text.utf8 + [UInt8](repeating: 0x20, count: 8 - field.text.utf8.count))
            }
            return try EDFFile(decoding: changed)
        }
        for column in [104, 112, 120, 128] {
            let file = try changed([(column, 0, "n/a")])
            #expect(file.waveform.channels[0].calibration == .unverified && file.waveform.channels[0].unit == "1")
            #expect(file.waveform.samples[1...] == whole.waveform.samples[1...])
            #expect(file.notes.contains { $0.text == "signal 1: its limits give no scale: digital values are given" })
        }
        let annotations = try changed([104, 112, 120, 128].map { ($0, 3, "") })
        #expect(annotations.annotations == whole.annotations && annotations.waveform == whole.waveform)
        let decimal = try changed([(216, 0, "1.0")])
        #expect(decimal.waveform == whole.waveform)
        var open = bytes
        open.replaceSubrange(236..<244, with: Array(repeating: 0x20, count: 8))
        #expect(try EDFFile(decoding: open).waveform == whole.waveform)
    }

    @Test func aUnitInUTF8IsTheSameAsInLatin1() throws {
        for unit in [[0xC2, 0xB5], [0xB5], [0xCE, 0xBC]] as [[UInt8]] {
            var bytes = try EDFWriter.write(oximetry(seconds: 2), header: edfHeader())
            let text = unit + [0x56]
            bytes.replaceSubrange(
                256 + 96 * 4..<256 + 96 * 4 + 8, with: text + [UInt8](repeating: 0x20, count: 8 - text.count))
            #expect(try EDFFile(decoding: bytes).waveform.channels[0].unit == "uV")
        }
    }

    @Test func anAnnouncedRecordOfGigabytesIsNotAllocated() throws {
        var bytes = try EDFWriter.write(oximetry(seconds: 2), header: edfHeader())
        for signal in 0..<4 {
            let place = 256 + 216 * 4 + 8 * signal
            bytes.replaceSubrange(place..<place + 8, with: Array("99999999".utf8))
        }
        let file = try EDFFile(decoding: bytes)
        #expect(file.waveform.samples.reduce(0) { $0 + $1.count } < bytes.count)
    }

    @Test(.enabled(if: Shared.has("data/sleep/edfplus_D_gap.edf"), "needs ../shared/data/sleep"))
    func readsADiscontinuousFile() throws {
        let file = try EDFFile(decoding: Shared.bytes("data/sleep/edfplus_D_gap.edf"))
        #expect(file.variant == .edfPlusD && file.notes.contains { $0.kind == .gap && ($0.duration ?? 0) > 0 })
    }

    @Test(.enabled(if: Shared.has("data/sleep/SC4001EC-Hypnogram.edf"), "needs ../shared/data/sleep"))
    func readsAnAnnotationsOnlyFile() throws {
        let file = try EDFFile(decoding: Shared.bytes("data/sleep/SC4001EC-Hypnogram.edf"))
        #expect(
            file.waveform.channels.isEmpty && file.annotations.filter { $0.text.hasPrefix("Sleep stage") }.count > 100)
    }

    /// One signal, one record of a second, as another program would write it.
    private func foreign(
        bdf: Bool = false, recording: String = "", date: String = "22.11.26", digital: (Int, Int),
        physical: (String, String),
        samples: [Int]
    ) -> [UInt8] {
        func field(_ text: String, _ width: Int) -> [UInt8] {
            Array(text.utf8) + Array(repeating: 0x20, count: width - text.utf8.count)
        }
        var bytes = bdf ? [0xFF] + Array("BIOSEMI".utf8) : field("0", 8)
        for (text, width) in [
            ("", 80), (recording, 80), (date, 8), ("01.02.03", 8), ("512", 8), (bdf ? "24BIT" : "", 44), ("1", 8),
            ("1", 8), ("1", 4), ("EEG Fpz-Cz", 16), ("", 80), ("uV", 8), (physical.0, 8), (physical.1, 8),
            ("\(digital.0)", 8), ("\(digital.1)", 8), ("", 80), ("\(samples.count)", 8), ("", 32),
        ] { bytes += field(text, width) }
        for sample in samples {
            for byte in 0..<(bdf ? 3 : 2) { bytes.append(UInt8(truncatingIfNeeded: sample >> (8 * byte))) }
        }
        return bytes
    }

    @Test func offsetsAreExactWhereTheValuesLeaveRoom() throws {
        // 24 bits, of which the limits use 12: the offset of these limits is a multiple of 1/1889 of a step.
        let file = try EDFFile(
            decoding: foreign(
                bdf: true, digital: (-2048, 2047), physical: ("-187.5", "190.3"), samples: [-2048, 0, 2047]))
        let channel = file.waveform.channels[0]
        let values = file.waveform.samples[0].compactMap { channel.physical($0) }
        #expect(values[0] == -187.5 && values[2] == 190.3)
        #expect(abs(values[1] - (-187.5 + 2048 * 377.8 / 4095)) < 1e-9)
        #expect(file.notes.isEmpty)
    }

    @Test func samplesOutsideTheLimitsKeepTheirValue() throws {
        let file = try EDFFile(
            decoding: foreign(digital: (0, 100), physical: ("0.5", "100.5"), samples: [-32768, 32767, 3]))
        let channel = file.waveform.channels[0]
        #expect(file.waveform.samples[0].map { channel.physical($0) } == [-32767.5, 32767.5, 3.5])
    }

    @Test func plainEDFCanSayThatNobodyKnowsTheDate() throws {
        for (recording, start) in [
            ("Startdate X X X X", nil), ("", "1985-01-01 01:02:03"),
            ("Startdate 04-MAR-2031 X X X", "2031-03-04 01:02:03"),
        ] as [(String, String?)] {
            let file = try EDFFile(
                decoding: foreign(
                    recording: recording, date: "01.01.85", digital: (-1, 1), physical: ("-1", "1"), samples: [0]))
            #expect(file.variant == .edf && file.start?.description == start)
        }
    }

    @Test func survivesAnything() throws {
        let bytes = try EDFWriter.write(oximetry(seconds: 2), header: edfHeader(simulated: true), interrupted: true)
        torture(bytes, keeping: 256 * 5, rounds: 300, seed: 88) { _ = try? EDFFile(decoding: $0).waveform.summaries }
        var random = Seeded(state: 5)
        for _ in 0..<300 {
            // Digits in the numeric fields, so that the layout itself is tortured.
            var broken = bytes
            for _ in 0..<6 {
                let index = Int.random(in: 184..<1280, using: &random)
                broken[index] = UInt8.random(in: 0x2D...0x39, using: &random)
            }
            _ = try? EDFFile(decoding: broken)
        }
    }
}

@Suite struct EDFSlowSignalTests {
    private func slow(_ seconds: Int, rate: Ratio = Ratio(1), more: Int = 0) -> Waveform {
        let channel = Channel(
            signal: .spo2, name: "SpO2", unit: "%", rate: rate, scale: Ratio(1), range: 0...100, calibration: .verified)
        func samples(_ count: Int) -> [Sample] { (0..<count).map { $0 % 11 == 4 ? .absent : Sample(90 + $0 % 9) } }
        let count = (rate.numerator * seconds) / rate.denominator
        return Waveform(channels: [channel, channel], samples: [samples(count), samples(count + more)])
    }

    @Test(arguments: [
        (28_800, Ratio(1), 0, 60.0), (28_801, Ratio(1), 0, 1.0), (3599, Ratio(1), 0, 59.0), (3600, Ratio(4), 0, 60.0),
        (3600, Ratio(5), 0, 1.0), (600, Ratio(1, 2), 0, 60.0), (22, Ratio(1, 2), 0, 22.0), (600, Ratio(1), 1, 1.0),
    ])
    func takesLongRecordsWhereNothingIsPadded(seconds: Int, rate: Ratio, more: Int, duration: Double) throws {
        let wave = slow(seconds, rate: rate, more: more)
        let notes = [Note(kind: .sensor, at: Double(seconds) / 2, duration: 3, text: "finger out")]
        let bytes = try EDFWriter.write(wave, header: edfHeader(), notes: notes)
        let file = try EDFFile(decoding: bytes)
        #expect(file.recordDuration.value == duration)
        #expect(
            file.annotations.contains(Note(kind: .device, at: notes[0].at, duration: 3, text: "sensor: finger out")))
        #expect(Array(file.waveform.samples[0].prefix(wave.samples[0].count)) == wave.samples[0])
        if more == 0 { #expect(file.waveform.samples == wave.samples) }
        if duration == 60, rate == Ratio(1) { #expect(bytes.count < 5 * seconds + 60_000) }
    }
}
