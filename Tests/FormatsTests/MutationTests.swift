import Foundation
import FuzzTargets
import Testing

/// Every fuzz target over its fixtures, damaged in a fixed sequence: cut, flipped, overwritten, spliced. Returning and
/// throwing are both fine; crashing and hanging are not. `make fuzz` goes further.
@Suite struct MutationTests {
    /// Bytes parsed for one seed, so that a large fixture doesn't take longer than a small one.
    private static let budget = 1 << 19

    @Test(arguments: FuzzTarget.all.map(\.name)) func damageIsSurvived(name: String) throws {
        let target = try #require(FuzzTarget.all.first { $0.name == name })
        let seeds = try target.seeds(root.appending(path: "fixtures"))
        #expect(!seeds.isEmpty, "\(name) starts from nothing: its fixtures are gone")
        var random = Seeded(state: 0xF0 + UInt64(name.utf8.reduce(0) { $0 &* 31 &+ UInt32($1) }))
        target.run([])
        for seed in seeds where !seed.isEmpty {
            target.run(seed)
            let rounds = min(200, max(6, Self.budget / seed.count))
            for _ in 0..<rounds { target.run(Self.damaged(seed, seeds, &random)) }
        }
    }

    private static func damaged(_ seed: [UInt8], _ others: [[UInt8]], _ random: inout Seeded) -> [UInt8] {
        var bytes = seed
        // Headers come first, so the front is hit more often than the rest.
        func place() -> Int {
            let end = Bool.random(using: &random) ? bytes.count : min(bytes.count, 512)
            return Int.random(in: 0..<end, using: &random)
        }
        switch Int.random(in: 0..<5, using: &random) {
        case 0: return Array(bytes.prefix(place()))
        case 1:
            for _ in 0..<Int.random(in: 1...8, using: &random) {
                bytes[place()] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            }
        case 2:
            let extremes: [UInt8] = [0, 0x20, 0x30, 0x7F, 0x80, 0xFE, 0xFF]
            let value = extremes.randomElement(using: &random) ?? 0
            let start = place()
            for index in start..<min(bytes.count, start + Int.random(in: 1...8, using: &random)) {
                bytes[index] = value
            }
        case 3:
            let other = others.randomElement(using: &random) ?? seed
            return bytes.prefix(place()) + other.suffix(Int.random(in: 0...other.count, using: &random))
        default:
            let start = place()
            bytes.insert(contentsOf: bytes[start..<min(bytes.count, start + 64)], at: start)
        }
        return bytes
    }
}
