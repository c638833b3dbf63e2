import Clinical
import Formats
import Testing

@Suite struct EcgCoderTests {
    private func back(_ wave: Waveform) throws -> Waveform {
        let (decoded, damaged) = try EcgCoder.decode(EcgCoder.encode(wave))
        #expect(damaged.isEmpty)
        return decoded
    }

    private func channel(
        _ signal: Channel.Signal, rate: Ratio = Ratio(100), scale: Ratio = Ratio(5), derivation: String? = nil
    ) -> Channel {
        Channel(
            signal: signal, name: signal.rawValue, unit: "uV", rate: rate, scale: scale, range: -32768...32767,
            calibration: .verified, derivation: derivation)
    }

    /// Something like an ECG: slow waves, spikes, noise.
    private func leads(_ count: Int, samples: Int, step: Int = 1, seed: UInt64 = 4) -> [[Sample]] {
        var random = Seeded(state: seed)
        return (0..<count).map { lead in
            var wander = 0
            return (0..<samples).map { index in
                wander += Int.random(in: -2...2, using: &random)
                let spike = index % 80 < 5 ? (lead + 1) * 90 * (2 - abs(index % 80 - 2)) : 0
                return Sample((wander + spike) * step)
            }
        }
    }

    @Test func anyWaveformComesBack() throws {
        let two = [channel(.ecgII), channel(.ecgV1)]
        #expect(try back(Waveform(channels: [], samples: [])) == Waveform(channels: [], samples: []))
        let waves: [Waveform] = [
            Waveform(channels: two, samples: [[], []]),
            Waveform(channels: two, samples: [[5], [.absent]]),
            Waveform(channels: two, samples: leads(2, samples: 2501)),
            Waveform(channels: two, samples: [leads(1, samples: 999)[0], leads(1, samples: 40)[0]]),
            Waveform(channels: two, samples: leads(2, samples: 1500, step: 37)),
            Waveform(
                channels: two, samples: [Array(repeating: 7, count: 3000), Array(repeating: .absent, count: 3000)]),
            oximetry(seconds: 25), contecCase(samples: 2000).waveform12,
            contecCase(samples: 400, chestLeads: false).waveform12,
        ]
        for wave in waves { #expect(try back(wave) == wave) }
    }

    @Test func extremesComeBack() throws {
        var random = Seeded(state: 77)
        let wild = (0..<700).map { _ in Sample.random(in: Sample.min...Sample.max, using: &random) }
        let saw = (0..<700).map { $0.isMultiple(of: 2) ? Sample.max : Sample.min + 1 }
        var odd = channel(.ecgI, rate: Ratio(1, 60), scale: Ratio(-7, Int.max), derivation: "é")
        odd.name = String(repeating: "ü", count: 300)
        let still = channel(.other, rate: Ratio(0))
        let fast = channel(.ecgIII, rate: Ratio(Int.max), scale: Ratio(0))
        let wave = Waveform(channels: [odd, channel(.ecgII), still, fast], samples: [wild, saw, saw, wild])
        #expect(try back(wave) == wave)
    }

    /// Limb leads that follow from others, whichever two were measured and however they are rounded.
    @Test(arguments: [1, 2, 3])
    func derivedLeadsComeBackAndCostLittle(rounding: Int) throws {
        let base = leads(2, samples: 1000, seed: 9)
        func floor(_ value: Int, _ by: Int) -> Sample { Sample((value + rounding - 2) >> (by - 1)) }
        let pairs = zip(base[0], base[1]).map { (Int($0), Int($1)) }
        let samples = [
            base[0], base[1], pairs.map { Sample($1 - $0) }, pairs.map { floor(-$0 - $1, 2) },
            pairs.map { floor(2 * $0 - $1, 2) }, pairs.map { floor(2 * $1 - $0, 2) },
        ]
        let signals: [Channel.Signal] = [.ecgI, .ecgII, .ecgIII, .ecgAVR, .ecgAVL, .ecgAVF]
        let wave = Waveform(channels: signals.map { channel($0) }, samples: samples)
        #expect(try back(wave) == wave)
        let two = Waveform(channels: Array(wave.channels.prefix(2)), samples: base)
        #expect(EcgCoder.encode(wave).count < EcgCoder.encode(two).count * 5 / 4)
    }

    @Test func absentSamplesComeBack() throws {
        var samples = leads(3, samples: 1100)
        for index in 0..<1100 {
            if index % 50 < 7 { samples[0][index] = .absent }
            if index < 10 || index > 1090 { samples[1][index] = .absent }
        }
        let wave = Waveform(channels: [channel(.ecgI), channel(.ecgII), channel(.ecgIII)], samples: samples)
        #expect(try back(wave) == wave)
    }

    @Test func aGridOfValuesCostsNoMoreThanItsSteps() throws {
        let plain = Waveform(channels: [channel(.ecgII)], samples: leads(1, samples: 1000))
        let spread = Waveform(channels: [channel(.ecgII)], samples: leads(1, samples: 1000, step: 41))
        #expect(EcgCoder.encode(spread).count < EcgCoder.encode(plain).count + 200)
    }

    @Test func aDamagedBlockCostsOnlyItself() throws {
        let wave = Waveform(channels: [channel(.ecgII), channel(.ecgV1)], samples: leads(2, samples: 4000))
        let bytes = EcgCoder.encode(wave)
        let marker: [UInt8] = [0xEC, 0x6B]
        var starts: [Int] = []
        for index in bytes.indices.dropLast(6) where bytes[index] == marker[0] && bytes[index + 1] == marker[1] {
            if bytes[index + 2..<index + 6].elementsEqual(ScpWriter.little(starts.count, 4)) { starts.append(index) }
        }
        #expect(starts.count == 4)
        for (block, start) in starts.enumerated() {
            // In its marker, its number, its length, its checksum, its content.
            for offset in [0, 2, 6, 9, 12, 40] {
                var damaged = bytes
                damaged[start + offset] ^= 0x41
                let (decoded, lost) = try EcgCoder.decode(damaged)
                #expect(lost == [.init(index: block, start: Double(block) * 10, duration: 10)])
                for channel in 0..<2 {
                    for sample in decoded.samples[channel].indices {
                        let isLost = sample / 1000 == block
                        #expect(decoded.samples[channel][sample] == (isLost ? .absent : wave.samples[channel][sample]))
                    }
                    #expect(decoded.samples[channel].count == (block == 3 ? 3000 : 4000))
                }
            }
        }
        let (cut, lost) = try EcgCoder.decode(Array(bytes[..<(starts[2] + 5)]))
        #expect(cut.samples[1] == Array(wave.samples[1].prefix(2000)))
        #expect(lost == [.init(index: 2, start: 20, duration: 20)])
        let (rest, gone) = try EcgCoder.decode(Array(bytes[..<starts[1]] + bytes[starts[2]...]))
        #expect(rest.samples[0].count == 4000 && gone.map(\.index) == [1])
        var header = bytes
        header[20] ^= 1
        #expect(throws: DecodeError.self) { try EcgCoder.decode(header) }
        #expect(throws: DecodeError.self) { try EcgCoder.decode([1, 2, 3]) }
    }

    @Test func noDamageCrashesIt() {
        var samples = leads(3, samples: 120, step: 9)
        samples[2][50] = .absent
        let wave = Waveform(channels: [channel(.ecgI), channel(.ecgII), channel(.ecgIII)], samples: samples)
        torture(EcgCoder.encode(wave), keeping: 60, rounds: 150, seed: 31) { _ = try? EcgCoder.decode($0) }
    }

    @Test(
        .enabled(if: Shared.has("data/ecg/wfdb12/E07500.hea"), "needs ../shared/data/ecg"),
        arguments: [("E07500", 22200), ("HR06000", 25400), ("JS20000", 20500)])
    func realRecordsComeBackSmall(name: String, limit: Int) throws {
        let record = try WFDBRecord(header: Shared.bytes("data/ecg/wfdb12/\(name).hea")) {
            try Shared.bytes("data/ecg/wfdb12/\($0)")
        }
        let bytes = EcgCoder.encode(record.waveform)
        #expect(try EcgCoder.decode(bytes).waveform == record.waveform)
        #expect(bytes.count < limit)
    }
}
