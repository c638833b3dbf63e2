import Clinical

/// Reads one multiplex group.
struct DicomGroupReader {
    private var item: DicomDataset
    private var number: Int
    private var notes: [Note] = []

    init(_ item: DicomDataset, number: Int) {
        self.item = item
        self.number = number
    }

    private enum Kind: String {
        case SB, UB, MB, AB, SS, US, SL, UL

        /// How stored bytes become values; nil where they are values.
        var companding: Companding? { Companding(rawValue: rawValue) }
    }

    consuming func read() throws(DecodeError) -> (group: DicomWaveformFile.Group, notes: [Note]) {
        var reader = self
        let channels = try reader.waveform()
        return (
            DicomWaveformFile.Group(
                label: reader.item.text(DicomTag.groupLabel), waveform: channels,
                isDerived: reader.item.text(DicomTag.originality) == "DERIVED",
                offset: reader.item.text(DicomTag.groupTimeOffset).flatMap { Ratio(decimal: $0) }.map {
                    $0.value / 1000
                }
            ), reader.notes
        )
    }

    private func damaged(_ text: String) -> DecodeError { .damaged(format: "dicom", "group \(number): \(text)") }

    private mutating func note(_ text: String) {
        notes.append(Note(kind: .surprise, text: "group \(number): \(text)"))
    }

    private mutating func waveform() throws(DecodeError) -> Waveform {
        let interpretation = item.text(DicomTag.interpretation) ?? ""
        guard let kind = Kind(rawValue: interpretation) else {
            throw .unsupported(
                format: "dicom",
                "group \(number) has samples of kind \(interpretation.isEmpty ? "?" : interpretation); "
                    + "SB, UB, MB, AB, SS, US, SL and UL are read")
        }
        let width = kind == .SL || kind == .UL ? 4 : kind == .SS || kind == .US ? 2 : 1
        if let bits = item.unsigned(DicomTag.bitsAllocated), bits != width * 8 {
            throw damaged("\(bits) bits allocated contradict samples of kind \(interpretation)")
        }
        let definitions = item.items(DicomTag.channelDefinitions)
        let count = item.unsigned(DicomTag.channelCount) ?? definitions.count
        guard count > 0, count == definitions.count else {
            throw damaged("\(count) channels announced, \(definitions.count) described")
        }
        guard let text = item.text(DicomTag.samplingFrequency), let rate = Ratio(decimal: text), rate.numerator > 0
        else { throw damaged("the sampling frequency is no positive number") }
        guard let data = item.bytes(DicomTag.waveformData) else { throw damaged("there is no waveform data") }
        let held = data.count / (count * width)
        let announced = item.unsigned(DicomTag.sampleCount) ?? held
        if announced > held { note("\(announced) samples announced, \(held) in the file") }

        let columns = Self.columns(data, kind: kind, width: width, channels: count, samples: min(announced, held))
        let padding = padding(kind: kind, width: width)
        var channels: [Channel] = []
        var samples: [[Sample]] = []
        for (index, definition) in definitions.enumerated() {
            let column = columns[index]
            let (channel, calibrated) = channel(
                definition, index: index, kind: kind, column: column, padding: padding, rate: rate.reduced)
            channels.append(channel)
            samples.append(
                column.map { stored in
                    // Padding is a stored value: both laws have two codes for about zero.
                    guard stored != padding else { return .absent }
                    return calibrated.sample(kind.companding?.value(UInt8(truncatingIfNeeded: stored)) ?? stored)
                })
        }
        return Waveform(channels: channels, samples: samples)
    }

    /// The value that stands for a missing sample.
    private func padding(kind: Kind, width: Int) -> Int? {
        guard let bytes = item.bytes(DicomTag.padding), bytes.count >= width else { return nil }
        return Self.value(bytes, at: bytes.startIndex, kind: kind)
    }

    private static func value(_ bytes: ArraySlice<UInt8>, at index: Int, kind: Kind) -> Int {
        func word(_ count: Int) -> UInt32 {
            (0..<count).reduce(0) { $0 | UInt32(bytes[index + $1]) << (8 * UInt32($1)) }
        }
        return switch kind {
        case .SB: Int(Int8(bitPattern: bytes[index]))
        case .UB, .MB, .AB: Int(bytes[index])
        case .SS: Int(Int16(truncatingIfNeeded: word(2)))
        case .US: Int(word(2))
        case .SL: Int(Int32(bitPattern: word(4)))
        case .UL: Int(word(4))
        }
    }

    private static func columns(
        _ data: ArraySlice<UInt8>, kind: Kind, width: Int, channels: Int, samples: Int
    ) -> [[Int]] {
        (0..<channels).map { channel in
            (0..<samples).map { sample in
                value(data, at: data.startIndex + (sample * channels + channel) * width, kind: kind)
            }
        }
    }

    private mutating func channel(
        _ definition: DicomDataset, index: Int, kind: Kind, column: [Int], padding: Int?, rate: Ratio
    ) -> (Channel, Calibrated) {
        let full: ClosedRange<Int> =
            switch kind {
            case .SB: -128...127
            case .UB: 0...255
            case .MB: Companding.muLaw.range
            case .AB: Companding.aLaw.range
            case .SS: -32768...32767
            case .US: 0...65535
            // What occurs: the whole of 32 bits would leave no room for an offset.
            case .SL, .UL: Self.occurring(column, padding: padding)
            }
        let scale = calibration(definition, index: index)
        let calibrated = Calibrated(gain: scale?.gain ?? Ratio(1), offset: scale?.offset ?? Ratio(0), digital: full)
        if !calibrated.isExact {
            note("channel \(index + 1): the baseline is \(calibrated.rounding)")
        }
        let (signal, name) = Self.source(definition)
        let channel = Channel(
            signal: signal, name: name ?? "channel \(index + 1)", unit: scale?.unit ?? "1", rate: rate,
            scale: calibrated.scale, range: calibrated.range(full),
            calibration: scale == nil ? .unverified : .singleSource,
            derivation: definition.text(DicomTag.channelDerivation))
        return (channel, calibrated)
    }

    /// Padding is no value: it must not widen the range.
    private static func occurring(_ column: [Int], padding: Int?) -> ClosedRange<Int> {
        let values = column.lazy.filter { $0 != padding }
        return (values.min() ?? 0)...(values.max() ?? 0)
    }

    /// physical = stored × sensitivity × correction factor + baseline, in the unit given (formats.md 1.3).
    private mutating func calibration(
        _ definition: DicomDataset, index: Int
    ) -> (gain: Ratio, offset: Ratio, unit: String)? {
        guard let text = definition.text(DicomTag.sensitivity) else { return nil }
        let factor = definition.text(DicomTag.correctionFactor) ?? "1"
        let baseline = definition.text(DicomTag.baseline) ?? "0"
        guard let sensitivity = Ratio(decimal: text), let correction = Ratio(decimal: factor),
            let offset = Ratio(decimal: baseline), let gain = sensitivity.times(correction), gain.numerator != 0
        else {
            note(
                "channel \(index + 1): sensitivity, correction factor or baseline can't be used; stored values are given"
            )
            return nil
        }
        let unit = definition.items(DicomTag.sensitivityUnits).first?.text(DicomTag.codeValue)
        return (gain, offset, unit ?? "1")
    }

    /// MDC `2:n` and the older SCPECG `5.6.3-9-n` share n (formats.md 1.4).
    private static func source(_ definition: DicomDataset) -> (Channel.Signal, String?) {
        let code = definition.items(DicomTag.channelSource).first
        let value = code?.text(DicomTag.codeValue) ?? ""
        let label = definition.text(DicomTag.channelLabel) ?? code?.text(DicomTag.codeMeaning)
        let prefix =
            switch code?.text(DicomTag.codingScheme) {
            case "MDC": "2:"
            case "SCPECG": "5.6.3-9-"
            default: "\u{0}"
            }
        guard value.hasPrefix(prefix), let number = Int(value.dropFirst(prefix.count)),
            let lead = Channel.Signal.leads.first(where: { $0.number == number })
        else { return (.other, label) }
        return (lead.signal, lead.name)
    }
}
