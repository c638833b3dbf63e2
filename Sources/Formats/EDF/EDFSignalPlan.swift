import Clinical

/// One signal's header fields, chosen so that a reader's gain is exactly the channel's scale.
struct EDFSignalPlan {
    var label: String
    var transducer: String
    var dimension: String
    var physicalMinimum: String
    var physicalMaximum: String
    var digitalMinimum: Int
    var digitalMaximum: Int
    var prefilter: String
    var perRecord: Int
    /// The digital value of a sample without value.
    var absent: Int

    static func annotations(samples: Int) -> EDFSignalPlan {
        EDFSignalPlan(
            label: "EDF Annotations", transducer: "", dimension: "", physicalMinimum: "-1", physicalMaximum: "1",
            digitalMinimum: -32768, digitalMaximum: 32767, prefilter: "", perRecord: samples, absent: 0)
    }

    /// How the prefilter field says what stands for a missing value; the reader looks for it.
    static let absentText = "no value = "
}

extension EDFSignalPlan {
    init(_ channel: Channel, samples: [Sample], perRecord: Int) throws(EncodeError) {
        let used = try Self.range(channel, samples)
        absent = used.lowerBound - 1
        let scale = channel.scale.reduced
        guard scale.numerator != 0 else { throw .invalid("channel \(channel.name) has a scale of 0") }
        guard let low = Self.limit(from: absent, to: -32768, scale: scale),
            let high = Self.limit(from: used.upperBound, to: 32767, scale: scale)
        else {
            throw .cannotRepresent("the scale of channel \(channel.name) has no exact limits of 8 characters")
        }
        let lead = channel.signal.lead
        label = lead.map { "ECG \($0.name)" } ?? channel.name
        let doubt =
            switch channel.calibration {
            case .verified: ""
            case .singleSource: "calibration from a single source"
            case .unverified: "calibration unverified"
            }
        transducer = [channel.derivation.map { "derived: \($0)" } ?? "", doubt].filter { !$0.isEmpty }
            .joined(separator: "; ")
        dimension = channel.unit == "1" ? "" : channel.unit
        guard EDFText.folded(dimension).utf8.count <= 8 else {
            throw .cannotRepresent("the unit of channel \(channel.name) is longer than 8 characters")
        }
        (digitalMinimum, physicalMinimum) = low
        (digitalMaximum, physicalMaximum) = high
        prefilter = "\(Self.absentText)\(absent)"
        self.perRecord = perRecord
    }

    /// What occurs: the channel's range and whatever lies outside it; the samples alone when the range is too wide.
    private static func range(_ channel: Channel, _ samples: [Sample]) throws(EncodeError) -> ClosedRange<Int> {
        let present = samples.lazy.filter { $0 != .absent }
        let low = present.min().map(Int.init) ?? Int(channel.range.lowerBound)
        let high = present.max().map(Int.init) ?? low
        let wide = min(low, Int(channel.range.lowerBound))...max(high, Int(channel.range.upperBound))
        for candidate in [wide, low...high]
        where candidate.lowerBound > -32768 && candidate.upperBound <= 32767 {
            return candidate
        }
        throw .cannotRepresent("channel \(channel.name) has values beyond 16 bits")
    }

    /// The digital limit nearest to `start`, going outwards, whose physical value has an exact text of 8 characters.
    private static func limit(from start: Int, to end: Int, scale: Ratio) -> (Int, String)? {
        for digital in stride(from: start, through: end, by: start <= end ? 1 : -1) {
            if let text = scale.times(Ratio(digital))?.decimal(width: 8) { return (digital, text) }
        }
        return nil
    }
}
