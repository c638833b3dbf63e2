import Foundation

/// Three visits of one day, so that a first run has something to show. Nobody in it exists: the INS are of the
/// demonstration system, and their numbers belong to no one.
struct FictionalDay {
    /// The day is the one of this moment.
    let now: Date

    /// System of the keys of pathways, as the agent reads them by default.
    private static let pathway = "urn:ess-agent:id/pathway"
    private static let core = "https://hl7.fr/ig/fhir/core"

    private struct Person {
        var id: String
        var family: String
        var given: [String]
        var gender: String
        var birthDate: String
        /// INSEE code of the place of birth.
        var birthPlace: String
        /// The 13 digits of the matricule; its key is computed.
        var matricule: Int
    }

    private struct Stop {
        var id: String
        var person: Person
        var pathway: String
        var reason: String
        var place: (id: String, name: String)
        /// Minutes after midnight.
        var start: Int
        var priority: String
    }

    var bundle: JSON {
        let stops = [
            Stop(
                id: "visite-demo-1",
                person: Person(
                    id: "patient-demo-1", family: "LEFÈVRE", given: ["Jeanne", "Marie"], gender: "female",
                    birthDate: "1938-04-12", birthPlace: "49007", matricule: 2_380_449_007_901),
                pathway: "heart-failure",
                reason: "Dyspnée d'effort récente, œdèmes des membres inférieurs : avis pour insuffisance cardiaque",
                place: ("lieu-demo-ehpad", "EHPAD Les Tilleuls (fictif), chambre 12"), start: 9 * 60, priority: "urgent"
            ),
            Stop(
                id: "visite-demo-2",
                person: Person(
                    id: "patient-demo-2", family: "LE GOFF", given: ["André"], gender: "male",
                    birthDate: "1951-11-03", birthPlace: "29232", matricule: 1_511_129_232_902),
                pathway: "atrial-fibrillation", reason: "Pouls irrégulier constaté par le médecin traitant",
                place: ("lieu-demo-domicile-2", "Domicile"), start: 10 * 60 + 30, priority: "routine"),
            Stop(
                id: "visite-demo-3",
                person: Person(
                    id: "patient-demo-3", family: "BENSAÏD", given: ["Nadia", "Leïla"], gender: "female",
                    birthDate: "1966-02-27", birthPlace: "99352", matricule: 2_660_299_352_903),
                pathway: "sleep-apnoea", reason: "Ronflements et somnolence diurne : dépistage d'apnées du sommeil",
                place: ("lieu-demo-domicile-3", "Domicile"), start: 14 * 60, priority: "routine"),
        ]
        var resources: [JSON] = [
            [
                "resourceType": "Organization", "id": "equipe-mobile", "active": true,
                "name": "Équipe mobile de démonstration",
            ]
        ]
        resources += requester
        for stop in stops {
            resources += [place(stop), patient(stop.person), order(stop), visit(stop)]
        }
        return [
            "resourceType": "Bundle", "type": "collection", "entry": .array(resources.map { ["resource": $0] }),
        ]
    }

    private func place(_ stop: Stop) -> JSON {
        [
            "resourceType": "Location", "id": .string(stop.place.id), "status": "active", "mode": "instance",
            "name": .string(stop.place.name),
        ]
    }

    private func patient(_ person: Person) -> JSON {
        // The key of a NIR: 97 minus the 13 digits modulo 97.
        let key = 97 - person.matricule % 97
        let matricule = "\(person.matricule)" + (key < 10 ? "0\(key)" : "\(key)")
        return [
            "resourceType": "Patient", "id": .string(person.id), "active": true,
            "extension": [
                [
                    "url": .string("\(Self.core)/StructureDefinition/fr-core-identity-reliability"),
                    "extension": [
                        [
                            "url": "identityStatus",
                            "valueCoding": [
                                "system": .string("\(Self.core)/CodeSystem/fr-core-cs-identity-status"),
                                "code": "QUAL", "display": "Identité qualifiée",
                            ],
                        ]
                    ],
                ],
                [
                    "url": "http://hl7.org/fhir/StructureDefinition/patient-birthPlace",
                    "valueAddress": [
                        "extension": [
                            [
                                "url": .string("\(Self.core)/StructureDefinition/fr-core-address-insee-code"),
                                "valueCoding": ["code": .string(person.birthPlace)],
                            ]
                        ]
                    ],
                ],
            ],
            "identifier": [
                [
                    "use": "official",
                    "type": [
                        "coding": [
                            [
                                "system": .string("\(Self.core)/CodeSystem/fr-core-cs-v2-0203"),
                                "code": "INS-NIR-DEMO",
                            ]
                        ]
                    ],
                    "system": "urn:oid:1.2.250.1.213.1.4.11", "value": .string(matricule),
                ]
            ],
            "name": [
                [
                    "use": "official", "family": .string(person.family), "given": [.string(person.given[0])],
                    "extension": [
                        [
                            "url": .string("\(Self.core)/StructureDefinition/fr-core-patient-birth-list-given-name"),
                            "valueString": .string(person.given.joined(separator: " ")),
                        ]
                    ],
                ]
            ],
            "gender": .string(person.gender), "birthDate": .string(person.birthDate),
        ]
    }

    /// Who asks, as the draft guide of the télé-expertise wants it (sync.md 2.4): a PractitionerRole with its number at the Assurance
    /// Maladie (the guide's draft names no system for it), a Practitioner of the Annuaire, a structure of the FINESS. Nobody's numbers.
    private var requester: [JSON] {
        [
            [
                "resourceType": "Organization", "id": "cabinet-demo", "active": true,
                "name": "Cabinet médical (fictif)",
                "identifier": [["system": "https://finess.esante.gouv.fr", "value": "000000000"]],
            ],
            [
                "resourceType": "Practitioner", "id": "medecin-demo", "active": true,
                "identifier": [
                    ["system": "urn:oid:1.2.250.1.71.4.2.1", "value": "800000000000"],
                    ["system": "https://rpps.esante.gouv.fr", "value": "00000000000"],
                ],
                "name": [["family": "FICTIF", "given": ["Camille"]]],
            ],
            [
                "resourceType": "PractitionerRole", "id": "medecin-demo-cabinet", "active": true,
                "identifier": [["type": ["text": "Numéro d'activité (Assurance Maladie)"], "value": "000000000"]],
                "practitioner": ["reference": "Practitioner/medecin-demo", "display": "Dr Camille FICTIF"],
                "organization": ["reference": "Organization/cabinet-demo"],
            ],
        ]
    }

    /// A request of the télé-expertise: a proposal until the cardiologist has answered it.
    private func order(_ stop: Stop) -> JSON {
        [
            "resourceType": "ServiceRequest", "id": .string("demande-\(stop.id)"), "status": "active",
            "intent": "proposal", "priority": .string(stop.priority), "authoredOn": .string(time(-5 * 24 * 60)),
            "requester": ["reference": "PractitionerRole/medecin-demo-cabinet", "display": "Dr Camille FICTIF"],
            "category": [
                ["coding": [["system": .string(Self.pathway), "code": .string(stop.pathway)]]]
            ],
            "subject": ["reference": .string("Patient/\(stop.person.id)")],
            "reasonCode": [["text": .string(stop.reason)]],
        ]
    }

    private func visit(_ stop: Stop) -> JSON {
        [
            "resourceType": "Task", "id": .string(stop.id), "status": "ready", "intent": "order",
            "priority": .string(stop.priority),
            "focus": ["reference": .string("ServiceRequest/demande-\(stop.id)")],
            "for": ["reference": .string("Patient/\(stop.person.id)")],
            "owner": ["reference": "Organization/equipe-mobile"],
            "location": [
                "reference": .string("Location/\(stop.place.id)"), "display": .string(stop.place.name),
            ],
            "executionPeriod": [
                "start": .string(time(stop.start)), "end": .string(time(stop.start + 60)),
            ],
        ]
    }

    /// A FHIR dateTime of the day in France.
    private func time(_ minutes: Int) -> String {
        var calendar = Calendar(identifier: .gregorian)
        let zone = TimeZone(identifier: "Europe/Paris") ?? .gmt
        calendar.timeZone = zone
        let moment = calendar.startOfDay(for: now).addingTimeInterval(Double(minutes) * 60)
        let offset = zone.secondsFromGMT(for: moment) / 60
        let local = Instant.text(Int(moment.timeIntervalSince1970) * 1000 + offset * 60_000)
        func pad(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
        return local.prefix(19) + "+" + pad(offset / 60) + ":" + pad(offset % 60)
    }
}
