import Clinical
import Testing
import Wire

@testable import Devices

/// Frames of devices.md 3.10, worked out by hand from its table.
@Suite("Contec oximeter, legacy protocol")
struct ContecLegacyTests {
    typealias Configuration = ContecLegacySimulator.Configuration

    static func device(_ change: (inout Configuration) -> Void = { _ in }) -> ContecLegacySimulator {
        var configuration = Configuration()
        change(&configuration)
        return ContecLegacySimulator(configuration)
    }

    static func bench(_ goal: SessionGoal, _ change: (inout Configuration) -> Void = { _ in }) -> Bench {
        Bench(ContecLegacyProtocol(goal: goal), device(change))
    }

    static func report(_ lines: [String]) throws -> ReplayReport {
        try replay(Transcript(parsing: lines.joined(separator: "\n")), through: ContecLegacyOximeter.profile)
    }

    /// Strength 5, beep; pleth 51; bar 6, bit 7 of the pulse; pulse 130; SpO2 97.
    static let frame = "C5 33 46 02 61"

    @Test("a live frame")
    func liveFrame() throws {
        let values = ContecLegacyFrame(bytes: bytes(Self.frame)).values
        #expect(values.strength == 5 && values.isBeat && !values.isProbeOff && !values.isSearching)
        #expect(values.samples.prefix(3) == [51, 97, 130])
        // Finger out (bit 4 of the first byte), probe error (bit 4 of the third), searching (bit 5 of the third).
        #expect(
            ContecLegacyFrame(bytes: bytes("90 00 00 00 00")).values.samples.prefix(3) == [.absent, .absent, .absent])
        #expect(ContecLegacyFrame(bytes: bytes("85 00 10 41 61")).values.isProbeOff)
        let searching = ContecLegacyFrame(bytes: bytes("85 20 20 7F 7F")).values
        #expect(searching.isSearching && searching.spo2 == .absent && searching.pulse == 127)
    }

    @Test("headers, length and samples, in whatever portions", arguments: 1...9)
    func pieces(_ size: Int) {
        // 22:40 three times, length 5 (two samples), 94/66 and 95/131.
        let stream = bytes("F2 96 A8 F2 96 A8 F2 96 A8 80 80 05 F0 C2 5E F1 83 5F")
        var decoder = ContecLegacyDecoder()
        var pieces: [ContecLegacyPiece] = []
        for start in stride(from: 0, to: stream.count, by: size) {
            pieces += decoder.take(Array(stream[start..<min(start + size, stream.count)]))
        }
        #expect(
            pieces + decoder.flush() == [
                .header(22, 40), .header(22, 40), .header(22, 40), .length(6),
                .stored(ContecOximeterStoredSample(spo2: 94, pulse: 66, perfusion: nil)),
                .stored(ContecOximeterStoredSample(spo2: 95, pulse: 131, perfusion: nil)),
            ])
    }

    @Test("the length of a long night has 21 bits")
    func length() {
        var decoder = ContecLegacyDecoder()
        // 86400 samples are 259200 bytes: 259199 is 15 x 16384 + 104 x 128 + 127.
        #expect(decoder.take(bytes("F2 80 00 8F E8 7F F0 C2")) == [.header(0, 0), .length(259_200)])
        // An empty memory: nothing comes behind the length.
        var empty = ContecLegacyDecoder()
        #expect(empty.take(bytes("F2 80 00 F2 80 00 F2 80 00 80 80 00")).count == 3)
        #expect(empty.flush() == [.length(1)])
        // Its middle byte may look like the beginning of a sample or of a header.
        for (middle, length) in [("F0", 14_384), ("F2", 14_640)] {
            var decoder = ContecLegacyDecoder()
            #expect(decoder.take(bytes("F2 80 00 80 \(middle) 2F F1 83 5F")).dropFirst().first == .length(length))
        }
        // Without a sample behind it, it was a stray byte and a live frame.
        var live = ContecLegacyDecoder()
        let pieces = live.take(bytes("F2 80 00 85 \(Self.frame)"))
        #expect(pieces.dropFirst().first == .lost(1))
        guard case .live = pieces.last else {
            Issue.record("no live frame: \(pieces)")
            return
        }
    }

    @Test("one lost byte of a live stream is one gap", arguments: 0..<5)
    func lostByte(_ lost: Int) throws {
        var stream = Array(repeating: Self.frame.split(separator: " ").map(String.init), count: 90).flatMap(\.self)
        stream.remove(at: 5 * 45 + lost)
        for lines in [["< \(stream.joined(separator: " "))"], stream.map { "<  \($0)" }] {
            let report = try Self.report(lines)
            #expect(report.recordings.map(\.samples) == [89])
            #expect(report.recordings[0].notes.map(\.kind) == [.gap])
            #expect(report.recordings[0].channels.map(\.absent) == [0, 0, 0])
        }
    }

    @Test("a capture of one frame is a live recording", arguments: [1, 29, 30, 200])
    func short(_ count: Int) throws {
        let report = try Self.report(Array(repeating: "< 81  \(Self.frame)", count: count))
        #expect(report.recordings.map(\.samples) == [count])
        #expect(report.recordings[0].readings.map(\.value) == [97, 130])
        #expect(report.identity?.serial == nil && report.identity?.driver == "contec-legacy")
    }

    @Test("a download: live before, one damaged header of three, a length that is no multiple of three")
    func foreignDownload() throws {
        let live = Array(repeating: "< 81  \(Self.frame)", count: 40)
        let samples = (0..<84).map { _ in "< 81  F0 C2 5E" }
        // 253 bytes: 252 is 128 + 124.
        let report = try Self.report(
            live + ["> 01  F5 F5", "< 81  F2 96 A8 F2 \(Self.frame) F2 96 A8", "< 81  80 81 7C"] + samples)
        #expect(report.recordings.map(\.kind) == [.live, .stored])
        #expect(report.recordings.map(\.samples) == [40, 84])
        #expect(report.recordings[1].rawStart == "22:40" && report.recordings[1].start == nil)
        #expect(report.recordings[1].end == .finished && report.recordings[1].announced == 84)
        #expect(report.recordings[1].channels[0].sum == 84 * 94 && report.recordings[1].channels[1].sum == 84 * 66)
    }

    @Test("the probe sends nothing at all")
    func probe() {
        var bench = Self.bench(.identify)
        bench.run(until: 10)
        #expect(bench.finish == .done && bench.sent.isEmpty && bench.controls.isEmpty)
        #expect(bench.elapsed < 1)
        var silent = Bench(ContecLegacyProtocol(goal: .identify), SilentDevice())
        silent.run(until: 10)
        #expect(silent.finish == .notThisDevice && silent.sent.isEmpty)
        // The newer protocol's stream at another speed is no stream of this one.
        var other = ContecOximeterSimulator.Configuration()
        other.isStreaming = true
        other.keepAliveLimit = nil
        var newer = Bench(ContecLegacyProtocol(goal: .identify), ContecOximeterSimulator(other))
        newer.run(until: 10)
        #expect(newer.finish == .notThisDevice && newer.sent.isEmpty)
    }

    @Test("downloads a night whose length and samples are those of the device")
    func download() throws {
        var bench = Self.bench(.download(known: []))
        bench.run(until: 60)
        #expect(bench.finish == .done && bench.violations.isEmpty)
        let night = ContecOximeterNight(start: nil, seconds: 600)
        let kept = try #require(bench.recordings.first)
        #expect(kept.samples[0] == (0..<600).map { night.stored(at: $0, perfusion: false).samples[0] })
        #expect(kept.samples[1] == (0..<600).map { night.stored(at: $0, perfusion: false).samples[1] })
        #expect(kept.start.item?.rawStart == "22:40" && kept.end == .finished && bench.recordings.count == 1)
        #expect(bench.sent == [[0xF5, 0xF5], [0xF6, 0xF6, 0xF6]])
        #expect(bench.identities.first?.isSimulated == true)
        // Again: left alone. Another night of the same length: not.
        let source = try #require(kept.start.item?.source)
        var again = Self.bench(.download(known: [source]))
        again.run(until: 60)
        #expect(again.recordings.isEmpty && again.skipped.map(\.source) == [source] && again.finish == .done)
        var other = Self.bench(.download(known: [source])) {
            $0.night = ContecOximeterNight(start: nil, seconds: 600, seed: 2)
        }
        other.run(until: 60)
        #expect(other.recordings.count == 1)
    }

    @Test("what goes wrong with a download")
    func faults() throws {
        var damaged = Self.bench(.download(known: [])) {
            $0.damagesHeader = true
            $0.deafFor = 1
            $0.hasOddLength = true
        }
        damaged.run(until: 60)
        #expect(damaged.finish == .done && damaged.recordings.map(\.end) == [.finished])
        #expect(damaged.recordings[0].start.item?.rawStart == "22:40")
        var stalled = Self.bench(.download(known: [])) { $0.stallsAfter = 100 }
        stalled.run(until: 60)
        #expect(stalled.recordings.map(\.end) == [.deviceEnded] && stalled.recordings[0].samples[0].count == 100)
        #expect(stalled.recordings[0].notes.map(\.text) == ["100 of 600 samples arrived"])
        var dead = Self.bench(.download(known: [])) { $0.deafFor = 1000 }
        dead.run(until: 60)
        #expect(dead.recordings.isEmpty && dead.sent.count == 9)
        if case .deviceEnded = dead.finish {} else { Issue.record("\(String(describing: dead.finish))") }
        var mute = Self.bench(.live) { $0.isMute = true }
        mute.run(until: 5)
        #expect(mute.sent == [[0xF6, 0xF6, 0xF6]] && mute.recordings.count == 1)
        let noClock = Self.bench(.download(known: [])) { $0.hasClock = false }
        var clockless = noClock
        clockless.run(until: 60)
        #expect(clockless.recordings.map(\.start.item?.rawStart) == [nil])
    }

    @Test("the fixtures")
    func fixtures() throws {
        let profile = ContecLegacyOximeter.profile
        var live = Self.bench(.live) { $0.finger.seconds = 60 }
        live.run(until: 4)
        live.stop()
        try Fixtures.check("live", of: profile, text: live.transcript.rendered())
        var stored = Self.bench(.download(known: [])) {
            $0.night?.seconds = 90
            $0.damagesHeader = true
        }
        stored.run(until: 30)
        try Fixtures.check("stored", of: profile, text: stored.transcript.rendered())
    }
}
