import Clinical

/// Channels that share rate, length and step: one multiplex group.
struct DicomGroup {
    struct Member {
        var channel: Channel
        var samples: [Sample]
        /// Stored value = sample × factor.
        var factor: Int
    }

    /// Bits of a stored value. The least value stands for a missing sample (Waveform Padding Value).
    enum Width: Int {
        case sixteen = 16
        case thirtyTwo = 32

        var range: ClosedRange<Int> { self == .sixteen ? -32767...32767 : -Int(Int32.max)...Int(Int32.max) }
        var padding: Int { range.lowerBound - 1 }
        var interpretation: String { self == .sixteen ? "SS" : "SL" }
    }

    var rate: Ratio
    /// Samples per channel.
    var count: Int
    /// Physical value of 1, in `unit`.
    var step: Ratio
    var unit: String
    var channels: [Member]
    var width = Width.sixteen

    /// All channels in as few groups as possible: one per rate, length and unit, at the greatest common step; where that
    /// makes a value overflow 16 bits, one per step; where even that does, 32 bits.
    static func groups(_ waveform: Waveform) throws(EncodeError) -> [DicomGroup] {
        var groups: [DicomGroup] = []
        for (channel, samples) in zip(waveform.channels, waveform.samples) where !samples.isEmpty {
            guard channel.signal.lead != nil else {
                throw .cannotRepresent("channel \(channel.name) is no ECG lead")
            }
            guard channel.scale.numerator > 0, channel.rate.numerator > 0 else {
                throw .invalid("channel \(channel.name) has a scale or rate that is not positive")
            }
            let member = Member(channel: channel, samples: samples, factor: 1)
            let index = groups.firstIndex {
                $0.rate == channel.rate.reduced && $0.count == samples.count && $0.unit == channel.unit
            }
            if let index {
                groups[index].channels.append(member)
            } else {
                groups.append(
                    DicomGroup(
                        rate: channel.rate.reduced, count: samples.count, step: channel.scale.reduced,
                        unit: channel.unit, channels: [member]))
            }
        }
        guard !groups.isEmpty else { throw .empty }
        var fitting: [DicomGroup] = []
        for group in groups {
            if let common = group.atCommonStep() { fitting.append(common) } else { fitting += try group.byStep() }
        }
        return fitting
    }

    /// Nil when a value would not fit.
    private func atCommonStep() -> DicomGroup? {
        var common = channels[0].channel.scale.reduced
        for member in channels {
            guard let next = common.commonStep(with: member.channel.scale) else { return nil }
            common = next
        }
        return stepped(common)
    }

    private func byStep() throws(EncodeError) -> [DicomGroup] {
        var parts: [DicomGroup] = []
        for member in channels {
            let step = member.channel.scale.reduced
            if let index = parts.firstIndex(where: { $0.step == step }) {
                parts[index].channels.append(member)
            } else {
                parts.append(DicomGroup(rate: rate, count: count, step: step, unit: unit, channels: [member]))
            }
        }
        var fitting: [DicomGroup] = []
        for part in parts {
            guard let stepped = part.stepped(part.step) ?? part.stepped(part.step, .thirtyTwo) else {
                throw .cannotRepresent("a sample of channel \(part.channels[0].channel.name) does not fit in 32 bits")
            }
            fitting.append(stepped)
        }
        return fitting
    }

    private func stepped(_ step: Ratio, _ width: Width = .sixteen) -> DicomGroup? {
        var group = self
        group.width = width
        group.step = step
        for index in channels.indices {
            guard let factor = channels[index].channel.scale.divided(by: step)?.integer else { return nil }
            group.channels[index].factor = factor
            for sample in channels[index].samples where sample != .absent {
                let product = Int(sample).multipliedReportingOverflow(by: factor)
                guard !product.overflow, width.range.contains(product.partialValue) else { return nil }
            }
        }
        return group
    }

    /// The item of the waveform sequence.
    func elements() throws(EncodeError) -> [DicomElement] {
        guard let frequency = rate.decimal(width: 16) else {
            throw .cannotRepresent("a sampling rate has no exact decimal of 16 characters")
        }
        guard let sensitivity = step.decimal(width: 16) else {
            throw .cannotRepresent("a scale has no exact decimal of 16 characters")
        }
        guard let unitMeaning = Self.units[unit] else {
            throw .cannotRepresent("unit of channel \(channels[0].channel.name) is no voltage")
        }
        guard let length = UInt32(exactly: count), UInt32(exactly: count * channels.count * width.rawValue / 8) != nil
        else {
            throw .cannotRepresent("more than 4 GiB of samples")
        }
        let isDerived = channels.allSatisfy { $0.channel.derivation != nil }
        return [
            .text(DicomTag.originality, "CS", isDerived ? "DERIVED" : "ORIGINAL"),
            .unsigned16(DicomTag.channelCount, UInt16(channels.count)),
            .unsigned32(DicomTag.sampleCount, length),
            .text(DicomTag.samplingFrequency, "DS", frequency),
            .text(DicomTag.groupLabel, "SH", "RHYTHM"),
            .sequence(
                DicomTag.channelDefinitions,
                channels.compactMap { definition($0.channel, sensitivity: sensitivity, unitMeaning: unitMeaning) }),
            .unsigned16(DicomTag.bitsAllocated, UInt16(width.rawValue)),
            .text(DicomTag.interpretation, "CS", width.interpretation),
            .words(DicomTag.padding, width == .sixteen ? [0x00, 0x80] : [0x00, 0x00, 0x00, 0x80]),
            .words(DicomTag.waveformData, data),
        ]
    }

    private func definition(_ channel: Channel, sensitivity: String, unitMeaning: String) -> [DicomElement]? {
        guard let lead = channel.signal.lead else { return nil }
        var elements: [DicomElement] = [
            .text(DicomTag.channelLabel, "SH", lead.name),
            .code(DicomTag.channelSource, "2:\(lead.number)", "MDC", lead.meaning),
            .text(DicomTag.sensitivity, "DS", sensitivity),
            .code(DicomTag.sensitivityUnits, unit, "UCUM", unitMeaning),
            .text(DicomTag.correctionFactor, "DS", "1"),
            .text(DicomTag.baseline, "DS", "0"),
            .text(DicomTag.sampleSkew, "DS", "0"),
            .unsigned16(DicomTag.bitsStored, UInt16(width.rawValue)),
        ]
        if let derivation = channel.derivation {
            elements.append(.text(DicomTag.channelDerivation, "LO", String(EDFText.folded(derivation).prefix(64))))
        }
        return elements
    }

    /// Interleaved: sample 1 of all channels, sample 2 of all channels, …
    private var data: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count * channels.count * width.rawValue / 8)
        for index in 0..<count {
            for member in channels {
                let sample = member.samples[index]
                let value = sample == .absent ? width.padding : Int(sample) * member.factor
                bytes.append(UInt8(truncatingIfNeeded: value))
                bytes.append(UInt8(truncatingIfNeeded: value >> 8))
                if width == .thirtyTwo {
                    bytes.append(UInt8(truncatingIfNeeded: value >> 16))
                    bytes.append(UInt8(truncatingIfNeeded: value >> 24))
                }
            }
        }
        return bytes
    }

    private static let units = ["uV": "microvolt", "mV": "millivolt", "V": "volt"]
}
