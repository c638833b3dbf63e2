import Clinical
import Formats
import Testing

/// Two leads of every encoding, a patient, a time.
func scpRecord(_ values: [[Int]], order: Int = 2, huffman: Bool = true) -> ScpWriter {
    func text(_ string: String) -> [UInt8] { Array(string.utf8) + [0] }
    let device: [UInt8] =
        Array(repeating: 0, count: 7) + [255] + Array("CART1\0".utf8) + [20, 0xA0, 1, 0xC0, 1]
        + Array(repeating: 0, count: 16) + [2, 0x31, 0] + text("SN-7") + text("1.2") + text("impl") + text("ACME")
    let patient = ScpWriter.patient([
        (0, text("DOE")), (1, text("Jane")), (2, text("P-77")), (4, [81, 0, 1]), (5, [0x92, 0x07, 4, 12]), (8, [2]),
        (14, device), (25, [0xEA, 0x07, 11, 22]), (26, [9, 5, 7]),
    ])
    var writer = ScpWriter()
    writer.sections = [(1, patient)]
    if huffman { writer.sections.append((2, ScpWriter.little(19999, 2))) }
    let coded = values.map { ScpWriter.differences($0, order) }
        .map { huffman ? ScpWriter.huffman($0) : ScpWriter.raw($0) }
    writer.sections += [
        (3, ScpWriter.leads([1, 61], samples: values[0].count)),
        (6, ScpWriter.signals(coded, differences: UInt8(order))),
    ]
    return writer
}

let scpValues = [(0..<60).map { 40 * ($0 % 7) - 100 }, (0..<60).map { $0 == 30 ? 9000 : $0 % 3 }]

@Suite struct SCPTests {
    private func expected() -> [[Sample]] { scpValues.map { $0.map { Sample($0) } } }

    @Test(arguments: [0, 1, 2], [true, false])
    func readsEveryEncoding(order: Int, huffman: Bool) throws {
        let bytes = scpRecord(scpValues, order: order, huffman: huffman).encoded()
        let file = try FileDecoder.decode(bytes)
        #expect(file.format == "scp-ecg" && file.groups.map(\.label) == ["RHYTHM"] && file.notes.isEmpty)
        #expect(file.waveform.samples == expected())
        #expect(file.waveform.channels.map(\.signal) == [.ecgI, .ecgIII])
        #expect(
            file.waveform.channels.allSatisfy { $0.scale == Ratio(5, 2) && $0.rate == Ratio(500) && $0.unit == "uV" })
        #expect(file.start == morning)
        #expect(
            file.claim
                == IdentityClaim(name: "DOE Jane", sex: .female, birthDate: "1938-04-12", age: 81, patientID: "P-77"))
        let device = try SCPFile(decoding: bytes).device
        #expect(device.model == "CART1" && device.serial == "SN-7" && device.software == "1.2")
        #expect(device.manufacturer == "ACME")
    }

    @Test func readsATableOfItsOwn() throws {
        // 0 -> 0, 10 -> +5, 11 and four bits -> literal; base codes hold their first bit lowest.
        func code(_ prefix: Int, _ total: Int, _ value: Int, _ base: Int) -> [UInt8] {
            [UInt8(prefix), UInt8(total), 1] + ScpWriter.little(value, 2) + ScpWriter.little(base, 4)
        }
        let table =
            ScpWriter.little(1, 2) + ScpWriter.little(3, 2) + code(1, 1, 0, 0) + code(2, 2, 5, 1) + code(2, 6, 0, 3)
        let values = [0, 5, -8, 7, 0, 0, 5, -1]
        let bits = values.map { $0 == 0 ? "0" : $0 == 5 ? "10" : "11" + ScpWriter.binary($0, 4) }
        var writer = ScpWriter()
        writer.sections = [
            (1, ScpWriter.patient([])), (2, table), (3, ScpWriter.leads([8], samples: 8, from: 0)),
            (6, ScpWriter.signals([ScpWriter.packed(bits)], differences: 0)),
        ]
        let file = try SCPFile(decoding: writer.encoded())
        #expect(file.groups[0].waveform.samples == [values.map { Sample($0) }])
        #expect(file.groups[0].waveform.channels[0].signal == .ecgV6)
        #expect(file.start == nil && file.notes.contains { $0.text == "the start is unknown" })
    }

    @Test func readsTheReferenceBeatAsAGroupOfItsOwn() throws {
        var writer = scpRecord(scpValues)
        let beat = [[0, 1, 5, -3], [9, 9, 0, 0]]
        writer.sections += [
            (4, ScpWriter.little(8, 2) + ScpWriter.little(2, 2) + ScpWriter.little(0, 2)),
            (5, ScpWriter.signals(beat.map { ScpWriter.huffman(ScpWriter.differences($0, 1)) }, differences: 1)),
        ]
        let file = try SCPFile(decoding: writer.encoded())
        #expect(file.groups.map(\.label) == ["RHYTHM", "REFERENCE BEAT"])
        #expect(file.groups[1].waveform.samples == beat.map { $0.map { Sample($0) } })
    }

    @Test func refusesWhatWouldShowAnotherCurve() {
        func attempt(flags: UInt8 = 4, bimodal: UInt8 = 0) -> DecodeError? {
            var writer = scpRecord(scpValues)
            writer.sections.removeAll { $0.id == 3 || $0.id == 6 }
            writer.sections += [
                (3, ScpWriter.leads([1], samples: 3, flags: flags)),
                (6, ScpWriter.signals([ScpWriter.huffman([1, 2, 3])], differences: 0, bimodal: bimodal)),
            ]
            do { _ = try SCPFile(decoding: writer.encoded()) } catch { return error }
            return nil
        }
        #expect(attempt() == nil)
        #expect(attempt(flags: 5)?.description.contains("beats' places") == true)
        #expect(attempt(bimodal: 1)?.description.contains("beats' places") == true)
    }

    @Test func saysWhatIsCutOrChanged() throws {
        let bytes = scpRecord(scpValues).encoded()
        let cut = try SCPFile(decoding: bytes.dropLast())
        #expect(cut.notes.contains { $0.kind == .gap && $0.text.hasSuffix("in the file: it is cut short") })
        var changed = bytes
        changed[changed.count - 3] ^= 1
        let error = #expect(throws: DecodeError.self) { try SCPFile(decoding: changed) }
        #expect(error?.description.contains("section 6 is changed") == true)
        changed = bytes
        changed[0] ^= 1
        #expect(try SCPFile(decoding: changed).notes.contains { $0.text.contains("record's checksum") })
        #expect(try SCPFile(decoding: bytes + [0]).notes.contains { $0.text.contains("1 bytes follow") })
        var short = scpRecord(scpValues, order: 0, huffman: false)
        short.sections[1].body = ScpWriter.leads([1, 61], samples: 70)
        #expect(
            try SCPFile(decoding: short.encoded()).notes.contains {
                $0.text == "I: 70 samples announced, 60 in the file"
            })
    }

    @Test func noDamageCrashesIt() {
        let bytes = scpRecord(scpValues).encoded()
        torture(bytes, keeping: 150, rounds: 150, seed: 21) { damaged in
            _ = try? SCPFile(decoding: damaged)
            // With checksums made right again, the damage gets further in.
            guard damaged.count > 400 else { return }
            var writer = scpRecord(scpValues)
            let part = Array(damaged[300..<380])
            writer.sections[Int(damaged[299]) % writer.sections.count].body = part
            _ = try? SCPFile(decoding: writer.encoded())
        }
    }
}

@Suite(.enabled(if: Shared.has("data/scp/Example.scp"), "needs ../shared/data/scp")) struct SCPFilesTests {
    /// Lead number order of the file, last sample and sum, as an independent decoder has them.
    @Test(arguments: [
        (
            "Example.scp", Ratio(5, 2), Ratio(500),
            [-4921, -4084, -2299, -2648, -3119, -2499, -3009, -1762, 837, 4432, -2721, -1570]
        ),
        (
            "Example_v3.scp", Ratio(2501, 1000), Ratio(500),
            [-4921, -4084, -2299, -2648, -3119, -2499, -3009, -1762, 837, 4432, -2721, -1570]
        ),
        (
            "made_raw_v13.scp", Ratio(1), Ratio(500),
            [1250, -5598, -6996, 2114, 4235, -6469, -2044, -520375, 96791, -68456, -55526, 7912]
        ),
        (
            "welchallyn_1.scp", Ratio(15, 4), Ratio(1_000_000, 1667),
            [65977, -251472, 100420, -28556, 81954, 61939, 18574, 36074]
        ),
        (
            "welchallyn_2.scp", Ratio(15, 4), Ratio(1_000_000, 1667),
            [131109, -146749, 119885, 14796, 38882, 86513, 83023, 117102]
        ),
    ])
    func hasTheValuesOfAnotherDecoder(name: String, scale: Ratio, rate: Ratio, sums: [Int]) throws {
        let file = try FileDecoder.decode(Shared.bytes("data/scp/\(name)"))
        let wave = file.groups[0].waveform
        #expect(wave.samples.map { $0.reduce(0) { $0 + Int($1) } } == sums)
        #expect(wave.channels.allSatisfy { $0.scale == scale && $0.rate == rate })
        #expect(wave.samples.allSatisfy { $0.count == (rate == Ratio(500) ? 5000 : 6000) })
        #expect(file.notes.isEmpty && file.start != nil && file.claim?.patientID != nil)
    }

    @Test func isTheSameRecordingAsItsTwin() throws {
        let record = try FileDecoder.decode(Shared.bytes("data/scp/Example.scp"))
        let twin = try FileDecoder.decode(Shared.bytes("data/aecg/Example_aECG.xml"))
        #expect(record.groups.map(\.waveform.samples) == twin.groups.map(\.waveform.samples))
        #expect(record.waveform.channels.map(\.signal) == twin.waveform.channels.map(\.signal))
        #expect(record.waveform.channels.map(\.scale) == twin.waveform.channels.map(\.scale))
        #expect(record.start == twin.start && record.claim == twin.claim)
    }

    @Test func statementsAndMeasurements() throws {
        let file = try SCPFile(decoding: Shared.bytes("data/scp/welchallyn_1.scp"))
        #expect(file.statements.first == "sinusrytm" && file.statements.contains { $0.contains("ålderskorriger") })
        #expect(file.claim.age == 39 && file.claim.sex == .male)
        #expect(try SCPFile(decoding: Shared.bytes("data/scp/welchallyn_2.scp")).protocolVersion == 20)
    }

    @Test func anotherMakersFileIsNotTakenForOne() throws {
        let bytes = try Shared.bytes("data/scp/healforce_62.scp")
        #expect(!SCPFile.isHeader(bytes))
        #expect(throws: DecodeError.self) { try FileDecoder.decode(bytes) }
    }
}
