import Clinical
import Foundation
import Testing
import Wire

@testable import Devices

/// The transcripts in `fixtures/phdc` come from here, and only from here.
@Suite("PHDC: fixtures")
struct PhdcFixtureTests {
    typealias Listener = PhdcListenerTests

    static let published: [(name: String, frames: [String])] = [
        ("scale", ["A1", "A2", "A3", "A4", "A5", "A6", "A7", "A8", "A9", "A10", "A11", "A12"]),
        ("scale-device-only", ["A1", "A3", "A6", "A7", "A10", "A11"]), ("scale-from-the-middle", ["A7"]),
        ("thermometer", ["B1", "B2", "B3", "B4", "A11", "A12"]), ("blood-pressure-from-the-middle", ["C1"]),
        ("ecg-live", ["D1", "D2", "D3", "D8"]), ("ecg-scanner", ["D1", "D4", "D5", "D6", "D7"]),
        ("ecg-stored", ["D1", "D2", "E1", "E2", "E3", "E4", "E5", "E6", "E7", "E8", "E9", "E10"]),
        ("therapy", ["D1", "F1", "F2"]), ("oximeter", ["J1", "J2"]),
    ]

    @Test("published exchanges", arguments: published.map(\.name))
    func exchanges(_ name: String) throws {
        let frames = try #require(Self.published.first { $0.name == name }).frames
        try Fixtures.check(name, of: Phdc.profile, text: Listener.transcript(frames).rendered())
    }

    @Test("simulated devices", arguments: PhdcSimulator.Configuration.names)
    func simulated(_ name: String) throws {
        let stored = ["ecg-stored", "glucose", "oximeter-stored"].contains(name)
        let bench = PhdcDriverTests.run(name, stored ? .download(known: []) : .live, seconds: 6)
        var transcript = bench.transcript
        transcript.header = TranscriptHeader(model: "simulated", date: "2026-11-22")
        try Fixtures.check("simulated-\(name)", of: Phdc.profile, text: transcript.rendered())
    }

    @Test("a listener understands what the driver understood", arguments: PhdcSimulator.Configuration.names)
    func same(_ name: String) throws {
        let stored = ["ecg-stored", "glucose", "oximeter-stored"].contains(name)
        let bench = PhdcDriverTests.run(name, stored ? .download(known: []) : .live, seconds: 6)
        let report = replay(try Transcript(parsing: bench.transcript.rendered()), through: Phdc.profile)
        #expect(report.recordings.count == bench.recordings.count)
        for (heard, kept) in zip(report.recordings, bench.recordings) {
            #expect(heard.channels == zip(kept.start.channels, kept.samples).map { ChannelSummary($0, $1) })
            let discrete = heard.readings.filter { $0.code != nil }
            #expect(discrete.map(\.value) == kept.readings.map(\.value.value))
            // Only a session asks whose a live recording is, when the device knows several people.
            #expect(heard.source == (kept.start.kind == .live ? nil : kept.start.item?.source))
        }
    }
}
