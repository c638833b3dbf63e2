import Testing
import Wire

/// Deterministic: the same seed gives the same numbers everywhere.
struct SeededNumbers: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
        return value ^ value >> 31
    }
}

@Suite struct TranscriptTests {
    @Test func readsTheDocumentedForm() throws {
        let transcript = try Transcript(
            parsing: """
                # ess-agent transcript 1   device 10C4:ea60 "CMS50"   2026-11-22
                # a remark

                > 01  A5 01
                < 81  a5 0x00 00     +0.0021      device → host
                ! 81  timeout        +1.0000
                = note electrodes off
                """)
        #expect(
            transcript.header
                == TranscriptHeader(vendorID: "10c4", productID: "ea60", model: "CMS50", date: "2026-11-22"))
        #expect(
            transcript.events == [
                .sent([0xA5, 0x01]), .received([0xA5, 0, 0], after: 0.0021),
                .error("timeout", endpoint: 0x81, after: 1), .note("electrodes off"),
            ])
    }

    @Test(arguments: ["", "\n\n", "# only a remark\n", "\u{FEFF}> 01  7D\r\n"])
    func headerMayBeMissing(text: String) throws {
        let transcript = try Transcript(parsing: text)
        #expect(!transcript.header.isPresent)
    }

    @Test func endpointStandsBeforeTwoSpacesOrATab() throws {
        let transcript = try Transcript(parsing: "> 01  7D 81\n> 02\t7D\n< 81  06 80 80 87\n")
        #expect(
            transcript.events == [.sent([0x7D, 0x81]), .sent([0x7D], endpoint: 2), .received([6, 0x80, 0x80, 0x87])])
    }

    @Test func singleSpacesWithTheSameFirstByteAreAnEndpoint() throws {
        let transcript = try Transcript(parsing: "> 01 7D 81 A0\n< 81 06 80 +0.1\n> 01 7D 81 A8\n< 81 02 80\n")
        #expect(transcript.events.map(\.endpoint) == [1, 0x81, 1, 0x81])
        #expect(transcript.events.map(\.bytes) == [[0x7D, 0x81, 0xA0], [6, 0x80], [0x7D, 0x81, 0xA8], [2, 0x80]])
    }

    @Test(arguments: [
        "> 7D 81 A0\n< 06 80 80 87\n> 7D 81 A8\n< 02 80\n",
        // Live frames all begin with 01, which looks like an endpoint only on the way out.
        "> 7D 81 A1\n< 01 E0 85\n< 01 E0 86\n",
        // One line alone proves nothing.
        "> 01 7D 81\n",
        // Different first bytes.
        "> 01 7D\n> 02 7D\n",
        // The other direction has none.
        "> 01 7D\n> 01 7D\n< 06 80\n",
        "> 7D81A0\n< 0x06 0x80\n",
        "< 0C\n< 0C   +0.2\n",
        // Nothing has this endpoint.
        "> 7D  81 A0\n",
    ])
    func withoutEndpointsBytesStartAtOnce(text: String) throws {
        let transcript = try Transcript(parsing: text)
        #expect(transcript.events.allSatisfy { $0.endpoint == nil })
        #expect(!transcript.events.contains { $0.bytes.isEmpty })
    }

    @Test func loneByteIsAnEndpointOnlyWhereEndpointsAreStated() throws {
        #expect(try Transcript(parsing: "< 81  06\n< 81   +0.1\n").events[1] == .received([], after: 0.1))
        #expect(try Transcript(parsing: "< 81   +0.1\n").events == [.received([0x81], endpoint: nil, after: 0.1)])
    }

    @Test func hyphenMeansNone() throws {
        let events = try Transcript(parsing: "> -  01 02\n> -  01 02\n< 81  -\n! -  81 is no endpoint here\n").events
        #expect(
            events == [
                .sent([1, 2], endpoint: nil), .sent([1, 2], endpoint: nil), .received([]),
                .error("81 is no endpoint here"),
            ])
    }

    @Test(arguments: [
        ("> 01  7D 8", 1), ("\n? what", 2), ("> 01  7D …", 1), ("> 01  7D +x", 1), ("> 01  7D +-1", 1),
        ("> 01  7D +1e400", 1), ("> 01  host to device", 1), ("# ess-agent transcript 2", 1), ("\n\n< 0x", 3),
    ])
    func errorsNameTheLine(text: String, line: Int) throws {
        let error = #expect(throws: TranscriptError.self) { try Transcript(parsing: text) }
        #expect(error?.line == line)
        #expect(error?.remedy.isEmpty == false)
    }

    @Test func lineLengthIsBounded() {
        let long = "> 01  " + String(repeating: "00 ", count: Transcript.longestLine / 3 + 1)
        #expect(throws: TranscriptError.self) { try Transcript(parsing: long) }
    }

    @Test func manyLinesAreFine() throws {
        let text = String(repeating: "< 81  01 E0 85 B3 96 C1 E1 FF FF   +0.0167\n", count: 20_000)
        #expect(try Transcript(parsing: text).events.count == 20_000)
    }

    @Test(arguments: 0..<50) func roundTrips(seed: Int) throws {
        var numbers = SeededNumbers(state: UInt64(seed))
        var transcript = Transcript(
            header: TranscriptHeader(vendorID: "10c4", productID: "ea60", model: "CMS50 \(seed)", date: "2026-11-22"))
        let texts = ["timeout", "81 things", "note +1.5", "- +0.1", "# no remark", "é", "", "+3", "0x81 read"]
        for _ in 0..<40 {
            let after =
                Bool.random(using: &numbers) ? 0 : Double(Int.random(in: 0...3_000_000_000, using: &numbers)) / 1e9
            let endpoint: UInt8? = [nil, 1, 0x81, 0x0F, 0x82].randomElement(using: &numbers) ?? nil
            let bytes = (0..<Int.random(in: 0...12, using: &numbers)).map { _ in
                UInt8.random(in: 0...255, using: &numbers)
            }
            let text = texts.randomElement(using: &numbers) ?? ""
            switch Int.random(in: 0..<4, using: &numbers) {
            case 0: transcript.events.append(.sent(bytes, endpoint: endpoint, after: after))
            case 1: transcript.events.append(.received(bytes, endpoint: endpoint, after: after))
            case 2: transcript.events.append(.error(text, endpoint: endpoint, after: after))
            default: transcript.events.append(.note(text, after: after))
            }
        }
        let text = transcript.rendered()
        let again = try Transcript(parsing: text)
        #expect(again == transcript)
        #expect(again.rendered() == text)
    }

    @Test func hugeEventsBecomeSeveralLines() throws {
        let bytes = [UInt8](repeating: 0x5A, count: 2_500_000)
        let again = try Transcript(parsing: Transcript(events: [.sent(bytes, after: 1)]).rendered())
        #expect(again.events.count == 3)
        #expect(again.events.flatMap(\.bytes) == bytes)
        #expect(again.events.map(\.after) == [1, 0, 0])
    }

    @Test func lineBreaksInTextsCannotForgeLines() throws {
        let hostile = Transcript(
            header: TranscriptHeader(model: "a\"b\n> 01  AE", date: "x\n> 01  AE"),
            events: [.note("a\n> 01  AE\r\n"), .error("\n\n")])
        let again = try Transcript(parsing: hostile.rendered())
        #expect(again.events == [.note("a > 01  AE"), .error("")])
    }

    @Test func hostileTextIsAnErrorOrATranscriptNeverACrash() {
        var numbers = SeededNumbers(state: 7)
        let alphabet = Array("><!=#-+ 0123456789abcdefxX.\t\r\n\"".utf8) + [0, 0xC3, 0xFF, 0xE2]
        for _ in 0..<4000 {
            let text = (0..<Int.random(in: 0...80, using: &numbers)).map { _ in
                alphabet.randomElement(using: &numbers) ?? 0
            }
            guard let transcript = try? Transcript(parsing: text) else { continue }
            // What could be read reads back as the same; only control characters and parts of nanoseconds are lost.
            let rendered = transcript.rendered()
            let again = try? Transcript(parsing: rendered)
            #expect(again?.rendered() == rendered)
            #expect(again?.events.map(\.bytes) == transcript.events.map(\.bytes))
            #expect(again?.events.map(\.endpoint) == transcript.events.map(\.endpoint))
        }
    }

    @Test func everyTruncationAndFlippedBitIsHandled() {
        let text = Array(
            """
            # ess-agent transcript 1   device 10c4:ea60 "CMS50"   2026-11-22
            > 01  7D 81 A0
            < 81  06 80 80 87   +0.0021
            ! 81  timeout   +1.0000
            = note é
            """.utf8)
        for count in 0...text.count { _ = try? Transcript(parsing: Array(text.prefix(count))) }
        for index in text.indices {
            for bit in 0..<8 {
                var damaged = text
                damaged[index] ^= 1 << bit
                _ = try? Transcript(parsing: damaged)
            }
        }
    }
}
