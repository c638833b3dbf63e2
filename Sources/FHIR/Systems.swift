/// URIs of code and identifier systems that cross the wire, each with its source.
public enum Systems {
    // sync.md 2.1, from FR Core's patient profiles.
    public static let insNIR = "urn:oid:1.2.250.1.213.1.4.8"
    public static let insNIA = "urn:oid:1.2.250.1.213.1.4.9"
    public static let insTest = "urn:oid:1.2.250.1.213.1.4.10"
    public static let insDemo = "urn:oid:1.2.250.1.213.1.4.11"
    /// The type codings of FR Core's identifiers: INS-NIR, INS-NIA, INS-NIR-TEST, INS-NIR-DEMO, NH, …
    public static let identifierType = "https://hl7.fr/ig/fhir/core/CodeSystem/fr-core-cs-v2-0203"
    /// Four RNIV statuses; here VALI means *without* INSi, QUAL is the qualified identity (sync.md 2.1, trap 1).
    public static let identityStatus = "https://hl7.fr/ig/fhir/core/CodeSystem/fr-core-cs-identity-status"
    /// HL7 v2 table 0445; here VALI means validated (sync.md 2.1, trap 1).
    public static let identityReliability = "https://hl7.fr/ig/fhir/core/CodeSystem/fr-core-cs-v2-0445"

    // FR Core's extensions on Patient (hl7.fr/ig/fhir/core), and R4's own for the place of birth.
    public static let identityReliabilityExtension =
        "https://hl7.fr/ig/fhir/core/StructureDefinition/fr-core-identity-reliability"
    public static let birthGivenNamesExtension =
        "https://hl7.fr/ig/fhir/core/StructureDefinition/fr-core-patient-birth-list-given-name"
    public static let inseeCodeExtension = "https://hl7.fr/ig/fhir/core/StructureDefinition/fr-core-address-insee-code"
    public static let birthPlaceExtension = "http://hl7.org/fhir/StructureDefinition/patient-birthPlace"

    // sync.md 2.2. An IDNPS is neither built nor parsed by software.
    public static let idnps = "urn:oid:1.2.250.1.71.4.2.1"
    public static let rpps = "https://rpps.esante.gouv.fr"
    public static let finess = "https://finess.esante.gouv.fr"

    // HL7 and others.
    public static let actCode = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
    public static let actReason = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
    public static let provenanceAgentType = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
    public static let observationValue = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue"
    public static let loinc = "http://loinc.org"
    public static let snomed = "http://snomed.info/sct"
    public static let ucum = "http://unitsofmeasure.org"
    public static let dicom = "http://dicom.nema.org/resources/ontology/DCM"
    /// ISO/IEEE 11073-10101
    public static let mdc = "urn:iso:std:iso:11073:10101"
    /// For identifiers that are URIs themselves (`urn:uuid:…`).
    public static let uri = "urn:ietf:rfc:3986"
}

extension Coding {
    /// A visit at the patient's home (or EHPAD): the Encounter's class (sync.md 1.1).
    public static let homeHealth = Coding(system: Systems.actCode, code: "HH", display: "home health")
    /// Marks everything that comes from a simulator.
    public static let testData = Coding(system: Systems.actReason, code: "HTEST", display: "test health data")
    /// The security label of what an algorithm asserted; the AI Transparency guide (hl7.org/fhir/uv/aitransparency) asks for it.
    public static let artificialIntelligence = Coding(
        system: Systems.observationValue, code: "AIAST", display: "Artificial Intelligence asserted")
    /// LOINC 11524-6 (pathways.md, building blocks).
    public static let ecgStudy = Coding(system: Systems.loinc, code: "11524-6", display: "EKG study")
}
