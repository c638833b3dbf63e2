import Clinical

/// When a value was measured, by the device's clock; raw beside converted.
struct PhdcReadingTime: Sendable, Equatable {
    /// Nil when the device has no calendar, or says an impossible date.
    var at: LocalTime?
    var raw: String?
    var flags: [String] = []

    /// - Parameter adjustment: seconds by which the clock that made the stamp was wrong (phdc.md 3.3). Counters have no such clock.
    init(_ stamp: PhdcObservation.Stamp?, _ nameplate: PhdcNameplate, adjustment: Int = 0) {
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
            at = nameplate.date(ofTicks: ticks)
            if at != nil { flags = ["time from the relative clock"] }
        case .highResolution(let microseconds): raw = "\(microseconds)/1000000 s"
        }
    }

    /// Of a stored entry that has no stamp of its own.
    init(at: LocalTime?, raw: String?) {
        self.at = at
        self.raw = raw
    }

    /// For the text of a note.
    var suffix: String { at.map { " at \($0)" } ?? raw.map { " at \($0)" } ?? "" }
}
