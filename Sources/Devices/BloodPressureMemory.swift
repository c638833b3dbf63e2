import Clinical

/// One blood pressure measurement out of a monitor's memory.
struct BloodPressureMeasurement: Equatable, Sendable {
    /// mmHg; nil when the device has no value.
    var systolic: Int?
    var diastolic: Int?
    /// Beats per minute.
    var pulse: Int?
    var at: LocalTime?
    /// As the device sent it, in decimal.
    var rawTime: String
    var flags: [String] = []

    fileprivate var text: String {
        [systolic, diastolic, pulse].map { $0.map { "\($0)" } ?? "-" }.joined(separator: ",")
    }
}

/// What is read out of one bank of a monitor's memory, and the bytes it came from. Becomes one recording: its start is
/// only known when the oldest measurement is, so it is told as a whole.
struct BloodPressureMemory: Equatable, Sendable {
    /// A monitor holds a few hundred; noise that looks like measurements must not fill the memory.
    static let mostMeasurements = 2000
    static let mostBytes = 1 << 20

    /// The user or bank as the device counts it.
    var bank: Int?
    /// Part of the recording's name beside the bank: `averages`.
    var section: String?
    private(set) var measurements: [BloodPressureMeasurement] = []
    private(set) var raw: [UInt8] = []
    /// What the device said it has; nil when it was not asked.
    var announced: Int?

    init(bank: Int?, section: String? = nil) {
        self.bank = bank
        self.section = section
    }

    /// The same measurement again (asked for twice) is left out.
    mutating func add(_ measurement: BloodPressureMeasurement) {
        guard measurements.count < Self.mostMeasurements, !measurements.contains(measurement) else { return }
        measurements.append(measurement)
    }

    mutating func add(raw bytes: some Collection<UInt8>) {
        if raw.count + bytes.count <= Self.mostBytes { raw += bytes }
    }

    /// Bytes that came before this bank's own.
    mutating func precede(with bytes: [UInt8]) { raw = bytes + raw }

    /// The recording, from `begin` to `end`; nothing when there is nothing.
    /// - Parameters:
    ///   - device: what names the device inside `StoredItem.source`.
    ///   - known: sources that are there already: of recordings, or of single measurements.
    ///   - isShared: as `StoredItem.isShared`.
    ///   - reason: `.finished` becomes `.deviceEnded` when fewer came than were announced.
    func recording(
        driver: String, device: String, known: KnownItems = [], isShared: Bool = false, reason: Recording.EndReason,
        at now: UInt64
    ) -> [DialogueAction] {
        guard !measurements.isEmpty else { return [] }
        let place = ([driver, device] + [bank.map { "\($0)" }, section].compactMap { $0 }).joined(separator: "/")
        let times = measurements.map(\.rawTime).sorted()
        let starts = measurements.compactMap(\.at).sorted { $0.description < $1.description }
        var item = StoredItem(
            source: "\(place)/\(times.first ?? "none")/\(times.last ?? "none")/\(measurements.count)",
            // A clock that was never set is the device's clock all the same: recorded as it is.
            start: starts.first, rawStart: times.first, samples: 0, isShared: isShared)
        var fresh: [(measurement: BloodPressureMeasurement, readings: [Reading])] = []
        var seen: [String: Int] = [:]
        // Clocks without seconds: two measurements may have the same time.
        func unique(_ name: String) -> String {
            let twin = seen[name, default: 0]
            seen[name] = twin + 1
            return name + (twin > 0 ? "/\(twin)" : "")
        }
        for (index, measurement) in measurements.enumerated() {
            // A clock that began anew, or another monitor that says no number, gives other values the same time: a pulse alone, which may
            // be the same by chance, makes no measurement the same.
            let time = "\(place)/\(measurement.rawTime)"
            let readings = self.readings(of: measurement, index, unique("\(time)/\(measurement.text)"))
            // Before 0.1.0 was released their names held the time alone.
            let former = self.readings(of: measurement, index, unique(time))
            // What an earlier download brought is somebody's already.
            if readings.isEmpty || ![readings, former].contains(where: { $0.allSatisfy { known.contains($0) } }) {
                fresh.append((measurement, readings))
            }
        }
        guard !fresh.isEmpty else { return [.skipped(item)] }
        // Another monitor may have measured at the same times, even in another session now. In a name that isn't sealed values have no
        // place, but under a key.
        // Only of what is new: what an earlier read brought, whole or in pieces, is another recording, and stays.
        let values = fresh.map { "\($0.measurement.rawTime) \($0.measurement.text)" }.joined(separator: ";")
        if let mark = known.name(of: values) { item.source += "/\(mark)" }
        let dates = fresh.compactMap(\.measurement.at).sorted()
        item.start = dates.first
        item.times = dates
        item.rawStart = fresh.map(\.measurement.rawTime).min()
        var actions: [DialogueAction] = [
            .begin(RecordingStart(kind: .stored, modality: .bloodPressure, channels: [], item: item)),
            .append(Block(samples: [], raw: raw, at: now)),
        ]
        if fresh.count < measurements.count {
            let text =
                "\(measurements.count - fresh.count) measurements of the memory were fetched before; its bytes have them too"
            actions.append(.note(Note(kind: .device, text: text)))
        }
        actions += fresh.flatMap(\.readings).map { .reading($0) }
        guard let announced, measurements.count < announced else { return actions + [.end(reason)] }
        let text = "\(measurements.count) of \(announced) measurements arrived"
        return actions + [
            .note(Note(kind: .gap, text: text)), .end(reason.state == .complete ? .deviceEnded : reason),
        ]
    }

    private func readings(of measurement: BloodPressureMeasurement, _ index: Int, _ source: String) -> [Reading] {
        let values: [(Reading.Kind, Int?, String)] = [
            (.systolic, measurement.systolic, "mm[Hg]"), (.diastolic, measurement.diastolic, "mm[Hg]"),
            (.pulseRate, measurement.pulse, "/min"),
        ]
        return values.compactMap { kind, value, unit in
            value.map {
                Reading(
                    kind: kind, value: Ratio($0), unit: unit, at: measurement.at, rawTime: measurement.rawTime,
                    bank: bank,
                    sequence: index, flags: measurement.flags, source: source)
            }
        }
    }

    /// `07-01-03-00-06-51`
    static func decimal(_ bytes: some Sequence<UInt8>) -> String {
        bytes.map { $0 < 10 ? "0\($0)" : "\($0)" }.joined(separator: "-")
    }
}
