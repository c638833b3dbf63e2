import Clinical
import Devices
import Foundation
import FuzzTargets
import Testing
import Wire

/// Every driver and every listener through scripts of bytes, pauses, stops and pulled cables: its own captures, changed at
/// random places. The same numbers every time; a fuzzer can take the same scripts.
@Suite("Scripts of bytes")
struct DriverScriptTests {
    static func seeds(_ driver: String) throws -> [[UInt8]] {
        try Fixtures.transcripts(of: driver).flatMap { file -> [[UInt8]] in
            let transcript = try Transcript(parsing: String(contentsOf: file, encoding: .utf8))
            let script = Script.rendered(transcript, limit: 4000)
            return (0..<3).map { [UInt8($0)] + script.dropFirst() }
        }
    }

    static func mutated(_ seed: [UInt8], _ random: inout Seeded) -> [UInt8] {
        var bytes = seed
        for _ in 0..<Int.random(in: 1...10, using: &random) where !bytes.isEmpty {
            let at = Int.random(in: bytes.indices, using: &random)
            switch Int.random(in: 0..<6, using: &random) {
            case 0: bytes.remove(at: at)
            case 1: bytes.insert(UInt8.random(in: 0...255, using: &random), at: at)
            case 2: bytes.replaceSubrange(at..<min(at + 40, bytes.count), with: [7, 200])
            case 3: bytes.insert(contentsOf: [5, UInt8.random(in: 0...255, using: &random)], at: at)
            default: bytes[at] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            }
        }
        return bytes
    }

    @Test("no script breaks a driver or its listener", arguments: Registry.dialogues.map(\.name))
    func scripts(_ name: String) throws {
        let profile = try DialogueConformanceTests.profile(name)
        var random = Seeded(state: 77)
        let seeds = try Self.seeds(name)
        #expect(!seeds.isEmpty)
        for round in 0..<max(60, 2 * seeds.count) {
            let seed = seeds[round % seeds.count]
            let script = round < seeds.count ? seed : Self.mutated(seed, &random)
            var session = DriverSession(profile, script: script)
            session.run()
            #expect(session.violation == nil, "\(script)")
            let report = replay(Script(script).transcript, through: profile)
            #expect(report.recordings.allSatisfy { $0.end != nil }, "\(script)")
        }
    }
}
