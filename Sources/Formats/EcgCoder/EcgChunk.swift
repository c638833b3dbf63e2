public import Clinical
import Wire

/// One stretch of a recording whose channels are known from elsewhere, coded by itself (formats.md 6): the block of
/// `EcgCoder` without a stream's header, so that even a single second becomes smaller. Bit for bit, absent samples included.
///
/// CRC-32 of what follows, number of channels, samples of each, block. The rules between leads are not written: they follow
/// from the channels.
public enum EcgChunk {
    /// Channels and samples beyond these are for `EcgCoder`: no chunk asks for more than 32 MiB when it is decoded.
    static let mostChannels = 64
    static let mostSamples = EcgStream.longestBlock

    /// Nil where the coder has nothing to offer: no ECG lead, or more than a chunk holds.
    public static func encode(_ channels: [Channel], _ samples: [[Sample]]) -> [UInt8]? {
        let counts = samples.map(\.count)
        guard channels.count == samples.count, channels.count <= mostChannels,
            channels.contains(where: { $0.signal.lead != nil }), counts.allSatisfy({ $0 <= mostSamples })
        else { return nil }
        var body = VariableLength()
        body.put(UInt64(channels.count))
        for count in counts { body.put(UInt64(count)) }
        let block = EcgBlock(stream: EcgStream(chunkOf: channels, counts: counts), index: 0).encoded(samples)
        let coded = body.bytes + block
        return Little.bytes(CRC32.of(coded[...])) + coded
    }

    /// - Throws: `.damaged` for anything that `encode` can't have written for these channels.
    public static func decode(_ bytes: [UInt8], channels: [Channel]) throws(DecodeError) -> [[Sample]] {
        func damaged() -> DecodeError { .damaged(format: "ecg-chunk", "its content contradicts itself") }
        guard bytes.count > 4, Little.bytes(CRC32.of(bytes[4...])).elementsEqual(bytes[..<4]) else {
            throw .damaged(format: "ecg-chunk", "its checksum is wrong")
        }
        var reader = VariableLength.Reader(bytes[4...])
        var counts: [Int] = []
        do {
            guard try reader.integer() == channels.count, channels.count <= mostChannels else { throw damaged() }
            for _ in channels { counts.append(try reader.integer()) }
        } catch {
            throw damaged()
        }
        guard counts.allSatisfy({ $0 <= mostSamples }),
            let samples = EcgBlock(stream: EcgStream(chunkOf: channels, counts: counts), index: 0).decoded(
                reader.rest()[...])
        else { throw damaged() }
        return samples
    }
}

extension EcgStream {
    /// A single block of everything, without value maps.
    init(chunkOf channels: [Channel], counts: [Int]) {
        self.channels = channels
        self.counts = counts
        lengths = counts.map { max(1, $0) }
        rules = LeadRule.rules(channels, counts: counts)
        maps = []
        use = channels.map { _ in nil }
    }
}
