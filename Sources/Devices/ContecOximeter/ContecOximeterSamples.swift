import Clinical

/// When a value is no value (devices.md 3.4): some units send 0 instead of FF or 7F while nothing is measured.
enum ContecOximeterValue {
    static func pulse(_ raw: UInt8) -> Sample { raw == 0 || raw == 0xFF ? .absent : Sample(raw) }
    static func spo2(_ raw: UInt8) -> Sample { raw == 0 || raw > 100 ? .absent : Sample(raw) }
    static func perfusion(_ raw: UInt16) -> Sample { raw > 2200 ? .absent : Sample(raw) }
}

/// The seven data bytes of a real-time frame (devices.md 3.4).
struct ContecOximeterRealTime: Equatable, Sendable {
    var data: [UInt8]

    /// 0...8; larger values count as 8.
    var strength: UInt8 { min(data[0] & 0x0F, 8) }
    var isSearchingTooLong: Bool { data[0] & 0x10 != 0 }
    var isDropping: Bool { data[0] & 0x20 != 0 }
    var isBeat: Bool { data[0] & 0x40 != 0 }
    /// Probe error or finger out; the waveform is a filler then.
    var isProbeOff: Bool { data[0] & 0x80 != 0 }
    var rawPlethysmogram: UInt8 { data[1] & 0x7F }
    var isSearching: Bool { data[1] & 0x80 != 0 }
    var bar: UInt8 { data[2] & 0x0F }
    var isPerfusionInvalid: Bool { data[2] & 0x10 != 0 }
    var rawPulse: UInt8 { data[3] }
    var rawSpO2: UInt8 { data[4] }
    var rawPerfusion: UInt16 { UInt16(data[6]) << 8 | UInt16(data[5]) }

    var plethysmogram: Sample { isProbeOff ? .absent : Sample(rawPlethysmogram) }
    var spo2: Sample { ContecOximeterValue.spo2(rawSpO2) }
    var pulse: Sample { ContecOximeterValue.pulse(rawPulse) }
    var perfusion: Sample { isPerfusionInvalid ? .absent : ContecOximeterValue.perfusion(rawPerfusion) }

    /// In the order of `ContecOximeterChannels.live`.
    var samples: [Sample] { [plethysmogram, spo2, pulse, perfusion] }
}

/// One second of the device's memory; `perfusion` is nil in the format without it.
struct ContecOximeterStoredSample: Equatable, Sendable {
    var spo2: UInt8
    var pulse: UInt8
    var perfusion: UInt16?

    /// What fills up the last frame of a stream, if it isn't a second without values.
    var isZero: Bool { spo2 == 0 && pulse == 0 }

    /// In the order of `ContecOximeterChannels.stored`.
    var samples: [Sample] {
        let pair = [ContecOximeterValue.spo2(spo2), ContecOximeterValue.pulse(pulse)]
        return perfusion.map { pair + [ContecOximeterValue.perfusion($0)] } ?? pair
    }
}

/// The channels of a recording, in the order of its samples.
enum ContecOximeterChannels {
    /// Real-time frames come 60 ± 2 times a second and carry everything (devices.md 3.3).
    static let live = [plethysmogram] + values(rate: Ratio(60)) + [perfusion(rate: Ratio(60))]

    /// The memory has one sample a second (devices.md 3.6).
    static func stored(perfusion hasPerfusion: Bool) -> [Channel] {
        values(rate: Ratio(1)) + (hasPerfusion ? [perfusion(rate: Ratio(1))] : [])
    }

    private static let plethysmogram = Channel(
        signal: .plethysmogram, name: "Pleth", unit: "1", rate: Ratio(60), scale: Ratio(1), range: 0...127,
        calibration: .verified)

    private static func values(rate: Ratio) -> [Channel] {
        [
            Channel(
                signal: .spo2, name: "SpO2", unit: "%", rate: rate, scale: Ratio(1), range: 0...100,
                calibration: .verified),
            Channel(
                signal: .pulseRate, name: "Pulse", unit: "/min", rate: rate, scale: Ratio(1), range: 0...254,
                calibration: .verified),
        ]
    }

    private static func perfusion(rate: Ratio) -> Channel {
        Channel(
            signal: .perfusionIndex, name: "PI", unit: "%", rate: rate, scale: Ratio(1, 100), range: 0...2200,
            calibration: .verified)
    }
}
