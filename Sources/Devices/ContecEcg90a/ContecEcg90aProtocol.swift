import Clinical

/// The driver's state machine (devices.md 7.1). The probe sends 82 and nothing else, because another device may be at the
/// same id; only a device that answered with its name hears the rest.
struct ContecEcg90aProtocol: Dialogue {
    private enum Phase: Equatable {
        case new
        case identifying(Int)
        /// 91, then 93, A1 and 90 were sent.
        case settling, querying, preparing
        case streaming
        case finished
    }

    private static let answer: UInt64 = 1_000_000_000
    private static let settle: UInt64 = 320_000_000
    private static let short: UInt64 = 15_000_000
    private static let silence: UInt64 = 3_000_000_000

    private let isLive: Bool
    private var phase = Phase.new
    private var stream = ContecEcg90aStream()
    private var deadline: UInt64 = 0

    init(goal: SessionGoal) { isLive = goal == .live }

    static func identity(_ name: LiveEcgName) -> DeviceIdentity {
        DeviceIdentity(
            driver: ContecEcg90a.name, vendor: "Contec", model: name.model, serial: name.serial,
            support: .singleSource)
    }

    mutating func start(at now: UInt64) -> [DialogueAction] {
        guard phase == .new else { return [] }
        return send(.identify, then: .identifying(1), wait: Self.answer, at: now)
    }

    mutating func received(_ bytes: [UInt8], at now: UInt64) -> [DialogueAction] {
        var actions: [DialogueAction] = []
        for raw in ContecEcg90aStream.split(bytes) {
            let report = ContecEcg90aReport(raw)
            switch phase {
            case .identifying:
                guard case .name(let text) = report, let name = LiveEcgName(text), name.model.hasPrefix("ECG90") else {
                    continue
                }
                actions.append(.identify(Self.identity(name)))
                guard isLive else { return actions + finish(.done) }
                actions += send(.stop, then: .settling, wait: Self.settle, at: now)
            case .streaming:
                actions += stream.take(report, raw: raw, at: now)
                if case .samples = report { deadline = now + Self.silence }
            case .new, .settling, .querying, .preparing, .finished: break
            }
        }
        return actions
    }

    mutating func timerFired(at now: UInt64) -> [DialogueAction] {
        guard phase != .new, phase != .finished else { return [] }
        guard now >= deadline else { return [.ask(.nanoseconds(Int64(deadline - now)))] }
        switch phase {
        case .new, .finished: return []
        case .identifying(let round):
            guard round < 3 else { return finish(.notThisDevice) }
            return send(.identify, then: .identifying(round + 1), wait: Self.answer, at: now)
        case .settling: return send(.query, then: .querying, wait: Self.short, at: now)
        case .querying: return send(.prepare, then: .preparing, wait: Self.short, at: now)
        case .preparing: return send(.start, then: .streaming, wait: Self.silence, at: now)
        case .streaming:
            return stream.end(.deviceEnded, at: now) + [.send(ContecEcg90aCommand.stop.report)]
                + finish(.deviceEnded("the live stream fell silent"))
        }
    }

    mutating func stop(at now: UInt64) -> [DialogueAction] {
        switch phase {
        case .finished: return []
        case .new, .identifying: return finish(.done)
        case .settling, .querying, .preparing, .streaming:
            return stream.end(.stopped, at: now) + [.send(ContecEcg90aCommand.stop.report)] + finish(.done)
        }
    }

    mutating func gone(at now: UInt64) -> [DialogueAction] {
        guard phase != .finished else { return [] }
        return stream.end(.deviceGone, at: now) + finish(.deviceEnded("the cable is gone"))
    }

    private mutating func send(
        _ command: ContecEcg90aCommand, then next: Phase, wait: UInt64, at now: UInt64
    ) -> [DialogueAction] {
        phase = next
        deadline = now + wait
        return [.send(command.report), .ask(.nanoseconds(Int64(wait)))]
    }

    private mutating func finish(_ end: SessionEnd) -> [DialogueAction] {
        phase = .finished
        return [.finish(end)]
    }
}

/// Plays an ECG90A: reports of five frames every 6.25 ms, only after the right order of commands (devices.md 7.4).
public struct ContecEcg90aSimulator: DeviceSimulator {
    public struct Configuration: Sendable {
        /// The model, a space, and the simulator's serial number.
        public var name = "ECG90A SIM0001"
        /// Answers 91 with `FF 06`, as a defective unit does.
        public var isDefective = false
        /// Every so-many-th report gets lost; 0: none.
        public var losesEvery = 0
        /// After so many reports nothing comes any more.
        public var stallsAfter: Int?
        /// Reports with an electrode off in lead II.
        public var electrodeOff: Range<Int> = 0..<0

        public init() {}
    }

    private let configuration: Configuration
    private var order: [UInt8] = []
    private var since: UInt64?
    private var sent = 0
    private static let interval: UInt64 = 6_250_000
    /// The first byte of every command, in order.
    public private(set) var log: [UInt8] = []

    public init(_ configuration: Configuration) { self.configuration = configuration }

    public mutating func received(_ bytes: [UInt8], at now: UInt64) -> [[UInt8]] {
        var answers = tick(at: now)
        guard let command = ContecEcg90aCommand(report: bytes), let first = bytes.first else { return answers }
        log.append(first)
        switch command {
        case .identify: answers.append(padded([0x82, 0x64, 0x00] + Array(configuration.name.utf8)))
        case .stop:
            since = nil
            order = [0x91]
            answers.append(padded(configuration.isDefective ? [0xFF, 0x06] : [0x91]))
        case .query, .prepare:
            order.append(first)
            answers.append(padded([first]))
        case .start:
            guard order == [0x91, 0x93, 0xA1] else { break }
            since = now
            sent = 0
        }
        return answers
    }

    public mutating func tick(at now: UInt64) -> [[UInt8]] {
        guard let since else { return [] }
        var reports: [[UInt8]] = []
        let due = Int((now - min(now, since)) / Self.interval)
        while sent < due {
            defer { sent += 1 }
            if configuration.stallsAfter.map({ sent >= $0 }) ?? false { continue }
            if configuration.losesEvery > 0, sent % configuration.losesEvery == configuration.losesEvery - 1 {
                continue
            }
            reports.append(report(sent))
        }
        return reports
    }

    public func nextTick(after now: UInt64) -> UInt64? {
        since.map { max($0 + UInt64(sent + 1) * Self.interval, now + 1) }
    }

    private func report(_ index: Int) -> [UInt8] {
        ContecEcg90aReport.wire(
            frames: (0..<5).map { frame in
                (0..<8).map { lead in
                    lead == 0 && configuration.electrodeOff.contains(index)
                        ? 4095 : LiveEcgHeart.raw(sample: 5 * index + frame, rate: ContecEcg90a.rate, lead: lead)
                }
            })
    }

    private func padded(_ bytes: [UInt8]) -> [UInt8] {
        bytes.prefix(64) + Array(repeating: 0, count: max(0, 64 - bytes.count))
    }
}
