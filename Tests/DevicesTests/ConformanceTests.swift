import Clinical
import Foundation
import Testing
import Wire

@testable import Devices

/// What every device that is talked to must keep (ARCHITECTURE.md, section 5), whatever it is.
@Suite("Every dialogue device")
struct DialogueConformanceTests {
    static let names = Registry.dialogues.map(\.name)
    static let goals: [SessionGoal] = [.identify, .live, .download(known: [])]

    static func profile(_ name: String) throws -> DialogueProfile {
        try #require(Registry.dialogues.first { $0.name == name })
    }

    /// A well-behaved device at the other end, with something in its memory; nil when the driver has no simulator.
    static func simulator(_ name: String) -> (any DeviceSimulator)? {
        switch name {
        case "contec-oximeter": ContecOximeterDriverTests.configured { $0.memory[0].seconds = 3000 }
        default: nil
        }
    }

    @Test("profiles are well formed", arguments: names)
    func profile(_ name: String) throws {
        let profile = try Self.profile(name)
        #expect(Registry.dialogues.count { $0.name == name } == 1)
        #expect(!profile.title.isEmpty && !profile.matches.isEmpty && !profile.goals.isEmpty)
        for match in profile.matches {
            for id in [match.vendorID, match.productID] {
                #expect(id.utf8.count == 4 && id.allSatisfy { $0.isHexDigit && !$0.isUppercase })
            }
        }
        #expect(Self.simulator(name) != nil, "a device without a simulator can't be tested")
    }

    @Test("silence is another device, soon", arguments: names, goals)
    func silence(_ name: String, _ goal: SessionGoal) throws {
        var bench = Bench(try Self.profile(name).makeDialogue(goal), SilentDevice())
        bench.run(until: 60)
        #expect(bench.finish == .notThisDevice)
        #expect(bench.elapsed < 15)
        #expect(bench.recordings.isEmpty)
    }

    @Test("every goal is reached, and what is simulated says so", arguments: names, goals)
    func reached(_ name: String, _ goal: SessionGoal) throws {
        var bench = Bench(try Self.profile(name).makeDialogue(goal), try #require(Self.simulator(name)))
        bench.run(until: 30)
        if goal == .live { bench.stop() }
        bench.run(until: 60)
        #expect(bench.finish == .done)
        #expect(bench.identities.count == 1)
        #expect(bench.identities.first?.isSimulated == true)
        #expect(bench.identities.first?.driver == name)
        #expect(bench.recordings.allSatisfy { $0.end?.state == .complete })
        #expect(bench.recordings.isEmpty == (goal == .identify))
        #expect(bench.violations.isEmpty)
        // Raw bytes are what the device said, in its order.
        let heard = bench.transcript.events.filter { $0.kind == .fromDevice }.flatMap(\.bytes)
        for kept in bench.recordings { #expect(heard.contains(kept.raw)) }
    }

    @Test("stopping at any moment ends within a second", arguments: names, goals)
    func stop(_ name: String, _ goal: SessionGoal) throws {
        for mute in [false, true] {
            for moment in stride(from: 0.0, to: 2.5, by: 0.037) {
                var bench = Bench(try Self.profile(name).makeDialogue(goal), try #require(Self.simulator(name)))
                bench.run(until: moment)
                guard bench.finish == nil else { break }
                if mute { bench.replaceDevice(SilentDevice()) }
                let stoppedAt = bench.elapsed
                bench.stop()
                bench.stop()
                bench.run(until: 10)
                #expect(bench.finish != nil)
                #expect(bench.elapsed - stoppedAt < 1)
                #expect(bench.recordings.allSatisfy { $0.end != nil })
                #expect(bench.violations.isEmpty)
            }
        }
    }

    @Test("a pulled cable at any moment seals what is open", arguments: names, goals)
    func gone(_ name: String, _ goal: SessionGoal) throws {
        for moment in stride(from: 0.0, to: 2.5, by: 0.037) {
            var bench = Bench(try Self.profile(name).makeDialogue(goal), try #require(Self.simulator(name)))
            bench.run(until: moment)
            guard bench.finish == nil else { break }
            let wasOpen = bench.recordings.last.map { $0.end == nil } ?? false
            let sent = bench.sent.count
            bench.unplug()
            #expect(bench.finish != nil)
            #expect(bench.sent.count == sent)
            if wasOpen { #expect(bench.recordings.last?.end == .deviceGone) }
            #expect(bench.violations.isEmpty)
            // Nothing more comes of it.
            bench.inject([0x01, 0x80])
            bench.stop()
            bench.unplug()
            #expect(bench.violations.isEmpty)
        }
    }

    @Test("noise never makes it send what is forbidden", arguments: names, 0..<4 as Range<UInt64>)
    func noise(_ name: String, _ seed: UInt64) throws {
        let profile = try Self.profile(name)
        for goal in Self.goals {
            // Noise from the start, and noise once the device is known.
            for introduction in [0.0, 0.9] {
                var bench = Bench(profile.makeDialogue(goal), try #require(Self.simulator(name)))
                bench.run(until: introduction)
                bench.replaceDevice(NoisyDevice(seed: seed, portion: 500))
                var fed = 0
                while bench.finish == nil, fed < 100_000, bench.step() { fed += 500 }
                bench.stop()
                bench.unplug()
                #expect(bench.finish != nil)
                #expect(bench.recordings.allSatisfy { $0.end != nil })
                #expect(bench.violations.isEmpty)
                let written = bench.sent.flatMap { $0 }
                for forbidden in profile.forbidden {
                    #expect(!forbidden.occurs(in: written), "\(forbidden.reason)")
                    // Each write alone too: what comes before it may hide a pattern from a guard, not from a device.
                    #expect(!bench.sent.contains { forbidden.occurs(in: $0) })
                }
                for kept in bench.recordings {
                    for (channel, samples) in zip(kept.start.channels, kept.samples) {
                        #expect(samples.allSatisfy { $0 == .absent || channel.range.contains($0) })
                    }
                }
            }
        }
    }

    @Test("noise into the ears does no harm", arguments: names, 0..<4 as Range<UInt64>)
    func listeningToNoise(_ name: String, _ seed: UInt64) throws {
        var random = Seeded(state: seed)
        var listener = try Self.profile(name).makeListener()
        var open = false
        func check(_ actions: [DialogueAction]) {
            for action in actions {
                switch action {
                case .begin:
                    #expect(!open)
                    open = true
                case .end:
                    #expect(open)
                    open = false
                case .append: #expect(open)
                case .send, .ask, .finish, .skipped: Issue.record("a listener acts: \(action)")
                default: break
                }
            }
        }
        for round in 0..<2000 as Range<UInt64> {
            let noise = (0..<50).map { _ in UInt8.random(in: 0...255, using: &random) }
            check(
                round % 5 == 0
                    ? listener.sent(noise, at: round * 10_000_000) : listener.received(noise, at: round * 10_000_000))
        }
        check(listener.ended(at: 30_000_000_000))
        #expect(!open)
    }

    @Test("the udev rules are those of the registry")
    func udevRules() throws {
        let file = Fixtures.root.appending(path: "udev/70-ess-agent.rules")
        #expect(try String(contentsOf: file, encoding: .utf8) == UdevRules.rendered())
        for profile in Registry.dialogues {
            for match in profile.matches {
                #expect(
                    UdevRules.rendered().contains(
                        "SUBSYSTEM==\"\(match.subsystem)\", ENV{ID_VENDOR_ID}==\"\(match.vendorID)\", "
                            + "ENV{ID_MODEL_ID}==\"\(match.productID)\", GROUP=\"ess-agent\", MODE=\"0660\""))
            }
        }
    }

    @Test("every transcript in the fixtures replays to its expected report", arguments: names)
    func fixtures(_ name: String) throws {
        let transcripts = try Fixtures.transcripts(of: name)
        #expect(!transcripts.isEmpty)
        for file in transcripts {
            let transcript = try Transcript(parsing: String(contentsOf: file, encoding: .utf8))
            let expected = try Data(contentsOf: file.deletingPathExtension().appendingPathExtension("json"))
            let report = replay(transcript, through: try Self.profile(name))
            #expect(try JSONDecoder().decode(ReplayReport.self, from: expected) == report, "\(file.lastPathComponent)")
        }
    }
}

/// The project's own fixtures, found from where this file is.
enum Fixtures {
    static let root = URL(filePath: #filePath).resolvingSymlinksInPath()
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    static func directory(_ device: String) -> URL { root.appending(path: "fixtures/\(device)") }

    static func transcripts(of device: String) throws -> [URL] {
        try FileManager.default.contentsOfDirectory(at: directory(device), includingPropertiesForKeys: nil)
            .filter { $0.pathExtension == "transcript" }
            .sorted { $0.lastPathComponent < $1.lastPathComponent }
    }

    static func json(_ report: ReplayReport) throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return try encoder.encode(report) + Data("\n".utf8)
    }
}
