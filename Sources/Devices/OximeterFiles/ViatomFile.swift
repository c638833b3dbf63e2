import Clinical
import Wire

/// The file of a Viatom or Wellue oximeter: O2Ring, Checkme O2, SleepU (devices.md, rank 19; layout from one public reader): 40
/// bytes with kind, date, size and duration, then records of five bytes, one every four seconds; in some files each of them
/// stands twice.
struct ViatomFile {
    static let headerSize = 40
    private static let recordSize = 5

    private(set) var start: LocalTime?
    private(set) var startText: String?
    /// SpO2 in %, pulse rate in 1/min, motion without a unit.
    private(set) var waveform = Waveform(channels: [], samples: [])
    private(set) var notes: [Note] = []

    /// True when kind, date, size and duration fit each other.
    /// - Parameters:
    ///   - bytes: the first bytes of the file.
    ///   - size: of the whole file.
    static func isHeader(_ bytes: [UInt8], size: Int) -> Bool { layout(bytes, size: size) != nil }

    private struct Layout {
        var start: LocalTime
        var announced: Int
        /// Between two records, seconds.
        var interval: Int
        /// The duration is that many records, as long as each stands for.
        var isExact: Bool
    }

    private static func layout(_ bytes: [UInt8], size: Int) -> Layout? {
        guard bytes.count >= headerSize, size >= headerSize + recordSize else { return nil }
        func number(_ at: Int, _ width: Int) -> Int {
            (0..<width).reduce(0) { $0 | Int(bytes[at + $1]) << (8 * $1) }
        }
        let (kind, stated, duration) = (number(0, 2), number(9, 4), number(13, 4))
        guard [3, 5].contains(kind), (2015...2059).contains(number(2, 2)),
            bytes[31..<headerSize].allSatisfy({ $0 == 0 }),
            let start = LocalTime(
                year: number(2, 2), month: number(4, 1), day: number(5, 1), hour: number(6, 1), minute: number(7, 1),
                second: number(8, 1)),
            stated >= headerSize + recordSize, (stated - headerSize).isMultiple(of: recordSize)
        else { return nil }
        let single = (stated - headerSize) / recordSize
        // The recording may have ended between two records.
        let interval = (duration + single / 2) / single
        guard (1...60).contains(interval), abs(duration - interval * single) < interval else { return nil }
        // The stated size counts each record once, also where the file has it twice; and it may be cut.
        let held = (size - headerSize) / recordSize
        let isDoubled =
            held > single && interval.isMultiple(of: 2) && isInPairs(bytes, single, orAlike: held >= 2 * single)
        return Layout(
            start: start, announced: isDoubled ? 2 * single : single, interval: isDoubled ? interval / 2 : interval,
            isExact: duration == interval * single)
    }

    /// Whether each record stands twice, as far as there are bytes.
    /// - Parameter orAlike: also where all of them are alike (nobody wore it), which says nothing by itself.
    private static func isInPairs(_ bytes: [UInt8], _ single: Int, orAlike: Bool) -> Bool {
        func record(_ index: Int) -> ArraySlice<UInt8> {
            bytes[(headerSize + index * recordSize)...].prefix(recordSize)
        }
        let pairs = min(single, (bytes.count - headerSize) / (2 * recordSize))
        guard (0..<pairs).allSatisfy({ record(2 * $0).elementsEqual(record(2 * $0 + 1)) }) else { return false }
        return orAlike || (0..<pairs).contains { !record(2 * $0).elementsEqual(record(0)) }
    }

    init(_ bytes: [UInt8]) throws(ImportError) {
        guard let layout = Self.layout(bytes, size: bytes.count) else { throw .notRecognised }
        (start, startText) = (layout.start, "\(layout.start)")
        let held = min(layout.announced, (bytes.count - Self.headerSize) / Self.recordSize)
        if held < layout.announced {
            notes.append(Note(kind: .gap, text: "\(layout.announced) samples announced, \(held) in the file"))
        }
        let more = (bytes.count - Self.headerSize) / Self.recordSize - held
        if more > 0 {
            notes.append(Note(kind: .surprise, text: "\(more) samples after the announced ones were not read"))
        }
        if !layout.isExact {
            let text = "the duration is no whole number of samples: one every \(layout.interval) s is assumed"
            notes.append(Note(kind: .surprise, text: text))
        }
        var columns = [[Sample]](repeating: [], count: 3)
        for record in 0..<held {
            let place = Self.headerSize + record * Self.recordSize
            let isValid = bytes[place + 2] == 0
            columns[0].append(isValid && (1...100).contains(bytes[place]) ? Sample(bytes[place]) : .absent)
            columns[1].append(isValid && (1...254).contains(bytes[place + 1]) ? Sample(bytes[place + 1]) : .absent)
            columns[2].append(Sample(bytes[place + 3]))
        }
        func channel(_ signal: Channel.Signal, _ name: String, _ unit: String, _ top: Sample) -> Channel {
            Channel(
                signal: signal, name: name, unit: unit, rate: Ratio(1, layout.interval), scale: Ratio(1),
                range: 0...top,
                calibration: .singleSource)
        }
        waveform = Waveform(
            channels: [
                channel(.spo2, "SpO2", "%", 100), channel(.pulseRate, "Pulse rate", "/min", 254),
                channel(.other, "Motion", "1", 255),
            ], samples: columns)
    }
}
