import Clinical
import Devices
import Ports
import Store

/// Who may be asked at which port: the drivers that udev's facts allow, and what people said is there. Pure.
struct PortRegister: Sendable {
    let profiles: [DialogueProfile]
    /// What people said is at a port.
    var choices: [PortChoice] = []

    /// Whose probe may be tried: what a person said, or what udev's facts allow.
    func probed(_ candidate: PortCandidate) -> [DialogueProfile] {
        if candidate.profile == nil, let choice = choice(for: candidate) {
            return profiles.filter { $0.name == choice.driver }
        }
        return profiles.filter { candidate.fits($0) }
    }

    func choice(for candidate: PortCandidate) -> PortChoice? {
        choices.last { $0.isFor(path: candidate.usbPath, cable: candidate.usbSerial) }
    }

    /// What could be at a port, whether it may be probed for or not.
    func possible(at candidate: PortCandidate) -> [DialogueProfile] {
        profiles.filter { profile in
            (profile.matches + profile.choices).contains { PortMatch($0).fits(candidate) }
        }
    }

    /// The one driver that a person can mean at a port: its name, or the beginning of a model's; nil for none or several.
    func meant(by model: String, at candidate: PortCandidate) -> DialogueProfile? {
        let possible = possible(at: candidate)
        let wanted = model.lowercased()
        let named = possible.filter { $0.name == wanted }
        let meant =
            named.isEmpty ? possible.filter { $0.models.contains { $0.lowercased().hasPrefix(wanted) } } : named
        return meant.count == 1 ? meant.first : nil
    }

    mutating func forget(_ candidate: PortCandidate) {
        choices.removeAll { $0.isFor(path: candidate.usbPath, cable: candidate.usbSerial) }
    }
}

extension PortCandidate {
    /// Two ports never share a node at one time.
    var id: String { syspath.isEmpty ? devnode : syspath }
    /// What people call it: the node's last part.
    var name: String { String(devnode.split(separator: "/").last ?? "") }

    func fits(_ profile: DialogueProfile) -> Bool {
        if let named = self.profile { return named == profile.name }
        return profile.matches.contains { PortMatch($0).fits(self) }
    }
}

extension PortMatch {
    init(_ match: UdevMatch) {
        self.init(
            subsystem: match.subsystem, vendorID: match.vendorID, productID: match.productID, interface: match.interface
        )
    }
}
