import Clinical
import Testing
import Wire

@testable import Devices

@Suite("Contec oximeter: driver")
struct ContecOximeterDriverTests {
    typealias Configuration = ContecOximeterSimulator.Configuration

    static let start = LocalTime(year: 2026, month: 11, day: 21, hour: 22, minute: 40, second: 5)

    static func configured(_ change: (inout Configuration) -> Void = { _ in }) -> ContecOximeterSimulator {
        var configuration = Configuration()
        configuration.memory = [ContecOximeterNight(start: start, seconds: 601)]
        change(&configuration)
        return ContecOximeterSimulator(configuration)
    }

    static func bench(
        _ goal: SessionGoal, _ change: (inout Configuration) -> Void = { _ in }
    ) -> Bench {
        Bench(ContecOximeterProtocol(goal: goal), configured(change))
    }

    static func downloaded(_ change: (inout Configuration) -> Void = { _ in }) -> Bench {
        var bench = bench(.download(known: []), change)
        bench.run(until: 200)
        return bench
    }

    /// What the simulator meant, in the order of the stored channels.
    static func meant(_ night: ContecOximeterNight, perfusion: Bool = false) -> [[Sample]] {
        let rows = (0..<night.seconds).map { night.stored(at: $0, perfusion: perfusion).samples }
        return (0..<(perfusion ? 3 : 2)).map { channel in rows.map { $0[channel] } }
    }

    static func log(_ bench: Bench) -> [UInt8] { (bench.device as? ContecOximeterSimulator)?.log ?? [] }

    // MARK: Identification

    @Test("identifies, and asks nothing that changes anything")
    func identify() {
        var bench = Self.bench(.identify)
        bench.run(until: 10)
        #expect(bench.finish == .done)
        #expect(bench.elapsed < 1)
        #expect(
            bench.identities == [
                DeviceIdentity(
                    driver: "contec-oximeter", vendor: "Contec", model: "CMS50F", serial: "SIM0001",
                    firmware: "protocol 7", support: .verified)
            ])
        #expect(bench.identities.first?.isSimulated == true)
        #expect(bench.sent.map { $0[2] } == [0xA7, 0xA2, 0xA0, 0xA8, 0xA9, 0xAA])
        #expect(bench.sent.allSatisfy { $0.count == 9 })
        #expect(bench.violations.isEmpty)
    }

    @Test("any one of the four answers identifies", arguments: [0xA0, 0xA8, 0xA9, 0xAA] as [UInt8], [true, false])
    func oneAnswer(_ only: UInt8, _ refuses: Bool) {
        var bench = Self.bench(.identify) {
            let others = Set<UInt8>([0xA0, 0xA8, 0xA9, 0xAA, 0xAC, 0xAD]).subtracting([only])
            if refuses { $0.unsupported = others } else { $0.silent = others }
        }
        bench.run(until: 60)
        #expect(bench.finish == .done)
        #expect(bench.identities.count == 1)
    }

    @Test("refusing everything identifies nobody, and neither does silence")
    func nobody() {
        var refusing = Self.bench(.identify) { $0.unsupported = Set(0xA0...0xBF) }
        refusing.run(until: 60)
        #expect(refusing.finish == .notThisDevice)
        var silent = Bench(ContecOximeterProtocol(goal: .identify), SilentDevice())
        silent.run(until: 60)
        #expect(silent.finish == .notThisDevice)
        #expect(silent.elapsed < 10)
        #expect(silent.sent.count { $0[2] == 0xA0 } == 3, "three tries")
    }

    @Test("a line full of noise is another device", arguments: 0..<10 as Range<UInt64>)
    func noise(_ seed: UInt64) {
        var bench = Bench(ContecOximeterProtocol(goal: .identify), NoisyDevice(seed: seed))
        bench.run(until: 60)
        #expect(bench.finish == .notThisDevice)
        #expect(bench.identities.isEmpty)
    }

    @Test("the first commands may go unheard")
    func deaf() {
        var bench = Self.bench(.identify) { $0.deafFor = 2 }
        bench.run(until: 60)
        #expect(bench.finish == .done)
        #expect(bench.identities.first?.serial == "SIM0001")
    }

    @Test("a device that was streaming already is stopped first")
    func streaming() {
        var bench = Self.bench(.download(known: [])) { $0.isStreaming = true }
        bench.run(until: 60)
        #expect(bench.finish == .done)
        #expect(bench.recordings.map(\.start.kind) == [.stored])
        #expect(bench.recordings.first?.gaps == [])
    }

    // MARK: Live

    @Test("live: every frame, in blocks of a second, until a person stops it")
    func live() {
        var bench = Self.bench(.live) {
            $0.hasPerfusion = true
            $0.finger = ContecOximeterNight(start: nil, seconds: 30, seed: 7)
        }
        bench.run(until: 21)
        #expect(bench.recordings.count == 1)
        let stoppedAt = bench.elapsed
        bench.stop()
        bench.run(until: 60)
        #expect(bench.elapsed - stoppedAt < 1)
        #expect(bench.finish == .done)
        let kept = bench.recordings[0]
        #expect(kept.end == .stopped)
        #expect(kept.start.kind == .live && kept.start.item == nil)
        #expect(kept.start.channels.map(\.name) == ["Pleth", "SpO2", "Pulse", "PI"])
        #expect(kept.start.channels.map(\.unit) == ["1", "%", "/min", "%"])
        let count = kept.samples[0].count
        #expect((1190...1260).contains(count))
        #expect(kept.samples.allSatisfy { $0.count == count })
        #expect(kept.blocks.allSatisfy { $0.samples[0].count <= 60 })
        #expect(kept.gaps.isEmpty)
        let finger = ContecOximeterNight(start: nil, seconds: 30, seed: 7)
        for index in 0..<count {
            #expect(kept.samples.map { $0[index] } == finger.realTime(at: index, perfusion: true).samples)
        }
        // The finger is out for three seconds from the twelfth on.
        #expect(
            kept.notes == [Note(kind: .sensor, at: 12, duration: 3, text: "finger out or probe error")])
        #expect(
            kept.raw
                == (0..<count).flatMap { ContecOximeterFrame.realTime(finger.realTime(at: $0, perfusion: true)).wire })
        #expect(bench.violations.isEmpty)
        #expect(!Self.log(bench).contains(0xAE))
    }

    @Test("live goes on past the device's patience, because it hears from us every second")
    func keepAlive() {
        var bench = Self.bench(.live) { $0.keepAliveLimit = 5 }
        bench.run(until: 60)
        #expect(bench.finish == nil)
        #expect((3400...3600).contains(bench.recordings[0].samples[0].count))
        #expect(bench.sent.count { $0[2] == 0xAF } >= 58)
        #expect(bench.sent.count { $0[2] == 0xA1 } == 1)
    }

    @Test("without the perfusion index that channel is absent, not zero")
    func withoutPerfusion() {
        var bench = Self.bench(.live)
        bench.run(until: 5)
        #expect(bench.recordings[0].samples[3].allSatisfy { $0 == .absent })
    }

    @Test("a live stream that falls silent is asked for once more, then ended")
    func liveSilence() {
        var bench = Self.bench(.live) { $0.stallsAfter = 150 }
        bench.run(until: 60)
        #expect(bench.finish == .deviceEnded("the live stream fell silent"))
        #expect(bench.recordings[0].end == .deviceEnded)
        #expect(bench.recordings[0].samples[0].count == 150)
        #expect(bench.sent.count { $0[2] == 0xA1 } == 2)
        #expect(bench.elapsed < 12)
    }

    @Test("a live stream that never comes is ended without a recording")
    func liveNever() {
        var bench = Self.bench(.live) { $0.silent = [0xA1] }
        bench.run(until: 60)
        #expect(bench.finish == .deviceEnded("the live stream fell silent"))
        #expect(bench.recordings.isEmpty)
    }

    @Test("the device switches itself off", arguments: [SessionGoal.live, .download(known: [])])
    func switchedOff(_ goal: SessionGoal) {
        var bench = Self.bench(goal) { $0.switchesOffAfter = 100 }
        bench.run(until: 60)
        #expect(bench.finish == .deviceEnded("shutting down"))
        #expect(bench.recordings.map(\.end) == [.deviceEnded])
        #expect(bench.recordings[0].samples[0].count == (goal == .live ? 100 : 300))
    }

    @Test("what gets lost in a live stream is a gap, and nothing else is touched")
    func liveGap() {
        var bench = Self.bench(.live) { $0.lostBytes = [9 * 100 + 4] }
        bench.run(until: 6)
        bench.stop()
        let kept = bench.recordings[0]
        #expect(kept.gaps == ["8 bytes were lost or damaged"])
        let before = kept.blocks.prefix { $0.gap == nil }.map { $0.samples[0].count }.reduce(0, +)
        #expect(before == 100)
    }

    // MARK: Download

    @Test("a stored night comes out as it was meant")
    func download() {
        let bench = Self.downloaded()
        #expect(bench.finish == .done)
        #expect(bench.recordings.count == 1)
        let kept = bench.recordings[0]
        #expect(kept.end == .finished)
        #expect(kept.samples == Self.meant(ContecOximeterNight(start: Self.start, seconds: 601)))
        #expect(kept.samples[0].contains(.absent), "the finger was out")
        #expect(kept.start.item?.samples == 601)
        #expect(kept.start.item?.start == Self.start)
        #expect(kept.start.item?.last == Self.start?.adding(seconds: 601))
        #expect(kept.start.item?.rawStart == "20-26-11-21-22-40-05")
        #expect(kept.start.item?.source == "contec-oximeter/SIM0001/0/20-26-11-21-22-40-05/601#4cc972e5e7d50645")
        #expect(kept.raw.count == 201 * 8)
        #expect(kept.blocks.allSatisfy { $0.samples[0].count <= 600 })
        #expect(bench.violations.isEmpty)
        #expect(
            bench.sent.map { $0[2] } == [
                0xA7, 0xA2, 0xA0, 0xA8, 0xA9, 0xAA, 0xAC, 0xAD, 0xA3, 0xA5, 0xA4, 0xB6, 0xA6, 0xA7, 0xA2,
            ])
    }

    @Test("whatever the portions", arguments: 1...9)
    func portions(_ largest: Int) {
        let bench = Self.downloaded { $0.portions = largest }
        #expect(bench.recordings.map(\.end) == [.finished])
        #expect(bench.recordings[0].samples == Self.meant(ContecOximeterNight(start: Self.start, seconds: 601)))
    }

    @Test("every number of seconds is cut right", arguments: [1, 2, 3, 4, 5, 6, 7, 599, 600, 1800])
    func lengths(_ seconds: Int) {
        for perfusion in [false, true] {
            let night = ContecOximeterNight(start: Self.start, seconds: seconds, seed: 5)
            let bench = Self.downloaded {
                $0.memory = [night]
                $0.hasPerfusion = perfusion
            }
            #expect(bench.recordings.map(\.end) == [.finished])
            #expect(bench.recordings.first?.samples == Self.meant(night, perfusion: perfusion))
        }
    }

    @Test("a full memory of 24 hours")
    func fullMemory() {
        let night = ContecOximeterNight(start: Self.start, seconds: 86_400)
        let bench = Self.downloaded { $0.memory = [night] }
        #expect(bench.finish == .done)
        #expect(bench.recordings.map(\.end) == [.finished])
        #expect(bench.recordings[0].samples == Self.meant(night))
        #expect((15...40).contains(bench.elapsed))
    }

    @Test("with a perfusion index")
    func perfusion() {
        let bench = Self.downloaded {
            $0.hasPerfusion = true
            $0.model = "CMS50I"
        }
        let kept = bench.recordings[0]
        #expect(kept.end == .finished)
        #expect(kept.start.channels.map(\.name) == ["SpO2", "Pulse", "PI"])
        #expect(kept.start.channels[2].scale == Ratio(1, 100))
        #expect(kept.samples == Self.meant(ContecOximeterNight(start: Self.start, seconds: 601), perfusion: true))
    }

    @Test("without a clock the start is nobody's guess")
    func noClock() {
        let bench = Self.downloaded { $0.memory = [ContecOximeterNight(start: nil, seconds: 30)] }
        #expect(bench.recordings[0].start.item?.start == nil)
        #expect(bench.recordings[0].start.item?.rawStart == "00-00-00-00-00-00-00")
        #expect(bench.recordings[0].end == .finished)
    }

    @Test("several users and segments, and what is known is left alone")
    func manyItems() {
        let nights = [
            ContecOximeterNight(user: 0, segment: 0, start: Self.start, seconds: 100, seed: 1),
            ContecOximeterNight(user: 0, segment: 1, start: Self.start, seconds: 200, seed: 2),
            ContecOximeterNight(user: 1, segment: 0, start: Self.start, seconds: 300, seed: 3),
        ]
        let bench = Self.downloaded { $0.memory = nights }
        #expect(bench.finish == .done)
        #expect(bench.recordings.map(\.samples) == nights.map { Self.meant($0) })
        let sources = bench.recordings.compactMap(\.start.item?.source)
        #expect(Set(sources).count == 3)
        // Two people's: whose each is, only a person can say.
        #expect(bench.recordings.allSatisfy { $0.start.item?.isShared == true })
        let own = Self.downloaded { $0.memory = Array(nights.prefix(2)) }
        #expect(own.recordings.allSatisfy { $0.start.item?.isShared == false })

        var again = Self.bench(.download(known: [sources[0], sources[2]])) { $0.memory = nights }
        again.run(until: 60)
        #expect(again.finish == .done)
        #expect(again.skipped.map(\.source) == [sources[0], sources[2]])
        #expect(again.recordings.compactMap(\.start.item?.source) == [sources[1]])

        var all = Self.bench(.download(known: KnownItems(Set(sources)))) { $0.memory = nights }
        all.run(until: 60)
        #expect(all.recordings.isEmpty && all.skipped.count == 3 && all.finish == .done)
    }

    /// No clock or one that was set back, and a full memory: the next patient's night has the same start and length.
    @Test("a night with the start and length of an earlier one is another night", arguments: [nil, Self.start])
    func twins(_ start: LocalTime?) throws {
        func night(_ seed: UInt64) -> ContecOximeterNight { .init(start: start, seconds: 900, seed: seed) }
        let first = Self.downloaded { $0.memory = [night(1)] }
        let source = try #require(first.recordings.first?.start.item?.source)
        var next = Self.bench(.download(known: [source])) { $0.memory = [night(2)] }
        next.run(until: 60)
        #expect(next.recordings.map(\.samples) == [Self.meant(night(2))] && next.skipped.isEmpty)
        #expect(next.recordings.first?.end == .finished)
        var same = Self.bench(.download(known: [source])) { $0.memory = [night(1)] }
        same.run(until: 60)
        #expect(same.recordings.isEmpty && same.skipped.map(\.source) == [source] && same.finish == .done)
        #expect(same.violations.isEmpty)
    }

    /// A download whose cable is pulled when so many bytes of it have come.
    private static func cut(after bytes: Int, of night: ContecOximeterNight, known: KnownItems) -> Bench {
        var bench = Self.bench(.download(known: known)) { $0.memory = [night] }
        bench.run(until: 60) { $0.sent.last?[2] == 0xA6 }
        let before = bench.heard
        bench.run(until: 60) { $0.heard >= before + bytes }
        bench.unplug()
        return bench
    }

    @Test("another night at a known place, cut when it was nearly over, is kept, and may be the known one")
    func cutLate() throws {
        func night(_ seed: UInt64) -> ContecOximeterNight { .init(start: nil, seconds: 900, seed: seed) }
        let first = Self.downloaded { $0.memory = [night(1)] }
        let cut = Self.cut(after: 2200, of: night(2), known: first.known)
        let kept = try #require(cut.recordings.first)
        #expect(kept.end == .deviceGone && kept.samples[0].count > 600 && cut.violations.isEmpty)
        let (known, source) = (try #require(first.known.sources.first), try #require(kept.start.item?.source))
        #expect(ContentMark.mayBeSame(known, source) && known != source)
    }

    @Test("a night that stands in another segment now is the same night")
    func moved() throws {
        func nights(_ first: UInt8) -> [ContecOximeterNight] {
            [1, 2].map { .init(segment: first &+ $0, start: Self.start, seconds: 600 + Int($0), seed: UInt64($0)) }
        }
        let first = Self.downloaded { $0.memory = [.init(start: Self.start, seconds: 50)] + nights(0) }
        #expect(first.recordings.count == 3)
        var again = Self.bench(.download(known: first.known)) {
            $0.memory = nights(UInt8.max) + [.init(segment: 2, start: Self.start, seconds: 700)]
        }
        again.run(until: 60)
        #expect(again.skipped.count == 2 && again.recordings.count == 1 && again.finish == .done)
    }

    @Test("cut before its name is certain, it may be any night of that place")
    func cutEarly() throws {
        let night = ContecOximeterNight(start: nil, seconds: 900)
        let whole = try #require(Self.downloaded { $0.memory = [night] }.recordings.first?.start.item?.source)
        let cut = Self.cut(after: 160, of: night, known: [])
        let partial = try #require(cut.recordings.first)
        #expect(partial.end == .deviceGone && (1..<300).contains(partial.samples[0].count))
        let source = try #require(partial.start.item?.source)
        #expect(source != whole && ContentMark.mayBeSame(source, whole))
        // With the whole one here already, there is nothing to keep.
        let again = Self.cut(after: 160, of: night, known: [whole])
        #expect(again.recordings.isEmpty && again.skipped.isEmpty && again.violations.isEmpty)
    }

    @Test("devices that begin counting at 1")
    func fallback() {
        let night = ContecOximeterNight(user: 1, segment: 1, start: Self.start, seconds: 50)
        for silent in [[], [0xA3, 0xAD]] as [Set<UInt8>] {
            let bench = Self.downloaded {
                $0.memory = [night]
                $0.silent = silent
            }
            #expect(bench.finish == .done)
            #expect(bench.recordings.map(\.samples) == [Self.meant(night)])
        }
    }

    @Test("an empty memory is nothing to fetch")
    func empty() {
        let bench = Self.downloaded { $0.memory = [] }
        #expect(bench.finish == .done)
        #expect(bench.recordings.isEmpty)
    }

    @Test("questions that a device doesn't know", arguments: [0xA0, 0xA9, 0xAC, 0xAD, 0xA3, 0xB6] as [UInt8])
    func unsupported(_ command: UInt8) {
        for silent in [false, true] {
            let bench = Self.downloaded { if silent { $0.silent = [command] } else { $0.unsupported = [command] } }
            #expect(bench.finish == .done)
            #expect(bench.recordings.map(\.end) == [.finished])
        }
    }

    @Test("a device that is recording is left alone", arguments: [0x03, 0x05] as [UInt8])
    func busy(_ reason: UInt8) {
        let bench = Self.downloaded { $0.recordingReason = reason }
        #expect(bench.finish == .busyRecording)
        #expect(bench.recordings.isEmpty)
    }

    @Test("live frames before the first storage frame are not samples")
    func liveBeforeStorage() {
        let bench = Self.downloaded { $0.liveFramesBeforeStorage = 2 }
        #expect(bench.recordings.map(\.end) == [.finished])
        #expect(bench.recordings[0].samples == Self.meant(ContecOximeterNight(start: Self.start, seconds: 601)))
        #expect(bench.recordings[0].raw.count == 201 * 8 + 2 * 9, "their bytes are kept")
    }

    @Test("one lost byte: the night is interrupted, nothing is made up, nothing is asked twice")
    func lostByte() {
        let night = ContecOximeterNight(start: Self.start, seconds: 100)
        let meant = Self.meant(night)
        let rows = (0..<100).map { second in meant.map { $0[second] } }
        for position in 0..<34 * 8 {
            let bench = Self.downloaded {
                $0.memory = [night]
                $0.lostBytes = [position]
            }
            #expect(bench.recordings.count == 1)
            let kept = bench.recordings[0]
            #expect(kept.end == .deviceEnded)
            #expect(kept.notes.contains { $0.kind == .gap })
            let frame = position / 8
            var expected = rows
            expected.removeSubrange(3 * frame..<min(3 * frame + 3, 100))
            let count = kept.samples[0].count
            #expect((0..<count).map { second in kept.samples.map { $0[second] } } == expected)
            #expect(kept.raw.count == 34 * 8 - 1)
            if frame < 33 { #expect(kept.gaps.count == 1) }
            #expect(bench.sent.count { $0[2] == 0xA6 } == 1)
            #expect(bench.finish == .deviceEnded("a download was incomplete"))
        }
    }

    @Test("a stream that stops half way")
    func stalls() {
        let bench = Self.downloaded { $0.stallsAfter = 100 }
        let kept = bench.recordings[0]
        #expect(kept.end == .deviceEnded)
        #expect(kept.samples[0].count == 300)
        #expect(kept.notes.map(\.text) == ["300 of 601 samples arrived"])
        #expect(bench.finish == .deviceEnded("a download was incomplete"))
        #expect(Self.log(bench).suffix(2) == [0xA7, 0xA2])
    }

    @Test("an announced night that never comes is asked for three times")
    func nothingComes() {
        let bench = Self.downloaded { $0.silent = [0xA6] }
        #expect(bench.recordings.isEmpty)
        #expect(bench.sent.count { $0[2] == 0xA6 } == 3)
        #expect(bench.finish == .deviceEnded("user 0, segment 0: announced, but nothing came"))
    }

    @Test("the keep-alive stays out of a storage stream")
    func noKeepAlive() {
        #expect(!Self.downloaded().sent.contains { $0[2] == 0xAF })
    }

    @Test("a person stops a download: what came is interrupted, not complete")
    func stopDownload() {
        var bench = Self.bench(.download(known: [])) {
            $0.memory = [ContecOximeterNight(start: Self.start, seconds: 20_000)]
        }
        bench.run(until: 3)
        let stoppedAt = bench.elapsed
        bench.stop()
        bench.run(until: 60)
        #expect(bench.elapsed - stoppedAt < 1)
        #expect(bench.finish == .done)
        #expect(bench.recordings[0].end?.state == .interrupted)
        #expect(bench.sent.last?[2] == 0xA7)
    }

    @Test("a cable that is pulled at any step seals what is open")
    func unplug() {
        for goal in [SessionGoal.live, .download(known: [])] {
            var step = 0
            while true {
                var bench = Self.bench(goal) { $0.memory[0].seconds = 1500 }
                var steps = 0
                while steps < step, bench.finish == nil, bench.elapsed < 4, bench.step() { steps += 1 }
                guard bench.finish == nil, bench.elapsed < 4 else { break }
                let wasOpen = bench.recordings.last.map { $0.end == nil } ?? false
                bench.unplug()
                #expect(bench.finish != nil)
                if wasOpen { #expect(bench.recordings.last?.end == .deviceGone) }
                #expect(bench.violations.isEmpty)
                step += 1
            }
            #expect(step > 20)
        }
    }
}
