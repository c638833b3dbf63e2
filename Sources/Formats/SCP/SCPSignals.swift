import Clinical
import Wire

/// Sections 2 to 6 and 12: the samples.
struct SCPSignals {
    private let record: SCPRecord
    private(set) var notes: [Note] = []

    fileprivate struct Lead {
        var start: Int
        var end: Int
        var number: Int
        /// The text counts from 1; files that count from 0 name the end of the last sample.
        var count: Int { start == 0 ? end : max(0, end - start + 1) }
        /// The number of the first sample, as section 4 counts.
        var first: Int { max(1, start) }
    }

    init(_ record: SCPRecord) { self.record = record }

    private mutating func note(_ text: String) { notes.append(Note(kind: .surprise, text: text)) }

    mutating func groups() throws(DecodeError) -> [SCPFile.Group] {
        var groups: [SCPFile.Group] = []
        guard let (leads, isSubtracted) = try definitions() else {
            if record.sections[6] != nil { throw SCPRecord.damaged("the lead section is missing") }
            return []
        }
        if record.sections[6] != nil {
            groups.append(.init(label: "RHYTHM", waveform: try rhythm(leads, isSubtracted: isSubtracted)))
        }
        if let long = try longTerm() { groups.append(.init(label: "LONG-TERM RHYTHM", waveform: long)) }
        if let beat = referenceBeat(leads) { groups.append(.init(label: SCPFile.Group.referenceBeat, waveform: beat)) }
        return groups
    }

    private func definitions() throws(DecodeError) -> ([Lead], Bool)? {
        guard let body = record.sections[3]?.body else { return nil }
        var reader = ByteReader(body)
        do {
            let (count, flags) = (try reader.u8(), try reader.u8())
            var leads: [Lead] = []
            for _ in 0..<count {
                let (start, end) = (try reader.littleEndian(UInt32.self), try reader.littleEndian(UInt32.self))
                leads.append(Lead(start: Int(start), end: Int(end), number: Int(try reader.u8())))
            }
            guard !leads.isEmpty else { throw WireError.malformed(offset: 0, "no leads") }
            return (leads, flags & 1 == 1)
        } catch {
            throw SCPRecord.damaged("the lead section is cut short or empty")
        }
    }

    private func table() throws(DecodeError) -> SCPHuffmanTables? {
        guard let body = record.sections[2]?.body else { return nil }
        var reader = ByteReader(body)
        if let number = try? reader.littleEndian(UInt16.self), Int(number) == SCPHuffman.standardNumber {
            return .standard
        }
        return try SCPHuffmanTables(body)
    }

    /// Section 5 or 6: scale, sample time, encoding, and each lead's bytes.
    private struct Stored {
        var scale: Ratio
        var rate: Ratio
        var differences: Int
        var isBimodal: Bool
        var leads: [ArraySlice<UInt8>]

        init(_ section: SCPRecord.Section, leads count: Int) throws(DecodeError) {
            var reader = ByteReader(section.body)
            do {
                let nanovolt = Int(try reader.littleEndian(UInt16.self))
                let microseconds = Int(try reader.littleEndian(UInt16.self))
                differences = Int(try reader.u8())
                isBimodal = try reader.u8() != 0
                guard nanovolt > 0, microseconds > 0, differences <= 2 else {
                    throw WireError.malformed(offset: 0, "scale, sample time or encoding")
                }
                scale = Ratio(nanovolt, 1000).reduced
                rate = Ratio(1_000_000, microseconds).reduced
                var lengths: [Int] = []
                for _ in 0..<count { lengths.append(Int(try reader.littleEndian(UInt16.self))) }
                leads = []
                for length in lengths {
                    leads.append(try reader.bytes(section.isCut ? min(length, reader.remaining) : length))
                }
            } catch {
                throw SCPRecord.damaged("a section of samples is cut short or its scale is not possible")
            }
        }
    }

    private mutating func rhythm(_ leads: [Lead], isSubtracted: Bool) throws(DecodeError) -> Waveform {
        guard let section = record.sections[6] else { return Waveform(channels: [], samples: []) }
        let stored = try Stored(section, leads: leads.count)
        var waveform: Waveform
        if isSubtracted || stored.isBimodal {
            waveform = try restored(leads, stored, isSubtracted: isSubtracted)
        } else {
            waveform = try self.waveform(leads, stored, counts: leads.map(\.count))
        }
        if section.isCut {
            // Leads that the file doesn't reach have no values rather than no place.
            let longest = waveform.samples.map(\.count).max() ?? 0
            for index in waveform.samples.indices {
                waveform.samples[index] += repeatElement(.absent, count: longest - waveform.samples[index].count)
            }
        }
        return waveform
    }

    /// A rhythm that was made smaller by subtracting a reference beat, by thinning out, or both.
    private mutating func restored(
        _ leads: [Lead], _ stored: Stored, isSubtracted: Bool
    ) throws(DecodeError) -> Waveform {
        guard let beats = record.sections[4].flatMap({ SCPBeats($0.body) }) else {
            throw .unsupported(
                format: "scp-ecg", "the rhythm needs the section with the beats' places, which is missing or cut")
        }
        var reference: Stored?
        if let section = record.sections[5], !section.body.isEmpty {
            reference = try? Stored(section, leads: leads.count)
        }
        guard reference != nil || !isSubtracted else {
            throw .unsupported(format: "scp-ecg", "a reference beat was subtracted, which is missing or cut")
        }
        let full = reference?.rate ?? stored.rate
        guard let thinned = full.divided(by: stored.rate)?.reduced, thinned.denominator == 1,
            (1...4).contains(thinned.numerator)
        else {
            throw .unsupported(format: "scp-ecg", "the rates of rhythm and reference beat don't fit")
        }
        let rate = thinned.numerator
        let table = try table()
        var channels: [Channel] = []
        var samples: [[Sample]] = []
        for (index, lead) in leads.enumerated() {
            var values = try decoded(lead, stored, index, count: lead.count, table, isComplete: rate == 1)
            if rate == 1, stored.isBimodal, values.count < lead.count, record.sections[6]?.isCut == false {
                // Shown as they are, they would be a heart that beats faster.
                throw .unsupported(
                    format: "scp-ecg",
                    "the rhythm is thinned out between the beats, and nothing says by how much; export it without compression"
                )
            }
            if rate > 1 {
                values = beats.expanded(
                    values, rate: rate, count: lead.count, from: lead.first, thinnedOut: stored.isBimodal)
                if values.count < lead.count {
                    note("\(lead.name): \(lead.count) samples announced, \(values.count) in the file")
                }
            }
            if isSubtracted, let reference, let ratio = reference.scale.divided(by: stored.scale) {
                let length = beats.samples(at: full)
                let beat = try decoded(lead, reference, index, count: length, table, isComplete: false)
                beats.add(beat.map { Int((Double($0) * ratio.value).rounded()) }, to: &values, from: lead.first)
            }
            guard values.allSatisfy({ $0 >= -32768 && $0 <= 32767 }) else {
                throw SCPRecord.damaged("\(lead.name): the samples leave 16 bits")
            }
            channels.append(lead.channel(rate: full, scale: stored.scale, calibration: .unverified))
            samples.append(values.map { Sample($0) })
        }
        if isSubtracted { note("the reference beat was added to \(beats.subtracted) beats again: unverified") }
        if rate > 1 {
            note("outside the beats one sample in \(rate) is in the file; what lies between is a straight line")
        }
        return Waveform(channels: channels, samples: samples)
    }

    /// A lead's stored numbers with their differences undone.
    private mutating func decoded(
        _ lead: Lead, _ stored: Stored, _ index: Int, count: Int, _ table: SCPHuffmanTables?, isComplete: Bool
    ) throws(DecodeError) -> [Int] {
        let bytes = stored.leads[index]
        var values = table.map { $0.decode(bytes, count: count) } ?? Self.raw(bytes)
        if isComplete, values.count < count {
            note("\(lead.name): \(count) samples announced, \(values.count) in the file")
        }
        guard Self.integrate(&values, differences: stored.differences) else {
            throw SCPRecord.damaged("\(lead.name): the samples leave 16 bits")
        }
        return values
    }

    /// Of no use without its length, which section 4 has; never worth refusing a record for.
    private mutating func referenceBeat(_ leads: [Lead]) -> Waveform? {
        guard let section = record.sections[5], !section.body.isEmpty else { return nil }
        var reader = ByteReader(record.sections[4]?.body ?? [])
        do {
            let milliseconds = Int(try reader.littleEndian(UInt16.self))
            let stored = try Stored(section, leads: leads.count)
            guard let count = Ratio(milliseconds, 1000).times(stored.rate), count.numerator > 0, !stored.isBimodal
            else {
                throw WireError.malformed(offset: 0, "length")
            }
            let length = count.numerator / count.denominator
            let kept = notes
            let beat = try waveform(leads, stored, counts: leads.map { _ in length })
            // A beat that is a sample shorter than its rounded length is no surprise.
            notes = kept
            return beat
        } catch {
            note("the reference beat can't be read and is left out")
            return nil
        }
    }

    private mutating func waveform(
        _ leads: [Lead], _ stored: Stored, counts: [Int]
    ) throws(DecodeError) -> Waveform {
        let table = try table()
        if table?.switches == true { note("its Huffman tables lead to one another: unverified") }
        var channels: [Channel] = []
        var samples: [[Sample]] = []
        for (index, lead) in leads.enumerated() {
            let values = try decoded(lead, stored, index, count: counts[index], table, isComplete: true)
            channels.append(lead.channel(rate: stored.rate, scale: stored.scale, calibration: .singleSource))
            samples.append(values.map { Sample($0) })
        }
        return Waveform(channels: channels, samples: samples)
    }

    private static func raw(_ bytes: ArraySlice<UInt8>) -> [Int] {
        stride(from: bytes.startIndex, to: bytes.endIndex - 1, by: 2).map {
            Int(Int16(truncatingIfNeeded: UInt16(bytes[$0]) | UInt16(bytes[$0 + 1]) << 8))
        }
    }

    /// Undoes first or second differences; false when a value can't have been a 16-bit sample.
    private static func integrate(_ values: inout [Int], differences: Int) -> Bool {
        for index in values.indices {
            switch differences {
            case 1 where index >= 1: values[index] += values[index - 1]
            case 2 where index >= 2: values[index] += 2 * values[index - 1] - values[index - 2]
            default: break
            }
            guard values[index] >= -32768, values[index] <= 32767 else { return false }
        }
        return true
    }

    /// Section 12 as the one program that writes it does (formats.md 4.4); not checked against the standard's text.
    private mutating func longTerm() throws(DecodeError) -> Waveform? {
        guard let body = record.sections[12]?.body else { return nil }
        var reader = ByteReader(body)
        do {
            let rate = Int(try reader.littleEndian(UInt32.self))
            let count = Int(try reader.u8())
            let announced = Int(try reader.littleEndian(UInt32.self))
            let width = Int(try reader.u8())
            try reader.skip(70 - reader.offset)
            guard rate > 0, count > 0, [2, 4].contains(width) else { throw WireError.malformed(offset: 0, "") }
            var channels: [Channel] = []
            let bound: ClosedRange<Sample> = width == 2 ? -32768...32767 : Sample.absent + 1...Sample.max
            for _ in 0..<count {
                let lead = Lead(start: 1, end: announced, number: Int(try reader.u8()))
                let low = Int(try reader.littleEndian(UInt16.self))
                let nanovolt = low | Int(try reader.u8()) << 16
                guard nanovolt > 0 else { throw WireError.malformed(offset: 0, "") }
                channels.append(
                    lead.channel(
                        rate: Ratio(rate), scale: Ratio(nanovolt, 1000).reduced, range: bound, calibration: .unverified)
                )
            }
            let held = min(announced, reader.remaining / (count * width))
            if held < announced { note("long-term rhythm: \(announced) samples announced, \(held) in the file") }
            var samples = [[Sample]](repeating: [], count: count)
            for _ in 0..<held {
                for channel in 0..<count {
                    samples[channel].append(
                        width == 2 ? Sample(try reader.littleEndian(Int16.self)) : try reader.littleEndian(Sample.self))
                }
            }
            return Waveform(channels: channels, samples: samples)
        } catch {
            throw SCPRecord.damaged("the long-term rhythm section is cut short or not possible")
        }
    }
}

extension SCPSignals.Lead {
    /// Leads beyond the twelve that have a number of their own (formats.md 1.4).
    private static let others = [
        9: "V7", 66: "V8", 67: "V9", 10: "V2R", 11: "V3R", 12: "V4R", 13: "V5R", 14: "V6R", 15: "V7R", 16: "X", 17: "Y",
        18: "Z", 20: "CM5", 122: "CH5", 125: "CR5", 126: "MLII",
    ]

    fileprivate var name: String {
        Channel.Signal.leads.first { $0.number == number }?.name ?? Self.others[number] ?? "lead \(number)"
    }

    fileprivate func channel(
        rate: Ratio, scale: Ratio, range: ClosedRange<Sample> = -32768...32767, calibration: Calibration
    ) -> Channel {
        Channel(
            signal: Channel.Signal.leads.first { $0.number == number }?.signal ?? .other, name: name, unit: "uV",
            rate: rate, scale: scale, range: range, calibration: calibration)
    }
}
