import Clinical
import Formats

/// `STR.edf`: one record for each therapy day from noon to noon, addressed by label (devices.md 4.7).
struct ResmedStatistics {
    struct Day: Equatable {
        /// Events per hour as the machine counted them; nil when the day has none.
        var ahi: Double?
        /// Minutes with the mask on.
        var minutes: Double?
        /// 95th percentile, in `leakUnit`.
        var leak95: Double?
        var leakUnit = ""
    }

    private var file: ResmedFile

    /// - Throws: as `ResmedFile`.
    init(_ bytes: [UInt8]) throws(ImportError) { file = try ResmedFile(bytes) }

    /// - Parameter day: days since 1970 of the noon at which it begins.
    func day(_ day: Int) -> Day? {
        guard let index = index(of: day), !file.badRecords.contains(index) else { return nil }
        let leak = channel(["Leak.95", "Fuites.95"])
        return Day(
            ahi: value(["AHI", "IAH"], at: index), minutes: value(["Duration"], at: index),
            leak95: leak.flatMap { physical($0, at: index) },
            leakUnit: leak.map { file.edf.waveform.channels[$0].unit } ?? "")
    }

    /// By its Date signal; without one, by counting from the header's date.
    private func index(of day: Int) -> Int? {
        if let dates = channel(["Date"]) {
            let samples = file.edf.waveform.samples[dates]
            return samples.indices.first { $0 < file.records && physical(dates, at: $0) == Double(day) }
        }
        guard let start = file.edf.start, case let index = day - start.civilSeconds / 86_400,
            (0..<file.records).contains(index)
        else {
            return nil
        }
        return index
    }

    private func channel(_ labels: [String]) -> Int? {
        file.edf.waveform.channels.firstIndex { channel in
            labels.contains { $0.lowercased() == channel.name.lowercased() }
        }
    }

    private func value(_ labels: [String], at index: Int) -> Double? {
        channel(labels).flatMap { physical($0, at: index) }
    }

    /// The day's value of a signal that has one each day.
    private func physical(_ channel: Int, at index: Int) -> Double? {
        let samples = file.edf.waveform.samples[channel]
        guard file.records > 0, samples.count == file.records, samples.indices.contains(index) else { return nil }
        return file.edf.waveform.channels[channel].physical(samples[index])
    }
}
