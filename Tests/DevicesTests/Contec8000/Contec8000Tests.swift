import Clinical
import Foundation
import Testing
import Wire

@testable import Devices

@Suite("Contec 8000G, live")
struct Contec8000Tests {
    typealias Configuration = Contec8000Simulator.Configuration

    static func bench(_ goal: SessionGoal, _ seconds: Double = 12, _ change: (inout Configuration) -> Void = { _ in })
        -> Bench
    {
        var configuration = Configuration()
        change(&configuration)
        var bench = Bench(Contec8000Protocol(goal: goal), Contec8000Simulator(configuration))
        bench.run(until: seconds)
        bench.stop()
        bench.run(until: seconds + 2)
        return bench
    }

    @Test("the notes' records")
    func records() throws {
        var decoder = Contec8000Decoder()
        #expect(
            decoder.take(bytes("EE 10 A0 49 04 08 41 00 08 00 00 08 00 00 08 00 00")) == [
                .boundary, .samples([2113, 2048, 2048, 2048, 2048, 2048, 2048, 2048]),
            ])
        let record = bytes("A0 49 04 08 00 01 08 02 03 08 04 05 08 06 07")
        let values = [2048, 2049, 2050, 2051, 2052, 2053, 2054, 2055]
        #expect(decoder.take(record + bytes("B0 00 00 00 00 00")) == [.samples(values), .status])
        #expect(Contec8000Record.wire(values) == record)
        var stream = Contec8000Stream()
        _ = stream.begin()
        _ = stream.take([.samples(values), .samples(values)], raw: [], at: 0)
        guard case .append(let block)? = stream.end(.stopped, at: 0).first else {
            Issue.record("no samples")
            return
        }
        let means = zip(Contec8000.leads.channels, block.samples).map { $0.physical($1[0]) }
        #expect(means[0] == 0 && means[1] == 2.5 && means[2] == 2.5 && means[11] == 17.5)
        #expect(means[3] == -1.25 && means[4] == -1.25 && means[5] == 2.5)
    }

    @Test("every cut, bent or added byte costs at most the records that it touches")
    func robustness() {
        let values = [2048, 2049, 2050, 2051, 2052, 2053, 2054, 4000]
        let stream = (0..<4).flatMap { _ in Contec8000Record.wire(values) }
        func count(_ bytes: [UInt8]) -> Int {
            var decoder = Contec8000Decoder()
            return decoder.take(bytes).count { $0 == .samples(values) }
        }
        for index in stream.indices {
            var cut = stream
            cut.remove(at: index)
            #expect(count(cut) >= 2)
            for bit in 0..<8 {
                var bent = stream
                bent[index] ^= 1 << bit
                #expect(count(bent) >= 2)
            }
        }
        // The real capture's anomaly: 24 bytes between two markers.
        var decoder = Contec8000Decoder()
        let anomaly = Contec8000Record.wire(values) + Array(repeating: 0x11, count: 9) + Contec8000Record.wire(values)
        #expect(decoder.take(anomaly) == [.samples(values), .lost(9), .samples(values)])
    }

    @Test("streams what the simulator meant, says where something was lost, and stops it")
    func live() throws {
        let bench = Self.bench(.live)
        #expect(bench.finish == .done)
        #expect(
            bench.sent == [[0x90, 0x00], [0x80], [0x90, 0x00], [0x85, 0x01], [0x90, 0x05], [0x90, 0x00]])
        let kept = try #require(bench.recordings.first)
        #expect(kept.end == .stopped)
        #expect(kept.samples[0].count > 500 * 10)
        #expect(kept.gaps == ["9 bytes were lost or damaged"])
        #expect(bench.identities.first?.isSimulated == true && bench.identities.first?.firmware == "15-03-09")
        #expect(bench.violations.isEmpty)
        let clean = try #require(Self.bench(.live) { $0.anomalyAt = nil }.recordings.first)
        #expect(clean.gaps.isEmpty && clean.notes.isEmpty)
        // A pair's sum; the stream is taken up at whatever record it was believed.
        let pairs = (0..<7000).map {
            Sample(
                LiveEcgHeart.raw(sample: $0, rate: 1000, lead: 0)
                    + LiveEcgHeart.raw(sample: $0 + 1, rate: 1000, lead: 0)
                    - 4096)
        }
        let head = Array(clean.samples[0].prefix(1000))
        #expect((0..<200).contains { start in (0..<1000).allSatisfy { pairs[start + 2 * $0] == head[$0] } })
    }

    @Test("a device that says no model, one that stalls, and one that isn't there")
    func others() {
        let mute = Self.bench(.live) { $0.answersModel = false }
        #expect(mute.finish == .done && mute.identities.first?.model == "8000G/8100G")
        let stalled = Self.bench(.live) { $0.stallsAfter = 3000 }
        #expect(stalled.recordings.first?.end == .deviceEnded)
        #expect(Self.bench(.identify) { $0.stallsAfter = 3 }.finish == .notThisDevice)
    }

    @Test("it is never tried on a port that nobody named")
    func unnamed() { #expect(Contec8000.profile.matches.isEmpty) }

    @Test("the session reads nearly the same from outside, and the fixture is up to date")
    func fixtures() throws {
        let bench = Self.bench(.live, 4)
        let text = bench.transcript.rendered()
        let report = replay(try Transcript(parsing: text), through: Contec8000.profile)
        #expect(report.identity == bench.identities.first)
        // The listener believes at once, the driver after twenty records.
        let difference = (report.recordings.first?.samples ?? 0) - (bench.recordings.first?.samples[0].count ?? 0)
        #expect(0...60 ~= difference)
        try Fixtures.check("live", of: Contec8000.profile, text: text)
    }
}
