import Clinical
import Formats
import Foundation

/// Measures the lossless ECG coder for `bench_formats.py`: `ess-coder RAW-FOLDER FILE...` decodes each recording, codes it as the
/// store does (chunks of ten seconds) and as one stream, decodes it again, and prints a line of JSON with sizes and times. Each
/// lead's samples go into RAW-FOLDER as 16-bit little-endian integers, for other coders. `ess-coder RAW-FOLDER synthetic` takes
/// a made ECG of twelve leads at 1000 Hz.
@main
struct EssCoder {
    struct Result: Encodable {
        var name: String
        var leads: Int
        var samples: Int
        var seconds: Double
        var chunkBytes: Int
        var streamBytes: Int
        /// Of processor time, over all chunks.
        var encodeSeconds: Double
        var decodeSeconds: Double
    }

    static func main() throws {
        let arguments = Array(CommandLine.arguments.dropFirst())
        guard let folder = arguments.first else { throw Failure.usage }
        for path in arguments.dropFirst() {
            let waveform = path == "synthetic" ? synthetic() : try decoded(path)
            let name = URL(filePath: path).deletingPathExtension().lastPathComponent
            let raw = URL(filePath: folder)
            for (index, samples) in waveform.samples.enumerated() {
                let (zero, _) = Self.span(samples)
                var bytes = Data(capacity: samples.count * 2)
                for sample in samples {
                    let value = UInt16(
                        bitPattern: sample == .absent ? .min : Int16(truncatingIfNeeded: Int(sample) - zero))
                    bytes.append(UInt8(truncatingIfNeeded: value))
                    bytes.append(UInt8(truncatingIfNeeded: value >> 8))
                }
                try bytes.write(to: raw.appending(path: "\(name).\(index)"))
            }
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys]
            print(String(decoding: try encoder.encode(try measure(waveform, name)), as: UTF8.self))
        }
    }

    enum Failure: Error { case usage, notTheSame, noLeads }

    private static func decoded(_ path: String) throws -> Waveform {
        let url = URL(filePath: path)
        let file = try FileDecoder.decode([UInt8](try Data(contentsOf: url)), named: url.lastPathComponent) { name in
            [UInt8](try Data(contentsOf: url.deletingLastPathComponent().appending(path: name)))
        }
        // Samples as they were digitised: what fits no 16 bits was never an ECG's.
        let places = file.groups[0].waveform.samples.indices.filter { span(file.groups[0].waveform.samples[$0]).fits }
        guard !places.isEmpty else { throw Failure.noLeads }
        return Waveform(
            channels: places.map { file.groups[0].waveform.channels[$0] },
            samples: places.map { file.groups[0].waveform.samples[$0] })
    }

    /// What other coders get subtracted so that they can take it, and whether they then can: a header's baseline moves samples of 16 bits
    /// beyond 16 bits.
    private static func span(_ samples: [Sample]) -> (zero: Int, fits: Bool) {
        let values = samples.lazy.filter { $0 != .absent }.map { Int($0) }
        guard let low = values.min(), let high = values.max() else { return (0, true) }
        if low > Int(Int16.min), high <= Int(Int16.max) { return (0, true) }
        return ((low + high) / 2, high - low < Int(UInt16.max) - 1)
    }

    private static func measure(_ waveform: Waveform, _ name: String) throws -> Result {
        let count = waveform.samples.map(\.count).max() ?? 0
        let step = max(1, Int(10 * (waveform.channels.first?.rate.value ?? 500)))
        var chunks: [[[Sample]]] = []
        for start in stride(from: 0, to: count, by: step) {
            chunks.append(waveform.samples.map { Array($0[min($0.count, start)..<min($0.count, start + step)]) })
        }
        // The store keeps what has no ECG lead through zstd; the stream codes any signal.
        let isChunked = EcgChunk.encode(waveform.channels, chunks[0]) != nil
        var coded: [[UInt8]] = []
        let begin = processorTime()
        for chunk in chunks where isChunked { coded.append(EcgChunk.encode(waveform.channels, chunk) ?? []) }
        if !isChunked { coded = [EcgCoder.encode(waveform)] }
        let middle = processorTime()
        var same = true
        for (bytes, chunk) in zip(coded, chunks) {
            let isSame =
                try isChunked
                ? EcgChunk.decode(bytes, channels: waveform.channels) == chunk
                : EcgCoder.decode(bytes).waveform == waveform
            same = same && isSame
        }
        let end = processorTime()
        let stream = EcgCoder.encode(waveform)
        guard same, try EcgCoder.decode(stream).waveform == waveform else { throw Failure.notTheSame }
        return Result(
            name: name, leads: waveform.channels.count, samples: waveform.samples.reduce(0) { $0 + $1.count },
            seconds: waveform.seconds, chunkBytes: coded.reduce(0) { $0 + $1.count }, streamBytes: stream.count,
            encodeSeconds: middle - begin, decodeSeconds: end - middle)
    }

    /// Seconds of this process on a processor, so that a busy machine doesn't count.
    private static func processorTime() -> Double {
        var time = timespec()
        unsafe clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    /// Two minutes of beats with noise as a good device has it; the limb leads follow from two of them.
    private static func synthetic() -> Waveform {
        let leads: [(Channel.Signal, String)] = [
            (.ecgI, "I"), (.ecgII, "II"), (.ecgIII, "III"), (.ecgAVR, "aVR"), (.ecgAVL, "aVL"), (.ecgAVF, "aVF"),
            (.ecgV1, "V1"), (.ecgV2, "V2"), (.ecgV3, "V3"), (.ecgV4, "V4"), (.ecgV5, "V5"), (.ecgV6, "V6"),
        ]
        var noise: UInt64 = 1
        func next() -> Double {
            noise = noise &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Double(noise >> 40) / Double(1 << 24) - 0.5
        }
        let heights = [0.6, 1.0, -0.4, 0.9, 1.2, 1.4, 1.1, 0.8]
        var independent = [[Double]](repeating: [], count: 8)
        for index in 0..<120_000 {
            let phase = Double(index % 830) / 1000
            let beat =
                exp(-pow((phase - 0.3) / 0.012, 2)) - 0.2 * exp(-pow((phase - 0.335) / 0.02, 2)) + 0.25
                * exp(-pow((phase - 0.6) / 0.05, 2)) + 0.1 * exp(-pow((phase - 0.15) / 0.03, 2))
            let wander = 0.1 * sin(Double(index) / 2300)
            for lead in 0..<8 {
                independent[lead].append((beat * heights[lead] + wander) * 1000 + 6 * (next() + next()))
            }
        }
        let (one, two) = (independent[0], independent[1])
        let columns: [[Double]] =
            [
                one, two, zip(one, two).map { $1 - $0 }, zip(one, two).map { -($0 + $1) / 2 },
                zip(one, two).map { $0 - $1 / 2 }, zip(one, two).map { $1 - $0 / 2 },
            ] + independent[2...]
        return Waveform(
            channels: leads.map {
                Channel(
                    signal: $0.0, name: $0.1, unit: "uV", rate: Ratio(1000), scale: Ratio(1), range: -32767...32767,
                    calibration: .verified)
            }, samples: columns.map { $0.map { Sample($0.rounded()) } })
    }
}
