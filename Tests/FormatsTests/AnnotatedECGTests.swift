import Clinical
import Formats
import Testing

func annotated(digits: String = "1 -2 3", extra: String = "", increment: String = "value=\"2\" unit=\"ms\"") -> String {
    """
    <?xml version="1.0" encoding="UTF-8"?>
    <!-- made by a test -->
    <h:AnnotatedECG xmlns:h="urn:hl7-org:v3" type="Observation"><id root="1.2"/>\(extra)
    <subject><trialSubject><id root="9.9" extension="S-1"/><subjectDemographicPerson>
    <name>Ann &amp; <!-- x --> Li</name><administrativeGenderCode code="F"/><birthTime value="19380412"/>
    </subjectDemographicPerson></trialSubject></subject>
    <component><series><code code="RHYTHM"/><component><sequenceSet>
    <component><sequence><code code="TIME_ABSOLUTE"/><value xsi:type="GLIST_TS"><head value="20261122090507.250"/>
    <increment \(increment)/></value></sequence></component>
    <component><sequence><code code='MDC_ECG_LEAD_AVF'/><value xsi:type="SLIST_PQ"><origin value="1.25" unit="uV"/>
    <scale value="2.5" unit="uV"/><digits>\(digits)</digits></value></sequence></component>
    </sequenceSet></component><annotationSet><digits>none</digits></annotationSet></series></component>
    </h:AnnotatedECG>
    """
}

@Suite struct AnnotatedECGTests {
    private func decode(_ text: String) throws -> DecodedFile { try FileDecoder.decode(Array(text.utf8)) }

    @Test func readsLeadsTimeAndSubject() throws {
        let file = try decode(annotated())
        #expect(file.format == "hl7-aecg" && file.groups.map(\.label) == ["RHYTHM"] && file.start == morning)
        let channel = file.waveform.channels[0]
        #expect(channel.signal == .ecgAVF && channel.rate == Ratio(500) && channel.unit == "uV")
        // The origin is half a step: finer steps, nothing rounded.
        #expect(channel.scale == Ratio(5, 4) && file.waveform.samples == [[3, -3, 7]])
        #expect(
            file.claim == IdentityClaim(name: "Ann & Li", sex: .female, birthDate: "1938-04-12", patientID: "S-1"))
    }

    @Test func digitsMayBeCutAnywhere() throws {
        #expect(
            try decode(annotated(digits: " 1<!-- -->2 <![CDATA[-3]]>4\n\t+5&#32;6 ")).waveform.samples[0].count == 4)
        #expect(try decode(annotated(digits: "")).waveform.samples == [[]])
    }

    @Test(arguments: [
        "<!DOCTYPE x [<!ENTITY a \"b\">]>", "<b>&a;</b>", "<b c=\"1\" c=\"2\"/>", "<b></c>", "<b c=1/>", "<b", "]]><",
        "<b c=\"<\"/>",
    ])
    func isStrict(extra: String) {
        #expect(throws: DecodeError.self) { try decode(annotated(extra: extra)) }
    }

    @Test func aDocumentTypeIsSaid() {
        let text = annotated(digits: "1 2").replacing(
            "<h:AnnotatedECG", with: "<!DOCTYPE AnnotatedECG><h:AnnotatedECG", maxReplacements: 1)
        let error = #expect(throws: DecodeError.self) { try FileDecoder.decode(Array(text.utf8)) }
        #expect(error?.description.contains("document type definition") == true)
        #expect(!AnnotatedECG.isHeader(Array("<!DOCTYPE html><html></html>".utf8)))
    }

    @Test func aFileThatIsCutGivesWhatIsThere() throws {
        let text = annotated(digits: "1 -2 3 10 11 127 4")
        let place = try #require(text.firstRange(of: "127"))
        // Within a number: that one is not shown, since 12 is not 127.
        let within = try decode(String(text[..<text.index(before: place.upperBound)]))
        #expect(within.waveform.samples == [[3, -3, 7, 21, 23]])
        #expect(within.start == morning && within.claim?.patientID == "S-1")
        #expect(within.notes.contains { $0.kind == .gap && $0.text.contains("cut short") })
        // After the leads, and before them.
        #expect(try decode(String(text.dropLast(20))).waveform.samples[0].count == 7)
        let before = String(text[..<(try #require(text.firstRange(of: "<digits>")).lowerBound)])
        #expect(throws: DecodeError.self) { try decode(before) }
    }

    @Test func bounds() {
        #expect(throws: DecodeError.self) {
            try decode(annotated(extra: String(repeating: "<a>", count: 100) + String(repeating: "</a>", count: 100)))
        }
        #expect(throws: DecodeError.self) { try decode(annotated(digits: "1 x 2")) }
        #expect(throws: DecodeError.self) { try decode(annotated(digits: "99999999999999999999")) }
        #expect(throws: DecodeError.self) { try decode(annotated(increment: "value=\"0\" unit=\"s\"")) }
        #expect(throws: DecodeError.self) { try decode(annotated(increment: "value=\"2\" unit=\"min\"")) }
        #expect(throws: DecodeError.self) { try decode(annotated() + "<a/>") }
        let other = annotated().replacing("UTF-8", with: "ISO-2022-JP")
        #expect(throws: DecodeError.self) { try decode(other) }
    }

    @Test("UTF-16 of both orders, with and without its mark, and Latin-1")
    func encodings() throws {
        let text = annotated(extra: "<name>É</name>")
        let expected = try FileDecoder.decode(Array(text.utf8))
        func words(_ text: String, high: Bool) -> [UInt8] {
            text.utf16.flatMap { high ? [UInt8($0 >> 8), UInt8($0 & 0xFF)] : [UInt8($0 & 0xFF), UInt8($0 >> 8)] }
        }
        let wide = text.replacing("UTF-8", with: "UTF-16")
        let latin = text.replacing("UTF-8", with: "ISO-8859-1").unicodeScalars.map { UInt8($0.value) }
        for bytes in [
            words(wide, high: false), words(wide, high: true), [0xFF, 0xFE] + words(wide, high: false),
            [0xFE, 0xFF] + words(wide, high: true), latin,
        ] {
            let file = try FileDecoder.decode(bytes)
            #expect(file.waveform == expected.waveform && file.start == expected.start && file.format == "hl7-aecg")
        }
    }

    @Test func noDamageCrashesIt() {
        torture(Array(annotated().utf8), keeping: 200, rounds: 60, seed: 5) { _ = try? AnnotatedECG(decoding: $0) }
    }

    @Test(
        .enabled(if: Shared.has("data/aecg/subject1_0.xml"), "needs ../shared/data/aecg"),
        arguments: [
            ("Example_aECG.xml", "SBJ-123", 2), ("subject1_0.xml", "subject1", 2), ("minimum_aecg.xml", "SBJ-123", 1),
        ])
    func othersFiles(name: String, subject: String, groups: Int) throws {
        let file = try FileDecoder.decode(Shared.bytes("data/aecg/\(name)"))
        #expect(file.claim?.patientID == subject && file.groups.count == groups && file.notes.isEmpty)
        #expect(file.start == LocalTime(year: 2002, month: 11, day: 22, hour: 9, minute: 10, second: 0))
        guard groups == 2 else {
            #expect(file.waveform.samples == [[-2, -2, -2, -2, -3, -4, -3, -5, -5, -4, -6, -9, -9]])
            return
        }
        #expect(file.groups.map(\.label) == ["RHYTHM", "REPRESENTATIVE_BEAT"])
        #expect(
            file.groups[1].waveform.samples.map { $0.reduce(0) { $0 + Int($1) } }
                == [6753, 16761, -4657, 9279, 6447, 1595, 5079, 8329, 10008, -11639, -1568, 13262])
        #expect(file.groups[1].waveform.samples.allSatisfy { $0.count == 599 })
    }
}
