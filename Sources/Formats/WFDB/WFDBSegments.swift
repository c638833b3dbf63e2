import Clinical

/// A record in several segments: one after the other, gaps (`~`) without values. With a layout segment, each segment may have
/// some of its signals only, in any order.
enum WFDBSegments {
    /// Samples over all channels; gaps and repeated segments cost no bytes, so the bytes set no limit. A day of six signals at
    /// 250 Hz.
    private static let limit = 1 << 27

    static func join(
        _ header: WFDBHeader, beside: (String) throws -> [UInt8]?
    ) throws(DecodeError) -> (waveform: Waveform, notes: [Note]) {
        var parts: [(record: WFDBRecord?, frames: Int)] = []
        var notes: [Note] = []
        var layout: [Channel]?
        for (number, segment) in header.segments.enumerated() {
            if segment.name == "~" {
                parts.append((nil, segment.frames))
                continue
            }
            let content = try content(of: segment.name, beside)
            guard segment.frames > 0 else {
                // Only the first may be a layout; an empty segment later has nothing to add.
                if number == 0 { layout = try WFDBRecord.channels(of: content) }
                continue
            }
            let record = try WFDBRecord(header: content, beside: beside)
            notes += record.notes.prefix(100).map {
                Note(kind: $0.kind, text: "segment \(number + 1): \($0.text)")
            }
            parts.append((record, segment.frames))
        }
        guard var channels = layout ?? parts.lazy.compactMap({ $0.record?.waveform.channels }).first else {
            throw .unsupported(format: WFDBHeader.format, "the record consists of gaps only")
        }
        let total = parts.reduce(0) { $0 &+ $1.frames }
        guard total >= 0, total < limit, total * channels.count <= limit else {
            throw .unsupported(format: WFDBHeader.format, "a record of \(total) frames; decode its segments one by one")
        }
        for index in channels.indices { channels[index] = try common(channels[index], index, parts, layout != nil) }
        var samples = [[Sample]](repeating: [], count: channels.count)
        var start = 0
        for part in parts {
            for (index, channel) in channels.enumerated() {
                let perFrame = max(1, Int((channel.rate.value / header.rate.value).rounded()))
                guard part.frames * perFrame + samples[index].count <= limit else {
                    throw .unsupported(format: WFDBHeader.format, "too many samples; decode its segments one by one")
                }
                var values: [Sample] = []
                if let record = part.record, let source = place(channel, index, record, byName: layout != nil) {
                    values = try rescaled(record.waveform, source, to: channel).prefix(part.frames * perFrame) + []
                }
                values += repeatElement(.absent, count: part.frames * perFrame - values.count)
                samples[index] += values
            }
            if part.record == nil, part.frames > 0 {
                notes.append(
                    Note(
                        kind: .gap, at: Double(start) / header.rate.value,
                        duration: Double(part.frames) / header.rate.value, text: "nothing recorded"))
            }
            start += part.frames
        }
        if let announced = header.frames, announced != start {
            notes.append(Note(kind: .surprise, text: "\(announced) frames announced, \(start) in the segments"))
        }
        return (Waveform(channels: channels, samples: samples), notes)
    }

    private static func content(
        of name: String, _ beside: (String) throws -> [UInt8]?
    ) throws(DecodeError) -> [UInt8] {
        var content: [UInt8]?
        do { content = try beside(name + ".hea") } catch { content = nil }
        guard let content else {
            throw .unsupported(
                format: WFDBHeader.format, "the header of a segment is not beside it; copy all files of the record")
        }
        guard try WFDBHeader(content).segments.isEmpty else {
            throw .unsupported(format: WFDBHeader.format, "segments of segments")
        }
        return content
    }

    /// Which of a segment's channels it is: in a variable layout by name, otherwise by position.
    private static func place(_ channel: Channel, _ index: Int, _ record: WFDBRecord, byName: Bool) -> Int? {
        let channels = record.waveform.channels
        return byName ? channels.firstIndex { $0.name == channel.name } : channels.indices.contains(index) ? index : nil
    }

    /// The channel with a scale of which each segment's is a whole multiple, so that nothing is rounded.
    private static func common(
        _ channel: Channel, _ index: Int, _ parts: [(record: WFDBRecord?, frames: Int)], _ byName: Bool
    ) throws(DecodeError) -> Channel {
        let own = parts.compactMap { part in
            part.record.flatMap { record in
                place(channel, index, record, byName: byName).map { record.waveform.channels[$0] }
            }
        }
        guard let first = own.first else { return channel }
        var result = first
        for other in own {
            guard other.rate == channel.rate, other.unit == channel.unit else {
                throw .unsupported(
                    format: WFDBHeader.format,
                    "\(channel.name) has another rate or unit in one of the segments; decode them one by one")
            }
            guard let scale = divisor(result.scale, other.scale) else {
                throw .unsupported(format: WFDBHeader.format, "\(channel.name): its gains have no common step")
            }
            result.scale = scale
            if other.calibration == .unverified { result.calibration = .unverified }
        }
        (result.name, result.signal) = (channel.name, channel.signal)
        for other in own {
            guard let factor = other.scale.divided(by: result.scale)?.reduced.numerator,
                let low = scaled(other.range.lowerBound, factor), let high = scaled(other.range.upperBound, factor)
            else { throw .unsupported(format: WFDBHeader.format, "\(channel.name): its values leave 32 bits") }
            result.range = min(result.range.lowerBound, low)...max(result.range.upperBound, high)
        }
        return result
    }

    private static func scaled(_ sample: Sample, _ factor: Int) -> Sample? {
        let product = Int(sample).multipliedReportingOverflow(by: factor)
        return product.overflow ? nil : Sample(exactly: product.partialValue)
    }

    /// The greatest step of which both are whole multiples.
    private static func divisor(_ one: Ratio, _ other: Ratio) -> Ratio? {
        if one == other { return one }
        let left = one.numerator.multipliedReportingOverflow(by: other.denominator)
        let right = other.numerator.multipliedReportingOverflow(by: one.denominator)
        let below = one.denominator.multipliedReportingOverflow(by: other.denominator)
        guard !left.overflow, !right.overflow, !below.overflow else { return nil }
        var (first, second) = (left.partialValue.magnitude, right.partialValue.magnitude)
        while second != 0 { (first, second) = (second, first % second) }
        guard first > 0, let above = Int(exactly: first) else { return nil }
        return Ratio(above, below.partialValue).reduced
    }

    private static func rescaled(
        _ waveform: Waveform, _ source: Int, to channel: Channel
    ) throws(DecodeError) -> [Sample] {
        let own = waveform.channels[source].scale
        guard own != channel.scale else { return waveform.samples[source] }
        guard let ratio = own.divided(by: channel.scale)?.reduced, ratio.denominator == 1 else {
            throw .unsupported(format: WFDBHeader.format, "\(channel.name): its gains have no common step")
        }
        return waveform.samples[source].map { $0 == .absent ? .absent : scaled($0, ratio.numerator) ?? .absent }
    }
}
