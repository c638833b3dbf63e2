import Clinical
import Wire

/// MedView's `.dat` file of a ChoiceMMed oximeter (devices.md, rank 20): one byte, a count, then records of eleven bytes with
/// their own date and time. What follows the records is the program's report.
struct ChoiceMMedFile {
    /// Records that `isHeader` looks at.
    static let headerRecords = 16
    private static let headerSize = 3
    private static let recordSize = 11
    /// Pauses are filled with absent values as long as the whole stays below this, seconds.
    static let longest = 31 * 86_400

    /// Of the first record.
    private(set) var start: LocalTime?
    private(set) var startText: String?
    /// SpO2 in % and pulse rate in 1/min, once a second.
    private(set) var waveform = Waveform(channels: [], samples: [])
    private(set) var notes: [Note] = []
    private(set) var simulatedSerial: String?

    /// True when the first records have the shape: zeros, the file's first byte again, and a real date and time.
    /// - Parameters:
    ///   - bytes: the first bytes of the file.
    ///   - size: of the whole file.
    static func isHeader(_ bytes: [UInt8], size: Int) -> Bool {
        guard bytes.count >= headerSize + recordSize else { return false }
        let count = Int(bytes[1]) | Int(bytes[2]) << 8
        // A file that is cut short still begins with records.
        guard count > 0, size >= headerSize + min(count, 2) * recordSize else { return false }
        let looked = min(count, headerRecords, (bytes.count - headerSize) / recordSize)
        // The first one, and most of the others: one with a damaged date costs that second.
        return looked > 0 && time(bytes, record: 0) != nil
            && (0..<looked).count { time(bytes, record: $0) != nil } * 4 >= looked * 3
    }

    init(_ bytes: [UInt8]) throws(ImportError) {
        guard Self.isHeader(bytes, size: bytes.count) else { throw .notRecognised }
        let announced = Int(bytes[1]) | Int(bytes[2]) << 8
        let count = min(announced, (bytes.count - Self.headerSize) / Self.recordSize)
        if count < announced {
            notes.append(Note(kind: .gap, text: "\(announced) samples announced, \(count) in the file"))
        }
        var spo2: [Sample] = []
        var pulse: [Sample] = []
        var last = 0
        var undated = 0
        for record in 0..<count {
            // The next one says how much is missing.
            guard let time = Self.time(bytes, record: record) else {
                undated += 1
                continue
            }
            let pause = time.civilSeconds - last - 1
            if start == nil {
                start = time
                startText = "\(time)"
            } else if pause != 0 {
                fill(pause, &spo2, &pulse)
            }
            last = time.civilSeconds
            let place = Self.headerSize + record * Self.recordSize
            // No source says how "no finger" is written; what can't be a saturation or a pulse is none.
            spo2.append((1...100).contains(bytes[place + 9]) ? Sample(bytes[place + 9]) : .absent)
            pulse.append((1...254).contains(bytes[place + 10]) ? Sample(bytes[place + 10]) : .absent)
        }
        guard undated * 4 <= count else {
            throw .damaged("\(undated) of \(count) records have no date and time; copy the file again")
        }
        if undated > 0 {
            let text = "\(undated) of \(count) records have no date and time: their values were not taken"
            notes.append(Note(kind: .surprise, text: text))
        }
        func channel(_ signal: Channel.Signal, _ name: String, _ unit: String, _ top: Sample) -> Channel {
            Channel(
                signal: signal, name: name, unit: unit, rate: Ratio(1), scale: Ratio(1), range: 0...top,
                calibration: .singleSource)
        }
        waveform = Waveform(
            channels: [channel(.spo2, "SpO2", "%", 100), channel(.pulseRate, "Pulse rate", "/min", 254)],
            samples: [spo2, pulse])
        let report = bytes[(Self.headerSize + count * Self.recordSize)...].prefix(16).prefix { $0 != 0 }
        if report.starts(with: "SIM".utf8), report.count > 3,
            report.dropFirst(3).allSatisfy({ (0x30...0x39).contains($0) })
        {
            simulatedSerial = String(decoding: report, as: UTF8.self)
        }
    }

    private mutating func fill(_ pause: Int, _ spo2: inout [Sample], _ pulse: inout [Sample]) {
        let at = Double(spo2.count)
        if pause > 0, spo2.count + pause <= Self.longest {
            spo2 += repeatElement(.absent, count: pause)
            pulse += repeatElement(.absent, count: pause)
            notes.append(Note(kind: .gap, at: at, duration: Double(pause), text: "nothing recorded"))
        } else if notes.count < 1000 {
            let text = pause > 0 ? "a pause of \(pause) s is not shown" : "the clock steps back by \(-pause) s"
            notes.append(Note(kind: .gap, at: at, text: text))
        }
    }

    private static func time(_ bytes: [UInt8], record: Int) -> LocalTime? {
        let place = headerSize + record * recordSize
        guard place + recordSize <= bytes.count, bytes[place] == 0, bytes[place + 1] == 0, bytes[place + 2] == bytes[0]
        else {
            return nil
        }
        let fields = bytes[place + 3..<place + 9].map { Int($0) }
        return LocalTime(
            year: 2000 + fields[0], month: fields[1], day: fields[2], hour: fields[3], minute: fields[4],
            second: fields[5])
    }
}
