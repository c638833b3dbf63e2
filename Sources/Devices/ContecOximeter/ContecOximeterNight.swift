public import Clinical

/// What a simulated finger delivers: plausible, and the same for the same seed. Not a model of any person.
public struct ContecOximeterNight: Sendable, Equatable {
    public var user: UInt8
    public var segment: UInt8
    /// Nil: the device has no clock.
    public var start: LocalTime?
    public var seconds: Int
    public var seed: UInt64

    public init(user: UInt8 = 0, segment: UInt8 = 0, start: LocalTime?, seconds: Int, seed: UInt64 = 1) {
        self.user = user
        self.segment = segment
        self.start = start
        self.seconds = seconds
        self.seed = seed
    }

    /// One second of the night; nil while the finger is out.
    func values(at second: Int) -> (spo2: UInt8, pulse: UInt8, perfusion: UInt16)? {
        guard !isFingerOut(at: second) else { return nil }
        let (episode, within) = second.quotientAndRemainder(dividingBy: 240)
        // About half of the four-minute stretches have a desaturation of 4 to 10 % that lasts up to 40 s.
        let character = Self.scramble(seed &+ UInt64(episode))
        let depth = character % 2 == 0 ? Int(4 + (character >> 8) % 7) : 0
        let fall =
            within < 100 ? 0 : within < 120 ? within - 100 : within < 130 ? 20 : within < 140 ? 2 * (140 - within) : 0
        let jitter = Self.scramble(seed ^ UInt64(second) &* 0x9E37)
        let spo2 = 97 - depth * fall / 20 - (jitter % 8 == 0 ? 1 : 0)
        let pulse = 58 + Int((jitter >> 8) % 4) + Self.wave[(second / 15) % 32] / 12 + depth * fall / 20
        return (UInt8(spo2), UInt8(pulse), UInt16(380 + (jitter >> 16) % 60 + UInt64(Self.wave[(second / 40) % 32])))
    }

    /// Half a minute in the middle, so that every night has values that are absent.
    private func isFingerOut(at second: Int) -> Bool {
        let middle = seconds * 2 / 5
        return (middle..<middle + min(30, seconds / 10)).contains(second)
    }

    func stored(at second: Int, perfusion: Bool) -> ContecOximeterStoredSample {
        guard let values = values(at: second) else {
            return ContecOximeterStoredSample(spo2: 0x7F, pulse: 0xFF, perfusion: perfusion ? 0xFFFF : nil)
        }
        return ContecOximeterStoredSample(
            spo2: values.spo2, pulse: values.pulse, perfusion: perfusion ? values.perfusion : nil)
    }

    /// The real-time frame number `index`, 60 a second (devices.md 3.4).
    func realTime(at index: Int, perfusion: Bool) -> ContecOximeterRealTime {
        guard let values = values(at: index / 60) else {
            return ContecOximeterRealTime(data: [0x80, 0x40, 0x10, 0xFF, 0x7F, 0xFF, 0xFF])
        }
        // In 1/3600 of a beat; the pulse changes little enough for this to look continuous.
        let phase = index * Int(values.pulse) % 3600
        let place = phase * 32
        let (low, rest) = (place / 3600, place % 3600)
        let height = (Self.wave[low] * (3600 - rest) + Self.wave[(low + 1) % 32] * rest) / 3600
        let beep: UInt8 = phase < Int(values.pulse) ? 0x40 : 0
        let index = perfusion ? values.perfusion : 0xFFFF
        return ContecOximeterRealTime(data: [
            0x06 | beep, UInt8(height), UInt8(height / 8) | (perfusion ? 0 : 0x10), values.pulse, values.spo2,
            UInt8(truncatingIfNeeded: index), UInt8(index >> 8),
        ])
    }

    /// One beat of a plethysmogram, with its dicrotic notch.
    private static let wave = [
        12, 16, 30, 52, 76, 96, 109, 114, 112, 106, 98, 90, 82, 75, 69, 65, 64, 65, 66, 65, 61, 56, 50, 44, 39, 34, 29,
        25, 21, 18, 15, 13,
    ]

    /// SplitMix64's finaliser.
    static func scramble(_ value: UInt64) -> UInt64 {
        var mixed = value &+ 0x9E37_79B9_7F4A_7C15
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
