import FHIR
import Testing

struct InstantTests {
    @Test(arguments: [
        ("1970-01-01T00:00:00Z", 0), ("2026-11-22T22:05:09Z", 1_795_385_109_000),
        ("2026-11-22T23:05:09.123456+01:00", 1_795_385_109_123), ("2024-02-29T12:00:00.5-05:30", 1_709_227_800_500),
        ("2000-03-01T00:00:00Z", 951_868_800_000), ("1969-12-31T23:59:59.999Z", -1),
        ("0001-01-01T00:00:00Z", -62_135_596_800_000),
    ])
    func reads(text: String, expected: Int64) throws {
        #expect(Instant(text)?.milliseconds == expected)
    }

    @Test(arguments: [
        "", "2026-11-22", "2026-11-22T22:05:09", "2026-13-22T22:05:09Z", "2026-02-30T22:05:09Z", "2026-11-22T24:05:09Z",
        "2026-11-22T22:05:09.Z", "2026-11-22T22:05:09+0100", "2026-11-22T22:05:09ZZ", "2026-11-22T22:05:09+15:00",
        "20x6-11-22T22:05:09Z", "2026-11-22T22:05:09.123",
    ])
    func refuses(text: String) {
        #expect(Instant(text) == nil)
    }

    @Test(
        arguments: [
            -62_135_596_800_000, -1, 0, 951_782_400_000, 951_868_799_999, 1_709_164_800_000, 1_795_385_109_123,
            253_402_300_799_999,
        ] as [Int64])
    func writesWhatItReads(milliseconds: Int64) {
        let instant = Instant(milliseconds: milliseconds)
        #expect(Instant(instant.description) == instant)
    }

    @Test func writesUTC() {
        #expect(Instant("2026-11-22T23:05:09.1+01:00")?.description == "2026-11-22T22:05:09.100Z")
    }

    @Test func httpDates() {
        #expect(Instant(httpDate: "Sun, 22 Nov 2026 22:05:09 GMT") == Instant("2026-11-22T22:05:09Z"))
        #expect(Instant(httpDate: "Sun, 22 Nov 2026 22:05:09 CET") == nil)
        #expect(Instant(httpDate: "Sunday, 22-Nov-26 22:05:09 GMT") == nil)
        #expect(Instant(httpDate: "") == nil)
    }

    @Test func everyTruncationIsRefused() {
        let text = "2026-11-22T22:05:09.123+01:00"
        for length in 0..<text.count { #expect(Instant(String(text.prefix(length))) == nil) }
    }
}
