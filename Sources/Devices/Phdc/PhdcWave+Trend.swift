import Clinical

/// What a store kept at equal distances is a signal: a night of SpO2, a value each second (ISO/IEEE 11073-10404 keeps its periodic
/// sessions so), is tens of thousands of entries. As single readings they would be as many observations at the centre.
extension PhdcWave {
    /// Nil for anything but one number for each entry.
    /// - Parameters:
    ///   - object: with the type that the segment gives it.
    ///   - map: of the segment's element.
    ///   - period: ticks of 125 µs between two entries.
    init?(trend object: PhdcObject, _ map: [PhdcMapEntry], period: Int) {
        guard object.kind == PhdcClass.numeric, Self.periods ~= period, let type = object.type, map.count == 1,
            let only = map.first, [PhdcAttributeID.basicValue, PhdcAttributeID.simpleValue].contains(only.attribute),
            only.length == (only.attribute == PhdcAttributeID.basicValue ? 2 : 4),
            // Measured on a patient, whoever it was.
            PhdcNomenclature.foreign(type, status: 0) == nil
        else { return nil }
        // Ranges that 16 bits hold, so that EDF+ does.
        let kind: (signal: Channel.Signal, name: String, range: ClosedRange<Sample>, scale: Ratio) =
            switch PhdcNomenclature.metric(type)?.kind {
            case .spo2: (.spo2, "SpO2", 0...1000, Ratio(1, 10))
            case .pulseRate: (.pulseRate, "Pulse", 0...5000, Ratio(1, 10))
            case .perfusionIndex: (.perfusionIndex, "PI", -32_000...32_000, Ratio(1, 100))
            default: (.other, "\(type)", -32_000...32_000, Ratio(1, 100))
            }
        self.init(
            handle: object.handle, period: period,
            channel: Channel(
                signal: kind.signal, name: kind.name, unit: PhdcNomenclature.unit(object.unit),
                rate: Ratio(PhdcClock.ticksPerSecond, period).lowest, scale: kind.scale, range: kind.range,
                calibration: .singleSource))
    }

    /// Nil when the channel has no such value: too large, or with more decimals.
    func sample(_ number: PhdcNumber) -> Sample? {
        guard let ratio = number.ratio else { return nil }
        let (steps, overflow) = ratio.numerator.multipliedReportingOverflow(by: channel.scale.denominator)
        guard !overflow, steps.isMultiple(of: ratio.denominator),
            let sample = Sample(exactly: steps / ratio.denominator), channel.range.contains(sample)
        else { return nil }
        return sample
    }
}
