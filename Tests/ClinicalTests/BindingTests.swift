import Clinical
import Testing

private let helene = Patient(
    id: "p1", ins: Identifier(system: "urn:oid:1.2.250.1.213.1.4.8", value: "238047512345622"),
    family: "Lefèbvre-Noël", given: ["Hélène", "Marie"], birthDate: "1938-04-12", sex: .female)

@Suite struct NameComparison {
    @Test(
        arguments: [
            "Lefèbvre-Noël Hélène", "LEFEBVRE NOEL", "helene", "NOEL^HELENE", "Marie LEFEBVRE", "LEFEBVRENOEL",
            "LefebvreNoelHelene", "MARTIN HELENE", "H L", "HL", "HML", "", "  - ", "Lefe\u{0300}bvre",
        ])
    func matches(_ name: String) {
        #expect(IdentityClaim(name: name).contradictions(with: helene, on: nil).isEmpty)
    }

    @Test(arguments: ["DURAND PAUL", "TempPatient", "PLA", "LEFEB", "N", "MME DE LA TOUR", "X Y"])
    func contradicts(_ name: String) {
        let found = IdentityClaim(name: name).contradictions(with: helene, on: nil)
        #expect(found == [Contradiction(kind: .name, claimed: name, expected: "Lefèbvre-Noël Hélène Marie")])
    }

    /// A device with room for eight characters.
    @Test(arguments: ["LEFEBVRE", "LEFEBVRENO", "H LEFEBV", "MARTIN MAR", "HELENELE"])
    func cutNames(_ name: String) {
        #expect(IdentityClaim(name: name, nameLimit: 8).contradictions(with: helene, on: nil).isEmpty)
    }

    @Test func aCutNeedsTheWholeRoom() {
        #expect(!IdentityClaim(name: "LEFEB", nameLimit: 8).contradictions(with: helene, on: nil).isEmpty)
        #expect(!IdentityClaim(name: "MARTIN J", nameLimit: 8).contradictions(with: helene, on: nil).isEmpty)
        #expect(!IdentityClaim(name: "DUPONTLE", nameLimit: 8).contradictions(with: helene, on: nil).isEmpty)
    }

    @Test func particlesProveNothing() {
        var patient = helene
        patient.family = "de La Croix"
        #expect(!IdentityClaim(name: "DE LA TOUR").contradictions(with: patient, on: nil).isEmpty)
        #expect(IdentityClaim(name: "DELACROIX").contradictions(with: patient, on: nil).isEmpty)
        // A family name that is a particle elsewhere.
        patient.family = "Le"
        #expect(IdentityClaim(name: "LE").contradictions(with: patient, on: nil).isEmpty)
    }

    @Test func ligatures() {
        var patient = helene
        patient.family = "Œdipe"
        patient.given = ["Læticia"]
        #expect(IdentityClaim(name: "OEDIPE").contradictions(with: patient, on: nil).isEmpty)
        #expect(IdentityClaim(name: "LAETICIA").contradictions(with: patient, on: nil).isEmpty)
    }
}

@Suite struct TraitComparison {
    private func kinds(_ claim: IdentityClaim, on date: String? = "2026-11-22") -> [Contradiction.Kind] {
        claim.contradictions(with: helene, on: date).map(\.kind)
    }

    @Test func sex() {
        #expect(kinds(IdentityClaim(sex: .male)) == [.sex])
        #expect(kinds(IdentityClaim(sex: .female)) == [])
        #expect(kinds(IdentityClaim(sex: .unknown)) == [])
    }

    @Test(arguments: [("1938-04-12", true), ("1938-04", true), ("1938", true), ("1938-00-00", true), ("", true)])
    func sameBirthDate(_ date: String, _ same: Bool) { #expect(kinds(IdentityClaim(birthDate: date)).isEmpty == same) }

    @Test(arguments: ["1938-04-13", "1938-05-12", "1939"])
    func otherBirthDate(_ date: String) { #expect(kinds(IdentityClaim(birthDate: date)) == [.birthDate]) }

    /// 88 years old on that day.
    @Test(arguments: [(86, false), (87, true), (88, true), (89, true), (90, false), (0, false)])
    func age(_ age: Int, _ fits: Bool) {
        #expect(kinds(IdentityClaim(age: age)).isEmpty == fits)
        #expect(kinds(IdentityClaim(age: age), on: nil).isEmpty)
    }

    @Test func ageBeforeTheBirthday() {
        #expect(kinds(IdentityClaim(age: 86), on: "2026-04-11").isEmpty)
        #expect(kinds(IdentityClaim(age: 89), on: "2026-04-11") == [.age])
        #expect(kinds(IdentityClaim(age: 86), on: "2026-04-12") == [.age])
    }

    @Test func patientID() {
        #expect(kinds(IdentityClaim(patientID: "2 38 04 75 123 456 22")).isEmpty)
        #expect(kinds(IdentityClaim(patientID: "2380475123456")).isEmpty)
        #expect(kinds(IdentityClaim(patientID: "138047512345622")) == [.patientID])
        #expect(kinds(IdentityClaim(patientID: "1380A75123456")).isEmpty, "not the form of an INS")
        #expect(kinds(IdentityClaim(patientID: "180022A004099")) == [.patientID], "a Corsican one")
        #expect(kinds(IdentityClaim(patientID: "0000000042")).isEmpty, "a device's own number")
    }

    @Test func nothingClaimedNothingContradicted() { #expect(kinds(IdentityClaim()).isEmpty) }

    @Test func allAtOnce() {
        let claim = IdentityClaim(
            name: "DURAND", sex: .male, birthDate: "1950-01-01", age: 76, patientID: "150017512345678")
        #expect(kinds(claim) == [.name, .sex, .birthDate, .age, .patientID])
    }
}
