import Clinical
import Formats
import Foundation
import Testing

/// Small files of the formats that we only read, made by the generators of these tests; and one of our own coder.
/// ESS_WRITE_FIXTURES=1 writes them anew.
@Suite struct EcgFixtureTests {
    private static let folder = root.appending(path: "fixtures/formats")
    private static let writes = ProcessInfo.processInfo.environment["ESS_WRITE_FIXTURES"] == "1"

    private static let header = """
        tiny 2 250 6 09:05:07 22/11/2026
        tiny.dat 212 200(1024)/mV 12 0 1000 4030 0 I
        tiny.dat 212 200(1024)/mV 12 0 1024 6155 0 II
        # Age: 81
        # Sex: Female

        """

    private static func generated() -> [String: [UInt8]] {
        let scp = scpRecord(scpValues).encoded()
        let first = [1000, 1010, -2048, 1024, 2047, 997]
        let second = [1024, 1025, 1026, 1027, 1028, 1025]
        let data = zip(first, second).flatMap { one, two -> [UInt8] in
            [UInt8(one & 0xFF), UInt8(one >> 8 & 0xF | (two >> 8 & 0xF) << 4), UInt8(two & 0xFF)]
        }
        var changed = scp
        changed[changed.count - 20] ^= 4
        return [
            "ecg.scp": scp, "aecg.xml": Array(annotated().utf8), "tiny.hea": Array(header.utf8), "tiny.dat": data,
            "ecg.essecg": EcgCoder.encode(contecCase(samples: 200).waveform12),
            "ecg.chunk": EcgChunk.encode(contecCase(samples: 200).waveform12) ?? [],
            "malformed/scp-cut.scp": scp.dropLast(9), "malformed/scp-changed.scp": changed,
            "malformed/aecg-dtd.xml": Array(annotated(extra: "<!DOCTYPE a>").utf8),
            "malformed/aecg-cut.xml": Array(annotated().utf8.dropLast(30)),
        ]
    }

    @Test func areWhatTheGeneratorsMake() throws {
        for (name, bytes) in Self.generated() {
            let url = Self.folder.appending(path: name)
            if Self.writes { try Data(bytes).write(to: url) }
            // The coder may find better predictors one day; what matters is that the file can be read.
            if name == "ecg.essecg" || name == "ecg.chunk" { continue }
            #expect(try [UInt8](Data(contentsOf: url)) == bytes, "\(name) differs; ESS_WRITE_FIXTURES=1 writes it anew")
        }
    }

    @Test func decode() throws {
        func read(_ name: String) throws -> [UInt8]? {
            try [UInt8](Data(contentsOf: Self.folder.appending(path: name)))
        }
        for (name, format) in [("ecg.scp", "scp-ecg"), ("aecg.xml", "hl7-aecg"), ("tiny.hea", "wfdb")] {
            let file = try FileDecoder.decode(read(name) ?? [], named: name, beside: read)
            #expect(file.format == format && file.start == morning && file.notes.isEmpty)
        }
        let tiny = try FileDecoder.decode(read("tiny.hea") ?? [], named: "tiny.hea", beside: read)
        #expect(tiny.waveform.samples[0] == [-24, -14, .absent, 0, 1023, -27])
        // A file written by an earlier version stays readable.
        #expect(try EcgCoder.decode(read("ecg.essecg") ?? []).waveform == contecCase(samples: 200).waveform12)
    }

    @Test(arguments: [
        ("scp-changed.scp", "section 6 is changed"), ("aecg-dtd.xml", "document type definition"),
    ])
    func whatCannotBeReadIsSaid(name: String, text: String) throws {
        let bytes = [UInt8](try Data(contentsOf: Self.folder.appending(path: "malformed/\(name)")))
        let error = #expect(throws: DecodeError.self) { try FileDecoder.decode(bytes) }
        #expect(error?.description.contains(text) == true)
    }

    /// Chunks of every version that was ever used lie in somebody's store.
    @Test func aChunkOfAnEarlierVersionIsRead() throws {
        let bytes = [UInt8](try Data(contentsOf: Self.folder.appending(path: "ecg.chunk")))
        let wave = contecCase(samples: 200).waveform12
        #expect(try EcgChunk.decode(bytes, channels: wave.channels) == wave.samples)
    }
}

extension EcgChunk {
    fileprivate static func encode(_ wave: Waveform) -> [UInt8]? { encode(wave.channels, wave.samples) }
}
