import FHIR
import Testing

private let patient = """
    {"resourceType":"Patient","id":"p1","meta":{"versionId":"3","lastUpdated":"2026-11-20T08:00:00.5+01:00"},
     "extension":[{"url":"https://hl7.fr/ig/fhir/core/StructureDefinition/fr-core-identity-reliability","extension":[
       {"url":"identityStatus","valueCoding":{"system":"https://hl7.fr/ig/fhir/core/CodeSystem/fr-core-cs-identity-status","code":"QUAL"}},
       {"url":"validationDate","valueDate":"2026-01-02"}]}],
     "identifier":[{"use":"official","type":{"coding":[{"system":"https://hl7.fr/ig/fhir/core/CodeSystem/fr-core-cs-v2-0203","code":"INS-NIR"}]},
       "system":"urn:oid:1.2.250.1.213.1.4.8","value":"279035121518989","assigner":{"display":"x"}}],
     "name":[{"use":"official","family":"TESTE","given":["ANNE"]}],"gender":"female","birthDate":"1938-04-12",
     "multipleBirthInteger":2,"contact":[{"name":{"family":"X"}}]}
    """

struct ReadingTests {
    @Test func readsWhatItKnowsAndIgnoresTheRest() throws {
        let value = try FHIRCodec.decode(Patient.self, from: Array(patient.utf8))
        #expect(value.id == "p1")
        #expect(value.meta?.versionId == "3")
        #expect(value.meta?.lastUpdated == Instant("2026-11-20T07:00:00.500Z"))
        #expect(value.identifier.first?.type?.coding.first?.code == "INS-NIR")
        #expect(value.name.first?.family == "TESTE")
        #expect(
            value.extension.first(Systems.identityReliabilityExtension)?.extension.first("identityStatus")?.valueCoding
                == Coding(system: Systems.identityStatus, code: "QUAL"))
        #expect(value.address.isEmpty)
    }

    @Test func refusesAnotherResource() {
        #expect(throws: FHIRError.wrongType(expected: "Task", found: "Patient")) {
            try FHIRCodec.decode(TaskResource.self, from: Array(patient.utf8))
        }
        #expect(throws: FHIRError.unreadable("Patient:  has no resourceType")) {
            try FHIRCodec.decode(Patient.self, from: Array("{}".utf8))
        }
    }

    @Test func errorsNameFieldsNotValues() {
        let text = #"{"resourceType":"Patient","id":"p","name":[{"family":["DUPONT"]}]}"#
        #expect(throws: FHIRError.unreadable("Patient: name.0.family is not a String")) {
            try FHIRCodec.decode(Patient.self, from: Array(text.utf8))
        }
    }

    @Test func everyTruncationIsAnError() {
        let bytes = Array(patient.utf8)
        for length in 0..<bytes.count {
            #expect(throws: FHIRError.self) { try FHIRCodec.decode(Patient.self, from: Array(bytes[..<length])) }
        }
    }

    @Test func flippedBitsNeverCrash() {
        let bytes = Array(patient.utf8)
        for position in bytes.indices {
            for bit in [0, 3, 6] {
                var other = bytes
                other[position] ^= 1 << UInt8(bit)
                _ = try? FHIRCodec.decode(Patient.self, from: other)
            }
        }
    }

    @Test func oneStrangeEntryHidesNoOther() throws {
        let text = """
            {"resourceType":"Bundle","type":"searchset","total":5,"link":[{"relation":"self","url":"a"},{"relation":"next","url":"b"}],
             "entry":[{"resource":\(patient),"search":{"mode":"include"}},
              {"resource":{"resourceType":"Basic","id":"c1","status":"active"}},
              {"resource":{"resourceType":"Task","id":"t1","status":7}},
              {"resource":{"id":"nothing"}},
              {"fullUrl":"urn:x"},
              {"resource":{"resourceType":"Task","id":"t2","status":"ready","for":{"reference":"Patient/p1"}}}]}
            """
        let bundle = try FHIRCodec.decode(Bundle.self, from: Array(text.utf8))
        #expect(bundle.next == "b")
        #expect(bundle.entry.count == 6)
        #expect(bundle.entry[0].resource?.id == "p1")
        #expect(bundle.entry[1].resource == .other(type: "Basic", id: "c1"))
        #expect(
            bundle.entry[2].resource
                == .unreadable(type: "Task", id: "t1", reason: "entry.2.resource.status is not a String"))
        #expect(bundle.entry[3].resource == .unreadable(type: "", id: "nothing", reason: "no resourceType"))
        #expect(bundle.entry[4].resource == nil)
        guard case .task(let task) = bundle.entry[5].resource else {
            Issue.record("the last entry is a Task")
            return
        }
        #expect(task.for?.local == "Patient/p1")
    }

    @Test func whatWasSkippedIsNotWritten() {
        #expect(throws: FHIRError.self) {
            try FHIRCodec.encode(Bundle(type: "transaction", entry: [.init(resource: .other(type: "X", id: nil))]))
        }
    }

    @Test func writingIsCanonical() throws {
        var task = TaskResource(id: "t", status: "ready", intent: "order")
        task.for = Reference("Patient/1")
        let bytes = try FHIRCodec.encode(task)
        #expect(
            String(decoding: bytes, as: UTF8.self)
                == #"{"for":{"reference":"Patient/1"},"id":"t","intent":"order","resourceType":"Task","status":"ready"}"#
        )
        #expect(try FHIRCodec.decode(TaskResource.self, from: bytes) == task)
    }

    @Test(arguments: [
        ("Patient/42", "Patient/42"), ("https://ess.example/fhir/Patient/42", "Patient/42"),
        ("https://ess.example/fhir/Patient/42/_history/3", "Patient/42"), ("#p", nil), ("urn:uuid:1", nil), ("42", nil),
        ("", nil), ("/", nil), ("_history", nil),
    ])
    func localReferences(text: String, expected: String?) {
        #expect(Reference(text).local == expected)
    }

    @Test func capabilities() throws {
        let text = """
            {"resourceType":"CapabilityStatement","status":"active","kind":"instance","fhirVersion":"4.0.1","rest":[
             {"mode":"client"},{"mode":"server","interaction":[{"code":"transaction"}],"resource":[
             {"type":"Task","updateCreate":true,"searchParam":[{"name":"owner","type":"reference"}]}]}]}
            """
        let statement = try FHIRCodec.decode(CapabilityStatement.self, from: Array(text.utf8))
        #expect(statement.hasTransactions)
        #expect(statement.updateCreates("Task"))
        #expect(!statement.updateCreates("Patient"))
        #expect(statement.searches("Task", by: "owner"))
        #expect(!statement.searches("Task", by: "status"))
    }

    @Test func outcomesInOneLineEach() throws {
        let text = """
            {"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"invalid","diagnostics":"no","expression":["a.b"]},
             {"severity":"warning","code":"x","details":{"coding":[{"display":"shown"}]}}]}
            """
        let outcome = try FHIRCodec.decode(OperationOutcome.self, from: Array(text.utf8))
        #expect(outcome.summary == "error: invalid: no: a.b\nwarning: x: shown")
    }
}
