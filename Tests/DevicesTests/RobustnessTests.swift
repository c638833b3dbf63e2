import Clinical
import Foundation
import Testing
import Wire

@testable import Devices

/// Every registered device on a bad line: what arrives is cut, lost, doubled, foreign; the cable goes at any step.
@Suite("Every dialogue device on a bad line")
struct RobustnessTests {
    typealias Conformance = DialogueConformanceTests

    struct Case: Sendable, CustomTestStringConvertible {
        var name: String
        var variant: String
        var goal: SessionGoal
        var testDescription: String { "\(name):\(variant), \(goal)" }
    }

    /// Each variant with each goal: every specialisation of a personal health device is a device of its own.
    static let cases: [Case] = Registry.dialogues.flatMap { profile in
        profile.simulation.variants.flatMap { variant in
            Conformance.goals(profile).map { Case(name: profile.name, variant: variant, goal: $0) }
        }
    }

    static func bench(_ device: Case, faults: Set<String> = [], number: Int = 1) throws -> Bench {
        let profile = try Conformance.profile(device.name)
        let order = DeviceSimulation.Order(variant: device.variant, faults: faults, number: number)
        return Bench(profile.makeDialogue(device.goal), try #require(profile.simulation.make(order)))
    }

    /// What holds for every session, however it went.
    static func check(_ bench: Bench, sourceLocation: SourceLocation = #_sourceLocation) {
        #expect(bench.finish != nil, sourceLocation: sourceLocation)
        #expect(bench.violations.isEmpty, sourceLocation: sourceLocation)
        #expect(bench.recordings.allSatisfy { $0.end != nil }, sourceLocation: sourceLocation)
        for kept in bench.recordings {
            for (channel, samples) in zip(kept.start.channels, kept.samples) {
                // Invalid stays absent; what is out of the channel's range was never measured.
                #expect(
                    samples.allSatisfy { $0 == .absent || channel.range.contains($0) }, "\(channel.name)",
                    sourceLocation: sourceLocation)
            }
            for (index, block) in kept.blocks.enumerated() where block.samples.count > 1 {
                #expect(
                    Set(block.samples.map(\.count)).count == 1
                        || kept.start.channels.map(\.rate).contains {
                            $0 != kept.start.channels[0].rate
                        }, "block \(index) is ragged", sourceLocation: sourceLocation)
            }
        }
    }

    static func finish(_ bench: inout Bench, after seconds: Double = 25) {
        bench.run(until: seconds)
        bench.stop()
        bench.run(until: seconds + 60)
    }

    @Test("each fault of the line, alone and together", arguments: cases)
    func lineFaults(_ device: Case) throws {
        var sets = LineFault.allCases.map { Set([$0.rawValue]) }
        sets.append(["split", "lost", "duplicated", "inserted"])
        for faults in sets {
            var bench = try Self.bench(device, faults: faults)
            Self.finish(&bench)
            Self.check(bench)
            if faults == ["silent"] || faults == ["nonsense"] { #expect(bench.recordings.isEmpty) }
        }
    }

    @Test("each fault of its own", arguments: Registry.dialogues.map(\.name))
    func ownFaults(_ name: String) throws {
        let profile = try Conformance.profile(name)
        for fault in profile.simulation.faults {
            for goal in Conformance.goals(profile) {
                for variant in profile.simulation.variants {
                    var bench = try Self.bench(Case(name: name, variant: variant, goal: goal), faults: [fault.name])
                    Self.finish(&bench)
                    Self.check(bench)
                }
            }
        }
    }

    @Test("portions don't matter where bytes have no borders", arguments: cases)
    func splits(_ device: Case) throws {
        let profile = try Conformance.profile(device.name)
        guard !profile.simulation.usb.isReports else { return }
        var whole = try Self.bench(device)
        Self.finish(&whole, after: 12)
        var split = try Self.bench(device, faults: ["split"])
        Self.finish(&split, after: 12)
        Self.check(split)
        #expect(split.finish == whole.finish)
        #expect(split.identities == whole.identities)
        #expect(split.recordings.map(\.start) == whole.recordings.map(\.start))
        for (one, other) in zip(split.recordings, whole.recordings) {
            let count = min(one.readings.count, other.readings.count)
            // Their place in the recording follows from when they arrive.
            #expect(one.readings.prefix(count).map(\.value) == other.readings.prefix(count).map(\.value))
            if one.start.kind == .stored { #expect(one.readings.count == other.readings.count) }
        }
        for (one, other) in zip(split.recordings, whole.recordings) {
            // A live stream was stopped a little earlier or later.
            for (left, right) in zip(one.samples, other.samples) {
                let count = min(left.count, right.count)
                #expect(left.prefix(count) == right.prefix(count) && abs(left.count - right.count) < 400)
            }
        }
    }

    @Test("the cable goes after each event of the first seconds", arguments: cases)
    func unplugged(_ device: Case) throws {
        var steps = 0
        while steps < 260 {
            var bench = try Self.bench(device)
            var done = 0
            while done < steps, bench.finish == nil, bench.step() { done += 1 }
            guard bench.finish == nil, done == steps else { break }
            let wasOpen = bench.recordings.last.map { $0.end == nil } ?? false
            let sent = bench.sent.count + bench.controls.count
            bench.unplug()
            Self.check(bench)
            #expect(bench.sent.count + bench.controls.count == sent)
            if wasOpen { #expect(bench.recordings.last?.end == .deviceGone) }
            // Every step in the beginning, then further and further apart.
            steps += 1 + steps / 40
        }
    }

    @Test("two of one model at once don't know of each other", arguments: cases)
    func twoOfOneModel(_ device: Case) throws {
        var one = try Self.bench(device, number: 1)
        var two = try Self.bench(device, number: 2)
        var alone = try Self.bench(device, number: 2)
        for _ in 0..<4000 where one.finish == nil || two.finish == nil {
            if one.finish == nil { _ = one.step() }
            if two.finish == nil { _ = two.step() }
        }
        for _ in 0..<4000 where alone.finish == nil { _ = alone.step() }
        for bench in [one, two] { #expect(bench.violations.isEmpty) }
        #expect(two.recordings == alone.recordings && two.identities == alone.identities)
        guard let serial = one.identities.first?.serial, serial.hasSuffix("1") else { return }
        #expect(serial != two.identities.first?.serial)
        let sources = (one.recordings + two.recordings).compactMap(\.start.item?.source)
        #expect(Set(sources).count == sources.count)
    }

    @Test("eight devices that stream at once lose nothing")
    func eightAtOnce() throws {
        let live = Self.cases.filter { $0.goal == .live }
        let eight = (0..<8).map { live[$0 % live.count] }
        var benches = try eight.enumerated().map { try Self.bench($1, number: $0 + 1) }
        var alone = try eight.enumerated().map { try Self.bench($1, number: $0 + 1) }
        // Each at its own pace, in turns.
        for second in stride(from: 0.0, to: 12, by: 0.01) {
            for index in benches.indices { benches[index].run(until: second) }
        }
        for index in benches.indices {
            alone[index].run(until: 11.99)
            #expect(benches[index].recordings == alone[index].recordings, "\(eight[index])")
            #expect(!benches[index].recordings.isEmpty)
        }
    }

    // MARK: Damaged captures

    static let transcripts: [(driver: String, file: URL)] = Registry.dialogues.flatMap { profile in
        ((try? Fixtures.transcripts(of: profile.name)) ?? []).map { (profile.name, $0) }
    }

    /// Changes a few bytes of a few lines.
    static func damaged(_ transcript: Transcript, _ random: inout Seeded) -> Transcript {
        var events = transcript.events
        for _ in 0..<Int.random(in: 1...12, using: &random) {
            guard !events.isEmpty else { break }
            let index = Int.random(in: events.indices, using: &random)
            switch Int.random(in: 0..<8, using: &random) {
            case 0: events.remove(at: index)
            case 1: events.insert(events[index], at: index)
            case 2: events.swapAt(index, Int.random(in: events.indices, using: &random))
            case 3: events[index].after = Double.random(in: 0...10, using: &random)
            case 4: events[index].bytes = Array(events[index].bytes.dropLast(Int.random(in: 1...8, using: &random)))
            case 5:
                events[index].bytes += (0..<Int.random(in: 1...70, using: &random)).map { _ in
                    UInt8.random(in: 0...255, using: &random)
                }
            default:
                guard !events[index].bytes.isEmpty else { continue }
                let at = Int.random(in: events[index].bytes.indices, using: &random)
                events[index].bytes[at] =
                    Bool.random(using: &random)
                    ? events[index].bytes[at] ^ (1 << UInt8.random(in: 0..<8, using: &random))
                    : [0, 1, 0x7F, 0x80, 0xFF].randomElement(using: &random) ?? 0
            }
        }
        return Transcript(header: transcript.header, events: events)
    }

    @Test("a damaged capture never breaks a listener", arguments: transcripts.indices)
    func damagedCaptures(_ index: Int) throws {
        let (driver, file) = Self.transcripts[index]
        let profile = try Conformance.profile(driver)
        let whole = try Transcript(parsing: String(contentsOf: file, encoding: .utf8))
        var random = Seeded(state: UInt64(index) &* 0x9E37)
        // About the same number of lines for each, so that a long capture doesn't take all the time.
        let rounds = max(3, min(60, 12_000 / max(1, whole.events.count)))
        for _ in 0..<rounds {
            let transcript = Self.damaged(whole, &random)
            let report = replay(transcript, through: profile)
            #expect(report.recordings.allSatisfy { $0.end != nil }, "\(transcript.rendered())")
            for recorded in report.recordings {
                let heard = transcript.events.reduce(0) { $0 + ($1.kind == .fromDevice ? $1.bytes.count : 0) }
                #expect(recorded.bytes <= heard)
            }
            // The text form takes it, too.
            #expect(try Transcript(parsing: transcript.rendered()).events.count >= transcript.events.count)
        }
    }

    @Test("a driver that hears a damaged capture sends nothing that is forbidden", arguments: transcripts.indices)
    func damagedSessions(_ index: Int) throws {
        let (driver, file) = Self.transcripts[index]
        let profile = try Conformance.profile(driver)
        let whole = try Transcript(parsing: String(contentsOf: file, encoding: .utf8))
        var random = Seeded(state: UInt64(index) &* 0x51ED)
        for goal in Conformance.goals(profile) {
            let heard = Self.damaged(whole, &random).events.filter { $0.kind == .fromDevice }.prefix(3000)
            var bench = Bench(profile.makeDialogue(goal), SilentDevice())
            for event in heard where bench.finish == nil { bench.inject(event.bytes) }
            bench.stop()
            bench.unplug()
            Self.check(bench)
            for pattern in profile.forbidden { #expect(!pattern.occurs(in: bench.sent.flatMap { $0 })) }
        }
    }
}
