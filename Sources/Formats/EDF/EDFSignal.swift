import Clinical

/// One signal as its header describes it.
struct EDFSignal {
    var label: String
    var transducer: String
    var dimension: String
    var physicalMinimum: Ratio
    var physicalMaximum: Ratio
    var digitalMinimum: Ratio
    var digitalMaximum: Ratio
    var prefilter: String
    var perRecord: Int
    var format: String

    var isAnnotation: Bool { label == "EDF Annotations" || label == "BDF Annotations" }

    struct Decoded {
        var channel: Channel
        var samples: [Sample]
        var notes: [Note]
    }

    func decode(
        _ layout: EDFLayout, _ file: [UInt8], index: Int, duration: Ratio
    ) throws(DecodeError) -> Decoded {
        var notes: [Note] = []
        func note(_ text: String) { notes.append(Note(kind: .surprise, text: "signal \(index + 1): \(text)")) }
        guard let rate = Ratio(perRecord).divided(by: duration) else {
            throw .damaged(format: format, "the record duration is 0, so no sampling rate is known; export it again")
        }
        let full = format == "bdf" ? -8_388_608...8_388_607 : -32768...32767
        let limits = digitalLimits(within: full)
        var calibration = Calibration.singleSource
        var calibrated = Calibrated(gain: Ratio(1), offset: Ratio(0), digital: full)
        var unit = dimension.isEmpty ? "1" : dimension
        if let gain, let offset = gain.times(digitalMinimum).flatMap({ physicalMinimum.minus($0) }) {
            // The narrower the range, the more offsets are exact.
            calibrated = Calibrated(
                gain: gain, offset: offset, digital: occurring(layout, file, index: index, limits: limits))
            if !calibrated.isExact { note("the offset is \(calibrated.rounding)") }
        } else {
            note("its limits give no scale: digital values are given")
            calibration = .unverified
            unit = "1"
        }
        let absent = absentDigital
        var samples: [Sample] = []
        for record in 0..<layout.records {
            let expected = samples.count + perRecord
            layout.digital(file, record: record, signal: index) { digital in
                samples.append(digital == absent ? .absent : calibrated.sample(digital))
            }
            if samples.count < expected, layout.fillsLastRecord {
                samples.append(contentsOf: repeatElement(.absent, count: expected - samples.count))
            }
        }
        let lead = recognised
        let channel = Channel(
            signal: lead.signal, name: lead.name, unit: Self.ucum[unit] ?? unit, rate: rate.reduced,
            scale: calibrated.scale, range: calibrated.range(limits), calibration: calibration,
            derivation: transducer.hasPrefix("derived: ")
                ? String(transducer.dropFirst("derived: ".count).prefix { $0 != ";" }) : nil)
        return Decoded(channel: channel, samples: samples, notes: notes)
    }

    /// The digital limits, widened where samples lie outside of them.
    private func occurring(
        _ layout: EDFLayout, _ file: [UInt8], index: Int, limits: ClosedRange<Int>
    ) -> ClosedRange<Int> {
        var (low, high) = (limits.lowerBound, limits.upperBound)
        let absent = absentDigital
        for record in 0..<layout.records {
            layout.digital(file, record: record, signal: index) { digital in
                guard digital != absent else { return }
                low = min(low, digital)
                high = max(high, digital)
            }
        }
        return low...high
    }

    /// Units per digital step; nil when the limits don't say.
    private var gain: Ratio? {
        guard let physical = physicalMaximum.minus(physicalMinimum), physical.numerator != 0,
            let digital = digitalMaximum.minus(digitalMinimum), digital.numerator != 0
        else { return nil }
        return physical.divided(by: digital)
    }

    private func digitalLimits(within full: ClosedRange<Int>) -> ClosedRange<Int> {
        guard let low = digitalMinimum.integer, let high = digitalMaximum.integer, low < high,
            full.contains(low), full.contains(high)
        else { return full }
        // Our own files reserve the lowest value for "no value".
        return absentDigital.map { $0 >= low && $0 < high } == true ? (absentDigital ?? low) + 1...high : low...high
    }

    /// The digital value for "no value", in files that say so.
    private var absentDigital: Int? {
        guard prefilter.hasPrefix(EDFSignalPlan.absentText) else { return nil }
        return Int(prefilter.dropFirst(EDFSignalPlan.absentText.count).prefix { $0 == "-" || $0.isNumber })
    }

    /// Where the label leaves no doubt.
    private var recognised: (signal: Channel.Signal, name: String) {
        let words = label.split(separator: " ").map { $0.lowercased() }
        let rest = words.first == "ecg" || words.first == "ekg" ? Array(words.dropFirst()) : words
        if rest.count == 1, let lead = Channel.Signal.leads.first(where: { $0.name.lowercased() == rest[0] }) {
            return (lead.signal, lead.name)
        }
        let signal: Channel.Signal =
            switch words.joined(separator: " ") {
            case "spo2", "sao2", "sao2 spo2": .spo2
            case "pulse", "pulse rate", "pr", "pulse.1s": .pulseRate
            case "pleth", "plethysmogram": .plethysmogram
            case "perfusion index", "pi": .perfusionIndex
            default: .other
            }
        return (signal, label.isEmpty ? "unnamed" : label)
    }

    /// Units that EDF programs write otherwise than UCUM.
    private static let ucum = [
        "µV": "uV", "μV": "uV", "bpm": "/min", "BPM": "/min", "µv": "uV", "uv": "uV", "mv": "mV",
    ]
}
