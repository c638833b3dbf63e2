import Clinical

/// The driver's state machine (devices.md 7.2): stop whatever runs, ask for the model, start, and believe that it is the
/// device when its stream comes.
struct Contec8000Protocol: Dialogue {
    private enum Phase: Equatable {
        case new
        /// 90 00 was sent, what comes is discarded.
        case draining
        /// 80 was sent.
        case asking
        /// 90 00, then 85 01 was sent.
        case resetting, preparing
        /// 90 05 was sent; not believed yet.
        case starting
        case streaming
        case finished
    }

    private static let drain: UInt64 = 400_000_000
    private static let answer: UInt64 = 300_000_000
    private static let pause: UInt64 = 40_000_000
    private static let silence: UInt64 = 3_000_000_000
    /// Sample records without anything broken between them.
    private static let believed = 20

    private static let stopCommand: [UInt8] = [0x90, 0x00]
    private static let prepareCommand: [UInt8] = [0x85, 0x01]
    private static let startCommand: [UInt8] = [0x90, 0x05]
    private static let modelCommand: [UInt8] = [0x80]

    private let isLive: Bool
    private var phase = Phase.new
    private var decoder = Contec8000Decoder()
    private var stream = Contec8000Stream()
    private var deadline: UInt64 = 0
    private var model: (code: UInt8, firmware: [UInt8])?
    private var inARow = 0

    init(goal: SessionGoal) { isLive = goal == .live }

    mutating func start(at now: UInt64) -> [DialogueAction] {
        guard phase == .new else { return [] }
        return send(Self.stopCommand, then: .draining, wait: Self.drain, at: now)
    }

    mutating func received(_ bytes: [UInt8], at now: UInt64) -> [DialogueAction] {
        switch phase {
        case .new, .draining, .resetting, .preparing, .finished: return []
        case .asking:
            for case .model(let code, let firmware) in decoder.take(bytes) { model = (code, firmware) }
            return []
        case .starting:
            for record in decoder.take(bytes) {
                switch record {
                case .samples: inARow += 1
                case .lost: inARow = 0
                case .boundary, .status, .model: break
                }
            }
            return inARow >= Self.believed ? identified(at: now) : []
        case .streaming:
            let records = decoder.take(bytes)
            if records.contains(where: { if case .samples = $0 { true } else { false } }) {
                deadline = now + Self.silence
            }
            return stream.take(records, raw: bytes, at: now)
        }
    }

    mutating func timerFired(at now: UInt64) -> [DialogueAction] {
        guard phase != .new, phase != .finished else { return [] }
        guard now >= deadline else { return [.ask(.nanoseconds(Int64(deadline - now)))] }
        switch phase {
        case .new, .finished: return []
        case .draining:
            decoder = Contec8000Decoder()
            return send(Self.modelCommand, then: .asking, wait: Self.answer, at: now)
        case .asking: return send(Self.stopCommand, then: .resetting, wait: Self.pause, at: now)
        case .resetting: return send(Self.prepareCommand, then: .preparing, wait: Self.pause, at: now)
        case .preparing:
            decoder = Contec8000Decoder()
            return send(Self.startCommand, then: .starting, wait: Self.silence, at: now)
        case .starting: return [.send(Self.stopCommand)] + finish(.notThisDevice)
        case .streaming:
            return stream.end(.deviceEnded, at: now) + [.send(Self.stopCommand)]
                + finish(.deviceEnded("the live stream fell silent"))
        }
    }

    mutating func stop(at now: UInt64) -> [DialogueAction] {
        guard phase != .finished else { return [] }
        let ended = stream.end(.stopped, at: now)
        return ended + (phase == .new ? [] : [.send(Self.stopCommand)]) + finish(.done)
    }

    mutating func gone(at now: UInt64) -> [DialogueAction] {
        guard phase != .finished else { return [] }
        return stream.end(.deviceGone, at: now) + finish(.deviceEnded("the cable is gone"))
    }

    private mutating func identified(at now: UInt64) -> [DialogueAction] {
        let identity = Contec8000Model.identity(model?.code, firmware: model?.firmware ?? [])
        let actions: [DialogueAction] = [.identify(identity)]
        guard isLive else { return actions + [.send(Self.stopCommand)] + finish(.done) }
        phase = .streaming
        deadline = now + Self.silence
        return actions + stream.begin() + [.ask(.nanoseconds(Int64(Self.silence)))]
    }

    private mutating func send(
        _ bytes: [UInt8], then next: Phase, wait: UInt64, at now: UInt64
    ) -> [DialogueAction] {
        phase = next
        deadline = now + wait
        return [.send(bytes), .ask(.nanoseconds(Int64(wait)))]
    }

    private mutating func finish(_ end: SessionEnd) -> [DialogueAction] {
        phase = .finished
        return [.finish(end)]
    }
}

/// Plays an 8000G: records in irregular portions, a status record every half second (devices.md 7.4).
public struct Contec8000Simulator: DeviceSimulator {
    public struct Configuration: Sendable {
        /// Answers the question for its model.
        public var answersModel = true
        /// After this record 24 bytes stand between two markers, as in the real capture; nil: never.
        public var anomalyAt: Int? = 1200
        /// After so many records nothing comes any more.
        public var stallsAfter: Int?

        public init() {}
    }

    private let configuration: Configuration
    private var since: UInt64?
    private var sent = 0
    private var prepared = false
    private var scatter: UInt64 = 1
    /// Every byte that the host wrote.
    public private(set) var heard: [UInt8] = []

    public init(_ configuration: Configuration) { self.configuration = configuration }

    public mutating func received(_ bytes: [UInt8], at now: UInt64) -> [[UInt8]] {
        var answers = tick(at: now)
        heard += bytes
        switch bytes {
        case [0x90, 0x00]:
            if since != nil { answers.append([0xEE, 0x10]) }
            since = nil
            prepared = false
        case [0x85, 0x01]: prepared = true
        case [0x90, 0x05] where prepared:
            since = now
            sent = 0
            answers.append([0xEE, 0x10])
        case [0x80] where configuration.answersModel:
            answers.append([0xF0, Contec8000Model.simulated, 0, 0, 15, 3, 9])
        default: break
        }
        return answers
    }

    public mutating func tick(at now: UInt64) -> [[UInt8]] {
        guard let since else { return [] }
        var bytes: [UInt8] = []
        let due = Int((now - min(now, since)) / 1_000_000)
        while sent < due {
            if !(configuration.stallsAfter.map { sent >= $0 } ?? false) { bytes += record(sent) }
            sent += 1
        }
        var portions: [[UInt8]] = []
        while !bytes.isEmpty {
            scatter = ContecOximeterNight.scramble(scatter)
            let count = min(bytes.count, 1 + Int(scatter % 64))
            portions.append(Array(bytes[..<count]))
            bytes.removeFirst(count)
        }
        return portions
    }

    public func nextTick(after now: UInt64) -> UInt64? {
        since.map { max($0 + UInt64(sent + 10) * 1_000_000, now + 1) }
    }

    private func record(_ index: Int) -> [UInt8] {
        let values = (0..<8).map { LiveEcgHeart.raw(sample: index, rate: 1000, lead: $0) }
        var bytes = Contec8000Record.wire(values)
        if index == configuration.anomalyAt { bytes += Array(repeating: 0x11, count: 9) }
        if index % 500 == 499 { bytes += [0xB0, 0, 0, 0, 0, 0] }
        return bytes
    }
}
