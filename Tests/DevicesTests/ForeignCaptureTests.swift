import Clinical
import Testing
import Wire

@testable import Devices

/// Captures of other clients' sessions, written as they come on the wire: what was found wrong with a generator that knows
/// nothing of this code stays right.
@Suite("Contec oximeter: foreign captures")
struct ForeignCaptureTests {
    static func report(_ lines: [String]) throws -> ReplayReport {
        try replay(Transcript(parsing: lines.joined(separator: "\n")), through: ContecOximeter.profile)
    }

    static func texts(_ report: ReplayReport) -> [String] { report.surprises.map(\.text) }

    /// SpO2 97, pulse 65, plethysmogram 51, no perfusion index (devices.md 3.4).
    static let frame = "01 E0 85 B3 96 C1 E1 FF FF"
    static let length = "08 80 80 80 8E 80 80 80"
    /// Seven samples (devices.md 3.7).
    static let dump = ["0F A0 E0 BD E0 BE DF 83", "0F 8A FF FF FF FF DE C0", "0F 80 DD BF 80 80 80 80"]

    /// A CMS50D+ (V7) and its vendor's program, both sides, as headrotor/art-sensors publishes them (`spO2/stream_data.py` at
    /// 0893e6a2): every question of the program, what the device answered to it, and the first frames of its stream.
    @Test("a real CMS50D+ and its vendor's program")
    func realSession() throws {
        let stream = ["B3 96", "B0 96", "AE 95", "AC 95", "AB 95", "AA 95", "AA 95"].map {
            "01 E0 85 \($0) C1 E1 FF FF"
        }
        let session: [(asked: String, answers: [String])] = [
            ("A7", ["0C 80"]), ("A2", ["0C 80"]), ("A0", ["06 80 80 87"]), ("B0", ["11 80 81 81 80 80 80 80 80"]),
            ("AC", ["0E 80 81"]), ("B3", ["13 80 A0 A0 A0 A0 A0 A0 A0 14 80 A0 A0 A0 A0 A0 80 80"]),
            ("A8", ["02 80 80 A0 A0 A0 A0 A0 A0 02 81 FF A0 A0 A0 A0 A0 A0"]), ("AA", ["04 80 F5 F3 E5 F2 A0 A0 A0"]),
            ("A9", ["03 80 A0 A0 A0 A0 A0 A0 A0"]), ("A1", stream),
        ]
        let lines = session.flatMap { asked, answers in
            ["> 01  7D 81 \(asked) 80 80 80 80 80 80"] + Self.lines("< 81", answers)
        }
        let report = try Self.report(lines)
        #expect(report.surprises.isEmpty, "\(Self.texts(report))")
        let identity = try #require(report.identity)
        // All its names are blanks, but for the identifier that all are made with: it tells no device from another.
        #expect(identity.serial == nil && identity.firmware == "protocol 7")
        let recorded = try #require(report.recordings.first)
        #expect(report.recordings.count == 1 && recorded.kind == .live && recorded.samples == 7)
        let pleth = try #require(recorded.channels.first)
        #expect(pleth.first == 0x33 && pleth.minimum == 0x2A && pleth.maximum == 0x33)
        // 33 30 2E 2C 2B 2A 2A.
        #expect(pleth.sum == 316)
        #expect(recorded.channels.contains { $0.first == 97 && $0.minimum == 97 && $0.maximum == 97 })
        #expect(recorded.channels.contains { $0.first == 65 && $0.minimum == 65 && $0.maximum == 65 })
        #expect(recorded.bytes >= 7 * 9)
        // The device's side alone says the same.
        let alone = try Self.report(lines.filter { $0.hasPrefix("<") })
        #expect(alone.recordings.map(\.channels) == report.recordings.map(\.channels))
    }

    /// A Pulox PO-250 (V7) that found its first values: AndreasZachariae/cms50dplus-driver, `cms50dplus_driver/data` at 79560bc1.
    @Test("a real stream before and after its first values")
    func firstValues() throws {
        let frames = [
            "01 E0 85 D1 9A 80 80 FF FF", "01 E0 85 CF 99 80 80 FF FF", "01 E0 85 CC 99 80 80 FF FF",
            "01 E0 C5 C9 99 D3 E1 FF FF", "01 E0 85 C4 98 D3 E1 FF FF", "01 E0 85 C1 98 D3 E1 FF FF",
        ]
        let report = try Self.report(Self.lines("<", frames))
        let channels = try #require(report.recordings.first).channels
        #expect(report.surprises.isEmpty && channels.allSatisfy { $0.samples == 6 })
        // Plethysmogram, SpO2, pulse, perfusion index.
        #expect(channels.map(\.absent) == [0, 3, 3, 6])
        let sums: [Double] = [442, 291, 249]
        #expect(Array(channels.map(\.sum).prefix(3)) == sums)
    }

    static func lines(_ sign: String, _ frames: [String]) -> [String] { frames.map { "\(sign)  \($0)" } }

    @Test("padding is never counted, whether or not a length was said")
    func padding() throws {
        for head in [[], ["< 81  \(Self.length)"]] {
            let report = try Self.report(head + Self.lines("< 81", Self.dump))
            let spo2 = report.recordings[0].channels[0]
            #expect(report.recordings[0].samples == 7)
            #expect(spo2.absent == 2 && spo2.sum == 96 + 96 + 95 + 94 + 93 && spo2.minimum == 93)
            #expect(report.recordings[0].channels[1].sum == 61 + 62 + 131 + 64 + 63)
        }
    }

    @Test("a frame of zeros is a second without values, and what could be padding at its end")
    func zeros() throws {
        let zeros = "0F 80 80 80 80 80 80 80"
        let report = try Self.report(["< 81  \(Self.dump[0])", "< 81  \(zeros)", "< 81  \(zeros)"])
        #expect(report.recordings[0].samples == 7)
        #expect(report.recordings[0].channels.map(\.absent) == [4, 4])
    }

    @Test("a capture that begins within a live stream has its samples, however few", arguments: [1, 29, 30, 90])
    func begunBefore(_ count: Int) throws {
        let stream = Self.lines("<", Array(repeating: Self.frame, count: count))
        let report = try Self.report(stream + ["> 7D 81 A2 80 80 80 80 80 80", "< \(Self.frame)", "< 0C 80"])
        #expect(report.recordings.map(\.samples) == [count])
        #expect(report.recordings[0].end == .stopped)
        #expect(report.recordings[0].readings.map(\.value) == [97, 65])
    }

    @Test("but live frames between a client's stops are stragglers")
    func stragglers() throws {
        let stream = Self.lines("< 81", Array(repeating: Self.frame, count: 12))
        let report = try Self.report(
            ["> 01  7D 81 A7"] + stream + ["> 01  7D 81 A2", "< 81  0C 80", "< 81  06 80 80 87"])
        #expect(report.recordings.isEmpty && report.surprises.isEmpty)
        #expect(report.identity?.firmware == "protocol 7")
    }

    @Test("at the end of a capture half a second of live frames is a recording, even behind others")
    func lateLive() throws {
        let stream = Array(repeating: Self.frame, count: 40)
        let report = try Self.report(
            Self.lines("< 81", [Self.length] + Self.dump + ["0C 80"] + stream))
        #expect(report.recordings.map(\.kind) == [.stored, .live])
        #expect(report.recordings.map(\.samples) == [7, 40])
    }

    @Test("a client asks for 1/1, the device answers about 0/0: its facts hold")
    func otherPlace() throws {
        let report = try Self.report(
            [
                "> 01  7D 81 A5 81 81 80 80 80 80", "< 81  07 80 80 80 94 8E 88 92 12 80 80 80 82 A6 92 80",
                "> 01  7D 81 A4 81 81 80 80 80 80", "< 81  \(Self.length)", "> 01  7D 81 A6 81 81 80 80 80 80",
            ] + Self.lines("< 81", Self.dump))
        #expect(report.recordings.map(\.announced) == [7])
        #expect(report.recordings[0].start == "2014-08-18 02:38:18")
        #expect(report.recordings[0].source?.contains("/0/") == true)
        #expect(report.recordings[0].end == .finished)
    }

    @Test("a place that nobody asked about does not borrow another one's facts")
    func unaskedPlace() throws {
        let report = try Self.report(
            ["> 01  7D 81 A4 80 80 80 80 80 80", "< 81  \(Self.length)", "> 01  7D 81 A6 80 81 80 80 80 80"]
                + Self.lines("< 81", Self.dump))
        #expect(report.recordings.map(\.announced) == [nil])
        #expect(report.recordings[0].source?.contains("/0/") == true)
    }

    @Test("a damaged answer is a surprise, and changes nothing else")
    func damagedAnswer() throws {
        let answer = "03 80 D2 E5 C6 EC E5 D8 80".split(separator: " ").map(String.init)
        for lost in answer.indices {
            var damaged = answer
            damaged.remove(at: lost)
            // One byte a line: what counts is not how it arrived.
            for pieces in [[damaged.joined(separator: " ")], damaged] {
                let report = try Self.report(
                    ["< 81  06 80 80 87"] + Self.lines("< 81", pieces) + ["< 81  04 80 B1 B2 B3 80 80 80 80"])
                #expect(
                    report.surprises == [
                        ReplayReport.Surprise(
                            text: lost == 0 ? "bytes without a frame's beginning" : "a frame of type 03 was cut",
                            count: 1)
                    ])
                #expect(report.identity?.serial == "123" && report.identity?.vendor == "Contec")
                #expect(report.recordings.isEmpty)
            }
        }
    }

    @Test("a refusal of what was asked is said", arguments: [("83", "recording"), ("85", "not supported")])
    func refused(_ code: String, _ text: String) throws {
        let download = try Self.report(["> 01  7D 81 A6 80 80", "< 81  0B 81 A6 \(code)"])
        #expect(Self.texts(download) == ["the device refused the download: \(text)"])
        let live = try Self.report(["> 01  7D 81 A1", "< 81  0B 81 A1 \(code)"])
        #expect(Self.texts(live) == ["the device refused the live stream: \(text)"])
        // Not every device knows every question.
        #expect(try Self.report(["> 01  7D 81 AC", "< 81  0B 81 AC \(code)"]).surprises.isEmpty)
    }

    @Test("a device that goes away between recordings is seen")
    func goesAway() throws {
        #expect(
            try Self.texts(Self.report(["< 81  06 80 80 87", "< 81  0D 80 81"])) == [
                "the device disconnects by itself: shutting down"
            ])
    }

    @Test("more storage frames than the usual stragglers are not dropped silently")
    func beyondTheEnd() throws {
        for (extra, surprises) in [(3, 0), (5, 2)] {
            let report = try Self.report(
                Self.lines("< 81", [Self.length] + Self.dump + Array(repeating: Self.dump[0], count: extra)))
            #expect(report.recordings.map(\.samples) == [7])
            #expect(report.surprises.map(\.count).reduce(0, +) == surprises)
        }
    }

    @Test("one lost byte is one gap, however the bytes arrived", arguments: 0..<9)
    func oneGap(_ lost: Int) throws {
        var bytes = Array(repeating: Self.frame.split(separator: " ").map(String.init), count: 60).flatMap(\.self)
        bytes.remove(at: 9 * 30 + lost)
        let whole = try Self.report(["> 01  7D 81 A1", "< 81  \(bytes.joined(separator: " "))"])
        let single = try Self.report(["> 01  7D 81 A1"] + Self.lines("< 81", bytes))
        #expect(whole == single)
        #expect(whole.recordings.map(\.samples) == [59])
        #expect(whole.recordings[0].notes.map(\.kind) == [.gap])
        #expect(whole.recordings[0].notes.first?.text == "8 bytes were lost or damaged")
    }
}
