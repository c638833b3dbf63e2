import Clinical
import Formats
import Testing

@Suite struct EcgChunkTests {
    private func channel(_ signal: Channel.Signal) -> Channel {
        Channel(
            signal: signal, name: signal.rawValue, unit: "uV", rate: Ratio(500), scale: Ratio(5), range: -2048...2047,
            calibration: .verified)
    }

    @Test func anyChunkComesBack() throws {
        let two = [channel(.ecgI), channel(.ecgII)]
        var random = Seeded(state: 5)
        let wild = (0..<500).map { _ in Sample.random(in: Sample.min...Sample.max, using: &random) }
        let waves: [Waveform] = [
            Waveform(channels: two, samples: [[], []]), Waveform(channels: two, samples: [[5], []]),
            Waveform(channels: two, samples: [[.absent], [.max]]),
            Waveform(channels: two, samples: [wild, Array(wild.reversed())]),
            Waveform(channels: two, samples: [Array(repeating: 3, count: 131_072), []]),
            contecCase(samples: 800).waveform12, contecCase(samples: 8000, seed: 9).waveform12,
            contecCase(samples: 77, chestLeads: false).waveform12,
        ]
        for wave in waves {
            let coded = try #require(EcgChunk.encode(wave.channels, wave.samples))
            #expect(try EcgChunk.decode(coded, channels: wave.channels) == wave.samples)
        }
    }

    @Test func whatIsNotForItIsLeftAlone() {
        let oxi = oximetry(seconds: 3)
        #expect(EcgChunk.encode(oxi.channels, oxi.samples) == nil)
        #expect(EcgChunk.encode([channel(.ecgI)], [Array(repeating: 1, count: 131_073)]) == nil)
        #expect(EcgChunk.encode([channel(.ecgI)], []) == nil)
    }

    /// With a checksum that is right all the same, since that is all that stands between noise and the decoder.
    @Test func noDamageCrashesItOrIsBelieved() throws {
        let wave = contecCase(samples: 60).waveform12
        let coded = try #require(EcgChunk.encode(wave.channels, wave.samples))
        for index in coded.indices {
            var changed = coded
            changed[index] ^= 0x40
            #expect(throws: DecodeError.self) { try EcgChunk.decode(changed, channels: wave.channels) }
            #expect(throws: DecodeError.self) { try EcgChunk.decode(Array(coded[..<index]), channels: wave.channels) }
        }
        #expect(throws: DecodeError.self) { try EcgChunk.decode(coded, channels: [channel(.ecgI)]) }
        torture(Array(coded[4...]), keeping: 12, rounds: 300, seed: 3) { body in
            _ = try? EcgChunk.decode(crc(body) + body, channels: wave.channels)
        }
    }

    private func crc(_ bytes: [UInt8]) -> [UInt8] {
        var crc: UInt32 = .max
        for byte in bytes {
            crc ^= UInt32(byte)
            for _ in 0..<8 { crc = crc & 1 == 0 ? crc >> 1 : crc >> 1 ^ 0xEDB8_8320 }
        }
        return (0..<4).map { UInt8(truncatingIfNeeded: ~crc >> (8 * UInt32($0))) }
    }
}
