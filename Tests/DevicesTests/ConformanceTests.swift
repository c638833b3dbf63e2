import Clinical
import Foundation
import Testing
import Wire

@testable import Devices

/// What every device that is talked to must keep (ARCHITECTURE.md, section 5), whatever it is.
@Suite("Every dialogue device")
struct DialogueConformanceTests {
    static let names = Registry.dialogues.map(\.name)
    /// A device and a goal that it has.
    struct Case: Sendable, CustomTestStringConvertible {
        var name: String
        var goal: SessionGoal
        var testDescription: String { "\(name), \(goal)" }
    }

    static let cases: [Case] = Registry.dialogues.flatMap { profile in
        goals(profile).map { Case(name: profile.name, goal: $0) }
    }

    static func goals(_ profile: DialogueProfile) -> [SessionGoal] {
        [.identify] + (profile.goals.contains(.live) ? [.live] : [])
            + (profile.goals.contains(.download) ? [.download(known: [])] : [])
    }

    static func profile(_ name: String) throws -> DialogueProfile {
        try #require(Registry.dialogues.first { $0.name == name })
    }

    /// A well-behaved device at the other end, with something in its memory.
    static func simulator(_ name: String) -> (any DeviceSimulator)? {
        Registry.dialogues.first { $0.name == name }?.simulation.make(
            DeviceSimulation.Order(variant: name == "phdc" ? "ecg-stored" : nil))
    }

    @Test("profiles are well formed", arguments: names)
    func profile(_ name: String) throws {
        let profile = try Self.profile(name)
        #expect(Registry.dialogues.count { $0.name == name } == 1)
        #expect(!profile.title.isEmpty && !profile.goals.isEmpty)
        #expect(!profile.models.isEmpty && !profile.reads.isEmpty)
        #expect(!profile.matches.isEmpty || !profile.choices.isEmpty)
        for match in profile.matches + profile.choices {
            #expect((match.vendorID == nil) == (match.productID == nil))
            #expect(match.vendorID != nil || match.interface != nil)
            for id in [match.vendorID, match.productID].compactMap({ $0 }) {
                #expect(id.utf8.count == 4 && id.allSatisfy { $0.isHexDigit && !$0.isUppercase })
            }
            if let interface = match.interface {
                #expect(interface.utf8.count == 6 && interface.allSatisfy { $0.isHexDigit && !$0.isUppercase })
            }
        }
        #expect(Self.simulator(name) != nil, "a device without a simulator can't be tested")
    }

    @Test("silence is another device, soon", arguments: cases)
    func silence(_ device: Case) throws {
        let (name, goal) = (device.name, device.goal)
        var bench = Bench(try Self.profile(name).makeDialogue(goal), SilentDevice())
        bench.run(until: 60)
        #expect(bench.finish == .notThisDevice)
        // One that may have given up gets a second chance (phdc.md 2.10).
        #expect(bench.elapsed < (bench.renewals == 0 ? 15 : 30))
        #expect(bench.recordings.isEmpty)
    }

    @Test("every goal is reached, and what is simulated says so", arguments: cases)
    func reached(_ device: Case) throws {
        let (name, goal) = (device.name, device.goal)
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

    /// A device goes from one patient to the next with everything in its memory.
    @Test(
        "what was fetched before is not fetched again",
        arguments: Registry.dialogues.filter { $0.goals.contains(.download) }.map(\.name))
    func again(_ name: String) throws {
        func fetch(_ known: KnownItems) throws -> Bench {
            var bench = Bench(
                try Self.profile(name).makeDialogue(.download(known: known)), try #require(Self.simulator(name)))
            bench.run(until: 60)
            #expect(bench.finish == .done)
            return bench
        }
        let first = try fetch([])
        #expect(!first.recordings.isEmpty)
        #expect(first.recordings.allSatisfy { $0.start.item?.source.isEmpty == false })
        let again = try fetch(first.known)
        #expect(again.recordings.isEmpty && again.skipped.count >= first.recordings.count)
        // One by one: as if the memory had grown, and its recording had another name.
        let readings = first.recordings.flatMap(\.readings)
        #expect(readings.allSatisfy { $0.mark != nil })
        let grown = try fetch(KnownItems([], measurements: first.knownMeasurements))
        #expect(grown.recordings.allSatisfy { $0.readings.isEmpty })
    }

    @Test("stopping at any moment ends within a second", arguments: cases)
    func stop(_ device: Case) throws {
        let (name, goal) = (device.name, device.goal)
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

    @Test("a pulled cable at any moment seals what is open", arguments: cases)
    func gone(_ device: Case) throws {
        let (name, goal) = (device.name, device.goal)
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
        for goal in Self.goals(profile) {
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

    @Test("a probe sends nothing that a neighbour forbids", arguments: names)
    func neighbours(_ name: String) throws {
        let profile = try Self.profile(name)
        for device in [try #require(Self.simulator(name)), SilentDevice()] as [any DeviceSimulator] {
            var bench = Bench(profile.makeDialogue(.identify), device)
            bench.run(until: 60)
            for other in Registry.dialogues where !Set(other.matches).isDisjoint(with: profile.matches) {
                let written = bench.sent + bench.controls.map(\.data)
                for forbidden in other.forbidden {
                    #expect(!forbidden.occurs(in: bench.sent.flatMap { $0 }), "\(forbidden.reason)")
                    #expect(!written.contains { forbidden.occurs(in: $0) })
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
                case .append, .reading: #expect(open)
                case .send, .control, .ask, .finish, .skipped: Issue.record("a listener acts: \(action)")
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
        if ProcessInfo.processInfo.environment["ESS_WRITE_FIXTURES"] != nil {
            try Data(UdevRules.rendered().utf8).write(to: file)
        }
        #expect(try String(contentsOf: file, encoding: .utf8) == UdevRules.rendered())
        let late = Fixtures.root.appending(path: "udev/95-ess-agent-brltty.rules")
        if ProcessInfo.processInfo.environment["ESS_WRITE_FIXTURES"] != nil {
            try Data(UdevRules.renderedAgainstBrltty().utf8).write(to: late)
        }
        #expect(try String(contentsOf: late, encoding: .utf8) == UdevRules.renderedAgainstBrltty())
        let names = Fixtures.root.appending(path: "udev/70-ess-agent.hwdb")
        if ProcessInfo.processInfo.environment["ESS_WRITE_FIXTURES"] != nil {
            try Data(UdevRules.renderedNames().utf8).write(to: names)
        }
        #expect(try String(contentsOf: names, encoding: .utf8) == UdevRules.renderedNames())
        for profile in Registry.dialogues {
            for match in profile.matches + profile.choices {
                let line = try #require(
                    UdevRules.rendered().split(separator: "\n").first { line in
                        line.contains("SUBSYSTEM==\"\(match.subsystem)\"")
                            && match.vendorID.map { line.contains("ENV{ID_VENDOR_ID}==\"\($0)\"") } ?? true
                            && match.productID.map { line.contains("ENV{ID_MODEL_ID}==\"\($0)\"") } ?? true
                            && match.interface.map { line.contains("ENV{ID_USB_INTERFACES}==\"*:\($0):*\"") } ?? true
                    })
                #expect(line.contains("GROUP=\"ess-agent\", MODE=\"0660\""))
            }
        }
    }

    @Test("the table of devices is that of the registry, and each has its checklist")
    func table() throws {
        let file = Fixtures.root.appending(path: "docs/devices.md")
        if ProcessInfo.processInfo.environment["ESS_WRITE_FIXTURES"] != nil {
            try Data(DeviceTable.rendered().utf8).write(to: file)
        }
        #expect(try String(contentsOf: file, encoding: .utf8) == DeviceTable.rendered())
        for name in Registry.dialogues.map(\.name) + Registry.importers.map(\.name) {
            let checklist = Fixtures.root.appending(path: "Sources/Devices/\(DeviceTable.folder(name))/CHECKLIST.md")
            let text = try String(contentsOf: checklist, encoding: .utf8)
            #expect(text.hasPrefix("# ") && (text.contains("[x]") || text.contains("| yes")), "\(name)")
        }
    }

    @Test("a device says its support level, and no more than the registry does")
    func support() throws {
        let order: [SupportLevel] = [.verified, .singleSource, .experimental]
        for profile in Registry.dialogues {
            for variant in profile.simulation.variants {
                let device = try #require(profile.simulation.make(DeviceSimulation.Order(variant: variant)))
                var bench = Bench(profile.makeDialogue(.identify), device)
                bench.run(until: 30)
                let said = try #require(bench.identities.first?.support, "\(profile.name) \(variant)")
                #expect(try #require(order.firstIndex(of: said)) >= #require(order.firstIndex(of: profile.support)))
            }
        }
    }

    @Test("no probe sends what another candidate of the same identity forbids, nor to one that a person has to name")
    func probeOrder() throws {
        let profiles = Registry.dialogues
        for profile in profiles {
            // What the probe sends to its own device, to silence, and to every other device of the same identity.
            let rivals = profiles.filter { rival in
                rival.name != profile.name
                    && !Set(rival.matches + rival.choices).isDisjoint(with: profile.matches + profile.choices)
            }
            let others = ([profile] + rivals).flatMap { rival in
                rival.simulation.variants.compactMap { rival.simulation.make(DeviceSimulation.Order(variant: $0)) }
            }
            for device in others + [SilentDevice(), NoisyDevice(seed: 3)] {
                var bench = Bench(profile.makeDialogue(.identify), device)
                bench.run(until: 30)
                for rival in rivals {
                    for pattern in rival.forbidden {
                        #expect(!pattern.occurs(in: bench.sent.flatMap { $0 }), "\(profile.name) to \(rival.name)")
                        #expect(!bench.controls.contains { pattern.occurs(in: $0.data) })
                    }
                }
            }
            // It takes nobody else's device for its own.
            for rival in rivals {
                let device = try #require(rival.simulation.make())
                var bench = Bench(profile.makeDialogue(.identify), device)
                bench.run(until: 30)
                #expect(bench.finish == .notThisDevice, "\(profile.name) took \(rival.name)")
            }
        }
        // Who only listens comes before who speaks, wherever both could be.
        let legacy = try #require(profiles.firstIndex { $0.name == "contec-legacy" })
        #expect(legacy < (try #require(profiles.firstIndex { $0.name == "contec-oximeter" })))
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

    /// With `ESS_WRITE_FIXTURES=1` in the environment writes the transcript and its report; checks them in any case.
    static func check(_ name: String, of profile: DialogueProfile, text: String) throws {
        let report = try replay(Transcript(parsing: text), through: profile)
        let base = directory(profile.name).appending(path: name)
        let (file, expected) = (base.appendingPathExtension("transcript"), base.appendingPathExtension("json"))
        if ProcessInfo.processInfo.environment["ESS_WRITE_FIXTURES"] != nil {
            try FileManager.default.createDirectory(
                at: base.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(text.utf8).write(to: file)
            try json(report).write(to: expected)
        }
        #expect(try String(contentsOf: file, encoding: .utf8) == text)
        #expect(try JSONDecoder().decode(ReplayReport.self, from: Data(contentsOf: expected)) == report)
    }

    static func json(_ report: ReplayReport) throws -> Data {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return try encoder.encode(report) + Data("\n".utf8)
    }
}
