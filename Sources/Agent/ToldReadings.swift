import Clinical

/// Which values of a recording are told as Observations. All of them, unless they are a stream.
enum ToldReadings {
    /// So many values of one kind in one capture are single ones: a nurse takes a blood pressure three times, not thirty.
    static let single = 20

    /// An oximeter beside its wave says a value each second, 28,800 in a night: as resources of their own, each with its history on the
    /// server, nobody could find anything among them. Of a stream the first, the last, the lowest and the highest value are told, each
    /// saying how many there were; all of them are in the original. What was read out of a memory without a waveform is told whole,
    /// however much it is: each is a measurement that somebody took.
    ///
    /// The same for the same recording, however often it is asked: identities on the server hang on it.
    static func of(_ recording: Recording, _ readings: [Reading]) -> [Reading] {
        guard recording.kind == .live || !recording.channels.isEmpty else { return readings }
        var indices: [String: [Int]] = [:]
        for (index, reading) in readings.enumerated() {
            indices["\(reading.kind.rawValue) \(reading.code ?? "") \(reading.bank ?? -1)", default: []].append(index)
        }
        var told: [Int: [String]] = [:]
        for places in indices.values {
            let kind = readings[places[0]].kind.rawValue
            guard places.count > single else {
                for place in places { told[place] = [] }
                continue
            }
            // The earliest of equal ones.
            let lowest = places.min { readings[$0].value.value < readings[$1].value.value }
            let highest = places.max { readings[$0].value.value < readings[$1].value.value }
            for (place, name) in [
                (places.first, "first"), (places.last, "last"), (lowest, "lowest"), (highest, "highest"),
            ] {
                if let place { told[place, default: []].append("\(kind): \(name) of \(places.count) values") }
            }
        }
        return told.keys.sorted().map { index in
            var reading = readings[index]
            reading.flags += told[index] ?? []
            return reading
        }
    }
}
