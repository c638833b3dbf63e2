/// When a recording began, as well as it can be known: derived from the raw facts, kept beside them, never instead.
public struct CorrectedStart: Hashable, Sendable, Codable {
    /// What makes it less than certain, for a person to see.
    public enum Remark: String, Sendable, Codable, CaseIterable {
        /// The device's clock could not be compared with the laptop's: its time is taken as it is.
        case uncompared
        /// The laptop's own clock was not synchronised (or nobody could say).
        case hostNotSynchronised
        /// The device's clock says that the recording began after it was read: it was set meanwhile.
        case deviceClockWasSet
        /// Within the hour that occurs twice in autumn.
        case repeatedHour
        /// A local time that does not exist: the device's clock did not follow summer time.
        case missingHour
        /// Summer time began or ended while it was recorded: its length doesn't follow from its two clock times.
        case switchInside
    }

    /// Unix time in seconds.
    public var instant: Int
    /// What a right clock on the wall would have shown.
    public var local: LocalTime
    /// Seconds that were added to the device's reading; nil when it could not be compared.
    public var correction: Int?
    public var remarks: Set<Remark>

    public init(instant: Int, local: LocalTime, correction: Int? = nil, remarks: Set<Remark> = []) {
        self.instant = instant
        self.local = local
        self.correction = correction
        self.remarks = remarks
    }
}

/// A clock that nobody could compare.
public enum UncomparedClock {
    /// Seconds that it may be off, beside the hour of summer time: nurses set it by their own watch.
    private static let drift = 600
    private static let summerTime = 3600
    /// Seconds: the farthest that what it says may be from what was.
    public static let most = drift + summerTime

    /// Then, and the minutes around it.
    public static func aboutThen(_ said: ClosedRange<Int>) -> ClosedRange<Int> {
        said.lowerBound - drift...said.upperBound + drift
    }

    /// When that may have been which it dates so, in seconds.
    public static func stretches(around said: ClosedRange<Int>) -> [ClosedRange<Int>] {
        [-summerTime, 0, summerTime].map { aboutThen(said.lowerBound + $0...said.upperBound + $0) }
    }
}

extension ClockFacts {
    /// When the recording began, with the device's clock error taken out where it could be measured: a clock runs on
    /// evenly, also over a switch to summer time that it knows nothing of, so the time from the recording's start to the
    /// moment when the device was asked is right even when both readings are wrong.
    /// - Parameters:
    ///   - seconds: the recording's length, when it is known.
    ///   - zone: where the laptop is.
    /// - Returns: nil while nobody knows.
    public func correctedStart(lasting seconds: Double? = nil, zone: ZoneRule) -> CorrectedStart? {
        guard var start = start(zone) else { return nil }
        if hostSynchronised != true, source == .host || start.correction != nil {
            start.remarks.insert(.hostNotSynchronised)
        }
        if zone.instants(of: start.local).count > 1 { start.remarks.insert(.repeatedHour) }
        if let seconds, seconds.isFinite, abs(seconds) < 1e9,
            zone.offset(start.instant) != zone.offset(start.instant + Int(seconds))
        {
            start.remarks.insert(.switchInside)
        }
        return start
    }

    private func start(_ zone: ZoneRule) -> CorrectedStart? {
        let now = Int(hostWall / 1000)
        if source == .host { return zone.local(now).map { CorrectedStart(instant: now, local: $0) } }
        guard let deviceStart, source != .unknown else { return nil }
        if source == .device, let deviceNow {
            let elapsed = deviceNow.civilSeconds - deviceStart.civilSeconds
            let instant = now - elapsed
            if elapsed >= 0, let local = zone.local(instant) {
                return CorrectedStart(
                    instant: instant, local: local, correction: local.civilSeconds - deviceStart.civilSeconds)
            }
            return Self.taken(deviceStart, zone, [.uncompared, .deviceClockWasSet])
        }
        // What a person says is local time as people count it; nothing to compare.
        return Self.taken(deviceStart, zone, source == .person ? [] : [.uncompared])
    }

    private static func taken(
        _ local: LocalTime, _ zone: ZoneRule, _ remarks: Set<CorrectedStart.Remark>
    ) -> CorrectedStart {
        if let instant = zone.instants(of: local).first {
            return CorrectedStart(instant: instant, local: local, remarks: remarks)
        }
        // As if the hour had not been left out.
        let civil = local.civilSeconds
        return CorrectedStart(
            instant: civil - zone.offset(civil - 86_400), local: local, remarks: remarks.union([.missingHour]))
    }
}

/// The laptop's clocks, all read at one moment.
public struct HostReading: Hashable, Sendable, Codable {
    /// Unix time in milliseconds: may be set.
    public var wall: Int64
    /// CLOCK_MONOTONIC, nanoseconds: never set, stands still while the laptop is suspended.
    public var monotonic: UInt64
    /// CLOCK_BOOTTIME, nanoseconds: the same, but goes on while suspended; nil when it was not read.
    public var boottime: UInt64?
    public var bootID: String

    public init(wall: Int64, monotonic: UInt64, boottime: UInt64? = nil, bootID: String) {
        self.wall = wall
        self.monotonic = monotonic
        self.boottime = boottime
        self.bootID = bootID
    }
}

/// What happened to the laptop's clocks between two readings. Lengths are in milliseconds.
public enum HostEvent: Hashable, Sendable, Codable {
    case rebooted
    case suspended(Int64)
    /// The wall clock was set, forward or (negative) back.
    case wallSet(Int64)
    /// One or the other: without CLOCK_BOOTTIME, a wall clock that got ahead doesn't say which.
    case suspendedOrWallSet(Int64)
}

extension HostReading {
    /// When an earlier reading was taken by the wall clock as it goes now, in milliseconds; nil where nobody knows: in another boot.
    public func wall(of earlier: HostReading) -> Int64? {
        guard bootID == earlier.bootID, let boottime, let before = earlier.boottime, boottime >= before else {
            return nil
        }
        return wall - Int64(clamping: (boottime - before) / 1_000_000)
    }

    /// What happened since an earlier reading, in no more words than can be proven.
    /// - Parameter tolerance: milliseconds that are nobody's business: the readings aren't taken at the very same moment,
    ///   and a wall clock that is being synchronised runs up to 500 ppm fast or slow.
    public func events(since earlier: HostReading, tolerance: Int64 = 2000) -> [HostEvent] {
        guard bootID == earlier.bootID, monotonic >= earlier.monotonic else { return [.rebooted] }
        let ran = Int64(clamping: (monotonic - earlier.monotonic) / 1_000_000)
        let (wallRan, overflow) = wall.subtractingReportingOverflow(earlier.wall)
        guard !overflow else { return [.wallSet(wall < earlier.wall ? .min : .max)] }
        let allowed = tolerance + ran / 2000
        guard let boottime, let before = earlier.boottime, boottime >= before else {
            let ahead = wallRan - ran
            if ahead > allowed { return [.suspendedOrWallSet(ahead)] }
            return ahead < -allowed ? [.wallSet(ahead)] : []
        }
        let lived = Int64(clamping: (boottime - before) / 1_000_000)
        var events: [HostEvent] = []
        if lived - ran > tolerance { events.append(.suspended(lived - ran)) }
        let set = wallRan - lived
        if abs(set) > tolerance + lived / 2000 { events.append(.wallSet(set)) }
        return events
    }
}
