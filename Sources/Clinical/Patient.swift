/// Administrative sex, as in the strict traits.
public enum Sex: String, Sendable, Codable { case female, male, unknown }

/// A business identifier: system and value. Compared whole, never by its value alone (sync.md 2.1).
public struct Identifier: Hashable, Sendable, Codable {
    public var system: String
    public var value: String

    public init(system: String, value: String) {
        self.system = system
        self.value = value
    }
}

/// A patient's identity as the worklist gave it. The agent creates none.
public struct Patient: Sendable, Equatable, Codable, Identifiable {
    /// The server's id (`Patient/{id}`).
    public var id: String
    /// INS matricule with its OID; only set when the server sent one.
    public var ins: Identifier?
    /// Identity status, system and code (two code systems use VALI for two things: sync.md 2.1, trap 1).
    public var identityStatus: Identifier?
    /// Birth name.
    public var family: String
    /// Birth given names.
    public var given: [String]
    /// `1938-04-12`
    public var birthDate: String?
    public var sex: Sex
    /// INSEE code (COG) of the place of birth.
    public var birthPlace: String?

    public init(
        id: String, ins: Identifier? = nil, identityStatus: Identifier? = nil, family: String, given: [String],
        birthDate: String?, sex: Sex, birthPlace: String? = nil
    ) {
        self.id = id
        self.ins = ins
        self.identityStatus = identityStatus
        self.family = family
        self.given = given
        self.birthDate = birthDate
        self.sex = sex
        self.birthPlace = birthPlace
    }
}

/// What a file says about whose it is. Believed by nobody, compared with the binding.
public struct IdentityClaim: Hashable, Sendable, Codable {
    /// Free text as written, possibly cut by the device.
    public var name: String?
    /// The number of characters at which the device cuts a name.
    public var nameLimit: Int?
    public var sex: Sex?
    /// `1938-04-12`
    public var birthDate: String?
    /// Years, at the time of the recording.
    public var age: Int?
    /// Empty where a file of a kind that must name its patient leaves it out; nil where nothing is expected.
    public var patientID: String?
    /// Who gave out `patientID`, as the file says it: an OID with or without `urn:oid:`, or free text.
    public var issuer: String?

    public init(
        name: String? = nil, nameLimit: Int? = nil, sex: Sex? = nil, birthDate: String? = nil, age: Int? = nil,
        patientID: String? = nil, issuer: String? = nil
    ) {
        self.name = name
        self.nameLimit = nameLimit
        self.sex = sex
        self.birthDate = birthDate
        self.age = age
        self.patientID = patientID
        self.issuer = issuer
    }
}
