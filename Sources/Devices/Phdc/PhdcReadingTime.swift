import Clinical

/// When a value was measured, by the device's clock; raw beside converted.
struct PhdcReadingTime: Sendable, Equatable {
    /// Nil when the device has no calendar, or says an impossible date.
    var at: LocalTime?
    var raw: String?
    var flags: [String] = []
    /// By a counter: seconds before the device's clocks were read; nil when the counter was not read with them.
    private(set) var age: Int?
    /// By a counter: what it counted, in seconds.
    private(set) var counted: Int?

    /// A counter half of whose turn has passed may have turned more often.
    private static let halfTurn = (1 << 31) / PhdcClock.ticksPerSecond
    static let isAmbiguous = "the relative clock may have rolled over"

    /// - Parameters:
    ///   - now: when it was reported.
    ///   - adjustment: seconds by which the clock that made the stamp was wrong (phdc.md 3.3). Counters have no such clock.
    init(
        _ stamp: PhdcObservation.Stamp?, _ nameplate: PhdcNameplate, at now: UInt64, adjustment: Int = 0
    ) {
        defer {
            if adjustment != 0, let stated = at, stamp?.isCalendar == true {
                at = stated.adding(seconds: adjustment)
                flags.append(at == nil ? "invalid time" : "device clock corrected by \(adjustment) s")
            }
        }
        switch stamp {
        case nil: break
        case .absolute(let bytes):
            // All zero is no time at all.
            guard bytes.contains(where: { $0 != 0 }) else { return }
            at = PhdcClock.absolute(bytes)
            raw = PhdcClock.text(bytes)
            if at == nil { flags = ["invalid time"] }
        case .baseOffset(let bytes):
            guard bytes.contains(where: { $0 != 0 }) else { return }
            at = PhdcClock.baseOffset(bytes)
            raw = PhdcClock.text(bytes)
            if at == nil { flags = ["invalid time"] }
        case .relative(let ticks):
            guard ticks != PhdcClock.unsupported else { return }
            raw = "\(ticks)/8000 s"
            counted = Int(ticks) / PhdcClock.ticksPerSecond
            age = nameplate.age(ofTicks: ticks, at: now)
            dateByAge(nameplate)
            if let age, age > Self.halfTurn { flags.append(Self.isAmbiguous) }
        case .highResolution(let microseconds):
            raw = "\(microseconds)/1000000 s"
            counted = Int(microseconds / 1_000_000)
            age = nameplate.age(ofMicroseconds: microseconds, at: now)
            dateByAge(nameplate)
        }
    }

    private mutating func dateByAge(_ nameplate: PhdcNameplate) {
        at = age.flatMap(nameplate.date(ofAge:))
        if at != nil { flags = ["time from the relative clock"] }
    }

    /// Its place among others of the same clock, in seconds: to tell one sitting from another.
    struct Moment: Sendable, Equatable {
        var isCounted: Bool
        var seconds: Int

        func isWithin(_ limit: Int, of other: Moment) -> Bool {
            isCounted == other.isCounted && abs(seconds - other.seconds) <= limit
        }
    }

    var moment: Moment? {
        counted.map { Moment(isCounted: true, seconds: $0) }
            ?? at.map { Moment(isCounted: false, seconds: $0.civilSeconds) }
    }

    /// Of a stored entry that has no stamp of its own.
    init(at: LocalTime?, raw: String?) {
        self.at = at
        self.raw = raw
    }

    /// For the text of a note.
    var suffix: String { at.map { " at \($0)" } ?? raw.map { " at \($0)" } ?? "" }
}
