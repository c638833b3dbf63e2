import Clinical

/// `20261122_223105_BRP.edf`: the session's start and what is in the file (devices.md 4.1).
struct ResmedFileName: Equatable {
    enum Kind: Int, CaseIterable {
        /// Flow and pressure at 25 Hz.
        case breathing
        /// Statistics every two seconds.
        case statistics
        /// Pulse and SpO2 at 1 Hz.
        case oximetry
        /// Scored events.
        case events
        /// Cheyne-Stokes spans.
        case spans
        /// Events of adaptive servo-ventilation: kept, not read.
        case ventilation
        /// What nobody here knows: kept with its session, not read.
        case unknown

        init(_ suffix: some StringProtocol) {
            switch suffix.uppercased() {
            case "BRP": self = .breathing
            case "PLD": self = .statistics
            case "SAD", "SA2": self = .oximetry
            case "EVE": self = .events
            case "CSL": self = .spans
            case "AEV": self = .ventilation
            default: self = .unknown
            }
        }

        var isSampled: Bool { rawValue <= Self.oximetry.rawValue }

        /// It has annotations.
        var isAnnotated: Bool { !isSampled && self != .unknown }

        /// For notes.
        var label: String {
            switch self {
            case .breathing: "BRP"
            case .statistics: "PLD"
            case .oximetry: "SA2"
            case .events: "EVE"
            case .spans: "CSL"
            case .ventilation: "AEV"
            case .unknown: "?"
            }
        }
    }

    /// Nil where no name says it.
    var stamp: LocalTime?
    var kind: Kind
    /// In capitals: `SAD` and `SA2` are of one kind.
    var suffix: String

    /// As a file would be called that has lost its name.
    init(kind: Kind, stamp: LocalTime?) {
        self.stamp = stamp
        self.kind = kind
        suffix = kind.label
    }

    /// Nil for any other name, checksum files (`.crc`) included.
    init?(_ name: String) {
        let dot = name.split(separator: ".", omittingEmptySubsequences: false)
        guard dot.count == 2, dot[1].lowercased() == "edf" else { return nil }
        let parts = dot[0].split(separator: "_", omittingEmptySubsequences: false)
        guard parts.count == 3, (1...8).contains(parts[2].utf8.count),
            let stamp = Self.stamp(date: parts[0], time: parts[1])
        else { return nil }
        self.stamp = stamp
        kind = Kind(parts[2])
        suffix = parts[2].uppercased()
    }

    private static func stamp(date: Substring, time: Substring) -> LocalTime? {
        guard date.utf8.count == 8, time.utf8.count == 6, let date = Int(date), let time = Int(time), date > 0,
            time >= 0
        else { return nil }
        return LocalTime(
            year: date / 10_000, month: date / 100 % 100, day: date % 100, hour: time / 10_000,
            minute: time / 100 % 100, second: time % 100)
    }
}
