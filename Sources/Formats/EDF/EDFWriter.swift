public import Clinical
import Wire

/// Writes EDF+C, or EDF+D where asked for (formats.md 3.1): 16-bit. Physical values are exact: digital × scale, with the channel's own
/// samples as digital values. A sample without value is the digital value one below the channel's range, stated in the
/// channel's prefilter field (`no value = -1`).
public enum EDFWriter {
    /// How time without any value is written.
    public enum Continuity: Sendable {
        /// EDF+C, where it is samples without value: what every reader opens. EDF+D only when nothing was recorded for more
        /// than a day in all, of which a contiguous file would be little else.
        case automatic
        case contiguous
        /// EDF+D: records without any value are left out, and the time of each says so. Several readers refuse it.
        case discontinuous
    }

    /// Seconds without any value from which on `automatic` leaves them out.
    static let longSilence = 86400.0

    /// - Parameters:
    ///   - waveform: channels at any rates for which a record duration exists that holds a whole number of samples of each.
    ///     A channel that is shorter than the longest ends in absent samples.
    ///   - notes: become annotations, `kind: text`.
    ///   - interrupted: adds the annotation "recording interrupted" at the end.
    ///   - continuity: EDF+C or EDF+D.
    /// - Throws: `.empty` without samples; `.cannotRepresent` for values, scales or rates that EDF can't say exactly.
    public static func write(
        _ waveform: Waveform, header: EDFHeader, notes: [Note] = [], interrupted: Bool = false,
        continuity: Continuity = .automatic
    ) throws(EncodeError) -> [UInt8] {
        guard waveform.samples.contains(where: { !$0.isEmpty }) else { throw .empty }
        var plan = try EDFRecordPlan(waveform)
        if continuity != .contiguous {
            var sparse = plan
            sparse.dropEmpty(waveform)
            let silence = Double(plan.records - sparse.kept.count) * plan.duration.value
            if continuity == .discontinuous || silence > longSilence { plan = sparse }
        }
        let isDiscontinuous = continuity == .discontinuous || plan.kept.count < plan.records
        var signals: [EDFSignalPlan] = []
        for (index, channel) in waveform.channels.enumerated() {
            signals.append(
                try EDFSignalPlan(channel, samples: waveform.samples[index], perRecord: plan.samplesPerRecord[index]))
        }
        var annotations = notes
        if header.simulated { annotations.insert(Note(kind: .device, at: 0, text: EDFHeader.simulatedNote), at: 0) }
        if let start = header.start, header.writableStart == nil {
            annotations.append(Note(kind: .device, at: 0, text: "start as the device said it: \(start)"))
        }
        if plan.isPadded(waveform) {
            let text = "end of data; the rest of the last record has no value"
            annotations.append(Note(kind: .device, at: waveform.seconds, text: text))
        }
        if interrupted {
            annotations.append(Note(kind: .gap, at: waveform.seconds, text: EDFHeader.interruptedNote))
        }
        let lists = try plan.annotationLists(annotations)

        let annotationSamples = lists[0].count / 2
        let headerSize = 256 * (signals.count + 2)
        var writer = ByteWriter(
            reserving: headerSize + plan.kept.count * (plan.dataSize + 2 * annotationSamples))
        try writeHeader(
            &writer, header, plan, reserved: isDiscontinuous ? "EDF+D" : "EDF+C", signalCount: signals.count + 1)
        writeSignalHeaders(&writer, signals + [.annotations(samples: annotationSamples)])
        for (position, record) in plan.kept.enumerated() {
            for (signal, samples) in zip(signals, waveform.samples) {
                let first = record * signal.perRecord
                for index in first..<first + signal.perRecord {
                    let sample = index < samples.count ? samples[index] : .absent
                    writer.littleEndian(Int16(truncatingIfNeeded: sample == .absent ? signal.absent : Int(sample)))
                }
            }
            writer.append(contentsOf: lists[position])
        }
        return writer.bytes
    }

    private static func writeHeader(
        _ writer: inout ByteWriter, _ header: EDFHeader, _ plan: EDFRecordPlan, reserved: String,
        signalCount: Int
    ) throws(EncodeError) {
        guard signalCount <= 9999 else { throw .cannotRepresent("more than 9998 channels") }
        let start = header.writableStart
        let date = start.map { "\(EDFText.two($0.day)).\(EDFText.two($0.month)).\(EDFText.two($0.year % 100))" }
        let time = start.map { "\(EDFText.two($0.hour)).\(EDFText.two($0.minute)).\(EDFText.two($0.second))" }
        let fields: [(String, Int)] = [
            ("0", 8), (try header.patientField(), 80), (header.recordingField(), 80), (date ?? "01.01.85", 8),
            (time ?? "00.00.00", 8), ("\(256 * (signalCount + 1))", 8), (reserved, 44), ("\(plan.kept.count)", 8),
            (plan.durationText, 8), ("\(signalCount)", 4),
        ]
        for (text, width) in fields { writer.append(contentsOf: EDFText.field(text, width)) }
    }

    private static func writeSignalHeaders(_ writer: inout ByteWriter, _ signals: [EDFSignalPlan]) {
        let columns: [(Int, (EDFSignalPlan) -> String)] = [
            (16, \.label), (80, \.transducer), (8, \.dimension), (8, \.physicalMinimum), (8, \.physicalMaximum),
            (8, { "\($0.digitalMinimum)" }), (8, { "\($0.digitalMaximum)" }), (80, \.prefilter),
            (8, { "\($0.perRecord)" }), (32, { _ in "" }),
        ]
        for (width, text) in columns {
            for signal in signals { writer.append(contentsOf: EDFText.field(text(signal), width)) }
        }
    }
}
