import Clinical
import Testing

/// sync.md 2.1: system and value, system and code, always both.
@Suite struct NationalIdentity {
    private static let nir = Identifier.INS.nir.rawValue
    private static let parent = "180022A00409912"

    private func patient(_ system: String = nir, _ value: String = "238047512345622") -> Patient {
        Patient(
            id: "p1", ins: Identifier(system: system, value: value), family: "Noël", given: ["Hélène"],
            birthDate: "1938-04-12", sex: .female)
    }

    private func contradicts(_ id: String, _ issuer: String?, _ patient: Patient) -> Bool {
        !IdentityClaim(patientID: id, issuer: issuer).contradictions(with: patient, on: nil).isEmpty
    }

    @Test(arguments: [
        ("238047512345622", "1.2.250.1.213.1.4.8", false), ("2380475123456", "urn:oid:1.2.250.1.213.1.4.8", false),
        ("138047512345622", "1.2.250.1.213.1.4.8", true), ("42", "1.2.250.1.213.1.4.8", true),
        // A file that has the field and leaves it empty is never merged by name alone (formats.md 2.5).
        ("", "1.2.250.1.213.1.4.8", true),
        // The INS of a person who doesn't exist, in a real person's visit.
        ("238047512345622", "1.2.250.1.213.1.4.10", true), ("238047512345622", "1.2.250.1.213.1.4.11", true),
        // A NIA gives way to a NIR: nothing can be said.
        ("738047512345622", "1.2.250.1.213.1.4.9", false),
        // Another register's number (a file number, DP) that looks like an INS is none.
        ("138047512345622", "1.2.250.1.176.1.2", false), ("138047512345622", "urn:oid:1.2.3", false),
        // Free text says nothing about the register: the form counts.
        ("138047512345622", "CHU", true), ("138047512345622", "INS", true), ("4711", "CHU", false),
        ("138047512345622", nil, true), ("4711", nil, false),
    ])
    func issuerAndNumber(_ id: String, _ issuer: String?, _ expected: Bool) {
        #expect(contradicts(id, issuer, patient()) == expected)
    }

    @Test func bothAreShown() {
        let claim = IdentityClaim(patientID: "138047512345622", issuer: "1.2.250.1.213.1.4.8")
        #expect(
            claim.contradictions(with: patient(), on: nil) == [
                Contradiction(
                    kind: .patientID, claimed: "138047512345622 (1.2.250.1.213.1.4.8)", expected: "238047512345622")
            ])
    }

    /// A patient whose identity isn't in the national system is contradicted by no number of it.
    @Test func withoutAnINS() {
        var patient = patient()
        patient.ins = nil
        #expect(!contradicts("138047512345622", "1.2.250.1.213.1.4.8", patient))
        patient.ins = Identifier(system: "https://hospital.example/ipp", value: "138047512345622")
        #expect(!contradicts("238047512345622", nil, patient))
    }

    /// Trap 1: VALI is "validated, with an INS" in one code system and "without" in the other; only QUAL of the one counts.
    @Test(arguments: [
        ("https://hl7.fr/ig/fhir/core/CodeSystem/fr-core-cs-identity-status", "QUAL", true),
        ("https://hl7.fr/ig/fhir/core/CodeSystem/fr-core-cs-identity-status", "VALI", false),
        ("https://hl7.fr/ig/fhir/core/CodeSystem/fr-core-cs-identity-status", "RECUP", false),
        ("https://hl7.fr/ig/fhir/core/CodeSystem/fr-core-cs-identity-status", "PROV", false),
        ("https://hl7.fr/ig/fhir/core/CodeSystem/fr-core-cs-v2-0445", "VALI", false),
        ("https://hl7.fr/ig/fhir/core/CodeSystem/fr-core-cs-v2-0445", "QUAL", false), ("", "QUAL", false),
    ])
    func onlyAQualifiedINSLeaves(_ system: String, _ code: String, _ leaves: Bool) {
        var patient = patient()
        patient.identityStatus = Identifier(system: system, value: code)
        #expect((patient.qualifiedINS != nil) == leaves)
        patient.identityStatus = nil
        #expect(patient.qualifiedINS == nil)
    }

    /// Trap 2: the billing number sits in INS-NIR's system and is the parent's. A child's file that carries it contradicts
    /// the child's INS, and agreeing with the parent's proves nothing: the name still counts.
    @Test func aParentsNumber() {
        let child = patient(Self.nir, "212047512345678")
        #expect(contradicts(Self.parent, "1.2.250.1.213.1.4.8", child))
        let claim = IdentityClaim(name: "DURAND PAUL", patientID: "238047512345622", issuer: "1.2.250.1.213.1.4.8")
        #expect(claim.contradictions(with: patient(), on: nil).map(\.kind) == [.name])
    }
}
