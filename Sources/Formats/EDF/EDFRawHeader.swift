import Clinical
import Wire

/// The header's fields, checked as far as samples depend on them.
struct EDFRawHeader {
    var variant: EDFFile.Variant
    var patient: String
    var recording: String
    var start: LocalTime?
    var startText: String
    var headerSize: Int
    /// As written; -1 while recording.
    var announcedRecords: Int
    var recordDuration: Ratio
    var signals: [EDFSignal]
    var notes: [Note]

    init(_ bytes: [UInt8]) throws(DecodeError) {
        let isBDF = bytes.first == 0xFF
        let format = isBDF ? "bdf" : "edf"
        do {
            try self.init(ByteReader(bytes), isBDF: isBDF, format: format)
        } catch .malformed(_, let text) {
            throw .damaged(format: format, text)
        } catch {
            throw .damaged(format: format, "the header is cut short; copy the file again from where it came")
        }
    }

    private init(_ source: ByteReader, isBDF: Bool, format: String) throws(WireError) {
        var reader = source
        func text(_ width: Int) throws(WireError) -> String { Self.text(try reader.bytes(width)) }
        func fail(_ what: String) -> WireError { .malformed(offset: reader.offset, what) }

        _ = try text(8)
        patient = try text(80)
        recording = try text(80)
        let (date, time) = (try text(8), try text(8))
        let announcedSize = Int(try text(8))
        let reserved = try text(44)
        let recordsText = try text(8)
        let durationText = try text(8)
        let countText = try text(4)
        guard let count = Int(countText), (0...9999).contains(count) else {
            throw fail("the number of signals is not a number; this header was not written by an EDF program")
        }
        // Blank is a file that was never closed, whose count other programs write as -1.
        guard let records = recordsText.isEmpty ? -1 : Self.integer(recordsText) else {
            throw fail("the number of records is not a number")
        }
        guard let duration = Ratio(decimal: durationText), duration.numerator >= 0 else {
            throw fail("the record duration is not a number")
        }
        guard reader.remaining >= 256 * count else {
            throw fail("the header announces \(count) signals but the file ends before their headers do")
        }
        variant =
            switch (isBDF, reserved.prefix(5)) {
            case (false, "EDF+C"): .edfPlusC
            case (false, "EDF+D"): .edfPlusD
            case (false, _): .edf
            case (true, "BDF+C"): .bdfPlusC
            case (true, "BDF+D"): .bdfPlusD
            case (true, _): .bdf
            }
        headerSize = 256 * (count + 1)
        announcedRecords = records
        recordDuration = duration
        startText = "\(date) \(time)"
        start = Self.start(date: date, time: time, recording: recording)
        notes = []
        if announcedSize != headerSize {
            notes.append(
                Note(kind: .surprise, text: "the header size field is wrong; \(headerSize) bytes are assumed"))
        }
        if start == nil { notes.append(Note(kind: .surprise, text: "the start is unknown")) }

        func column(_ width: Int) throws(WireError) -> [String] {
            var texts: [String] = []
            for _ in 0..<count { texts.append(try text(width)) }
            return texts
        }
        let (labels, transducers, dimensions) = (try column(16), try column(80), try column(8))
        let (physicalMinima, physicalMaxima) = (try column(8), try column(8))
        let (digitalMinima, digitalMaxima) = (try column(8), try column(8))
        let (prefilters, perRecord) = (try column(80), try column(8))
        signals = []
        for index in 0..<count {
            // One odd field costs a signal its scale and not the file its signals: limits that are none give no scale, and of
            // annotations nobody asks for any.
            func limits(_ low: String, _ high: String) -> (low: Ratio, high: Ratio) {
                guard let low = Ratio(decimal: low), let high = Ratio(decimal: high) else {
                    return (Ratio(0), Ratio(0))
                }
                return (low, high)
            }
            guard let samples = Self.integer(perRecord[index]), (0...0xFFFF_FFFF).contains(samples) else {
                throw fail("signal \(index + 1): the number of samples per record is not a number")
            }
            let physical = limits(physicalMinima[index], physicalMaxima[index])
            let digital = limits(digitalMinima[index], digitalMaxima[index])
            signals.append(
                EDFSignal(
                    label: labels[index], transducer: transducers[index], dimension: dimensions[index],
                    physicalMinimum: physical.low, physicalMaximum: physical.high, digitalMinimum: digital.low,
                    digitalMaximum: digital.high, prefilter: prefilters[index], perRecord: samples, format: format))
        }
    }

    /// `4` or `4.0`
    private static func integer(_ text: String) -> Int? { Int(text) ?? Ratio(decimal: text)?.integer }

    /// UTF-8 where it is that (degree and micro signs), else Latin-1; without the padding, which may be NULs.
    private static func text(_ bytes: ArraySlice<UInt8>) -> String {
        var rest = bytes
        while let last = rest.last, last == 0x20 || last == 0 { rest.removeLast() }
        while let first = rest.first, first == 0x20 { rest.removeFirst() }
        return String(validating: rest, as: UTF8.self)
            ?? String(String.UnicodeScalarView(rest.map { Unicode.Scalar($0) }))
    }

    /// `dd.mm.yy` and `hh.mm.ss`; EDF+ says the year in full in its recording field, and `X` when nobody knows. Some
    /// programs fill in that field as EDF+ does and leave the file plain EDF.
    private static func start(date: String, time: String, recording: String) -> LocalTime? {
        let days = date.split(whereSeparator: { ".-/:".contains($0) }).compactMap { Int($0) }
        let hours = time.split(whereSeparator: { ".-/:".contains($0) }).compactMap { Int($0) }
        guard days.count == 3, hours.count == 3, (0...99).contains(days[2]) else { return nil }
        var (year, month, day) = (days[2] + (days[2] >= 85 ? 1900 : 2000), days[1], days[0])
        let words = recording.split(separator: " ")
        if words.first == "Startdate", words.count >= 2 {
            if words[1] == "X" { return nil }
            if let full = isoDate(String(words[1])) {
                let parts = full.split(separator: "-").compactMap { Int($0) }
                (year, month, day) = (parts[0], parts[1], parts[2])
            }
        }
        return LocalTime(year: year, month: month, day: day, hour: hours[0], minute: hours[1], second: hours[2])
    }

    /// `12-APR-1938` as `1938-04-12`.
    static func isoDate(_ text: String) -> String? {
        let parts = text.split(separator: "-")
        guard parts.count == 3, let day = Int(parts[0]), let year = Int(parts[2]), (1...31).contains(day),
            (1000...9999).contains(year), let month = EDFText.months.firstIndex(of: parts[1].uppercased())
        else { return nil }
        return "\(year)-\(EDFText.two(month + 1))-\(EDFText.two(day))"
    }
}
