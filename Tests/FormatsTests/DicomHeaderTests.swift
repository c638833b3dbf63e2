import Clinical
import Formats
import Foundation
import Testing

/// A DICOM file as sticks hold them, made element by element.
struct DicomFile {
    enum Encoding { case explicit, implicit, bigEndian }

    var encoding = Encoding.explicit
    var syntax: String? = "1.2.840.10008.1.2.4.50"
    var hasPreamble = true
    var elements: [(UInt32, String, [UInt8])] = []
    /// Encapsulated fragments, or nil for native pixels.
    var fragments: [[UInt8]]? = [[], [UInt8](repeating: 7, count: 1000), [UInt8](repeating: 8, count: 500)]
    var native: [UInt8]?

    init(_ texts: [(UInt32, String, String)]) {
        elements = texts.map { ($0.0, $0.1, Array($0.2.utf8)) }
    }

    static let texts: [(UInt32, String, String)] = [
        (0x0008_0016, "UI", "1.2.840.10008.5.1.4.1.1.3.1"), (0x0008_0018, "UI", "1.2.3.4"),
        (0x0008_0020, "DA", "20261120"), (0x0008_0023, "DA", "20261121"), (0x0008_0030, "TM", "101112"),
        (0x0008_0033, "TM", "143015.250"), (0x0008_0060, "CS", "US"), (0x0008_0070, "LO", "ACME"),
        (0x0008_1090, "LO", "Echo 5"), (0x0010_0010, "PN", "DUPONT^Jeanne"), (0x0010_0020, "LO", "4711"),
        (0x0010_0030, "DA", "19380412"), (0x0010_0040, "CS", "F"), (0x0018_1000, "LO", "S-9"),
        (0x0020_000D, "UI", "1.2.3"), (0x0028_0008, "IS", "120"),
    ]
    static var cine: DicomFile { DicomFile(texts) }

    var bytes: [UInt8] {
        var out: [UInt8] = hasPreamble ? [UInt8](repeating: 0, count: 128) + Array("DICM".utf8) : []
        if let syntax { out += element(0x0002_0010, "UI", Array(syntax.utf8), .explicit) }
        for (tag, representation, value) in elements.sorted(by: { $0.0 < $1.0 }) {
            out += element(tag, representation, value, encoding)
        }
        if let fragments {
            out += head(0x7FE0_0010, "OB", 0xFFFF_FFFF, encoding)
            for fragment in fragments { out += item(0xFFFE_E000, fragment.count) + fragment }
            out += item(0xFFFE_E0DD, 0)
        } else if let native {
            out += head(0x7FE0_0010, "OW", native.count, encoding) + native
        }
        return out
    }

    mutating func set(_ tag: UInt32, _ representation: String, _ value: [UInt8]) {
        elements.removeAll { $0.0 == tag }
        elements.append((tag, representation, value))
    }

    func number(_ value: Int, _ size: Int, _ encoding: Encoding) -> [UInt8] {
        let little = (0..<size).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
        return encoding == .bigEndian ? little.reversed() : little
    }

    func item(_ tag: UInt32, _ length: Int) -> [UInt8] {
        number(Int(tag >> 16), 2, encoding) + number(Int(tag & 0xFFFF), 2, encoding) + number(length, 4, encoding)
    }

    func head(_ tag: UInt32, _ representation: String, _ length: Int, _ encoding: Encoding) -> [UInt8] {
        var out = number(Int(tag >> 16), 2, encoding) + number(Int(tag & 0xFFFF), 2, encoding)
        if encoding == .implicit { return out + number(length, 4, encoding) }
        out += Array(representation.utf8)
        let isLong = ["OB", "OW", "SQ", "UN", "UT"].contains(representation)
        return out + (isLong ? [0, 0] + number(length, 4, encoding) : number(length, 2, encoding))
    }

    func element(_ tag: UInt32, _ representation: String, _ value: [UInt8], _ encoding: Encoding) -> [UInt8] {
        let padded = value.count.isMultiple(of: 2) ? value : value + [representation == "UI" ? 0 : 0x20]
        return head(tag, representation, padded.count, encoding) + padded
    }
}

@Suite struct DicomHeaders {
    @Test(
        "whatever the encoding, the same header",
        arguments: [
            (DicomFile.Encoding.explicit, "1.2.840.10008.1.2.4.50"), (.implicit, "1.2.840.10008.1.2"),
            (.bigEndian, "1.2.840.10008.1.2.2"),
            // Declared otherwise than it is; a syntax that nobody knows yet.
            (.implicit, "1.2.840.10008.1.2.1"), (.explicit, "1.2.840.10008.1.2"), (.explicit, "1.2.3.99"),
        ])
    func encodings(_ encoding: DicomFile.Encoding, _ syntax: String) throws {
        var file = DicomFile.cine
        file.encoding = encoding
        file.syntax = syntax
        let header = try DicomHeader(file.bytes)
        #expect(header.sopClass == "1.2.840.10008.5.1.4.1.1.3.1")
        #expect(header.objectID == "1.2.3.4" && header.studyInstance == "1.2.3")
        #expect(header.transferSyntax == syntax)
        #expect(header.start?.description == "2026-11-21 14:30:15")
        #expect(
            header.claim
                == IdentityClaim(name: "DUPONT Jeanne", sex: .female, birthDate: "1938-04-12", patientID: "4711"))
        #expect(header.manufacturer == "ACME" && header.model == "Echo 5" && header.serial == "S-9")
        #expect(header.frames == 120 && header.burnedIn == nil && header.ending == .complete)
        #expect(!header.isDirectory && !header.isSimulated)
    }

    @Test("a cut cine is a valid header and no whole file")
    func truncated() throws {
        let whole = DicomFile.cine.bytes
        for cut in [1, 8, 9, 400, 1500] {
            #expect(try DicomHeader(Array(whole.dropLast(cut))).ending == .truncated, "\(cut)")
        }
        // What some programs append is no cut.
        #expect(
            try DicomHeader(whole + [0xFC, 0xFF, 0xFC, 0xFF, 0x4F, 0x42, 0, 0, 2, 0, 0, 0, 0, 0]).ending == .complete)
        var native = DicomFile.cine
        native.fragments = nil
        native.native = [UInt8](repeating: 1, count: 5000)
        #expect(try DicomHeader(native.bytes).ending == .complete)
        #expect(try DicomHeader(Array(native.bytes.dropLast())).ending == .truncated)
        // In the middle of its header, unless it is cut exactly between two elements: nobody can see that.
        let cuts = try (290..<340).filter { try DicomHeader(Array(native.bytes.prefix($0))).ending == .complete }
        #expect(cuts.count < 6, "\(cuts)")
    }

    @Test("long values are stepped over: little is read, however much there is")
    func reads() throws {
        var file = DicomFile.cine
        // An icon and private data before the patient's group, palettes after it, pixels of 40 MB.
        file.set(0x0009_1001, "OB", [UInt8](repeating: 3, count: 900_000))
        file.set(0x0029_1010, "OB", [UInt8](repeating: 4, count: 300_000))
        file.fragments = (0..<20).map { _ in [UInt8](repeating: 5, count: 2_000_000) }
        let bytes = file.bytes
        var reads = 0
        let header = try DicomHeader(size: bytes.count) { offset, count throws(DecodeError) in
            reads += count
            return Array(bytes[offset..<min(bytes.count, offset + count)])
        }
        #expect(header.claim.patientID == "4711" && header.ending == .complete && header.privateElements == 2)
        #expect(header.bytesRead == reads && reads < 100_000)
        let cut = Array(bytes.dropLast(100))
        #expect(try DicomHeader(cut).ending == .truncated && DicomHeader(cut).bytesRead < 100_000)
    }

    @Test("sequences of undefined length, nested and private, are walked")
    func sequences() throws {
        let file = DicomFile.cine
        var sequence = file.head(0x0008_1140, "SQ", 0xFFFF_FFFF, .explicit) + file.item(0xFFFE_E000, 0xFFFF_FFFF)
        sequence += file.element(0x0008_1155, "UI", Array("1.2".utf8), .explicit)
        sequence += file.head(0x0009_1002, "UN", 0xFFFF_FFFF, .explicit)
        // In an unknown element: Implicit VR.
        sequence +=
            file.item(0xFFFE_E000, 0xFFFF_FFFF) + file.element(0x0010_0010, "", Array("WRONG^X ".utf8), .implicit)
        sequence += file.item(0xFFFE_E00D, 0) + file.item(0xFFFE_E0DD, 0)
        sequence += file.item(0xFFFE_E00D, 0) + file.item(0xFFFE_E0DD, 0)
        var bytes = file.bytes
        let place = try #require(
            (132..<bytes.count).first { bytes[$0..<$0 + 4].elementsEqual([0x08, 0x00, 0x90, 0x10]) })
        bytes.insert(contentsOf: sequence, at: place)
        let header = try DicomHeader(bytes)
        #expect(header.claim.name == "DUPONT Jeanne" && header.ending == .complete && header.surprises == [])
    }

    @Test("without a preamble, and what is none")
    func signature() throws {
        var file = DicomFile.cine
        file.hasPreamble = false
        #expect(try DicomHeader(file.bytes).claim.patientID == "4711")
        file.syntax = nil
        #expect(DicomHeader.isHeader(file.bytes))
        #expect(try DicomHeader(file.bytes).claim.patientID == "4711")
        file.encoding = .implicit
        #expect(try DicomHeader(file.bytes).claim.patientID == "4711")
        for other: [UInt8] in [
            [], [8, 0], Array("MZ".utf8) + [UInt8](repeating: 0, count: 500), [UInt8](repeating: 8, count: 4000),
        ] {
            #expect(throws: DecodeError.self) { try DicomHeader(other) }
        }
    }

    @Test("an index is no examination")
    func directory() throws {
        var file = DicomFile.cine
        file.elements = []
        var bytes = file.bytes
        bytes.insert(
            contentsOf: file.element(0x0002_0002, "UI", Array("1.2.840.10008.1.3.10".utf8), .explicit), at: 132)
        #expect(DicomHeader.isDirectory(bytes))
        #expect(try DicomHeader(bytes).isDirectory)
        #expect(!DicomHeader.isDirectory(DicomFile.cine.bytes))
    }

    @Test("an identity that isn't there is said to be missing; malformed UIDs are no keys")
    func absent() throws {
        var file = DicomFile.cine
        file.elements.removeAll { $0.0 >> 16 == 0x0010 }
        #expect(try DicomHeader(file.bytes).claim == IdentityClaim(patientID: ""))
        for (uid, isKey) in [
            ("1.2.3", true), ("", false), ("1..2", false), ("1.2.a", false), ("7", false),
            (String(repeating: "1.", count: 32) + "1", false),
        ] {
            file.set(0x0008_0018, "UI", Array(uid.utf8))
            #expect(try (DicomHeader(file.bytes).objectID != nil) == isKey, "\(uid)")
        }
    }

    @Test(
        "dates of before and after 1993",
        arguments: [
            ("19940130", "1415", "1994-01-30 14:15:00"), ("1994.01.30", "14:15:16", "1994-01-30 14:15:16"),
            ("20261121", "143015.999999", "2026-11-21 14:30:15"), ("20261121", "", nil), ("", "1415", nil),
            ("20261399", "1415", nil),
        ])
    func dates(_ date: String, _ time: String, _ expected: String?) throws {
        var file = DicomFile.cine
        file.elements.removeAll { [0x0008_0020, 0x0008_0030].contains($0.0) }
        file.set(0x0008_0023, "DA", Array(date.utf8))
        file.set(0x0008_0033, "TM", Array(time.utf8))
        #expect(try DicomHeader(file.bytes).start?.description == expected)
    }

    @Test(
        "character sets, declared rightly, wrongly or not at all",
        arguments: [
            ("ISO_IR 100", [0x4C, 0x45, 0x46, 0xC8, 0x56, 0x52, 0x45, 0x5E, 0x5A, 0x6F, 0xEB], "LEFÈVRE Zoë"),
            ("", [0x4C, 0xC8, 0x5E, 0x5A, 0xEB], "LÈ Zë"),
            ("ISO_IR 192", Array("ŁUKASZ^Zoë".utf8), "ŁUKASZ Zoë"),
            // UTF-8 that says Latin-1, and the reverse.
            ("ISO_IR 100", Array("LEFÈVRE^Zoë".utf8), "LEFÈVRE Zoë"),
            ("ISO_IR 192", [0x4C, 0xC8, 0x52, 0x5E, 0x5A], "LÈR Z"),
            ("ISO_IR 101", [0xA3, 0x41, 0x5E, 0xB1], "ŁA ą"),
            ("ISO_IR 144", [0xBF, 0xD5, 0xE2, 0xE0], "Петр"),
            ("ISO_IR 148", [0xDD, 0xFE], "İş"),
            ("ISO 2022 IR 6\\ISO 2022 IR 100", [0x1B, 0x2D, 0x41, 0xC9, 0x4D, 0x49, 0x4C, 0x45], "ÉMILE"),
            // PS3.5 annex H and I; K and the four-byte part of GB 18030. The first group that has letters is shown.
            (
                "\\ISO 2022 IR 87",
                [0x3D, 0x1B, 0x24, 0x42, 0x3B, 0x33, 0x45, 0x44, 0x1B, 0x28, 0x42, 0x5E]
                    + [0x1B, 0x24, 0x42, 0x42, 0x40, 0x4F, 0x3A, 0x1B, 0x28, 0x42],
                "山田 太郎"
            ),
            ("ISO_IR 13", [0xD4, 0xCF, 0xC0, 0xDE, 0x5E, 0xC0, 0xDB, 0xB3], "ﾔﾏﾀﾞ ﾀﾛｳ"),
            ("\\ISO 2022 IR 159", [0x3D, 0x1B, 0x24, 0x28, 0x44, 0x30, 0x21, 0x1B, 0x28, 0x42], "丂"),
            (
                "\\ISO 2022 IR 149",
                [0x3D, 0x1B, 0x24, 0x29, 0x43, 0xC8, 0xAB, 0x5E, 0x1B, 0x24, 0x29, 0x43, 0xB1, 0xE6, 0xB5, 0xBF], "홍 길동"
            ),
            ("\\ISO 2022 IR 58", [0x3D, 0x1B, 0x24, 0x29, 0x41, 0xCD, 0xF5, 0x5E, 0x4C], "王 L"),
            ("ISO_IR 203", [0xBC, 0x75, 0x76, 0x72, 0x65], "Œuvre"), ("ISO_IR 127", [0xE2, 0xC8], "قب"),
            ("ISO_IR 138", [0xF9, 0xF8], "שר"), ("ISO_IR 166", [0xB9, 0xD2], "นา"), ("ISO_IR 126", [0xC4, 0xE9], "Δι"),
            ("ISO_IR 109", [0xA1, 0x4F, 0xD5], "ĦOĠ"), ("ISO_IR 110", [0xC5, 0x41, 0xA9], "ÅAŠ"),
            (
                "\\ISO 2022 IR 87",
                Array("Yamada^Tarou=".utf8) + [0x1B, 0x24, 0x42, 0x3B, 0x33, 0x45, 0x44, 0x1B, 0x28, 0x42],
                "Yamada Tarou"
            ),
            ("GB18030", Array("Wang^XiaoDong=".utf8) + [0xCD, 0xF5], "Wang XiaoDong"),
            ("GB18030", [0xCD, 0xF5, 0x5E, 0xD0, 0xA1, 0x81, 0x30, 0x87, 0x38, 0x90, 0x30, 0x81, 0x30], "王 小Ê𐀀"),
            // Half a character, and one that doesn't exist.
            ("GB18030", [0x41, 0xCD], "A\u{FFFD}"), ("\\ISO 2022 IR 87", [0x41, 0x1B, 0x24, 0x42, 0x21], "A\u{FFFD}"),
            ("NONSENSE", [0x4C, 0xC8], "LÈ"),
        ] as [(String, [UInt8], String)])
    func characterSets(_ declared: String, _ name: [UInt8], _ expected: String) throws {
        var file = DicomFile.cine
        file.set(0x0010_0010, "PN", name)
        if !declared.isEmpty { file.set(0x0008_0005, "CS", Array(declared.utf8)) }
        #expect(try DicomHeader(file.bytes).claim.name == expected)
    }

    @Test("a deflated header is read like any other; a cut one says that it is cut")
    func deflated() throws {
        let folder = root.appending(path: "fixtures/formats")
        let bytes = [UInt8](try Data(contentsOf: folder.appending(path: "ecg-deflated.dcm")))
        let header = try DicomHeader(bytes)
        let file = try DicomWaveformFile(decoding: bytes)
        #expect(header.claim == file.claim && header.start == file.start && header.sopClass == file.sopClassUID)
        #expect(header.ending == .complete && header.objectID != nil && header.surprises.isEmpty)
        #expect(try DicomHeader(bytes.dropLast(40)).ending == .truncated)
        // Nothing but noise behind the file meta information: nobody's, and never complete.
        let place = try #require(bytes.firstRange(of: Array("1.2.840.10008.1.2.1.99".utf8))).upperBound
        let noise: [UInt8] = [0xFF, 0xFF, 0xFF, 0xFF]
        let broken = try DicomHeader(Array(bytes[..<place]) + noise)
        #expect(broken.ending == .truncated && broken.claim.patientID == "")
        #expect(broken.surprises.contains { $0.contains("deflated") })
    }

    @Test("bent and cut files are read or refused, and never read beyond their bytes")
    func torture() {
        var file = DicomFile.cine
        for encoding in [DicomFile.Encoding.explicit, .implicit, .bigEndian] {
            file.encoding = encoding
            let valid = file.bytes
            func parse(_ bytes: [UInt8]) {
                _ = try? DicomHeader(size: bytes.count) { offset, count throws(DecodeError) in
                    #expect(offset >= 0 && offset < bytes.count && count > 0 && count <= 1 << 20)
                    return Array(bytes[offset..<min(bytes.count, offset + count)])
                }
                // A size that was a lie: the medium has less.
                _ = try? DicomHeader(size: bytes.count + 5000) { offset, count throws(DecodeError) in
                    offset < bytes.count ? Array(bytes[offset..<min(bytes.count, offset + count)]) : []
                }
            }
            for length in 0...700 { parse(Array(valid.prefix(length))) }
            var state: UInt64 = 42
            func random(_ limit: Int) -> Int {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                return Int((state >> 33) % UInt64(limit))
            }
            for _ in 0..<3000 {
                var bytes = valid
                for _ in 0..<1 + random(6) { bytes[random(min(700, bytes.count))] = UInt8(random(256)) }
                parse(bytes)
                parse(Array(bytes.prefix(random(bytes.count))))
            }
        }
    }
}
