public import Wire

/// What goes wrong between any device and the host, whatever the device is; what only one device does wrong is among its
/// own faults (`DeviceSimulation.faults`).
public enum LineFault: String, Sendable, CaseIterable {
    /// What it says arrives in portions of one to seven bytes (serial lines and bulk transfers).
    case split
    /// Every 97th portion is lost: bytes of a serial line, a report, a transfer.
    case lost
    /// Every 53rd portion comes twice.
    case duplicated
    /// Foreign bytes come in between.
    case inserted
    /// After 400 portions nothing comes any more.
    case fallsSilent = "falls-silent"
    /// Nothing is ever answered.
    case silent
    /// What comes has nothing to do with what was asked, and comes as fast as it can.
    case nonsense

    public var explanation: String {
        switch self {
        case .split: "portions of one to seven bytes"
        case .lost: "every 97th portion is lost"
        case .duplicated: "every 53rd portion comes twice"
        case .inserted: "foreign bytes in between"
        case .fallsSilent: "silent after 400 portions"
        case .silent: "never answers"
        case .nonsense: "random bytes all the time"
        }
    }
}

/// A device behind a line that does what `faults` say.
public struct FaultyDevice: DeviceSimulator {
    private var device: any DeviceSimulator
    private let faults: Set<LineFault>
    /// The size of one report; nil where bytes have no borders.
    private let report: Int?
    private var portions = 0
    private var scatter: UInt64
    private var nonsenseAt: UInt64 = 0

    /// - Parameter report: bytes of an input report, where the line carries whole ones.
    public init(_ device: any DeviceSimulator, faults: Set<LineFault>, report: Int?, seed: UInt64 = 1) {
        self.device = device
        self.faults = faults
        self.report = report
        scatter = seed
    }

    public mutating func received(_ bytes: [UInt8], at now: UInt64) -> [[UInt8]] {
        passed(device.received(bytes, at: now))
    }

    public mutating func controlled(_ request: ControlRequest, at now: UInt64) -> [[UInt8]] {
        passed(device.controlled(request, at: now))
    }

    public mutating func configured(_ value: UInt8, at now: UInt64) { device.configured(value, at: now) }

    public mutating func tick(at now: UInt64) -> [[UInt8]] {
        var answers = passed(device.tick(at: now))
        if faults.contains(.nonsense), now >= nonsenseAt {
            nonsenseAt = now + 1_000_000
            answers.append(noise(report ?? 200))
        }
        return answers
    }

    public func nextTick(after now: UInt64) -> UInt64? {
        let next = device.nextTick(after: now)
        guard faults.contains(.nonsense) else { return next }
        return min(next ?? .max, max(nonsenseAt, now + 1))
    }

    private mutating func passed(_ answers: [[UInt8]]) -> [[UInt8]] {
        guard !faults.isEmpty else { return answers }
        if faults.contains(.silent) || faults.contains(.nonsense) { return [] }
        return answers.flatMap { faults.contains(.split) && report == nil ? split($0) : [$0] }.flatMap { one($0) }
    }

    private mutating func one(_ portion: [UInt8]) -> [[UInt8]] {
        portions += 1
        if faults.contains(.fallsSilent), portions > 400 { return [] }
        if faults.contains(.lost), portions.isMultiple(of: 97) {
            return report == nil ? [Array(portion.dropLast())] : []
        }
        if faults.contains(.duplicated), portions.isMultiple(of: 53) { return [portion, portion] }
        if faults.contains(.inserted), portions.isMultiple(of: 31) { return [noise(report ?? 3), portion] }
        return [portion]
    }

    private mutating func split(_ portion: [UInt8]) -> [[UInt8]] {
        var rest = portion[...]
        var parts: [[UInt8]] = []
        while !rest.isEmpty {
            scatter = ContecOximeterNight.scramble(scatter)
            parts.append(Array(rest.prefix(1 + Int(scatter % 7))))
            rest = rest.dropFirst(parts[parts.count - 1].count)
        }
        return parts
    }

    private mutating func noise(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in
            scatter = ContecOximeterNight.scramble(scatter)
            return UInt8(truncatingIfNeeded: scatter)
        }
    }
}
