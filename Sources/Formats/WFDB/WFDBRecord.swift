public import Clinical

/// A WFDB record: a header and the signal files that it names.
public struct WFDBRecord: Sendable, Equatable {
    public var name: String
    public var waveform: Waveform
    /// Nil when the header has no date.
    public var start: LocalTime?
    public var startText: String?
    /// Age and sex, where a comment says them; a record names nobody.
    public var claim: IdentityClaim?
    /// As in the header. They can describe a person: not for logs.
    public var comments: [String]
    /// What was odd in the files.
    public var notes: [Note]

    /// - Parameter bytes: a header, or at least its first 4 KiB.
    public static func isHeader(_ bytes: [UInt8]) -> Bool { WFDBHeader.isHeader(bytes) }

    /// The files that a header names, each once and in its order: signal files, and the headers of segments.
    public static func files(namedBy header: [UInt8]) throws(DecodeError) -> (signals: [String], segments: [String]) {
        let header = try WFDBHeader(header)
        func distinct(_ names: [String]) -> [String] {
            var seen: Set<String> = ["~"]
            return names.filter { seen.insert($0).inserted }
        }
        return (distinct(header.signals.map(\.file)), distinct(header.segments.map(\.name)).map { "\($0).hea" })
    }

    /// - Parameters:
    ///   - bytes: the header file's.
    ///   - beside: the content of the file of that name in the header's folder; nil when there is none.
    /// - Throws: `.unsupported` also when a signal file is missing.
    public init(header bytes: [UInt8], beside: (String) throws -> [UInt8]?) throws(DecodeError) {
        let header = try WFDBHeader(bytes)
        name = header.name
        (start, startText, comments) = (header.start, header.startText, header.comments)
        claim = Self.claim(header.comments)
        notes = []
        if !header.segments.isEmpty {
            let joined = try WFDBSegments.join(header, beside: beside)
            (waveform, notes) = (joined.waveform, joined.notes)
            return
        }
        guard !header.signals.isEmpty else {
            throw .unsupported(format: WFDBHeader.format, "the record has no signals; only waveforms are decoded")
        }
        var channels: [Channel] = []
        var samples: [[Sample]] = []
        var first = 0
        while first < header.signals.count {
            // Signals of one file stand together, as their frames are interleaved.
            let file = header.signals[first].file
            let last = header.signals[first...].firstIndex { $0.file != file } ?? header.signals.count
            let members = Array(header.signals[first..<last])
            let columns = try Self.columns(file, members, header, beside)
            for (offset, signal) in members.enumerated() {
                let (channel, values, found) = try signal.decode(
                    columns[offset], rate: header.rate, frames: header.frames, number: first + offset + 1)
                channels.append(channel)
                samples.append(values)
                notes += found.map { Note(kind: .surprise, text: $0) }
            }
            first = last
        }
        waveform = Waveform(channels: channels, samples: samples)
    }

    /// The channels that a header describes, without their samples: what a layout segment is for.
    static func channels(of bytes: [UInt8]) throws(DecodeError) -> [Channel] {
        let header = try WFDBHeader(bytes)
        var channels: [Channel] = []
        for (index, signal) in header.signals.enumerated() {
            channels.append(try signal.decode([], rate: header.rate, frames: nil, number: index + 1).0)
        }
        return channels
    }

    private static func columns(
        _ name: String, _ signals: [WFDBHeader.Signal], _ header: WFDBHeader, _ beside: (String) throws -> [UInt8]?
    ) throws(DecodeError) -> [[Int]] {
        // A header must not lead out of its folder.
        guard !name.contains("/"), !name.contains("\\"), !name.hasPrefix("."), name != "-", name != "~" else {
            throw .unsupported(format: WFDBHeader.format, "a signal file outside the header's folder")
        }
        var content: [UInt8]?
        do { content = try beside(name) } catch { content = nil }
        guard let content else {
            throw .unsupported(
                format: WFDBHeader.format, "a signal file that the header names is not beside it; copy both")
        }
        let format = signals[0].format
        guard signals.allSatisfy({ $0.format == format && [0, signals[0].offset].contains($0.offset) }) else {
            throw .unsupported(format: WFDBHeader.format, "signals of different formats in one file")
        }
        guard signals[0].offset <= content.count else {
            throw .damaged(format: WFDBHeader.format, "a signal file is shorter than its first sample's position")
        }
        let bytes = content[signals[0].offset...]
        if format.isFlac {
            let columns = try FlacStream.decode(bytes)
            guard columns.count == signals.count else {
                throw .damaged(
                    format: WFDBHeader.format, "\(columns.count) channels in a FLAC file, \(signals.count) described")
            }
            return columns
        }
        let all = format.unpack(bytes)
        let frame = signals.reduce(0) { $0 + $1.samplesPerFrame }
        let frames = min(all.count / frame, header.frames.map { $0 + (signals.map(\.skew).max() ?? 0) } ?? .max)
        var columns = [[Int]](repeating: [], count: signals.count)
        var position = 0
        for _ in 0..<frames {
            for (column, signal) in signals.enumerated() {
                columns[column] += all[position..<position + signal.samplesPerFrame]
                position += signal.samplesPerFrame
            }
        }
        return columns
    }

    /// `Age: 78`, `Sex: Male`, `69 M …`
    private static func claim(_ comments: [String]) -> IdentityClaim? {
        var claim = IdentityClaim()
        func sex(_ text: some StringProtocol) -> Sex? {
            switch text.lowercased() {
            case "m", "male": .male
            case "f", "female": .female
            default: nil
            }
        }
        for comment in comments {
            let words = comment.split { " :<>\t".contains($0) }
            guard words.count >= 2 else { continue }
            switch words[0].lowercased() {
            case "age": claim.age = claim.age ?? Int(words[1]).flatMap { (1...130).contains($0) ? $0 : nil }
            case "sex": claim.sex = claim.sex ?? sex(words[1])
            default:
                guard claim == IdentityClaim(), words[1].count == 1, let age = Int(words[0]), (1...130).contains(age),
                    let found = sex(words[1])
                else { continue }
                (claim.age, claim.sex) = (age, found)
            }
        }
        return claim == IdentityClaim() ? nil : claim
    }
}

extension WFDBHeader.Signal {
    /// Lead names as these databases write them; MLII is a limb lead on the chest and stays what it is.
    private var lead: Channel.Signal.Lead? {
        let text = description.lowercased()
        return Channel.Signal.leads.first { $0.name.lowercased() == text }
    }

    fileprivate func decode(
        _ stored: [Int], rate: Ratio, frames: Int?, number: Int
    ) throws(DecodeError) -> (Channel, [Sample], [String]) {
        var notes: [String] = []
        var values = stored
        if format == .differences8 {
            var last = initial ?? 0
            for index in values.indices {
                last &+= values[index]
                values[index] = last
            }
        }
        if let frames {
            // Below 2^52 by the limits of both.
            let wanted = frames * samplesPerFrame
            if values.count < wanted {
                notes.append(
                    "signal \(number): \(frames) frames announced, \(values.count / samplesPerFrame) in the file")
            } else {
                let sum = values.prefix(wanted).reduce(UInt16(0)) { $0 &+ UInt16(truncatingIfNeeded: $1) }
                if let checksum, sum != checksum { notes.append("signal \(number): the checksum is wrong") }
                if skew == 0 { values.removeLast(values.count - wanted) }
            }
            if let initial, let first = values.first, initial != first, first != format.invalid {
                notes.append("signal \(number): the first sample is not what the header says")
            }
        }
        if skew > 0 {
            let late = min(values.count, skew * samplesPerFrame)
            values.removeFirst(late)
            if let frames, values.count > frames * samplesPerFrame {
                values.removeLast(values.count - frames * samplesPerFrame)
            }
        }
        // Uncalibrated signals have 200 steps per unit by convention: a shape, no measurement.
        guard let scale = Ratio(1).divided(by: gain ?? Ratio(200)), let offset = scale.times(Ratio(-baseline)),
            let sampleRate = rate.times(Ratio(samplesPerFrame))
        else { throw .unsupported(format: WFDBHeader.format, "signal \(number): its gain has too many digits") }
        // 32 bits would leave no room for a baseline: what occurs decides.
        var full = format.range
        if format == .signed32 || format == .differences8 {
            let valid = values.lazy.filter { [invalid = format.invalid] in $0 != invalid }
            full = (valid.min() ?? 0)...(valid.max() ?? 0)
        }
        let calibrated = Calibrated(gain: scale, offset: offset, digital: full)
        if !calibrated.isExact { notes.append("signal \(number): with its baseline it is \(calibrated.rounding)") }
        let samples = values.map { $0 == format.invalid ? .absent : calibrated.sample($0) }
        let units = ["mv": "mV", "uv": "uV", "µV": "uV", "bpm": "/min"]
        let channel = Channel(
            signal: lead?.signal ?? .other,
            name: lead?.name ?? (description.isEmpty ? "signal \(number)" : description), unit: units[unit] ?? unit,
            rate: sampleRate.reduced, scale: calibrated.scale, range: calibrated.range(full),
            calibration: gain == nil ? .unverified : .singleSource)
        return (channel, samples, notes)
    }
}
