import Clinical

/// How a waveform is cut into data records: 1 s when every channel has a whole number of samples in it, longer for slow
/// signals where nothing has to be padded.
struct EDFRecordPlan {
    /// Bytes that a record should not exceed (formats.md 3.1).
    static let limit = 61440

    var duration: Ratio
    var durationText: String
    var samplesPerRecord: [Int]
    /// Records that the whole length takes.
    var records: Int
    /// Those that are written, in order: all of them, or in a discontinuous file those with a value in them.
    var kept: [Int]
    /// Bytes of one record without its annotations.
    var dataSize: Int { 2 * samplesPerRecord.reduce(0, +) }

    init(_ waveform: Waveform) throws(EncodeError) {
        let rates = waveform.channels.map(\.rate.reduced)
        guard rates.allSatisfy({ $0.numerator > 0 }) else { throw .invalid("a sampling rate is not positive") }
        var seconds = 1
        for rate in rates {
            let factor = rate.denominator / Int(Ratio.gcd(seconds.magnitude, rate.denominator.magnitude))
            seconds *= factor
            guard seconds <= 3600 else { throw .cannotRepresent("no record duration fits the sampling rates") }
        }
        var durations = [1, 2, 4, 5, 8, 10, 16, 20, 25, 40, 50, 100, 200, 250, 500, 1000].map {
            Ratio(seconds, $0).reduced
        }
        if let long = Self.longRecord(waveform, unit: seconds) { durations.insert(Ratio(long), at: 0) }
        for duration in durations {
            let counts = rates.map { $0.times(duration)?.integer ?? 0 }
            guard counts.allSatisfy({ (1...Self.limit).contains($0) }),
                2 * counts.reduce(0, +) <= Self.limit - 256, let text = duration.decimal(width: 8)
            else { continue }
            self.duration = duration
            durationText = text
            samplesPerRecord = counts
            records = zip(waveform.samples, counts).map { ($0.count + $1 - 1) / $1 }.max() ?? 0
            kept = Array(0..<records)
            guard records <= 99_999_999 else { throw .cannotRepresent("more than 99999999 records") }
            return
        }
        throw .cannotRepresent("no record duration holds a whole number of samples of each channel in 61440 bytes")
    }

    /// For slow signals, of which a second holds less than its annotations: the longest record, a multiple of `unit`, of at most
    /// a minute that divides the recording without padding.
    private static func longRecord(_ waveform: Waveform, unit: Int) -> Int? {
        guard waveform.channels.allSatisfy({ $0.rate.numerator <= 4 * $0.rate.denominator }) else { return nil }
        let lengths = Set(
            zip(waveform.channels, waveform.samples).map { Ratio($1.count).divided(by: $0.rate)?.integer })
        guard lengths.count == 1, let only = lengths.first, let total = only, total > 0 else { return nil }
        return Array(stride(from: unit, through: 60, by: unit)).last { total % $0 == 0 }
    }

    /// Leaves out the records in which no channel has a value. The first stays: the header's start is its.
    mutating func dropEmpty(_ waveform: Waveform) {
        kept = (0..<records).filter { record in
            record == 0
                || zip(waveform.samples, samplesPerRecord).contains { samples, count in
                    let first = min(record * count, samples.count)
                    return samples[first..<min(first + count, samples.count)].contains { $0 != .absent }
                }
        }
    }

    /// True when the last record holds samples that were never recorded.
    func isPadded(_ waveform: Waveform) -> Bool {
        zip(waveform.samples, samplesPerRecord).contains { $0.count != records * $1 }
    }

    /// The annotation bytes of each record, all of the same even length: the time-keeping list, then the notes, each in the
    /// record in which it begins where there is room, otherwise in a later one.
    func annotationLists(_ notes: [Note]) throws(EncodeError) -> [[UInt8]] {
        let pending = notes.enumerated().sorted { first, second in
            let (left, right) = (first.element.at ?? 0, second.element.at ?? 0)
            return left != right ? left < right : first.offset < second.offset
        }.map { (onset: $0.element.at ?? 0, bytes: EDFAnnotation.bytes($0.element)) }
        let keeping = kept.map { EDFAnnotation.timeKeeping(text(ofRecord: $0)) }
        let longest = (keeping.map(\.count).max() ?? 0) + (pending.map(\.bytes.count).max() ?? 0)
        var size = max(64, longest + longest % 2)
        let room = Self.limit - dataSize
        while size <= room {
            for anywhere in size * 2 > room ? [false, true] : [false] {
                if let lists = distribute(pending, keeping: keeping, size: size, anywhere: anywhere) { return lists }
            }
            size = size == room ? room + 2 : min(size * 2, room)
        }
        throw .cannotRepresent("the notes don't fit in the annotation signal")
    }

    private func text(ofRecord index: Int) -> String {
        duration.times(Ratio(index))?.decimal(width: 24) ?? "0"
    }

    private func distribute(
        _ pending: [(onset: Double, bytes: [UInt8])], keeping: [[UInt8]], size: Int, anywhere: Bool
    ) -> [[UInt8]]? {
        var next = 0
        var lists: [[UInt8]] = []
        lists.reserveCapacity(keeping.count)
        for (position, first) in keeping.enumerated() {
            var list = first
            let end = Double(kept[position] + 1) * duration.value
            while next < pending.count, list.count + pending[next].bytes.count <= size,
                anywhere || position == keeping.count - 1 || pending[next].onset < end
            {
                list += pending[next].bytes
                next += 1
            }
            list += Array(repeating: 0, count: size - list.count)
            lists.append(list)
        }
        return next == pending.count ? lists : nil
    }
}
