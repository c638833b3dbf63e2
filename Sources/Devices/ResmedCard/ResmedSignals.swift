import Clinical

/// ResMed's labels and what they mean (devices.md 4.4). Labels are compared by their part before the point; machines set to
/// other languages write some of them differently.
struct ResmedSignal {
    /// Two letters must match as a whole, longer ones at the beginning.
    var labels: [String]
    var signal: Channel.Signal
    /// At most 16 characters, as EDF labels have.
    var name: String
    /// The UCUM unit for which the scale is known to be right.
    var unit: String
    var calibration: Calibration

    /// The channel as the agent calls it; an unknown label stays as it is.
    static func channel(_ channel: Channel, in kind: ResmedFileName.Kind) -> Channel {
        var channel = channel
        let unit = units[channel.unit.lowercased()] ?? channel.unit
        channel.unit = channel.calibration == .unverified ? "1" : unit
        let stem = channel.name.split(separator: ".", omittingEmptySubsequences: false)[0].lowercased()
        guard let known = (table[kind] ?? []).first(where: { $0.matches(stem) }) else {
            channel.signal = .other
            return channel
        }
        channel.signal = known.signal
        channel.name = known.name
        if channel.calibration != .unverified {
            channel.calibration = channel.unit == known.unit ? known.calibration : .singleSource
        }
        return channel
    }

    /// What kind of file has these signals; of a file without any it is events.
    static func kind(of channels: [Channel]) -> ResmedFileName.Kind {
        guard !channels.isEmpty else { return .events }
        let stems = channels.map { $0.name.split(separator: ".", omittingEmptySubsequences: false)[0].lowercased() }
        let counts = table.mapValues { signals in stems.count { stem in signals.contains { $0.matches(stem) } } }
        // More than half: a label that is new with a machine makes no other file of it.
        return counts.filter { $0.value * 2 > stems.count }.max {
            ($0.value, $1.key.rawValue) < ($1.value, $0.key.rawValue)
        }?.key ?? .unknown
    }

    private func matches(_ stem: String) -> Bool {
        labels.contains { label in
            let label = label.lowercased()
            return stem == label || label.count > 2 && stem.hasPrefix(label)
        }
    }

    private static func entry(
        _ labels: [String], _ signal: Channel.Signal, _ name: String, _ unit: String,
        _ calibration: Calibration = .verified
    ) -> ResmedSignal {
        ResmedSignal(labels: labels, signal: signal, name: name, unit: unit, calibration: calibration)
    }

    private static let units = [
        "cmh2o": "cm[H2O]", "l/s": "L/s", "l/min": "L/min", "l": "L", "bpm": "/min", "/min": "/min", "sec": "s",
        "s": "s",
        "": "1",
    ]

    private static let table: [ResmedFileName.Kind: [ResmedSignal]] = [
        .breathing: [
            entry(["Flow"], .airflow, "Flow", "L/s"),
            entry(["Press", "Mask Pres"], .maskPressure, "Pressure", "cm[H2O]"),
            entry(["TrigCycEvt", "Resp Event"], .other, "Trigger", "1", .singleSource),
        ],
        .statistics: [
            entry(["MaskPress", "Mask Pres"], .maskPressure, "Mask pressure", "cm[H2O]"),
            entry(["Press", "Therapy Pres"], .therapyPressure, "Set pressure", "cm[H2O]"),
            entry(["EprPress", "Exp Press"], .other, "EPR pressure", "cm[H2O]"),
            // German, French, Norwegian, Swedish (also as Latin-1 readers see its UTF-8).
            entry(["Leak", "Leck", "Fuite", "Lekk", "Läck", "LÃ¤ck"], .leak, "Leak", "L/s"),
            entry(["RespRate", "RR", "AF", "FR"], .respiratoryRate, "Respiratory rate", "/min"),
            entry(["TidVol", "Vt", "VC"], .tidalVolume, "Tidal volume", "L"),
            entry(["MinVent", "MV", "VM"], .minuteVentilation, "Minute vent.", "L/min"),
            entry(["Snore"], .snore, "Snore", "1"),
            entry(["FlowLim", "FFL Index"], .flowLimitation, "Flow limitation", "1"),
            entry(["TgtVent"], .other, "Target vent.", "L/min", .singleSource),
            entry(["IERatio", "I:E"], .other, "I:E ratio", "%", .singleSource),
            entry(["B5ITime"], .other, "Insp. duration", "s", .singleSource),
            entry(["B5ETime"], .other, "Exp. duration", "s", .singleSource),
            entry(["Ti"], .other, "Insp. time", "s", .singleSource),
            entry(["AlvMinVent"], .other, "Alveolar vent.", "L/min", .singleSource),
        ],
        .oximetry: [
            entry(["SpO2"], .spo2, "SpO2", "%"),
            entry(["Pulse", "Pouls", "Puls", "Pols"], .pulseRate, "Pulse rate", "/min"),
        ],
    ]
}
