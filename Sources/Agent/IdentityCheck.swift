import Clinical
import Store

/// What the nurse says that she has checked before a visit is opened: the birth date as the person (or the person's
/// document) says it, and that the other strict traits are the same.
public struct IdentityCheck: Codable, Sendable, Equatable {
    /// `1938-04-12`, typed, not copied.
    public var birthDate: String?
    /// Birth name, given names and sex are those of the person in front of her.
    public var traitsConfirmed: Bool

    public init(birthDate: String?, traitsConfirmed: Bool) {
        self.birthDate = birthDate
        self.traitsConfirmed = traitsConfirmed
    }

    /// Nil when the check holds for this patient.
    func problem(for patient: Patient) -> Problem? {
        guard traitsConfirmed else { return .identityNotChecked }
        // An identity without a birth date (a person who was found) can only be checked by its other traits.
        guard let expected = patient.birthDate else { return nil }
        guard let birthDate, !birthDate.isEmpty else { return .identityNotChecked }
        return birthDate == expected ? nil : .identityMismatch
    }
}

/// Whose a recording is said to be, from all sides; for a person who has to decide.
public struct IdentityView: Codable, Sendable, Equatable {
    public var recording: String
    /// What the file says of its owner.
    public var claim: ClaimView?
    /// The visit that was open when it came in, and against which it is held.
    public var heldAgainst: String?
    public var contradictions: [ContradictionView]
    /// What else of its machine came in with it, and waits because the machine was another patient's.
    public var ofMachine: [MachineView]

    public struct ClaimView: Codable, Sendable, Equatable {
        public var name: String?
        public var sex: String?
        public var birthDate: String?
        public var age: Int?
        public var patientID: String?
    }

    public struct MachineView: Codable, Sendable, Equatable {
        public var id: String
        public var start: String?
    }

    public struct ContradictionView: Codable, Sendable, Equatable {
        /// `name`, `sex`, `birthDate`, `age`, `patientID`, `earlierBinding`, `objectIdentity`.
        public var kind: String
        public var claimed: String
        public var expected: String
    }
}

extension Attribution {
    var isHeld: Bool { if case .held = self { true } else { false } }
}
