import Testing

@testable import Uplink

@Suite("How large a chunk the line bears")
struct PaceTests {
    let limits = Upload.Limits(firstChunk: 256 << 10, leastChunk: 16 << 10, mostChunk: 4 << 20)

    @Test func doublesWhileNothingWasEverCut() {
        var pace = Pace(limits, after: nil)
        for _ in 0..<10 { pace.arrived(pace.chunk, in: .milliseconds(100), limits) }
        #expect(pace.chunk == 4 << 20)
    }

    @Test func afterACutOnlyManyInARowMakeItLarger() {
        var pace = Pace(limits, after: nil)
        let isWorthTrying = pace.wasCut(limits)
        #expect(isWorthTrying)
        #expect(pace.chunk == 128 << 10)
        for _ in 1..<Pace.enough { pace.arrived(pace.chunk, in: .milliseconds(100), limits) }
        #expect(pace.chunk == 128 << 10)
        // The next upload goes on with what this one learned.
        pace = Pace(limits, after: pace)
        pace.arrived(pace.chunk, in: .milliseconds(100), limits)
        #expect(pace.chunk == 256 << 10)
    }

    @Test func aLineThatIsCutAgainAndAgainLosesLittle() {
        // 20 cuts in 100 MB at 1 MB/s; a cut chunk counts for nothing.
        var pace = Pace(limits, after: nil)
        var sent = 0
        var confirmed = 0
        var untilCut = 5_000_000
        while confirmed < 100_000_000 {
            let chunk = pace.chunk
            if chunk > untilCut {
                sent += untilCut
                untilCut = 5_000_000
                _ = pace.wasCut(limits)
            } else {
                sent += chunk
                confirmed += chunk
                untilCut -= chunk
                pace.arrived(chunk, in: .milliseconds(20 + chunk / 1000), limits)
            }
        }
        #expect(Double(sent) <= 1.08 * Double(confirmed))
        #expect(pace.chunk >= 64 << 10)
    }

    @Test func theFloorIsToldAndWhatIsTooLargeStaysSo() {
        var pace = Pace(limits, after: nil)
        var answers = [pace.isTooLarge(256 << 10, limits)]
        for _ in 0..<50 { pace.arrived(pace.chunk, in: .milliseconds(100), limits) }
        #expect(pace.chunk == 128 << 10)
        for _ in 0..<3 { answers.append(pace.wasCut(limits)) }
        #expect(pace.chunk == 16 << 10)
        answers += [pace.wasCut(limits), pace.isTooLarge(16 << 10, limits)]
        #expect(answers == [true, true, true, true, false, false])
    }

    @Test func aSlowLineGetsSmallerChunks() {
        var pace = Pace(limits, after: nil)
        pace.arrived(256 << 10, in: .seconds(11), limits)
        #expect(pace.chunk == 128 << 10)
        pace.arrived(128 << 10, in: .seconds(5), limits)
        #expect(pace.chunk == 128 << 10)
    }
}

extension PaceTests {
    @Test func ofTwoUploadsAtOnceTheOneThatWasCutKnowsMore() {
        let limits = Upload.Limits(firstChunk: 1024, leastChunk: 64, mostChunk: 4096)
        let whole = Pace(limits, after: nil)
        var cut = whole
        let canBeSmaller = cut.wasCut(limits)
        #expect(canBeSmaller)
        #expect(whole.joined(cut) == cut && cut.joined(whole) == cut)
        #expect(whole.joined(nil) == whole)
    }

    @Test func aLineIsUnboundedWhenTheLargestChunksGoFast() {
        let limits = Upload.Limits(firstChunk: 1024, leastChunk: 64, mostChunk: 2048)
        var pace = Pace(limits, after: nil)
        #expect(!pace.isUnbounded)
        pace.arrived(1024, in: .milliseconds(1), limits)
        #expect(pace.isUnbounded)
        _ = pace.wasCut(limits)
        #expect(!pace.isUnbounded)
        for _ in 0..<40 { pace.arrived(pace.chunk, in: .milliseconds(1), limits) }
        #expect(!pace.isUnbounded, "it was cut once")
    }

    @Test func togetherGoesWhatTheLineCarriesInASecond() {
        let limits = Upload.Limits(firstChunk: 1024, leastChunk: 64, mostChunk: 2048)
        var pace = Pace(limits, after: nil)
        #expect(pace.together == 1024, "nothing is known of the line")
        pace.arrived(1024, in: .milliseconds(1), limits)
        #expect(pace.together == 1_024_000)
        pace.arrived(2048, in: .seconds(1), limits)
        #expect(pace.together == 4 * 2048)
        _ = pace.wasCut(limits)
        #expect(pace.together == 1024, "a line that cuts takes one chunk at a time")
    }
}
