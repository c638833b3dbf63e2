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
        #expect(SyncEngine.fits(40, beside: [40], pace))
        #expect(!SyncEngine.fits(40, beside: [40, 40], pace))
        #expect(!SyncEngine.fits(1, beside: [500], pace), "a large one is not slowed down by others")
        #expect(SyncEngine.fits(500, beside: [], pace), "whatever it weighs, one goes")
    }

    @Test func fourChunksWhereTheLineIsFast() {
        #expect(SyncEngine.fits(150, beside: [150], pace(chunk: 100, most: 100)))
        #expect(!SyncEngine.fits(150, beside: [150, 150], pace(chunk: 100, most: 100)))
    }

    @Test func neverMoreThanAServerShouldBear() {
        let under = [Int](repeating: 1, count: SyncEngine.mostTogether)
        #expect(!SyncEngine.fits(1, beside: under, pace(chunk: 1 << 20, most: 1 << 20)))
        #expect(SyncEngine.fits(1, beside: under.dropLast(), pace(chunk: 1 << 20, most: 1 << 20)))
        #expect(!SyncEngine.fits(1, beside: [1], nil), "nothing is known of the line")
    }
}
