public import Clinical
import Wire

/// A lossless coder for waveforms of several leads (formats.md 6): limb leads that follow from others become small
/// remainders, the others are predicted from their past and from the leads before them, what remains is range-coded.
/// Blocks of 5 to 10 s stand alone, each with its CRC: a damaged block costs only itself.
///
/// Any waveform comes back bit for bit: samples, absent ones included, and channels. Decoding uses integers only.
public enum EcgCoder {
    /// A stretch that could not be decoded; its samples are absent, or missing at the end.
    public struct DamagedBlock: Sendable, Equatable {
        public var index: Int
        /// Seconds from the first sample.
        public var start: Double
        /// Seconds.
        public var duration: Double

        public init(index: Int, start: Double, duration: Double) {
            self.index = index
            self.start = start
            self.duration = duration
        }
    }

    /// Marker, index, size and CRC before each block's payload.
    static let blockHeader = 14
    static let marker: [UInt8] = [0xEC, 0x6B]
    /// A byte stands for at most so many samples, so that no few bytes ask for much memory.
    static let densest = 256

    public static func encode(_ waveform: Waveform) -> [UInt8] {
        let (stream, coded) = best(waveform)
        var file = stream.encoded()
        for index in 0..<stream.blocks {
            var payload = coded[index] ?? EcgBlock(stream: stream, index: index).encoded(waveform.samples)
            let samples = stream.channels.indices.reduce(0) { $0 + stream.count(of: $1, block: index) }
            payload += repeatElement(0, count: max(0, samples / densest - payload.count))
            let head = Little.bytes(UInt32(index)) + Little.bytes(UInt32(payload.count))
            file += marker + head + Little.bytes(CRC32.of(head[...], payload[...])) + payload
        }
        return file
    }

    /// With value maps where they win something in the first and the middle block; and those blocks.
    private static func best(_ waveform: Waveform) -> (stream: EcgStream, blocks: [Int: [UInt8]]) {
        let mapped = EcgStream(waveform, mapped: true)
        guard !mapped.maps.isEmpty else { return (mapped, [:]) }
        func trial(_ stream: EcgStream) -> (blocks: [Int: [UInt8]], size: Int) {
            var blocks: [Int: [UInt8]] = [:]
            for index in Set([0, stream.blocks / 2]) {
                blocks[index] = EcgBlock(stream: stream, index: index).encoded(waveform.samples)
            }
            let coded = blocks.values.reduce(0) { $0 + $1.count }
            return (blocks, stream.encoded().count + coded * stream.blocks / blocks.count)
        }
        let plain = EcgStream(waveform, mapped: false)
        let (first, second) = (trial(mapped), trial(plain))
        return first.size < second.size ? (mapped, first.blocks) : (plain, second.blocks)
    }

    /// - Throws: `.notRecognised`; `.damaged` when the header, without which nothing can be placed, is not intact.
    public static func decode(
        _ bytes: [UInt8]
    ) throws(DecodeError) -> (waveform: Waveform, damagedBlocks: [DamagedBlock]) {
        let (stream, start) = try EcgStream.decode(bytes)
        let blocks = find(in: bytes, from: start, count: stream.blocks)
        let last = blocks.keys.max() ?? -1
        let claimed = stream.channels.indices.reduce(0.0) {
            $0 + Double(min(stream.counts[$1], (last + 1) * stream.lengths[$1]))
        }
        guard claimed <= Double(densest) * Double(bytes.count) else {
            throw .damaged(format: "ecg-stream", "most of it is missing")
        }
        var samples = [[Sample]](repeating: [], count: stream.channels.count)
        var damaged: [DamagedBlock] = []
        for index in 0..<(last + 1) {
            if let payload = blocks[index], let decoded = EcgBlock(stream: stream, index: index).decoded(payload) {
                for channel in samples.indices { samples[channel] += decoded[channel] }
                continue
            }
            damaged.append(block(index, of: stream))
            for channel in samples.indices {
                samples[channel] += repeatElement(.absent, count: stream.count(of: channel, block: index))
            }
        }
        if last + 1 < stream.blocks {
            var missing = block(last + 1, of: stream)
            missing.duration = duration(of: stream) - missing.start
            damaged.append(missing)
        }
        return (Waveform(channels: stream.channels, samples: samples), damaged)
    }

    /// The payloads whose CRC is right, wherever they are.
    private static func find(in bytes: [UInt8], from start: Int, count: Int) -> [Int: ArraySlice<UInt8>] {
        var found: [Int: ArraySlice<UInt8>] = [:]
        var position = start
        // Markers in noise ask for checksums of what isn't theirs; this bounds how often.
        var budget = 8 * bytes.count + 1 << 20
        while position + blockHeader <= bytes.count, budget > 0 {
            guard bytes[position] == marker[0], bytes[position + 1] == marker[1] else {
                position += 1
                continue
            }
            func number(_ offset: Int) -> Int {
                (0..<4).reduce(0) { $0 | Int(bytes[position + offset + $1]) << (8 * $1) }
            }
            let (index, size, crc) = (number(2), number(6), number(10))
            let body = position + blockHeader
            guard index < count, size <= bytes.count - body else {
                position += 1
                continue
            }
            budget -= size
            let payload = bytes[body..<body + size]
            if Int(CRC32.of(bytes[position + 2..<position + 10], payload)) == crc, found[index] == nil {
                found[index] = payload
                position = body + size
            } else {
                position += 1
            }
        }
        return found
    }

    private static func duration(of stream: EcgStream) -> Double {
        zip(stream.channels, stream.counts).map { $0.rate.numerator > 0 ? Double($1) / $0.rate.value : 0 }.max() ?? 0
    }

    private static func block(_ index: Int, of stream: EcgStream) -> DamagedBlock {
        let lengths = zip(stream.channels, stream.lengths).filter { $0.0.rate.numerator > 0 }
        let seconds = lengths.map { Double($1) / $0.rate.value }.max() ?? 0
        let start = Double(index) * seconds
        return DamagedBlock(index: index, start: start, duration: max(0, min(seconds, duration(of: stream) - start)))
    }
}
