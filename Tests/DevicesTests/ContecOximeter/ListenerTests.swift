import Clinical
import Testing
import Wire

@testable import Devices

/// Conversations that other clients led, or nobody that we can hear.
@Suite("Contec oximeter: listening")
struct ContecOximeterListenerTests {
    typealias Driver = ContecOximeterDriverTests

    static let night = ContecOximeterNight(start: Driver.start, seconds: 100)

    static func report(_ events: [TranscriptEvent]) -> ReplayReport {
        replay(Transcript(events: events), through: ContecOximeter.profile)
    }

    static func fromDevice(_ frames: [ContecOximeterFrame], after: Double = 0.01) -> TranscriptEvent {
        .received(frames.flatMap(\.wire), after: after)
    }

    static func toDevice(_ text: String) -> TranscriptEvent { .sent(bytes(text), after: 0.01) }

    static func storage(_ night: ContecOximeterNight = night, perfusion: Bool = false) -> [ContecOximeterFrame] {
        let seconds = Array(0..<night.seconds)
        guard !perfusion else { return seconds.map { .storedWithPerfusion(night.stored(at: $0, perfusion: true)) } }
        return stride(from: 0, to: night.seconds, by: 3).map { first in
            var samples = seconds[first..<min(first + 3, night.seconds)].map { night.stored(at: $0, perfusion: false) }
            while samples.count < 3 { samples.append(ContecOximeterStoredSample(spo2: 0, pulse: 0, perfusion: nil)) }
            return .stored(samples)
        }
    }

    static func live(_ count: Int) -> [ContecOximeterFrame] {
        let finger = ContecOximeterNight(start: nil, seconds: 3600, seed: 7)
        return (0..<count).map { .realTime(finger.realTime(at: $0, perfusion: false)) }
    }

    static func facts(user: UInt8 = 0, segment: UInt8 = 0, bytes: UInt32 = 200) -> [ContecOximeterFrame] {
        let place = ContecOximeterPlace(user: user, segment: segment)
        return [
            .startDate(place, century: 20, year: 26, month: 11, day: 21),
            .startTime(place, hour: 22, minute: 40, second: 5, last: 0), .length(place, bytes),
        ]
    }

    static func summaries(_ night: ContecOximeterNight = night, perfusion: Bool = false) -> [ChannelSummary] {
        zip(ContecOximeterChannels.stored(perfusion: perfusion), Driver.meant(night, perfusion: perfusion)).map {
            ChannelSummary($0, $1)
        }
    }

    static let identity: [ContecOximeterFrame] = [
        .version(0, 7), .model(index: 0, text: Array("CMS50F".utf8)),
        .model(index: 1, text: [0xFF] + Array(" v46 ".utf8)), .vendor(Array("Contec\0".utf8)),
        .identifier(Array("       ".utf8)),
    ]

    @Test("our own conversations replay to what the driver saw", arguments: [false, true])
    func own(_ perfusion: Bool) {
        let download = Driver.downloaded { $0.hasPerfusion = perfusion }
        let report = replay(download.transcript, through: ContecOximeter.profile)
        #expect(report.identity == download.identities.first)
        #expect(report.recordings.count == 1)
        let recorded = report.recordings[0]
        let kept = download.recordings[0]
        #expect(recorded.end == .finished)
        #expect(recorded.source == kept.start.item?.source)
        #expect(recorded.start == "2026-11-21 22:40:05")
        #expect(recorded.announced == 601 && recorded.samples == 601)
        #expect(recorded.bytes == kept.raw.count)
        #expect(recorded.channels == Waveform(channels: kept.start.channels, samples: kept.samples).summaries)
        #expect(report.surprises.isEmpty)

        var live = Driver.bench(.live) { $0.hasPerfusion = perfusion }
        live.run(until: 10)
        live.stop()
        live.run(until: 20)
        let liveReport = replay(live.transcript, through: ContecOximeter.profile)
        #expect(liveReport.recordings.count == 1)
        #expect(liveReport.recordings[0].end == .stopped)
        #expect(liveReport.recordings[0].samples == live.recordings[0].samples[0].count)
        #expect(liveReport.recordings[0].bytes == live.recordings[0].raw.count)
        #expect(
            liveReport.recordings[0].readings.map(\.name) == (perfusion ? ["SpO2", "Pulse", "PI"] : ["SpO2", "Pulse"]))
    }

    @Test("short commands in another order")
    func shortCommands() {
        let report = Self.report([
            Self.toDevice("7D 81 A2"), Self.fromDevice([.free]),
            Self.toDevice("7D 81 A4"), Self.fromDevice([Self.facts()[2]]),
            Self.toDevice("7D 81 A5"), Self.fromDevice(Array(Self.facts()[..<2])),
            Self.toDevice("7D 81 A6"), Self.fromDevice(Self.storage()),
            Self.toDevice("7D 81 A7"), Self.fromDevice([.free]),
            Self.toDevice("7D 81 A8"), Self.fromDevice(Self.identity),
        ])
        #expect(report.recordings.count == 1)
        #expect(report.recordings[0].end == .finished)
        #expect(report.recordings[0].start == "2026-11-21 22:40:05")
        #expect(report.recordings[0].channels == Self.summaries())
        #expect(report.identity?.model == "CMS50F v46")
        #expect(report.identity?.serial == nil)
    }

    @Test("the device alone: described, then dumped")
    func deviceAlone() {
        for perfusion in [false, true] {
            let report = Self.report([
                Self.fromDevice(Self.identity), Self.fromDevice(Self.facts(bytes: perfusion ? 400 : 200)),
                Self.fromDevice(Self.storage(perfusion: perfusion)), Self.fromDevice([.free]),
            ])
            #expect(report.recordings.count == 1)
            #expect(report.recordings[0].kind == .stored)
            #expect(report.recordings[0].end == .finished)
            #expect(report.recordings[0].channels == Self.summaries(perfusion: perfusion))
            let place = "contec-oximeter/CMS50F_v46/0/20-26-11-21-22-40-05/100#"
            #expect(report.recordings[0].source?.hasPrefix(place) == true)
        }
    }

    @Test("storage frames and nothing else run to the end; padding is not counted")
    func withoutLength() {
        let report = Self.report([Self.fromDevice(Self.storage())])
        #expect(report.recordings.count == 1)
        #expect(report.recordings[0].end == .finished)
        #expect(report.recordings[0].channels == Self.summaries())
        #expect(report.identity == nil)
    }

    @Test("a stream that begins in the middle of a frame", arguments: 1...8)
    func middleOfFrame(_ cut: Int) {
        let stored = Self.storage().flatMap(\.wire)
        let report = Self.report([.received(Array(stored[cut...]))])
        #expect(report.recordings.map(\.samples) == [97])
        #expect(report.recordings[0].end == .finished)
        #expect(report.recordings[0].bytes == stored.count - cut, "every byte is kept")
        let live = Self.live(300).flatMap(\.wire)
        let liveReport = Self.report([.received(Array(live[cut...]))])
        #expect(liveReport.recordings.map(\.samples) == [299])
        #expect(liveReport.recordings[0].notes.isEmpty)
        #expect(liveReport.recordings[0].bytes == live.count - cut)
    }

    @Test("live frames before the first storage frame and stragglers behind are not samples")
    func stragglers() {
        for host in [false, true] {
            func command(_ text: String) -> [TranscriptEvent] { host ? [Self.toDevice(text)] : [] }
            var events = command("7D 81 A2") + [Self.fromDevice(Self.live(3) + [.free])]
            events += [Self.fromDevice(Self.facts())]
            events += command("7D 81 A6 80 80 80 80 80 80")
            events += [Self.fromDevice(Self.live(2)), Self.fromDevice(Self.storage())]
            events += command("7D 81 A7 80 80 80 80 80 80")
            events += [Self.fromDevice(Array(Self.storage().prefix(3)) + [.free])]
            let report = Self.report(events)
            #expect(report.recordings.count == 1)
            #expect(report.recordings[0].kind == .stored)
            #expect(report.recordings[0].end == .finished)
            #expect(report.recordings[0].channels == Self.summaries())
        }
    }

    @Test("without a length, A7 ends the dump and stragglers are swallowed")
    func stoppedWithoutLength() {
        let report = Self.report([
            Self.toDevice("7D 81 A6 80 80"), Self.fromDevice(Self.storage()), Self.toDevice("7D 81 A7"),
            Self.fromDevice(Array(Self.storage().prefix(2)) + [.free]),
        ])
        #expect(report.recordings.map(\.samples) == [100])
    }

    @Test("live and stored in one conversation, with and without the host's side", arguments: [false, true])
    func both(_ host: Bool) {
        func command(_ text: String) -> [TranscriptEvent] { host ? [Self.toDevice(text)] : [] }
        var events = command("7D 81 A1") + [Self.fromDevice(Self.live(240), after: 4)]
        events += command("7D 81 A2") + [Self.fromDevice(Self.live(2) + [.free])]
        events += [Self.fromDevice(Self.facts())] + command("7D 81 A6 80 80")
        events += [Self.fromDevice(Self.storage())] + command("7D 81 A7") + [Self.fromDevice([.free])]
        events += [Self.fromDevice(Self.facts(segment: 1, bytes: 400))] + command("7D 81 A6 80 81")
        events += [Self.fromDevice(Self.storage(ContecOximeterNight(start: nil, seconds: 200, seed: 9)))]
        let report = Self.report(events)
        #expect(report.recordings.map(\.kind) == [.live, .stored, .stored])
        #expect(report.recordings.map(\.samples) == [host ? 240 : 242, 100, 200])
        #expect(report.recordings.map(\.end) == [.stopped, .finished, .finished])
        #expect(report.recordings[2].source?.contains("/0/20-26-11-21-22-40-05/200#") == true)
    }

    @Test("a few live frames alone are a recording too")
    func shortLive() {
        #expect(Self.report([Self.fromDevice(Self.live(20))]).recordings.map(\.samples) == [20])
        #expect(
            Self.report([Self.fromDevice(Self.live(20)), Self.fromDevice([.free])]).recordings.map(\.samples) == [20])
        #expect(
            Self.report([Self.toDevice("7D 81 A1"), Self.fromDevice(Self.live(5))]).recordings.map(\.samples) == [5])
    }

    @Test("a dump that is cut short says so")
    func cutShort() {
        let report = Self.report([Self.fromDevice(Self.facts()), Self.fromDevice(Array(Self.storage().prefix(10)))])
        #expect(report.recordings.map(\.end) == [.deviceEnded])
        #expect(report.recordings[0].samples == 30)
        #expect(report.recordings[0].notes.map(\.text) == ["30 of 100 samples arrived"])
    }

    @Test("one lost byte anywhere: at most one frame is missing, and it is said", arguments: [false, true])
    func lostByte(_ described: Bool) {
        let stored = Self.storage().flatMap(\.wire)
        for position in stored.indices {
            var damaged = stored
            damaged.remove(at: position)
            let facts = described ? Self.facts().flatMap(\.wire) : []
            let report = Self.report([.received(facts + damaged)])
            #expect(report.recordings.count == 1)
            #expect((96...99).contains(report.recordings[0].samples))
            #expect(report.recordings[0].bytes == damaged.count)
            if described { #expect(report.recordings[0].end == .deviceEnded) }
        }
    }

    @Test("a capture that is cut anywhere keeps what it has")
    func truncations() {
        let short = ContecOximeterNight(start: Driver.start, seconds: 20)
        let frames = Self.identity + Self.facts(bytes: 40) + Self.storage(short)
        let all = frames.flatMap(\.wire)
        let head = (Self.identity + Self.facts(bytes: 40)).flatMap(\.wire).count
        for count in 0...all.count {
            let report = Self.report([.received(Array(all[..<count]))])
            let whole = max(0, count - head) / 8
            #expect(report.recordings.map(\.samples) == (whole == 0 ? [] : [min(20, 3 * whole)]))
            #expect(report.recordings.allSatisfy { $0.end == (whole == 7 ? .finished : .deviceEnded) })
            if whole > 0 {
                #expect(report.recordings[0].bytes == count - head, "also the bytes of the frame that was cut")
            }
        }
    }

    @Test("unknown frames are surprises with a count")
    func surprises() {
        let report = Self.report([.received(bytes("42 80 80 42 80 43 80 0C 80"))])
        #expect(
            report.surprises == [
                ReplayReport.Surprise(text: "frame type 42 is unknown", count: 2),
                ReplayReport.Surprise(text: "frame type 43 is unknown", count: 1),
            ])
    }

    @Test("a capture in large lumps has no gaps; a pause is one")
    func lumps() {
        let lumps = Self.report((0..<4).map { _ in Self.fromDevice(Self.live(180), after: 3) })
        #expect(lumps.recordings.map(\.samples) == [720])
        #expect(lumps.recordings[0].notes.isEmpty)
        let paused = Self.report([
            Self.fromDevice(Self.live(60), after: 1), Self.fromDevice(Self.live(60), after: 6),
        ])
        #expect(paused.recordings[0].notes.map(\.text) == ["the stream was silent for 5.0 s"])
    }

    @Test("the states of the sensor are bounded in number")
    func sensorStates() {
        let off = ContecOximeterFrame.realTime(
            ContecOximeterRealTime(data: [0x85, 0x40, 0x10, 0xFF, 0x7F, 0xFF, 0xFF]))
        let frames = (0..<1000).flatMap { _ in [off] + Self.live(1) }
        let report = Self.report([Self.fromDevice(frames)])
        #expect(report.recordings[0].samples == 2000)
        #expect(report.recordings[0].notes.count == 201)
        #expect(report.recordings[0].channels[0].absent == 1000)
    }

    @Test("noise both ways: no crash, every recording has an end", arguments: 0..<20 as Range<UInt64>)
    func noise(_ seed: UInt64) {
        var random = Seeded(state: seed)
        let frames = (Self.live(5) + Self.storage().prefix(5) + Self.identity + Self.facts() + [.free]).map(\.wire)
        let commands = ContecOximeterCommand.Code.allCases.map { [0x7D, 0x81, $0.rawValue] }
        let events: [TranscriptEvent] = (0..<2000).map { _ in
            switch Int.random(in: 0..<6, using: &random) {
            case 0: .sent(commands.randomElement(using: &random) ?? [])
            case 1: .received((0..<20).map { _ in UInt8.random(in: 0...255, using: &random) }, after: 0.1)
            default: .received(frames.randomElement(using: &random) ?? [], after: 0.01)
            }
        }
        let report = Self.report(events)
        #expect(report.recordings.allSatisfy { $0.end != nil })
    }
}
