import Clinical
import Wire

/// What stands before the blocks: channels, lengths, rules and value maps. Protected by its own CRC.
struct EcgStream: Equatable {
    static let magic: [UInt8] = Array("EssECG".utf8) + [1]
    /// Bytes before the CRC-protected part: magic and length.
    static let prefix = magic.count + 4

    var channels: [Channel]
    /// Samples of each channel.
    var counts: [Int]
    /// Samples of each channel in a block.
    var lengths: [Int]
    var rules: [LeadRule?]
    var maps: [ValueMap]
    /// The map of each channel.
    var use: [Int?]

    static let longestBlock = 1 << 17

    /// - Parameter mapped: whether values are replaced by their ranks where most are never used.
    init(_ waveform: Waveform, mapped: Bool) {
        channels = waveform.channels
        counts = waveform.samples.map(\.count)
        let seconds = zip(channels, counts).map { $0.rate.numerator > 0 ? Double($1) / $0.rate.value : 0 }.max() ?? 0
        // Blocks of equal length, as few as 10 s allow.
        let block = seconds > 10 ? seconds / (seconds / 10).rounded(.up) : 10
        lengths = channels.map { channel in
            let wanted = (channel.rate.value * block).rounded(.up)
            return wanted >= 1 ? Int(min(wanted, Double(Self.longestBlock))) : 1 << 12
        }
        rules = LeadRule.rules(channels, counts: counts)
        (maps, use) = mapped ? ValueMap.maps(waveform) : ([], channels.map { _ in nil })
    }

    var blocks: Int { zip(counts, lengths).map { ($0 + $1 - 1) / $1 }.max() ?? 0 }

    /// Samples of a channel in a block.
    func count(of channel: Int, block: Int) -> Int {
        max(0, min(lengths[channel], counts[channel] - block * lengths[channel]))
    }

    /// Channels in coding order: those with a rule after those they follow from.
    var order: [Int] { channels.indices.filter { rules[$0] == nil } + channels.indices.filter { rules[$0] != nil } }

    /// The rule counts only where all three speak of the same numbers.
    func rule(of channel: Int) -> LeadRule? {
        guard let rule = rules[channel], use[rule.first] == use[channel], use[rule.second] == use[channel] else {
            return nil
        }
        return rule
    }

    func encoded() -> [UInt8] {
        var body = VariableLength()
        body.put(UInt64(channels.count))
        for (index, channel) in channels.enumerated() {
            body.put(channel.signal.rawValue)
            body.put(channel.name)
            body.put(channel.unit)
            body.put(channel.rate)
            body.put(channel.scale)
            body.put(signed: Int64(channel.range.lowerBound))
            body.put(signed: Int64(channel.range.upperBound))
            body.put(channel.calibration.rawValue)
            body.put(channel.derivation.map { "=" + $0 } ?? "")
            body.put(UInt64(counts[index]))
            body.put(UInt64(lengths[index]))
            body.put(UInt64((use[index] ?? -1) + 1))
            guard let rule = rules[index] else {
                body.put(0)
                continue
            }
            body.put(UInt64(rule.divisor))
            body.put(UInt64(rule.first))
            body.put(UInt64(rule.second))
            body.put(signed: Int64(rule.m))
            body.put(signed: Int64(rule.n))
        }
        body.put(UInt64(maps.count))
        for map in maps { body.put(map) }
        var file = Self.magic
        file += Little.bytes(UInt32(body.bytes.count))
        file += body.bytes
        return file + Little.bytes(CRC32.of(file[...]))
    }

    /// - Returns: the header and the position of the first block.
    static func decode(_ bytes: [UInt8]) throws(DecodeError) -> (EcgStream, Int) {
        guard bytes.starts(with: magic) else { throw .notRecognised("no EssECG mark at the start") }
        do {
            var reader = ByteReader(bytes)
            try reader.skip(magic.count)
            let size = Int(try reader.littleEndian(UInt32.self))
            let body = try reader.bytes(size)
            guard try reader.littleEndian(UInt32.self) == CRC32.of(bytes[..<(prefix + size)]) else {
                throw WireError.malformed(offset: 0, "the header's checksum is wrong")
            }
            return (try EcgStream(body), reader.offset)
        } catch {
            throw .damaged(format: "ecg-stream", "the header is cut or changed; nothing after it can be placed")
        }
    }

    private init(_ body: ArraySlice<UInt8>) throws(WireError) {
        var reader = VariableLength.Reader(body)
        (channels, counts, lengths, rules, maps, use) = ([], [], [], [], [], [])
        // Every channel takes bytes, so a false count ends at the end of the header.
        for _ in 0..<(try reader.unsigned()) {
            let signal = Channel.Signal(rawValue: try reader.text())
            let (name, unit) = (try reader.text(), try reader.text())
            let (rate, scale) = (try reader.ratio(), try reader.ratio())
            let (low, high) = (Sample(exactly: try reader.signed()), Sample(exactly: try reader.signed()))
            let calibration = Calibration(rawValue: try reader.text())
            let derivation = try reader.text()
            let (count, length) = (try reader.integer(), try reader.integer())
            guard let signal, let calibration, let low, let high, low <= high, (1...Self.longestBlock).contains(length)
            else { throw .malformed(offset: 0, "channel") }
            channels.append(
                Channel(
                    signal: signal, name: name, unit: unit, rate: rate, scale: scale, range: low...high,
                    calibration: calibration, derivation: derivation.isEmpty ? nil : String(derivation.dropFirst())))
            counts.append(count)
            lengths.append(length)
            let map = try reader.integer()
            use.append(map == 0 ? nil : map - 1)
            let divisor = try reader.integer()
            guard divisor > 0 else {
                rules.append(nil)
                continue
            }
            rules.append(
                LeadRule(
                    first: try reader.integer(), second: try reader.integer(), m: Int(try reader.signed()),
                    n: Int(try reader.signed()), divisor: divisor))
        }
        for _ in 0..<(try reader.unsigned()) { maps.append(try reader.map()) }
        let plain = channels.indices.filter { rules[$0] == nil }
        let sound = rules.enumerated().allSatisfy { index, rule in
            guard let rule else { return true }
            return rule.isSmall && plain.contains(rule.first) && plain.contains(rule.second)
                && counts[rule.first] == counts[index] && counts[rule.second] == counts[index]
                && lengths[rule.first] == lengths[index] && lengths[rule.second] == lengths[index]
        }
        guard sound, use.allSatisfy({ $0.map { maps.indices.contains($0) } ?? true }) else {
            throw .malformed(offset: 0, "rules")
        }
    }
}

enum Little {
    static func bytes(_ value: UInt32) -> [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }
}
