/// A wall-clock reading without a zone, as devices have it: never corrected, never rewritten.
public struct LocalTime: Hashable, Sendable, Codable, CustomStringConvertible {
    public var year: Int
    public var month: Int
    public var day: Int
    public var hour: Int
    public var minute: Int
    public var second: Int

    /// Nil unless it names a real date and time (years 1970 to 2099; second 60 is refused).
    public init?(year: Int, month: Int, day: Int, hour: Int, minute: Int, second: Int) {
        guard (1970...2099).contains(year), (1...12).contains(month),
            day >= 1, day <= Self.days(in: month, of: year),
            (0...23).contains(hour), (0...59).contains(minute), (0...59).contains(second)
        else { return nil }
        self.year = year
        self.month = month
        self.day = day
        self.hour = hour
        self.minute = minute
        self.second = second
    }

    /// `2026-11-22 23:05:09`, also with `T`; seconds may be missing.
    public init?(_ text: String) {
        let parts = text.split(whereSeparator: { " T-:".contains($0) }).map { Int($0) }
        guard text.count >= 16, text.utf8.count <= 19, parts.count == 5 || parts.count == 6, !parts.contains(nil)
        else { return nil }
        let numbers = parts.compactMap { $0 }
        self.init(
            year: numbers[0], month: numbers[1], day: numbers[2], hour: numbers[3], minute: numbers[4],
            second: numbers.count == 6 ? numbers[5] : 0)
    }

    static func days(in month: Int, of year: Int) -> Int {
        switch month {
        case 2: (year % 4 == 0 && year % 100 != 0) || year % 400 == 0 ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    public var description: String { "\(date) \(Self.two(hour)):\(Self.two(minute)):\(Self.two(second))" }
    /// `2026-11-22`
    public var date: String { "\(year)-\(Self.two(month))-\(Self.two(day))" }

    static func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
}

/// Where a recording's start time comes from, from the best to the worst.
public enum StartSource: String, Sendable, Codable, CaseIterable {
    /// The laptop's clock, at the moment of the first byte of a live capture.
    case host
    /// The device's own clock (local time, no zone, possibly wrong).
    case device
    /// Written in the imported file.
    case file
    /// The device has no clock; a person said it.
    case person
    /// Nobody has said it yet: the recording is safe, and waits.
    case unknown
}

/// What the clocks said at a capture. Raw facts side by side; a corrected time is derived, never stored instead.
public struct ClockFacts: Hashable, Sendable, Codable {
    /// What the device's or file's clock said the recording's start was; nil if it has none.
    public var deviceStart: LocalTime?
    /// The device's raw date and time bytes as text, whatever they were.
    public var deviceRaw: String?
    /// Laptop wall clock when the capture, download or import began: Unix time in milliseconds.
    public var hostWall: Int64
    /// The same moment on CLOCK_MONOTONIC, nanoseconds, valid within `bootID`.
    public var hostMonotonic: UInt64
    public var bootID: String
    /// Whether the kernel said that the wall clock was synchronised; nil when it could not be asked.
    public var hostSynchronised: Bool?
    public var source: StartSource
    /// What the device's clock showed at the moment of `hostWall`; nil when the device can't be asked. Tells how wrong
    /// the device's clock is: see `correctedStart`.
    public var deviceNow: LocalTime?

    public init(
        deviceStart: LocalTime? = nil, deviceRaw: String? = nil, hostWall: Int64, hostMonotonic: UInt64, bootID: String,
        hostSynchronised: Bool?, source: StartSource, deviceNow: LocalTime? = nil
    ) {
        self.deviceStart = deviceStart
        self.deviceRaw = deviceRaw
        self.hostWall = hostWall
        self.hostMonotonic = hostMonotonic
        self.bootID = bootID
        self.hostSynchronised = hostSynchronised
        self.source = source
        self.deviceNow = deviceNow
    }
}
