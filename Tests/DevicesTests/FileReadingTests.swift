import Clinical
import Devices
import Formats
import Testing

@Suite("Any file")
struct FileReadingTests {
    private let start = LocalTime(year: 2026, month: 11, day: 22, hour: 9, minute: 5, second: 7)!

    @Test func everyKindIsFound() throws {
        let card = ResmedSimulatedCard(model: .airSense11, sessions: [.init(start: start, minutes: 2, apnoeas: 1)])
        let tree = MemoryTree(card.files())
        let item = try #require(try ResmedCard().find(in: tree).first)
        let session = try ResmedCard().read(item, from: tree).original
        let kinds: [(String, [UInt8])] = [
            ("contec-ecg", ContecEcgCard.bytes(.init(number: 1, start: start, seconds: 1))),
            ("contec-spo2", OximeterFileMaker.contec(start: start, seconds: 10)),
            ("oximeter-files", OximeterFileMaker.choiceMMed(start: start, seconds: 10)),
            ("easy-ecg-files", EasyEcgCard.pc80b(.init(number: 1, start: start))),
            ("easy-ecg-files", EasyEcgCard.pc180d(.init(number: 1, start: start))), ("resmed-card", session),
        ]
        for (format, bytes) in kinds {
            let file = try decodeAnyFile(bytes)
            #expect(file.format == format && file.isSimulated && file.start == start)
            #expect(file.waveform.summaries.contains { $0.samples > $0.absent })
        }
        // One file of a card by itself; the events of a session are annotations without samples.
        for path in item.parts {
            let bytes = try #require(tree.files[path])
            #expect(try decodeAnyFile(bytes).format == "resmed-card")
        }
    }

    @Test func damageAndStrangersKeepTheirWords() {
        #expect(throws: DecodeError.damaged(format: "easy-ecg-files", "the checksum is wrong; copy the file again")) {
            try decodeAnyFile(EasyEcgCard.pc80b(.init(number: 1, start: start, damage: .flippedSample)))
        }
        for bytes in [[], Array("nothing that anybody knows".utf8)] as [[UInt8]] {
            let error = #expect(throws: DecodeError.self) { try decodeAnyFile(bytes) }
            guard case .notRecognised? = error else { return #expect(Bool(false), "not called unknown") }
        }
    }

    @Test func archivesAreReadBackAndChecked() throws {
        let archive = Ustar([.init(name: "a/b.txt", bytes: Array("hello".utf8)), .init(name: "c", bytes: [])])
        let bytes = try archive.encoded()
        #expect(bytes.count == 5 * 512)
        #expect(try Ustar(decoding: bytes) == archive)
        #expect(throws: EncodeError.self) {
            try Ustar([.init(name: String(repeating: "x", count: 101), bytes: [])]).encoded()
        }
        var flipped = bytes
        flipped[3] ^= 1
        #expect(throws: DecodeError.damaged(format: "ustar", "the checksum of an entry's header is wrong")) {
            try Ustar(decoding: flipped)
        }
        tortureFile(bytes, whole: bytes.count, stride: 1, seed: 12) { _ = try? Ustar(decoding: $0) }
    }
}
