/// Whose a recording is, and who said so. Never a guess: one entry of a history that only grows; the last one holds.
public struct Binding: Sendable, Equatable, Codable {
    public enum Reason: String, Sendable, Codable, CaseIterable {
        /// The visit that was open when the capture, download or import was started.
        case openVisit
        /// The device was lent to that visit's patient when it recorded this.
        case loan
        /// A person decided it later.
        case decision
    }

    /// `Visit.id`
    public var visit: String
    public var reason: Reason
    /// Who: the nurse's identifier at this laptop.
    public var by: String
    /// When: Unix time in milliseconds.
    public var at: Int64
    /// A person's words; may name people, so it is sealed where it is stored.
    public var why: String?

    public init(visit: String, reason: Reason, by: String, at: Int64, why: String? = nil) {
        self.visit = visit
        self.reason = reason
        self.by = by
        self.at = at
        self.why = why
    }
}

/// One point where what a file says of its owner and the patient of its binding can't both be true.
public struct Contradiction: Sendable, Equatable, Codable {
    public enum Kind: String, Sendable, Codable, CaseIterable {
        case name, sex, birthDate, age, patientID
        /// The same recording of the same device was already bound to another patient.
        case earlierBinding
        /// Another file with the same object identity (SOP Instance UID) and other bytes is here already.
        case objectIdentity
    }

    public var kind: Kind
    /// What the file says: an identity, never logged.
    public var claimed: String
    /// What the worklist says: an identity, never logged.
    public var expected: String

    public init(kind: Kind, claimed: String, expected: String) {
        self.kind = kind
        self.claimed = claimed
        self.expected = expected
    }
}

extension IdentityClaim {
    /// Compares what a file claims with a patient. Empty means "nothing speaks against it", not "it is proven".
    ///
    /// - Name: contradicts only when nothing matches. One whole word of the birth name or of a given name is enough,
    ///   because devices carry names in use (a married name beside a birth name), in any order, cut and without accents.
    /// - Sex and birth date: contradict when both sides state them and they differ, to the precision that both have.
    /// - Age: ± 1 year around the age on that day (devices keep the age that was once typed).
    /// - Patient ID: contradicts when it is an INS and the patient's is another one, issuer and matricule compared
    ///   (`Identifier.INS`). Without an issuer it counts as one when it has the form of one; numbers of another register,
    ///   and numbers of any other form, are the device's own.
    ///   An empty one is a file that should name its patient and doesn't: never merged by name alone (formats.md 2.5).
    /// - Parameter date: the day of the recording, `2026-11-22`; nil when nobody knows it (the age is not compared).
    public func contradictions(with patient: Patient, on date: String?) -> [Contradiction] {
        var found: [Contradiction] = []
        if let name, !NameMatch(claim: name, limit: nameLimit).matches(patient) {
            let expected = ([patient.family] + patient.given).joined(separator: " ")
            found.append(Contradiction(kind: .name, claimed: name, expected: expected))
        }
        if let sex, sex != .unknown, patient.sex != .unknown, sex != patient.sex {
            found.append(Contradiction(kind: .sex, claimed: sex.rawValue, expected: patient.sex.rawValue))
        }
        if let birthDate, let expected = patient.birthDate, Self.differ(birthDate, expected) {
            found.append(Contradiction(kind: .birthDate, claimed: birthDate, expected: expected))
        }
        if let age, let date, let expected = Self.ages(born: patient.birthDate, on: date), !expected.contains(age) {
            found.append(Contradiction(kind: .age, claimed: "\(age)", expected: "\(expected)"))
        }
        if let patientID, patientID.isEmpty {
            found.append(Contradiction(kind: .patientID, claimed: "", expected: patient.ins?.value ?? patient.id))
        }
        if let patientID, let ins = patient.ins, isAnotherINS(patientID, than: ins) {
            let claimed = issuer.map { "\(patientID) (\($0))" } ?? patientID
            found.append(Contradiction(kind: .patientID, claimed: claimed, expected: ins.value))
        }
        return found
    }

    /// Whether it names somebody else. A missing number names nobody, and sex and age are often what a device began with.
    public func speaksAgainst(_ patient: Patient) -> Bool {
        contradictions(with: patient, on: nil).contains {
            !$0.claimed.isEmpty && [.name, .birthDate, .patientID].contains($0.kind)
        }
    }

    /// Year, month and day as far as they are stated; an unknown month or day (`00`) ends the date.
    private static func parts(_ date: String) -> [Int] {
        var result: [Int] = []
        for field in date.prefix(10).split(separator: "-", omittingEmptySubsequences: false).prefix(3) {
            guard let value = Int(field), value > 0 else { break }
            result.append(value)
        }
        return result
    }

    private static func differ(_ one: String, _ other: String) -> Bool {
        zip(parts(one), parts(other)).contains { $0 != $1 }
    }

    private static func ages(born birthDate: String?, on date: String) -> ClosedRange<Int>? {
        guard let birthDate else { return nil }
        let born = parts(birthDate)
        let day = parts(date)
        guard let birthYear = born.first, day.count == 3 else { return nil }
        let years = day[0] - birthYear
        // Without a birthday, either age of that year is right.
        guard born.count == 3 else { return years - 2...years + 1 }
        let age = (day[1], day[2]) < (born[1], born[2]) ? years - 1 : years
        return age - 1...age + 1
    }
}
