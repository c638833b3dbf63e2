import Clinical

/// Twelve leads out of the two limb leads and six chest leads that a live stream carries, in exact steps.
struct LiveEcgLeads: Sendable {
    /// Which two limb leads the device delivers.
    enum Limbs: Sendable {
        case twoAndThree
        case oneAndTwo
    }

    /// ADC steps from the middle of a 12-bit range; one at a limit may be more, or no electrode (devices.md 7.1).
    static func sample(_ raw: Int) -> Sample { raw <= 0 || raw >= 4095 ? .absent : Sample(raw - 2048) }

    let limbs: Limbs
    let channels: [Channel]

    /// `scale`: µV of one step of the delivered leads; derived ones have half of it. `steps`: their largest absolute value.
    init(limbs: Limbs, rate: Ratio, scale: Ratio, steps: Sample, calibration: Calibration) {
        self.limbs = limbs
        let half = Ratio(scale.numerator, scale.denominator * 2)
        func lead(_ signal: Channel.Signal, _ name: String, _ derivation: String? = nil) -> Channel {
            Channel(
                signal: signal, name: name, unit: "uV", rate: rate, scale: derivation == nil ? scale : half,
                range: derivation == nil ? -steps...steps : -4 * steps...4 * steps, calibration: calibration,
                derivation: derivation)
        }
        let chest: [Channel] = [
            lead(.ecgV1, "V1"), lead(.ecgV2, "V2"), lead(.ecgV3, "V3"), lead(.ecgV4, "V4"), lead(.ecgV5, "V5"),
            lead(.ecgV6, "V6"),
        ]
        channels =
            switch limbs {
            case .twoAndThree:
                [
                    lead(.ecgI, "I", "II - III"), lead(.ecgII, "II"), lead(.ecgIII, "III"),
                    lead(.ecgAVR, "aVR", "III/2 - II"), lead(.ecgAVL, "aVL", "II/2 - III"),
                    lead(.ecgAVF, "aVF", "(II + III)/2"),
                ] + chest
            case .oneAndTwo:
                [
                    lead(.ecgI, "I"), lead(.ecgII, "II"), lead(.ecgIII, "III", "II - I"),
                    lead(.ecgAVR, "aVR", "-(I + II)/2"), lead(.ecgAVL, "aVL", "I - II/2"),
                    lead(.ecgAVF, "aVF", "II - I/2"),
                ] + chest
            }
    }

    /// `delivered`: eight, in the device's order; the result is in the order of `channels`.
    func twelve(_ delivered: [Sample]) -> [Sample] {
        let (a, b) = (delivered[0], delivered[1])
        func both(_ value: (Sample, Sample) -> Sample) -> Sample {
            a == .absent || b == .absent ? .absent : value(a, b)
        }
        let limb: [Sample] =
            switch limbs {
            case .twoAndThree:
                [both { 2 * ($0 - $1) }, a, b, both { $1 - 2 * $0 }, both { $0 - 2 * $1 }, both { $0 + $1 }]
            case .oneAndTwo:
                [a, b, both { 2 * ($1 - $0) }, both { -($0 + $1) }, both { 2 * $0 - $1 }, both { 2 * $1 - $0 }]
            }
        return limb + delivered[2...]
    }
}

/// Collects the samples of a live ECG and their bytes until they make a block of a second, and watches over losses that
/// only the clock can tell.
struct LiveEcgBuilder: Sendable {
    private static let window: UInt64 = 10_000_000_000
    /// What a busy host gets late comes within this. Seen: more than a second where eight devices and two compilers shared two cores.
    private static let grace: UInt64 = 5_000_000_000
    private static let mostNotes = 200

    let leads: LiveEcgLeads
    /// Samples per second.
    private let rate: Int
    private var samples: [[Sample]]
    private var raw: [UInt8] = []
    private var gap: String?
    private var total = 0
    /// Since when, and from which sample on, the present window counts.
    private var watched: (since: UInt64, from: Int)?
    /// When they were first found to be too few. Counted from here: after a standstill of the whole laptop its end is long over.
    private var missed: UInt64?
    private var notes = 0
    /// Samples per lead at a limit of the converter.
    private var limitSince: Int?

    init(_ leads: LiveEcgLeads, rate: Int) {
        self.leads = leads
        self.rate = rate
        samples = Array(repeating: [], count: leads.channels.count)
    }

    var isFull: Bool { samples[0].count >= rate }

    /// A note when a stretch with a lead at its limit has ended.
    mutating func append(_ delivered: [Sample]) -> [DialogueAction] {
        for (index, value) in leads.twelve(delivered).enumerated() { samples[index].append(value) }
        defer { total += 1 }
        if delivered.contains(.absent) {
            limitSince = limitSince ?? total
            return []
        }
        return limitNote()
    }

    mutating func append(raw bytes: some Sequence<UInt8>) { raw += bytes }

    mutating func interrupt(_ text: String) { gap = gap ?? text }

    /// Nil when there is nothing.
    mutating func take(at now: UInt64) -> Block? {
        guard !raw.isEmpty || !samples[0].isEmpty else { return nil }
        defer {
            samples = samples.map { _ in [] }
            raw = []
            gap = nil
        }
        return Block(samples: samples, raw: raw, at: now, gap: gap)
    }

    /// More than 0.5 % fewer samples in ten seconds than the clock says is a loss (devices.md 7.1), unless they come late: a host
    /// that was busy gets them all at once.
    mutating func watch(at now: UInt64) -> [DialogueAction] {
        guard let watched else {
            self.watched = (now, total)
            return []
        }
        guard now >= watched.since + Self.window else { return [] }
        let expected = Int((now - watched.since) / 1_000_000) * rate / 1000
        let missing = expected - (total - watched.from)
        let isMissing = missing * 200 > expected
        if isMissing {
            let since = missed ?? now
            missed = since
            guard now >= since + Self.grace else { return [] }
        }
        missed = nil
        self.watched = (now, total)
        guard isMissing else { return [] }
        return noted(
            Note(
                kind: .gap, at: Double(watched.from) / Double(rate),
                duration: Double(total - watched.from) / Double(rate),
                text: "\(missing) samples fewer than the clock says"))
    }

    /// What is still to be told when the stream ends.
    mutating func close() -> [DialogueAction] { limitNote() }

    private mutating func limitNote() -> [DialogueAction] {
        guard let since = limitSince else { return [] }
        limitSince = nil
        return noted(
            Note(
                kind: .sensor, at: Double(since) / Double(rate), duration: Double(total - since) / Double(rate),
                text: "a lead is at the converter's limit"))
    }

    private mutating func noted(_ note: Note) -> [DialogueAction] {
        notes += 1
        return notes <= Self.mostNotes ? [.note(note)] : []
    }
}

/// A text of words in an identification: the first is the model, one that begins with SIM is a simulator's serial number.
struct LiveEcgName: Equatable, Sendable {
    var model: String
    var serial: String?

    init?(_ text: String) {
        let words = text.split(separator: " ").map(String.init)
        guard let first = words.first else { return nil }
        model = first
        serial = words.dropFirst().first { $0.hasPrefix("SIM") }
    }
}

/// A heart that always beats in the same way, for simulators: ADC steps around the middle.
enum LiveEcgHeart {
    /// A P wave, a narrow R, a T wave, 75 times a minute; `lead` 0 to 7 differ in size and sign.
    static func raw(sample: Int, rate: Int, lead: Int) -> Int {
        let phase = sample * 1000 / rate % 800
        let shape: Int =
            switch phase {
            case 100..<180: 12 - abs(phase - 140) * 12 / 40
            case 230..<250: 150 - abs(phase - 240) * 15
            case 250..<270: -30 + abs(phase - 260) * 3
            case 400..<560: 40 - abs(phase - 480) * 40 / 80
            default: 0
            }
        return 2048 + shape * [4, 3, -2, -1, 2, 4, 4, 3][lead] / 4
    }
}
