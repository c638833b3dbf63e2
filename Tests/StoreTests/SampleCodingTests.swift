import Clinical
import Testing

@testable import Store

struct Seeded: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return state ^ (state >> 29)
    }
}

@Suite struct SampleBytes {
    @Test(
        arguments: [
            [], [[]], [[], []], [[0]], [[.absent]], [[127, -127]], [[128]], [[-128]], [[32767, -32767, .absent]],
            [[32768]], [[-32768]], [[.max, .min + 1, .absent]], [[1, 2, 3], [], [.absent, 40_000]],
        ] as [[[Sample]]])
    func roundTrip(_ samples: [[Sample]]) throws {
        #expect(try SampleCoding.decode(SampleCoding.encode(samples)) == samples)
    }

    @Test func isCompactAndFixed() {
        #expect(
            SampleCoding.encode([[97, .absent], [300]])
                == [1, 2, 0, 2, 0, 0, 0, 1, 97, 0x80, 1, 0, 0, 0, 2, 0x2C, 0x01])
    }

    @Test func random() throws {
        var random = Seeded(state: 7)
        for _ in 0..<300 {
            let limit = Sample([100, 30_000, 2_000_000_000].randomElement(using: &random) ?? 1)
            let samples = (0..<Int.random(in: 0...13, using: &random)).map { _ in
                (0..<Int.random(in: 0...50, using: &random)).map { _ in
                    Bool.random(using: &random) ? Sample.random(in: -limit...limit, using: &random) : .absent
                }
            }
            #expect(try SampleCoding.decode(SampleCoding.encode(samples)) == samples)
        }
    }

    @Test func everyTruncationAndAnythingBehindIsRefused() {
        let bytes = SampleCoding.encode([[1, .absent, 3], [70_000], [300, -2]])
        for length in 0..<bytes.count {
            #expect(throws: StoreError.self) { try SampleCoding.decode(Array(bytes.prefix(length))) }
        }
        #expect(throws: StoreError.self) { try SampleCoding.decode(bytes + [0]) }
    }

    @Test func aWiderFormIsRefused() {
        #expect(throws: StoreError.self) { try SampleCoding.decode([1, 1, 0, 1, 0, 0, 0, 2, 5, 0]) }
        #expect(throws: StoreError.self) { try SampleCoding.decode([1, 1, 0, 1, 0, 0, 0, 3, 5, 0, 0]) }
        #expect(throws: StoreError.self) { try SampleCoding.decode([1, 1, 0, 1, 0, 0, 0, 0]) }
        #expect(throws: StoreError.self) { try SampleCoding.decode([1, 0xFF, 0xFF]) }
        #expect(throws: StoreError.self) { try SampleCoding.decode([1, 1, 0, 0xFF, 0xFF, 0xFF, 0xFF, 1, 5]) }
    }

    /// What decodes at all is what `encode` would have written.
    @Test func flippedBitsAndNoise() {
        var random = Seeded(state: 11)
        let good = SampleCoding.encode([[1, .absent, 3], [70_000], [300, -2]])
        for round in 0..<20_000 {
            var bytes = good
            if round % 2 == 0 {
                bytes[Int.random(in: 0..<good.count, using: &random)] ^= 1 << UInt8.random(in: 0..<8, using: &random)
            } else {
                bytes = (0..<Int.random(in: 0...40, using: &random)).map { _ in
                    UInt8.random(in: 0...3, using: &random)
                }
            }
            if let samples = try? SampleCoding.decode(bytes) { #expect(SampleCoding.encode(samples) == bytes) }
        }
    }
}
