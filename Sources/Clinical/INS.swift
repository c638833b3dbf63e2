/// The French national health identity: a matricule under the OID of its kind, and how far it was verified (sync.md 2.1).
/// Everywhere system and code, or system and value, are compared together: one code means two things in two systems, and
/// one system holds two people's numbers.
extension Identifier {
    /// The kinds of INS that are in use, by their OIDs. INS-C (`1.4.2`) is obsolete and is none.
    public enum INS: String, Sendable, CaseIterable {
        case nir = "urn:oid:1.2.250.1.213.1.4.8"
        case nia = "urn:oid:1.2.250.1.213.1.4.9"
        case test = "urn:oid:1.2.250.1.213.1.4.10"
        case demo = "urn:oid:1.2.250.1.213.1.4.11"

        /// - Parameter system: with or without `urn:oid:`.
        public init?(system: String) {
            self.init(rawValue: system.hasPrefix("urn:oid:") ? system : "urn:oid:" + system)
        }

        /// A person's; the others are for machines only.
        var isReal: Bool { self == .nir || self == .nia }
    }
}

extension Patient {
    /// The only status with which the matricule may be used to reference and share data: system *and* code, because VALI
    /// means "validated, INS demanded" in one code system and "without INS" in the other (sync.md 2.1, trap 1).
    public static let qualified = Identifier(
        system: "https://hl7.fr/ig/fhir/core/CodeSystem/fr-core-cs-identity-status", value: "QUAL")

    /// The INS that may leave this laptop: only a qualified identity's. Outside of that the server's own id is all that
    /// is sent.
    public var qualifiedINS: Identifier? { identityStatus == Self.qualified ? ins : nil }
}

extension IdentityClaim {
    /// Whether the file's number is an INS, and not this one.
    ///
    /// Agreement proves nothing (a child's file may carry the parent's billing number, which sits in INS-NIR's own system:
    /// sync.md 2.1, trap 2); that is why the answer is never "the same person".
    func isAnotherINS(_ claimed: String, than ins: Identifier) -> Bool {
        guard let expected = Identifier.INS(system: ins.system) else { return false }
        if let issuer, let kind = Identifier.INS(system: issuer) {
            guard kind.isReal == expected.isReal else { return true }
            // A NIA gives way to a NIR one day, a test matricule to a demonstration's: two numbers, maybe one person.
            guard kind == expected else { return false }
            return Self.differ(matricule: claimed, ins.value)
        }
        // The number of a register that has an OID and isn't the INS's is not an INS, whatever it looks like.
        if let issuer, Self.isOID(issuer) { return false }
        guard let claimed = Self.matricule(claimed), let expected = Self.matricule(ins.value) else { return false }
        return Self.differ(matricule: claimed, expected)
    }

    /// Both are 13 characters without, or 15 with the control key.
    private static func differ(matricule one: String, _ other: String) -> Bool {
        let one = FoldedName(one).joined
        let other = FoldedName(other).joined
        guard !one.isEmpty, one != other else { return false }
        guard min(one.count, other.count) >= 13 else { return true }
        return !one.hasPrefix(other) && !other.hasPrefix(one)
    }

    private static func isOID(_ text: String) -> Bool {
        let digits = text.hasPrefix("urn:oid:") ? text.dropFirst(8) : text[...]
        return digits.contains(".") && digits.allSatisfy { ("0"..."9").contains($0) || $0 == "." }
    }

    /// Corsican ones hold a letter (2A, 2B).
    private static func matricule(_ text: String) -> String? {
        let folded = FoldedName(text).joined
        guard folded.count == 13 || folded.count == 15, let first = folded.first, "123478".contains(first) else {
            return nil
        }
        let digits = folded.enumerated().allSatisfy { index, character in
            ("0"..."9").contains(character) || (index == 6 && (character == "A" || character == "B"))
        }
        return digits ? folded : nil
    }
}
