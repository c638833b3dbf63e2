import Clinical
import FHIR
import Foundation
import Synchronization
import Testing
@_spi(Testing) import Uplink

private func id(_ n: Int) -> UUID {
    UUID(uuidString: "019ABCDE-0000-7000-8000-" + String(repeating: "0", count: 12 - "\(n)".count) + "\(n)")!
}

private let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()

/// A visit with an ECG (artefact and original) and, for `simulated`, a night of a simulated oximeter.
private func facts(
    status: String = "QUAL", state: VisitFacts.State = .preliminary, simulated: Bool = false, nurse: Bool = true
) -> VisitFacts {
    let ecg = DeviceIdentity(
        driver: "contec-ecg-files", vendor: "Contec", model: "ECG90A", serial: "90A-0007", firmware: "1.4",
        support: .singleSource)
    let oximeter = DeviceIdentity(
        driver: "contec-oximeter", vendor: "Contec", model: "CMS50D+", serial: "SIM-1", support: .verified)
    let clock = ClockFacts(
        deviceStart: LocalTime("2026-11-22 10:02:03"), deviceRaw: "20261122100203", hostWall: 1_795_339_500_000,
        hostMonotonic: 5, bootID: "b", hostSynchronised: true, source: .device)
    let ecgRecording = Recording(
        id: RecordingID(id(1)), kind: .file, modality: .ecg, origin: .imported, device: ecg, channels: [], clock: clock,
        state: .complete, endReason: .finished)
    let night = Recording(
        id: RecordingID(id(3)), kind: .live, modality: .oximetry, origin: .simulated, device: oximeter, channels: [],
        clock: ClockFacts(
            hostWall: 1_795_339_500_000, hostMonotonic: 5, bootID: "b", hostSynchronised: nil, source: .host),
        state: .interrupted, endReason: .deviceGone)
    var entries = [
        VisitFacts.Entry(
            document: Document(
                id: id(1), recording: ecgRecording.id, role: .artefact, mediaType: "application/dicom", size: 123_504,
                sha256: String(repeating: "ab", count: 32), sha1: "2jmj7l5rSw0yVb/vlWAYkK/YBwk="),
            recording: ecgRecording, sensor: id(20), start: "2026-11-22T10:02:03+01:00",
            end: "2026-11-22T10:02:13+01:00", original: id(2)),
        VisitFacts.Entry(
            document: Document(
                id: id(2), recording: ecgRecording.id, role: .original, mediaType: "application/octet-stream",
                size: 134_080,
                sha256: String(repeating: "cd", count: 32), sha1: "qvTGHdzF6KLavt4PO0gs2a6pQ00="),
            recording: ecgRecording, sensor: id(20), start: "2026-11-22T10:02:03+01:00",
            end: "2026-11-22T10:02:13+01:00"),
    ]
    var sensors = [VisitFacts.Sensor(id: id(20), identity: ecg)]
    if simulated {
        sensors.append(VisitFacts.Sensor(id: id(21), identity: oximeter))
        entries.append(
            VisitFacts.Entry(
                document: Document(
                    id: id(3), recording: night.id, role: .artefact, mediaType: "application/edf", size: 4096,
                    sha256: String(repeating: "ef", count: 32), sha1: "2jmj7l5rSw0yVb/vlWAYkK/YBwk="),
                recording: night, sensor: id(21), start: nil, end: nil))
    }
    return VisitFacts(
        visit: Visit(
            id: "t1", version: "3",
            patient: Clinical.Patient(
                id: "p1", ins: .init(system: Systems.insTest, value: "279035121518989"),
                identityStatus: .init(system: Systems.identityStatus, value: status), family: "TESTE", given: ["ANNE"],
                birthDate: "1938-04-12", sex: .female),
            order: "ServiceRequest/o1"),
        state: state, encounter: id(10), provenance: id(11), batch: id(12),
        laptop: .init(id: id(13), identifier: "laptop-7", version: "1.2.3"),
        nurse: nurse
            ? .init(identifier: .init(system: Systems.rpps, value: "10101234567"), name: "Camille Martin") : nil,
        sensors: sensors, entries: entries, opened: "2026-11-22T10:00:00+01:00",
        closed: state == .final ? "2026-11-22T10:40:00+01:00" : nil, recorded: Instant("2026-11-22T09:41:00Z")!)
}

/// A blood pressure with its pulse, and a weight: one panel, one plain value.
private func measuredFacts() -> VisitFacts {
    var facts = facts()
    let recording = facts.entries[0].recording
    let at = LocalTime("2026-11-22 10:05:00")
    func reading(_ kind: Reading.Kind, _ value: Ratio, _ unit: String, _ sequence: Int, _ flags: [String] = [])
        -> Reading
    {
        Reading(
            kind: kind, value: value, unit: unit, at: at, rawTime: "26/11/22 10:05", sequence: sequence, flags: flags)
    }
    facts.measured = [
        VisitFacts.Measured(
            recording: recording, sensor: facts.sensors[0].id,
            readings: [
                reading(.systolic, Ratio(142), "mm[Hg]", 0, ["irregular pulse"]),
                reading(.diastolic, Ratio(81), "mm[Hg]", 0),
                reading(.pulseRate, Ratio(67), "/min", 0), reading(.weight, Ratio(725, 10), "kg", 1),
            ],
            ids: [0: id(30), 1: id(31)], times: [0: "2026-11-22T10:05:00+01:00", 1: "2026-11-22T10:05:00+01:00"])
    ]
    return facts
}

/// An echocardiograph's report: a value of an algorithm, one that a person selected, and what has no code of a public scheme.
private func reportedFacts(verified: Bool = false, state: VisitFacts.State = .preliminary) -> VisitFacts {
    typealias Code = VisitFacts.Code
    var facts = facts(state: state)
    let cm = Code(value: "cm", scheme: "UCUM", meaning: "centimètre")
    let leftVentricle = Code(value: "87878005", scheme: "SCT", meaning: "Ventricule gauche")
    facts.reported = [
        VisitFacts.Reported(
            recording: facts.entries[0].recording, sensor: facts.sensors[0].id,
            values: [
                VisitFacts.Value(
                    id: id(40), sequence: 0,
                    name: Code(value: "18043-0", scheme: "LN", meaning: "Left Ventricular Ejection Fraction by US"),
                    value: Decimal(string: "57.4")!, unit: Code(value: "%", scheme: "UCUM", meaning: "percent"),
                    site: leftVentricle,
                    method: Code(value: "125208", scheme: "DCM", meaning: "Method of Disks, Single Plane"),
                    contexts: [
                        .init(
                            name: Code(value: "111031", scheme: "DCM", meaning: "Image View"),
                            value: Code(value: "399214001", scheme: "SCT", meaning: "Apical four chamber"))
                    ],
                    algorithm: .init(name: "SYNTH-LVEF", version: "1.2.3", manufacturer: "ACME", family: " "),
                    isVerified: verified),
                VisitFacts.Value(
                    id: id(41), sequence: 2, name: Code(value: "29436-3", scheme: "LN", meaning: ""),
                    value: Decimal(string: "4.91")!, unit: cm, site: leftVentricle, isVerified: verified,
                    isSelected: true),
                VisitFacts.Value(
                    id: id(42), sequence: 3, name: Code(value: "GEU-1", scheme: "99GEMS", meaning: "E' lat"),
                    value: 9, unit: Code(value: "u", scheme: "99GEMS", meaning: "units of its own"),
                    algorithm: .init(name: nil, version: nil, manufacturer: nil, family: nil), isVerified: verified),
                VisitFacts.Value(
                    id: id(43), sequence: 4, name: Code(value: "2:16016", scheme: "MDC", meaning: "Heart rate"),
                    value: 71, unit: nil, isVerified: verified),
            ])
    ]
    return facts
}

private let base = "https://ess.example/fhir"
private let recordings = "https://ess.example/ess/v1/recordings"

@Suite(.timeLimit(.minutes(2)))
struct FactsLaneTests {
    /// The golden Bundles, which Tests/Interop/check_fhir.py holds against somebody else's FHIR. `UPDATE_GOLDEN=1` writes them.
    @Test(arguments: [
        ("visit-preliminary", facts()), ("visit-final", facts(state: .final)),
        ("visit-simulated", facts(status: "PROV", simulated: true, nurse: false)), ("visit-measured", measuredFacts()),
        ("visit-reported", reportedFacts()),
    ])
    func golden(name: String, facts: VisitFacts) throws {
        let bundle = try facts.bundle(base: base, recordings: recordings)
        let bytes = try FHIRCodec.encode(bundle, pretty: true) + [10]
        let file = root.appendingPathComponent("fixtures/server/\(name).json")
        if ProcessInfo.processInfo.environment["UPDATE_GOLDEN"] != nil { try Data(bytes).write(to: file) }
        #expect(try Data(contentsOf: file) == Data(bytes), "regenerate with UPDATE_GOLDEN=1 and look at the difference")
        #expect(try FHIRCodec.decode(Bundle.self, from: bytes) == bundle)
        #expect(try FHIRCodec.encode(facts.bundle(base: base, recordings: recordings), pretty: true) + [10] == bytes)
    }

    @Test func readingsOfOneMeasurementAreOneObservation() throws {
        let bundle = try measuredFacts().bundle(base: base, recordings: recordings)
        let observations = bundle.entry.compactMap {
            if case .observation(let value)? = $0.resource { value } else { nil }
        }
        #expect(observations.map(\.id) == [id(30).uuidString.lowercased(), id(31).uuidString.lowercased()])
        #expect(observations[0].component.compactMap(\.valueQuantity?.value) == [142, 81, 67])
        #expect(observations[0].note.map(\.text) == ["irregular pulse"])
        #expect(observations[1].valueQuantity?.value == Decimal(string: "72.5"))
        #expect(observations.allSatisfy { $0.derivedFrom.count == 1 })
    }

    private func reported(_ facts: VisitFacts) throws -> [Observation] {
        try facts.bundle(base: base, recordings: recordings).entry.compactMap {
            if case .observation(let value)? = $0.resource { value } else { nil }
        }
    }

    @Test func whatAnAlgorithmMeasuredSaysSoAndIsNeverFinalByItself() throws {
        for state in [VisitFacts.State.preliminary, .final] {
            let values = try reported(reportedFacts(state: state))
            #expect(values.map(\.status) == Array(repeating: "preliminary", count: 4))
            let labelled = values.map { $0.meta?.security.contains { $0.code == "AIAST" } == true }
            #expect(labelled == [true, false, true, false])
            let algorithm = values[0].extension.first("\(VisitFacts.namespace)/algorithm")?.extension ?? []
            #expect(algorithm.map(\.url) == ["name", "version", "manufacturer", "unverified"])
            #expect(algorithm.first("name")?.valueString == "SYNTH-LVEF")
            #expect(algorithm.first("version")?.valueString == "1.2.3")
            #expect(algorithm.first("unverified")?.valueBoolean == true)
            #expect(values[0].note.map(\.text) == ["Measured by SYNTH-LVEF, version 1.2.3: unverified"])
            #expect(
                values[2].note.map(\.text) == ["Measured by an algorithm without a name, version unknown: unverified"])
        }
        let verified = try reported(reportedFacts(verified: true, state: .final))
        #expect(verified.allSatisfy { $0.status == "final" })
        #expect(verified[0].note.map(\.text) == ["Measured by SYNTH-LVEF, version 1.2.3: verified by a named person"])
        #expect(verified[0].meta?.security.map(\.code) == ["AIAST"])
    }

    @Test func aReportsCodesAreItsOwn() throws {
        let values = try reported(reportedFacts())
        #expect(
            values.map { $0.code?.coding.first?.system } == [
                "http://loinc.org", "http://loinc.org", "urn:ess-agent:id/coding-scheme/99GEMS",
                "urn:iso:std:iso:11073:10101",
            ])
        // 2 * 65536 + 16016
        #expect(values.map { $0.code?.coding.first?.code } == ["18043-0", "29436-3", "GEU-1", "147088"])
        #expect(
            values.map { $0.code?.text } == [
                "Left Ventricular Ejection Fraction by US", "29436-3", "E' lat", "Heart rate",
            ])
        #expect(values.map(\.valueQuantity?.value) == [Decimal(string: "57.4"), Decimal(string: "4.91"), 9, 71])
        #expect(values.map(\.valueQuantity?.code) == ["%", "cm", nil, "1"])
        #expect(values[0].bodySite?.coding.first?.system == "http://snomed.info/sct")
        #expect(values[0].method?.coding.first?.code == "125208")
        #expect(values[0].component.map { $0.valueCodeableConcept?.coding.first?.code } == ["399214001"])
        #expect(values.allSatisfy { $0.derivedFrom.count == 1 && $0.subject != nil && $0.category.count == 1 })
    }

    @Test func everyEntryIsAPutUnderItsOwnId() throws {
        let bundle = try facts(simulated: true).bundle(base: base, recordings: recordings)
        for entry in bundle.entry {
            let resource = try #require(entry.resource)
            let id = try #require(resource.id)
            #expect(entry.request == .init(method: "PUT", url: "\(resource.type)/\(id)"))
            #expect(entry.fullUrl == "\(base)/\(resource.type)/\(id)")
            #expect(id == id.lowercased())
        }
        #expect(Set(bundle.entry.compactMap(\.fullUrl)).count == bundle.entry.count)
    }

    /// Everything that is referred to here is in the Bundle, and comes before.
    @Test func referencesLeadBackwards() throws {
        let bundle = try facts(simulated: true).bundle(base: base, recordings: recordings)
        var known: Set<String> = ["Patient/p1", "ServiceRequest/o1"]
        for entry in bundle.entry {
            let text = String(decoding: try FHIRCodec.encode(entry), as: UTF8.self)
            for match in text.matches(of: /"reference":"([^"]+)"/) {
                #expect(known.contains(String(match.1)), "\(match.1)")
            }
            known.insert(entry.request?.url ?? "")
        }
    }

    /// sync.md 2.1: outside of *qualifiée* only the server's own id leaves; trap 1: VALI of either code system is not QUAL.
    @Test(arguments: [
        (Systems.identityStatus, "QUAL", true), (Systems.identityStatus, "VALI", false),
        (Systems.identityStatus, "PROV", false),
        (Systems.identityReliability, "VALI", false), (Systems.identityReliability, "QUAL", false),
    ])
    func theINSLeavesOnlyWhenQualified(system: String, code: String, leaves: Bool) throws {
        var facts = facts()
        facts.visit.patient.identityStatus = .init(system: system, value: code)
        let text = String(
            decoding: try FHIRCodec.encode(facts.bundle(base: base, recordings: recordings)), as: UTF8.self)
        #expect(text.contains("279035121518989") == leaves)
    }

    @Test func noTraitsLeave() throws {
        let text = String(
            decoding: try FHIRCodec.encode(facts().bundle(base: base, recordings: recordings)), as: UTF8.self)
        for trait in ["TESTE", "ANNE", "1938"] { #expect(!text.contains(trait)) }
    }

    @Test func simulatedDataSaysSo() throws {
        for entry in try facts(simulated: true).bundle(base: base, recordings: recordings).entry {
            switch entry.resource {
            case .documentReference(let document):
                #expect(
                    (document.meta?.security.contains(.testData) ?? false)
                        == (document.id == id(3).uuidString.lowercased()))
            case .device(let device): #expect((device.meta?.tag == [.testData]) == (device.serialNumber == "SIM-1"))
            case .encounter(let encounter): #expect(encounter.meta?.security == [.testData])
            default: break
            }
        }
    }

    @Test func contradictionsAreRefused() {
        var twice = facts()
        twice.provenance = twice.encounter
        #expect(throws: UplinkError.local("two resources under one identity")) {
            try twice.bundle(base: base, recordings: recordings)
        }
        var unlisted = facts()
        unlisted.sensors = []
        #expect(throws: UplinkError.local("a recording's device is not among the sensors")) {
            try unlisted.bundle(base: base, recordings: recordings)
        }
    }

    private func answer(_ statuses: [String]) -> ScriptedServer.Step {
        let entries = statuses.map { #"{"response":{"status":"\#($0)","etag":"W/\"1\""}}"# }.joined(separator: ",")
        return .answer(200, fhirJSON, #"{"resourceType":"Bundle","type":"transaction-response","entry":[\#(entries)]}"#)
    }

    @Test func sending() async throws {
        let step = answer(["201 Created", "201 Created", "200 OK", "201", "201 Created", "201 Created"])
        let server = try ScriptedServer { _ in step }
        defer { server.stop() }
        let lane = try FactsLane(link(to: server), offer: Offer())
        let stored = try await lane.send(facts(), key: id(12))
        #expect(stored.map(\.status) == [201, 201, 200, 201, 201, 201])
        #expect(stored[0] == .init(resource: "Device/\(id(13).uuidString.lowercased())", status: 201, etag: "W/\"1\""))
        _ = try await lane.send(facts(), key: id(12))
        let seen = server.seen
        #expect(seen[0].target == "/fhir/")
        #expect(seen[0].method == "POST")
        #expect(seen[0].headers["idempotency-key"] == id(12).uuidString.lowercased())
        #expect(seen[0].headers["content-type"]?.hasPrefix("application/fhir+json") == true)
        #expect(seen[0].body == seen[1].body)
        #expect(
            seen[0].body
                == (try FHIRCodec.encode(
                    facts().bundle(base: "http://localhost/fhir", recordings: "http://localhost/ess/v1/recordings"))))
    }

    /// A server that does each entry by itself says of each what it would have said alone.
    @Test func statusesOfEntriesMeanWhatTheyMeanAlone() async throws {
        let name = "Provenance/\(id(11).uuidString.lowercased())"
        let cases: [(String, UplinkError?)] = [
            ("204 No Content", nil), ("304 Not Modified", nil), ("202", nil),
            ("503 Service Unavailable", .transient(status: 503, retryAfter: nil)),
            ("429", .transient(status: 429, retryAfter: nil)), ("507", .serverFull(retryAfter: nil)),
            ("409 Conflict", .conflict(status: 409, name)), ("412", .conflict(status: 412, name)),
            ("403", .forbidden(name)), ("401", .forbidden(name)), ("404", .permanent(status: 404, name)),
            ("302", .permanent(status: 302, name)), ("0", .permanent(status: 0, name)),
        ]
        for (status, expected) in cases {
            let step = answer(Array(repeating: "201 Created", count: 5) + [status])
            let server = try ScriptedServer { _ in step }
            defer { server.stop() }
            let lane = try FactsLane(link(to: server), offer: Offer())
            guard let expected else {
                #expect(try await lane.send(facts(), key: id(12)).count == 6)
                continue
            }
            await #expect(throws: expected) { try await lane.send(facts(), key: id(12)) }
        }
    }

    @Test func aSuccessThatIsNone() async throws {
        let good = Array(repeating: "201 Created", count: 5)
        let cases: [(ScriptedServer.Step, UplinkError)] = [
            (answer(good), .malformed("5 answers to 6 entries")),
            (
                answer(good + ["422 Unprocessable"]),
                .permanent(status: 422, "Provenance/\(id(11).uuidString.lowercased())")
            ),
            (answer(good + ["fine"]), .malformed("no status for Provenance/\(id(11).uuidString.lowercased())")),
            (
                .answer(200, fhirJSON, #"{"resourceType":"Bundle","type":"searchset"}"#),
                .malformed("not a transaction-response")
            ),
            (.answer(200, ["Content-Type": "text/html"], "<html>"), .captivePortal("HTML instead of JSON")),
            (.answer(204, [:], ""), .malformed("not JSON: no content type")),
            (.answer(409, [:], "no"), .conflict(status: 409, "no")),
            (.answer(422, [:], "no"), .permanent(status: 422, "no")),
        ]
        for (step, expected) in cases {
            let server = try ScriptedServer { _ in step }
            defer { server.stop() }
            let lane = try FactsLane(link(to: server), offer: Offer())
            await #expect(throws: expected) { try await lane.send(facts(), key: id(12)) }
        }
    }
}
