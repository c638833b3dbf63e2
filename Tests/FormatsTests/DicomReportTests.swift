import Clinical
import Formats
import Foundation
import Testing

/// Structured reports, written here element by element in Explicit VR Little Endian.
@Suite struct DicomReportTests {
    private indirect enum Value {
        case text(String, String)
        case items([[(UInt32, Value)]])
    }
    private typealias Node = [(UInt32, Value)]

    private func encode(_ elements: Node) -> [UInt8] {
        elements.sorted { $0.0 < $1.0 }.flatMap { tag, value -> [UInt8] in
            let head = ScpWriter.little(Int(tag >> 16), 2) + ScpWriter.little(Int(tag & 0xFFFF), 2)
            switch value {
            case .text(let kind, let text):
                let bytes = Array(text.utf8) + (text.utf8.count.isMultiple(of: 2) ? [] : [kind == "UI" ? 0 : 0x20])
                if kind == "UT" {
                    return head + Array("UT\0\0".utf8) + ScpWriter.little(bytes.count, 4) + bytes
                }
                return head + Array(kind.utf8) + ScpWriter.little(bytes.count, 2) + bytes
            case .items(let items):
                var body: [UInt8] = []
                for item in items.map(encode) {
                    body += [0xFE, 0xFF, 0, 0xE0] as [UInt8]
                    body += ScpWriter.little(item.count, 4) + item
                }
                return head + Array("SQ\0\0".utf8) + ScpWriter.little(body.count, 4) + body
            }
        }
    }

    private func code(_ tag: UInt32, _ value: String, _ scheme: String, _ meaning: String = "m") -> (UInt32, Value) {
        (
            tag,
            .items([
                [
                    (0x0008_0100, .text("SH", value)), (0x0008_0102, .text("SH", scheme)),
                    (0x0008_0104, .text("LO", meaning)),
                ]
            ])
        )
    }

    private func node(_ kind: String, _ name: String, _ scheme: String, _ more: Node = [], _ inner: [Node] = []) -> Node
    {
        [(0x0040_A040, .text("CS", kind)), code(0x0040_A043, name, scheme, name)] + more
            + (inner.isEmpty ? [] : [(0x0040_A730, .items(inner))])
    }

    private func number(_ name: String, _ value: String, _ unit: String, _ inner: [Node] = []) -> Node {
        node(
            "NUM", name, "LN",
            [(0x0040_A300, .items([[(0x0040_A30A, .text("DS", value)), code(0x0040_08EA, unit, "UCUM")]]))], inner)
    }

    private func modifier(_ name: String, _ value: String, _ scheme: String = "SCT") -> Node {
        node("CODE", name, scheme, [code(0x0040_A168, value, scheme, value)])
    }

    private func text(_ name: String, _ value: String) -> Node {
        node("TEXT", name, "DCM", [(0x0040_A160, .text("UT", value))])
    }

    private func report(_ content: [Node], more: Node = [], syntax: String = "1.2.840.10008.1.2.1") -> [UInt8] {
        let meta = encode([(0x0002_0010, .text("UI", syntax))])
        return Array(repeating: 0, count: 128) + Array("DICM".utf8) + meta
            + encode(
                [
                    (0x0008_0016, .text("UI", "1.2.840.10008.5.1.4.1.1.88.33")), (0x0008_0023, .text("DA", "20261122")),
                    (0x0008_0033, .text("TM", "090507")), (0x0008_0070, .text("LO", "ACME")),
                    (0x0008_1090, .text("LO", "Echo 9")), (0x0010_0020, .text("LO", "P-1")),
                    (0x0018_1020, .text("LO", "4.2")), code(0x0040_A043, "125200", "DCM", "Adult Echo Report"),
                    (0x0040_A040, .text("CS", "CONTAINER")), (0x0040_A491, .text("CS", "PARTIAL")),
                    (0x0040_A730, .items(content)),
                ] + more)
    }

    private var findings: [Node] {
        [
            node(
                "CONTAINER", "121070", "DCM", [],
                [
                    modifier("G-C0E3", "T-32600", "SRT"),
                    node(
                        "CONTAINER", "125007", "DCM", [],
                        [
                            modifier("399264008", "399064001"),
                            number(
                                "18043-0", "57.40", "%",
                                [
                                    modifier("370129005", "125208"), modifier("111031", "399214001"),
                                    text("111001", "SYNTH-LVEF"), text("111003", "1.2.3"),
                                ]),
                            number("29436-3", "4.91", "cm"),
                            number("29436-3", "4.91", "cm", [modifier("121404", "121411", "DCM")]),
                            number("29436-3", "5.0", "cm", [modifier("363698007", "other")]),
                            node("NUM", "empty", "LN"),
                        ]),
                ])
        ]
    }

    @Test func modifiersAreInheritedAndOverridden() throws {
        let file = try FileDecoder.decode(report(findings))
        #expect(file.format == "dicom-sr" && file.groups.isEmpty && file.start == morning)
        #expect(file.claim?.patientID == "P-1")
        let found = try #require(file.report)
        #expect(found.title?.value == "125200" && found.completion == "PARTIAL" && !found.isVerified)
        // The repeated value is one, and selected.
        #expect(found.measurements.map(\.value) == ["57.40", "4.91", "5.0"])
        #expect(found.measurements.map(\.isSelected) == [false, true, false])
        #expect(found.measurements.map(\.findingSite?.value) == ["T-32600", "T-32600", "other"])
        #expect(found.measurements.allSatisfy { $0.imageMode?.value == "399064001" && !$0.isVerified })
        let first = found.measurements[0]
        #expect(first.method?.value == "125208" && first.view?.value == "399214001" && first.unit?.value == "%")
        #expect(first.algorithm?.name == "SYNTH-LVEF" && first.algorithm?.version == "1.2.3")
        #expect(found.measurements[1].algorithm == nil)
        #expect(file.notes.contains { $0.text == "measured by an algorithm; nobody has verified it" })
        #expect(file.notes.contains { $0.text == "LN empty: no value in the report" })
    }

    @Test func aDeviceThatObservesIsTheAlgorithm() throws {
        let device = node("CODE", "121005", "DCM", [code(0x0040_A168, "121007", "DCM")])
        let found = try DicomReport(decoding: report([device] + findings))
        #expect(found.measurements[1].algorithm?.name == "Echo 9" && found.measurements[1].algorithm?.version == "4.2")
        #expect(found.measurements[0].algorithm?.name == "SYNTH-LVEF")
        #expect(found.measurements[0].algorithm?.manufacturer == nil)
    }

    @Test func verifiedNeedsAnObserver() throws {
        let flag: (UInt32, Value) = (0x0040_A493, .text("CS", "VERIFIED"))
        #expect(try !DicomReport(decoding: report(findings, more: [flag])).isVerified)
        let observer: (UInt32, Value) = (0x0040_A073, .items([[(0x0040_A075, .text("PN", "A^B"))]]))
        let found = try DicomReport(decoding: report(findings, more: [flag, observer]))
        #expect(found.isVerified && found.measurements.allSatisfy(\.isVerified))
    }

    @Test func noDamageCrashesIt() {
        torture(report(findings), keeping: 160, rounds: 300, seed: 12) { _ = try? DicomReport(decoding: $0) }
        #expect(throws: DecodeError.self) { try DicomReport(decoding: report([]).dropLast(9)) }
    }

    @Test(.enabled(if: Shared.has("data/echo/stickA/DICOM/SR000001"), "needs ../shared/data/echo"))
    func theSampleReport() throws {
        let file = try FileDecoder.decode(Shared.bytes("data/echo/stickA/DICOM/SR000001"))
        let found = try #require(file.report)
        #expect(
            found.measurements.map { "\($0.name.value)=\($0.value) \($0.unit?.value ?? "")" } == [
                "18043-0=57.4 %", "18026-5=96.2 ml", "18148-7=41.0 ml", "29436-3=4.91 cm",
            ])
        #expect(
            found.measurements.prefix(3).allSatisfy {
                $0.algorithm?.name == "SYNTH-LVEF" && $0.algorithm?.version == "1.2.3"
            })
        #expect(
            found.measurements.allSatisfy {
                $0.algorithm != nil && !$0.isVerified && $0.findingSite?.value == "87878005"
            })
        #expect(throws: Never.self) { try FileDecoder.decode(Shared.bytes("data/echo/reportsi.dcm")) }
    }

    @Test("an item's own modifiers are kept, also those that nobody here knows; and who wrote the report")
    func modifiers() throws {
        let read = try DicomReport(
            decoding: report([number("18043-0", "62", "%", [modifier("363698007", "87878005"), modifier("x", "y")])]))
        #expect(read.measurements.map { $0.modifiers.map(\.meaning) } == [["87878005", "y"]])
        #expect(read.measurements.first?.findingSite?.value == "87878005")
        #expect([read.manufacturer, read.model, read.software] == ["ACME", "Echo 9", "4.2"])
    }
}

/// Transfer syntaxes in which old archives and the web keep objects; the fixtures were converted by dcmtk.
@Suite struct DicomSyntaxTests {
    @Test(arguments: ["ecg-big-endian.dcm", "ecg-deflated.dcm"])
    func otherSyntaxesHaveTheSameValues(name: String) throws {
        func file(_ name: String) throws -> DecodedFile {
            try FileDecoder.decode([UInt8](try Data(contentsOf: root.appending(path: "fixtures/formats/\(name)"))))
        }
        let (converted, original) = (try file(name), try file("ecg.dcm"))
        #expect(converted.waveform == original.waveform && converted.claim == original.claim)
        #expect(converted.start == original.start && converted.isSimulated && converted.notes == original.notes)
    }

    /// Twelve bytes that would become many: stopped at a hundred times the file.
    @Test func aDeflateBombIsRefused() throws {
        let head =
            Array(repeating: UInt8(0), count: 128) + Array("DICM".utf8)
            + [2, 0, 0x10, 0, 0x55, 0x49, 22, 0] + Array("1.2.840.10008.1.2.1.99".utf8)
        // Fixed codes: a literal 0, then length 258 at distance 1 over and over (11000101 and distance 00000).
        var bits = "110" + "00110000"
        for _ in 0..<20_000 { bits += "11000101" + "00000" }
        var bytes: [UInt8] = []
        let all = Array(bits)
        for start in stride(from: 0, to: all.count, by: 8) {
            bytes.append(
                (0..<8).reduce(0) { $0 | (start + $1 < all.count && all[start + $1] == "1" ? 1 << UInt8($1) : 0) })
        }
        let error = #expect(throws: DecodeError.self) { try FileDecoder.decode(head + bytes) }
        #expect(error?.description.contains("hundred times") == true)
        let real = [UInt8](try Data(contentsOf: root.appending(path: "fixtures/formats/ecg-deflated.dcm")))
        torture(real, keeping: 330, rounds: 50, seed: 2) { _ = try? FileDecoder.decode($0) }
    }
}
