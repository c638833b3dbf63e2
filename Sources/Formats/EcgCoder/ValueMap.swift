import Clinical

/// The values that occur, ascending. Recordings that were rescaled after digitising use only one value in several: their
/// positions in this list are smoother and smaller than the values (formats.md 6, point 3).
struct ValueMap: Equatable {
    var values: [Sample]
    /// How many are negative: the first value from 0 on has rank 0, so that sums of leads stay sums.
    let zero: Int

    static let limit = 1 << 16

    /// - Parameter values: strictly ascending.
    init(_ values: [Sample]) {
        self.values = values
        var (low, high) = (0, values.count)
        while low < high {
            let middle = (low + high) / 2
            if values[middle] < 0 { low = middle + 1 } else { high = middle }
        }
        zero = low
    }

    /// Nil when most samples have a neighbour among the values, that is, when nothing would be won.
    init?(samples lists: [[Sample]]) {
        var low = Sample.max
        var high = Sample.min
        for list in lists {
            for sample in list where sample != .absent {
                low = Swift.min(low, sample)
                high = Swift.max(high, sample)
            }
        }
        guard low < high, Int(high) - Int(low) < 1 << 22 else { return nil }
        // Zero belongs to every grid.
        if low > 0, low < 1 << 16 { low = 0 }
        if high < 0, high > -(1 << 16) { high = 0 }
        var uses = [UInt32](repeating: 0, count: Int(high) - Int(low) + 3)
        var total = 0
        for list in lists {
            for sample in list where sample != .absent {
                uses[Int(sample) - Int(low) + 1] &+= 1
                total += 1
            }
        }
        var beside = 0
        var values: [Sample] = []
        for index in 1..<uses.count - 1 {
            let value = Sample(index - 1) + low
            if uses[index] > 0 || value == 0 { values.append(value) }
            if uses[index - 1] > 0 || uses[index + 1] > 0 { beside += Int(uses[index]) }
        }
        guard beside * 4 < total, values.count <= Self.limit else { return nil }
        self.init(values)
    }

    /// The rank of a value that is in the list.
    func rank(_ value: Sample) -> Sample {
        var (low, high) = (0, values.count)
        while low < high {
            let middle = (low + high) / 2
            if values[middle] < value { low = middle + 1 } else { high = middle }
        }
        return Sample(low - zero)
    }

    /// Nil for a rank outside the list.
    func value(_ rank: Sample) -> Sample? {
        let index = Int(rank) + zero
        return values.indices.contains(index) ? values[index] : nil
    }

    /// The map that each channel uses, as an index into the maps. One for all leads of a scale where they have the same grid,
    /// so that sums of leads stay sums; else one for each channel that has its own.
    static func maps(_ waveform: Waveform) -> (maps: [ValueMap], use: [Int?]) {
        var maps: [ValueMap] = []
        var use = [Int?](repeating: nil, count: waveform.channels.count)
        let groups = Dictionary(grouping: waveform.channels.indices) { waveform.channels[$0].scale }
        for (_, members) in groups.sorted(by: { $0.value[0] < $1.value[0] }) {
            if members.count > 1, let shared = ValueMap(samples: members.map { waveform.samples[$0] }) {
                for member in members { use[member] = maps.count }
                maps.append(shared)
                continue
            }
            for member in members {
                guard let own = ValueMap(samples: [waveform.samples[member]]) else { continue }
                use[member] = maps.count
                maps.append(own)
            }
        }
        return (maps, use)
    }
}
