import Clinical
import FoundationEssentials
import Glibc

/// What the connection and the battery allow to be sent now (sync.md 5). Pure.
struct NetworkPolicy: Sendable, Equatable {
    var isMetered = false
    /// Percent, when it runs on its battery; nil on mains or where nobody knows.
    var battery: Int?
    /// Bytes that may still go over metered connections today, beside what is urgent.
    var budget = Int.max

    static let lowBattery = 20

    enum Hold: String, Sendable { case battery, metered }

    /// Why this one waits; nil when it may go. Facts are small, and always go.
    func holds(_ modality: Recording.Modality, size: Int, isUrgent: Bool) -> Hold? {
        if let battery, battery < Self.lowBattery { return .battery }
        guard isMetered, !isUrgent else { return nil }
        guard modality == .ecg, size <= budget else { return .metered }
        return nil
    }

    var isRestricted: Bool { isMetered || battery.map { $0 < Self.lowBattery } ?? false }
}

/// The batteries of this machine, as the kernel tells (power_supply class).
enum Battery {
    /// The lowest charge in percent while nothing charges; nil otherwise.
    static func discharging(at directory: String = "/sys/class/power_supply") -> Int? {
        var charges: [Int] = []
        for name in (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? [] {
            func read(_ file: String) -> String? {
                (try? String(contentsOfFile: "\(directory)/\(name)/\(file)", encoding: .utf8))?
                    .split(separator: "\n").first.map(String.init)
            }
            switch read("type") {
            case "Mains": if read("online") == "1" { return nil }
            // A mouse has a battery, too.
            case "Battery" where read("scope") != "Device":
                guard read("status") == "Discharging", let charge = read("capacity").flatMap({ Int($0) }) else {
                    continue
                }
                charges.append(charge)
            default: break
            }
        }
        return charges.min()
    }
}
