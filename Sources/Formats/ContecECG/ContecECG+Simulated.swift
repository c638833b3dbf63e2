public import Clinical

/// How a file that a simulator made says so. The format has no field for it, so the name field carries `SIM` and a digit:
/// no patient's name has a digit there, while `SIMON` is a name.
extension ContecECG {
    /// The simulated device's serial, `SIM` and what follows in ASCII letters and digits; nil for a real file.
    public var simulatedSerial: String? {
        guard nameBytes.starts(with: "SIM".utf8), nameBytes.count > 3, (0x30...0x39).contains(nameBytes[3]) else {
            return nil
        }
        let kept = nameBytes.prefix { $0 != 0 }.filter {
            (0x30...0x39).contains($0) || (0x41...0x5A).contains($0) || (0x61...0x7A).contains($0)
        }
        return String(decoding: kept, as: UTF8.self)
    }

    /// The claim without the name.
    public var anonymousClaim: IdentityClaim {
        var claim = claim
        claim.name = nil
        claim.nameLimit = nil
        return claim
    }
}
