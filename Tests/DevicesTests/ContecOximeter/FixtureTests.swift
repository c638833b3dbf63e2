import Clinical
import Foundation
import Testing
import Wire

@testable import Devices

/// The transcripts in `fixtures/contec-oximeter` come from here, and only from here. With `ESS_WRITE_FIXTURES=1` in the
/// environment this suite writes them; otherwise it checks that they are what it would write.
@Suite("Contec oximeter: fixtures")
struct ContecOximeterFixtureTests {
    typealias Driver = ContecOximeterDriverTests
    typealias Listener = ContecOximeterListenerTests

    static let names = [
        "live", "live-finger-out", "stored", "stored-perfusion", "stored-no-clock", "lost-byte", "foreign-device-only",
        "foreign-short-commands", "foreign-middle-of-frame", "switched-off",
    ]

    static func transcript(_ name: String) -> Transcript {
        switch name {
        case "live": return live { $0.hasPerfusion = true }
        case "live-finger-out":
            return live { $0.finger = ContecOximeterNight(start: nil, seconds: 10, seed: 3) }
        case "stored": return stored()
        case "stored-perfusion": return stored { $0.hasPerfusion = true }
        case "stored-no-clock": return stored { $0.memory[0].start = nil }
        case "lost-byte": return stored { $0.lostBytes = [101] }
        case "switched-off": return stored { $0.switchesOffAfter = 20 }
        case "foreign-device-only":
            // Another client's download, of which only the device's side was captured.
            return foreign([
                .received(
                    (Listener.live(3) + [.free] + Listener.identity + Listener.facts() + Listener.live(1)
                        + Listener.storage()).flatMap(\.wire), after: 0.5)
            ])
        case "foreign-short-commands":
            return foreign([
                .sent(bytes("7D 81 A7"), after: 0.1), .received(bytes("0C 80"), after: 0.01),
                .sent(bytes("7D 81 A8"), after: 0.1),
                .received(Array(Listener.identity[1...2]).flatMap(\.wire), after: 0.01),
                .sent(bytes("7D 81 A6"), after: 0.1),
                .received(Listener.storage(perfusion: true).flatMap(\.wire), after: 0.2),
                .sent(bytes("7D 81 A7"), after: 0.3),
                .received(Array(Listener.storage(perfusion: true)[..<2] + [.free]).flatMap(\.wire), after: 0.01),
            ])
        default:
            return foreign([.received(Array(Listener.live(120).flatMap(\.wire)[5...]), after: 2)])
        }
    }

    private static func live(_ change: (inout ContecOximeterSimulator.Configuration) -> Void) -> Transcript {
        var bench = Driver.bench(.live, change)
        bench.run(until: 6)
        bench.stop()
        bench.run(until: 10)
        return bench.transcript
    }

    private static func stored(
        _ change: (inout ContecOximeterSimulator.Configuration) -> Void = { _ in }
    ) -> Transcript {
        Driver.downloaded {
            $0.memory[0].seconds = 151
            change(&$0)
        }.transcript
    }

    private static func foreign(_ events: [TranscriptEvent]) -> Transcript {
        Transcript(header: TranscriptHeader(model: "simulated, another client", date: "2026-11-22"), events: events)
    }

    @Test("the fixtures are up to date", arguments: names)
    func upToDate(_ name: String) throws {
        let transcript = Self.transcript(name)
        let text = transcript.rendered()
        // What is written in the text is what counts: its times are rounded.
        let report = try replay(Transcript(parsing: text), through: ContecOximeter.profile)
        let base = Fixtures.directory("contec-oximeter").appending(path: name)
        let (file, expected) = (base.appendingPathExtension("transcript"), base.appendingPathExtension("json"))
        if ProcessInfo.processInfo.environment["ESS_WRITE_FIXTURES"] != nil {
            try FileManager.default.createDirectory(
                at: base.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(text.utf8).write(to: file)
            try Fixtures.json(report).write(to: expected)
        }
        #expect(try String(contentsOf: file, encoding: .utf8) == text)
        #expect(try JSONDecoder().decode(ReplayReport.self, from: Data(contentsOf: expected)) == report)
    }
}
