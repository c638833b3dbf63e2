import Testing
import Uplink

@testable import Agent

struct TogetherTests {
    private func pace(chunk: Int, most: Int) -> Pace {
        Upload(
            size: 1, location: nil, checksums: false,
            limits: Upload.Limits(firstChunk: chunk, leastChunk: 1, mostChunk: most)
        ).pace
    }

    @Test func asManyAsOneChunkHolds() {
        let pace = pace(chunk: 100, most: 1000)
        #expect(
            SyncEngine.together([40, 40, 40, 1], pace: pace) == 2,
            "in their order: the small one doesn't jump the queue")
        #expect(SyncEngine.together([500, 1, 1], pace: pace) == 1, "a large one is not slowed down by others")
        #expect(SyncEngine.together([], pace: pace) == 0)
    }

    @Test func fourChunksWhereTheLineIsFast() {
        #expect(SyncEngine.together([150, 150, 150, 1], pace: pace(chunk: 100, most: 100)) == 2)
    }

    @Test func neverMoreThanAServerShouldBear() {
        let sizes = [Int](repeating: 1, count: 50)
        #expect(SyncEngine.together(sizes, pace: pace(chunk: 1 << 20, most: 1 << 20)) == SyncEngine.mostTogether)
        #expect(SyncEngine.together(sizes, pace: nil) == 1, "nothing is known of the line")
    }
}
