import Clinical
import Testing

@testable import Formats

@Suite struct RatioTests {
    @Test(arguments: [
        ("4.8828125", Ratio(625, 128)), ("-3276.8", Ratio(-16384, 5)), ("1e3", Ratio(1000)), ("2.50E-1", Ratio(1, 4)),
        (" 7 ", Ratio(7)), ("+0.0", Ratio(0)), (".5", Ratio(1, 2)), ("0e99", Ratio(0)), ("-0", Ratio(0)),
    ])
    func readsDecimals(text: String, value: Ratio) { #expect(Ratio(decimal: text) == value) }

    @Test(arguments: [
        "", " ", "-", ".", "1.2.3", "1,5", "abc", "1e", "1e99999", "1e-99", "9999999999999999999", "0x10", "nan",
    ])
    func refusesRubbish(text: String) { #expect(Ratio(decimal: text) == nil) }

    @Test func writesDecimalsExactlyOrNotAtAll() {
        #expect(Ratio(5, 2).decimal(width: 16) == "2.5")
        #expect(Ratio(-16384, 5).decimal(width: 8) == "-3276.8")
        #expect(Ratio(1, 100).decimal(width: 4) == "0.01")
        #expect(Ratio(625, 128).decimal(width: 16) == "4.8828125")
        #expect(Ratio(1, 3).decimal(width: 16) == nil)
        #expect(Ratio(12345, 1000).decimal(width: 5) == nil)
        #expect(Ratio(0).decimal(width: 1) == "0")
    }

    @Test func computesExactlyAndNoticesOverflow() {
        #expect(Ratio(5).commonStep(with: Ratio(5, 2)) == Ratio(5, 2))
        #expect(Ratio(2, 3).commonStep(with: Ratio(1, 2)) == Ratio(1, 6))
        #expect(Ratio(1, 3).plus(Ratio(1, 6)) == Ratio(1, 2))
        #expect(Ratio(1, 3).minus(Ratio(1, 3)) == Ratio(0))
        #expect(Ratio(2, 3).divided(by: Ratio(-4, 9)) == Ratio(-3, 2))
        #expect(Ratio(1).divided(by: Ratio(0)) == nil)
        #expect(Ratio(Int.max).times(Ratio(2)) == nil)
        #expect(Ratio(Int.max, 3).plus(Ratio(Int.max, 2)) == nil)
        #expect(Ratio(Int.min).reduced == Ratio(Int.min))
        #expect(Ratio(Int.min, 2).divided(by: Ratio(Int.min)) == nil)
    }

    @Test func foldsAnOffsetIntoTheSamples() {
        // 1000 units over 4095 steps, digital -2048 at -500: digital 0 lies at half a step.
        let half = Calibrated(gain: Ratio(1000, 4095), offset: Ratio(500, 4095), digital: -2048...2047)
        #expect(half.isExact && half.sample(0) == 1 && half.sample(-2048) == -4095 && half.scale == Ratio(100, 819))
        let whole = Calibrated(gain: Ratio(5), offset: Ratio(-10), digital: -32768...32767)
        #expect(whole.isExact && whole.sample(2) == 0 && whole.scale == Ratio(5))
        let hopeless = Calibrated(gain: Ratio(1, 7), offset: Ratio(1, 1_000_003), digital: -32768...32767)
        #expect(!hopeless.isExact && hopeless.scale == Ratio(1, 70000) && hopeless.sample(3) == 30000)
        let far = Calibrated(gain: Ratio(1), offset: Ratio(Int.max), digital: 0...1)
        #expect(!far.isExact && far.sample(1) == 1)
    }
}
