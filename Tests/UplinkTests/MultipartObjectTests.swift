import FoundationEssentials
import Testing

@testable import Uplink

/// Any sum will do here: what counts is which bytes it was given.
private struct Kept: RunningHash {
    var bytes: [UInt8] = []
    mutating func update(_ bytes: ArraySlice<UInt8>) { self.bytes += bytes }
    func finish() -> String { String(decoding: bytes, as: UTF8.self) }
}

@Suite struct MultipartObjectTests {
    /// 128 bytes, DICM, a group length of 10 in bytes 140 to 143, ten bytes of meta information, a data set.
    private static let file: [UInt8] =
        [UInt8](repeating: 0x30, count: 128) + Array("DICM".utf8) + [2, 0, 0, 0, 0x55, 0x4C, 4, 0] + [10, 0, 0, 0]
        + Array("0123456789".utf8) + Array("the data set\r\n--with lines\r\n".utf8)

    private static func answer(_ body: [UInt8], preamble: String = "") -> [UInt8] {
        Array("\(preamble)--B\r\nContent-Type: application/dicom\r\nMIME-Version: 1.0\r\n\r\n".utf8) + body
            + Array("\r\n--B--".utf8)
    }

    @Test(arguments: [1, 2, 7, 64, 5_000])
    func theObjectAsItWasHoweverItComes(step: Int) throws {
        let answer = Self.answer(Self.file, preamble: "\r\n")
        var part = MultipartObject(Kept(), Kept(), limit: 10_000)
        for start in stride(from: 0, to: answer.count, by: step) {
            part.take(Array(answer[start..<min(answer.count, start + step)]))
        }
        let found = try #require(part.finish())
        #expect(Array(found.whole.utf8) == Self.file)
        #expect(found.dataset == "the data set\r\n--with lines\r\n")
    }

    @Test func aCutOneIsNone() {
        let answer = Self.answer(Self.file)
        var part = MultipartObject(Kept(), Kept(), limit: 10_000)
        part.take(Array(answer.dropLast(6)))
        #expect(part.finish() == nil)
    }

    @Test func aLongerOneThanWasSentIsNone() {
        var part = MultipartObject(Kept(), Kept(), limit: 50)
        part.take(Self.answer(Self.file))
        #expect(part.finish() == nil)
    }

    @Test func whateverElseComes() {
        for text in ["", "\r\n\r\n", "<html>", "--B\r\n\r\nshort\r\n--B--"] {
            var part = MultipartObject(Kept(), Kept(), limit: 1_000)
            part.take(Array(text.utf8))
            #expect(part.finish() == nil)
        }
    }
}

@Suite struct StowOutcomeTests {
    private func read(_ text: String) throws -> StowOutcome {
        try JSONDecoder().decode(StowOutcome.self, from: Data(text.utf8))
    }

    /// As Orthanc and dcm4chee write it.
    @Test func whatIsStoredAndWhatIsNot() throws {
        let outcome = try read(
            """
            {"00081190":{"vr":"UR","Value":["https://x"]},"00081198":{"vr":"SQ","Value":[{"00081150":{"vr":"UI","Value":["1.2"]},
            "00081155":{"vr":"UI","Value":["1.9"]},"00081197":{"vr":"US","Value":[272]}}]},
            "00081199":{"vr":"SQ","Value":[{"00081155":{"vr":"UI","Value":["1.3"]}}]}}
            """)
        #expect(outcome.stored == ["1.3"])
        #expect(outcome.failures == ["1.9": 272])
    }

    @Test func anEmptySuccessIsNone() throws {
        #expect(try read("{\"00081199\":{\"vr\":\"SQ\"}}").stored.isEmpty)
        #expect(try read("[{}]").stored.isEmpty)
        #expect((try? read("[1]")) == nil || (try? read("[1]"))?.stored.isEmpty == true)
    }
}
