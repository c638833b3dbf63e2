extension LocalTime: Comparable {
    /// By the figures on the clock's face: of the hour that occurs twice in autumn, it knows nothing.
    public static func < (one: LocalTime, other: LocalTime) -> Bool { one.civilSeconds < other.civilSeconds }

    /// Seconds from 1970-01-01 00:00:00 to this time, as if all days had 24 hours (proleptic Gregorian calendar).
    public var civilSeconds: Int {
        ((Self.day(year: year, month: month, day: day) * 24 + hour) * 60 + minute) * 60 + second
    }

    /// Nil outside of the years 1970 to 2099.
    public init?(civilSeconds seconds: Int) {
        // 2100-01-01: beyond it no LocalTime exists.
        guard (0..<4_102_444_800).contains(seconds) else { return nil }
        let (days, rest) = seconds.quotientAndRemainder(dividingBy: 86_400)
        // Years are counted from March, so that the leap day is the last one.
        let shifted = days + 719_468
        let era = shifted / 146_097
        let dayOfEra = shifted % 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let fromMarch = (5 * dayOfYear + 2) / 153
        let month = fromMarch < 10 ? fromMarch + 3 : fromMarch - 9
        self.init(
            year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month: month,
            day: dayOfYear - (153 * fromMarch + 2) / 5 + 1, hour: rest / 3600, minute: rest / 60 % 60,
            second: rest % 60)
    }

    /// Days since 1970-01-01.
    static func day(year: Int, month: Int, day: Int) -> Int {
        let shifted = month <= 2 ? year - 1 : year
        let era = shifted / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }
}

/// A time zone's rule, passed in: seconds east of UTC at an instant (Unix seconds).
public struct ZoneRule: Sendable {
    public var offset: @Sendable (_ unixSeconds: Int) -> Int

    public init(offset: @escaping @Sendable (_ unixSeconds: Int) -> Int) { self.offset = offset }

    /// Metropolitan France. Summer time since 1996 (directive 2000/84/EC): from the last Sunday of March to the last
    /// Sunday of October, each time at 01:00 UTC.
    public static let paris = ZoneRule { instant in
        guard let time = LocalTime(civilSeconds: instant) else { return 3600 }
        func lastSunday(_ month: Int) -> Int {
            // 1970-01-01 was a Thursday; both months have 31 days.
            let last = LocalTime.day(year: time.year, month: month, day: 31)
            return (last - (last + 4) % 7) * 86_400 + 3600
        }
        return (lastSunday(3)..<lastSunday(10)).contains(instant) ? 7200 : 3600
    }

    /// What a clock on the wall shows; nil outside of the years that a `LocalTime` has.
    public func local(_ unixSeconds: Int) -> LocalTime? {
        LocalTime(civilSeconds: unixSeconds + offset(unixSeconds))
    }

    /// The instants at which a clock on the wall shows this: one, two in the hour that is repeated in autumn (the earlier
    /// first), none in the hour that is left out in spring.
    public func instants(of local: LocalTime) -> [Int] {
        let civil = local.civilSeconds
        // The offsets around: no switch is closer than a day to another.
        let offsets = Set([offset(civil - 86_400), offset(civil + 86_400)])
        return offsets.map { civil - $0 }.filter { $0 + offset($0) == civil }.sorted()
    }
}
