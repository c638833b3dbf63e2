import CHost
public import Clinical
import Glibc

/// The laptop's clocks, read at one place so that everything else can be handed times.
public struct HostClock: Sendable {
    /// Changes at each boot: tells which readings of the monotonic clock can be compared.
    public let bootID: String

    public init() {
        bootID = Self.readBootID()
    }

    /// Unix time in milliseconds.
    public var wall: Int64 { Self.wallNow }

    static var wallNow: Int64 {
        var now = timespec()
        unsafe clock_gettime(CLOCK_REALTIME, &now)
        return Int64(now.tv_sec) * 1000 + Int64(now.tv_nsec) / 1_000_000
    }

    /// CLOCK_MONOTONIC in nanoseconds: what drivers and ports count in.
    public var monotonic: UInt64 { Self.monotonicNow }

    static var monotonicNow: UInt64 {
        var now = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &now)
        return UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec)
    }

    /// All clocks at one moment, to tell later what happened to them.
    public var reading: HostReading {
        var up = timespec()
        // unsafe: an out parameter for the call only.
        let isRead = unsafe clock_gettime(CLOCK_BOOTTIME, &up) == 0
        return HostReading(
            wall: wall, monotonic: monotonic,
            boottime: isRead ? UInt64(up.tv_sec) * 1_000_000_000 + UInt64(up.tv_nsec) : nil, bootID: bootID)
    }

    /// Whether the kernel says that the wall clock follows NTP; nil when it can't be asked (a container). The service may not ask the
    /// kernel itself: the call is the one that sets the clock.
    public var isSynchronised: Bool? {
        switch ess_clock_is_synchronised() {
        case 0: false
        case 1: true
        default: TimeService.isSynchronised
        }
    }

    /// Everything that the clocks say at the start of a capture.
    /// - Parameter deviceNow: what the device's clock shows at this moment, where it can be asked.
    public func facts(
        deviceStart: LocalTime?, deviceRaw: String?, source: StartSource, deviceNow: LocalTime? = nil
    ) -> ClockFacts {
        ClockFacts(
            deviceStart: deviceStart, deviceRaw: deviceRaw, hostWall: wall, hostMonotonic: monotonic, bootID: bootID,
            hostSynchronised: isSynchronised, source: source, deviceNow: deviceNow)
    }

    private static func readBootID() -> String {
        guard let file = unsafe fopen("/proc/sys/kernel/random/boot_id", "re") else { return "unknown" }
        defer { unsafe fclose(file) }
        var line = [CChar](repeating: 0, count: 64)
        guard unsafe fgets(&line, Int32(line.count), file) != nil else { return "unknown" }
        let text = line.prefix { $0 != 0 && $0 != 10 }.map { UInt8(bitPattern: $0) }
        return String(decoding: text, as: UTF8.self)
    }
}

extension ZoneRule {
    /// Where this laptop is: also La Réunion's, Guadeloupe's and Guyane's.
    static let host = ZoneRule { instant in
        var seconds = time_t(instant)
        var parts = unsafe tm()
        unsafe localtime_r(&seconds, &parts)
        return unsafe parts.tm_gmtoff
    }
}

/// Local wall-clock time and its distance from UTC, from the laptop's zone.
public func localTime(ofUnixMilliseconds wall: Int64) -> (time: LocalTime?, utcOffsetMinutes: Int) {
    var seconds = time_t(wall / 1000)
    // `tm` counts as unsafe for the zone name's pointer in it, which isn't touched here.
    var parts = unsafe tm()
    unsafe localtime_r(&seconds, &parts)
    let time = unsafe LocalTime(
        year: Int(parts.tm_year) + 1900, month: Int(parts.tm_mon) + 1, day: Int(parts.tm_mday),
        hour: Int(parts.tm_hour),
        minute: Int(parts.tm_min), second: Int(min(parts.tm_sec, 59)))
    return (time, unsafe parts.tm_gmtoff / 60)
}

/// Distance from UTC that the laptop's zone had at a local time (devices have no zone: devices.md section 9).
public func utcOffsetMinutes(at local: LocalTime) -> Int {
    var parts = unsafe tm()
    unsafe parts.tm_year = Int32(local.year - 1900)
    unsafe parts.tm_mon = Int32(local.month - 1)
    unsafe parts.tm_mday = Int32(local.day)
    unsafe parts.tm_hour = Int32(local.hour)
    unsafe parts.tm_min = Int32(local.minute)
    unsafe parts.tm_sec = Int32(local.second)
    unsafe parts.tm_isdst = -1
    _ = unsafe mktime(&parts)
    return unsafe parts.tm_gmtoff / 60
}

/// `2026-11-22T23:05:09+01:00`, as FHIR and RFC 3339 want it.
public func rfc3339(_ local: LocalTime, utcOffsetMinutes offset: Int) -> String {
    let sign = offset < 0 ? "-" : "+"
    let minutes = abs(offset)
    func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
    let date = "\(local)".replacing(" ", with: "T")
    return "\(date)\(sign)\(two(minutes / 60)):\(two(minutes % 60))"
}

public func rfc3339(unixMilliseconds wall: Int64) -> String {
    let (time, offset) = localTime(ofUnixMilliseconds: wall)
    return time.map { rfc3339($0, utcOffsetMinutes: offset) } ?? "1970-01-01T00:00:00+00:00"
}
