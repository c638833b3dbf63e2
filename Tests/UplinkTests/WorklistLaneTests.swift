import Clinical
import FHIR
import Foundation
import Synchronization
import Testing
@_spi(Testing) import Uplink

private let ins203 = "https://hl7.fr/ig/fhir/core/CodeSystem/fr-core-cs-v2-0203"

private func task(
    _ id: String, patient: String? = "Patient/p1", order: String? = "ServiceRequest/o1", status: String = "ready",
    version: Int = 1, at: String = "2026-11-20T08:00:00Z"
) -> String {
    var parts = [
        #""resourceType":"Task","id":"\#(id)","status":"\#(status)","intent":"order""#,
        #""meta":{"versionId":"\#(version)","lastUpdated":"\#(at)"}"#,
        #""restriction":{"period":{"start":"2026-11-24T09:30:00+01:00"}},"location":{"display":"EHPAD Les Tilleuls"}"#,
    ]
    if let patient { parts.append(#""for":{"reference":"\#(patient)"}"#) }
    if let order { parts.append(#""focus":{"reference":"\#(order)"}"#) }
    return "{\(parts.joined(separator: ","))}"
}

private func patient(
    _ id: String, name: String? = "TESTE", identifiers: String = "[]", status: String = "QUAL",
    system: String = Systems.identityStatus
) -> String {
    let names =
        name.map {
            #"[{"use":"usual","family":"AUTRE"},{"use":"official","family":"\#($0)","given":["ANNE"],"extension":[{"url":"\#(Systems.birthGivenNamesExtension)","valueString":"ANNE MARIE"}]}]"#
        } ?? "[]"
    return """
        {"resourceType":"Patient","id":"\(id)","name":\(names),"gender":"female","birthDate":"1938-04-12","identifier":\(identifiers),
         "extension":[{"url":"\(Systems.identityReliabilityExtension)","extension":[{"url":"identityStatus","valueCoding":{"system":"\(system)","code":"\(status)"}}]},
          {"url":"\(Systems.birthPlaceExtension)","valueAddress":{"city":"X","extension":[{"url":"\(Systems.inseeCodeExtension)","valueCoding":{"code":"29064"}}]}}]}
        """
}

private func identifier(_ system: String, _ code: String, _ value: String = "279035121518989", use: String = "official")
    -> String
{
    #"{"use":"\#(use)","type":{"coding":[{"system":"\#(ins203)","code":"\#(code)"}]},"system":"\#(system)","value":"\#(value)"}"#
}

private func order(_ id: String, patient: String = "Patient/p1", status: String = "active") -> String {
    """
    {"resourceType":"ServiceRequest","id":"\(id)","status":"\(status)","intent":"order","subject":{"reference":"\(patient)"},
     "category":[{"coding":[{"system":"urn:ess-agent:id/pathway","code":"ic"}]}],"code":{"text":"ECG 12 dérivations"}}
    """
}

private func page(_ resources: [String], next: String? = nil) -> ScriptedServer.Step {
    let links = next.map { #","link":[{"relation":"next","url":"\#($0)"}]"# } ?? ""
    let entries = resources.map { #"{"resource":\#($0)}"# }.joined(separator: ",")
    return .answer(200, fhirJSON, #"{"resourceType":"Bundle","type":"searchset"\#(links),"entry":[\#(entries)]}"#)
}

private func pull(_ resources: [String]) async throws -> Worklist {
    let step = page(resources)
    let server = try ScriptedServer { _ in step }
    defer { server.stop() }
    return try await WorklistLane(link(to: server), offer: Offer(), team: "CareTeam/t").pull()
}

@Suite(.timeLimit(.minutes(2)))
struct WorklistLaneTests {
    @Test(arguments: [
        ("draft", Visit.Status.planned), ("active", .planned), ("on-hold", .planned), ("completed", .planned),
        ("revoked", .cancelled), ("entered-in-error", .cancelled),
    ])
    func aRequestThatWasTakenBackTakesItsVisitWithIt(status: String, expected: Visit.Status) async throws {
        let list = try await pull([
            task("t1"), order("o1", status: status),
            patient("p1", identifiers: "[\(identifier(Systems.insNIR, "INS-NIR"))]"),
        ])
        #expect(list.visits.map(\.status) == [expected])
    }

    @Test func aVisit() async throws {
        let list = try await pull([
            task("t1"), order("o1"), patient("p1", identifiers: "[\(identifier(Systems.insNIR, "INS-NIR"))]"),
        ])
        #expect(list.problems.isEmpty)
        #expect(list.cursor == Instant("2026-11-20T08:00:00Z"))
        let expected = Visit(
            id: "t1", version: "1",
            patient: Clinical.Patient(
                id: "p1", ins: .init(system: Systems.insNIR, value: "279035121518989"),
                identityStatus: .init(system: Systems.identityStatus, value: "QUAL"), family: "TESTE",
                given: ["ANNE", "MARIE"],
                birthDate: "1938-04-12", sex: .female, birthPlace: "29064"),
            order: "ServiceRequest/o1", reason: "ECG 12 dérivations", pathway: "ic",
            plannedAt: "2026-11-24T09:30:00+01:00",
            place: "EHPAD Les Tilleuls", status: .planned)
        #expect(list.visits == [expected])
    }

    /// sync.md 2.1, trap 2: the billing number sits in INS-NIR's system.
    @Test(arguments: [
        (Systems.insNIR, "INS-NIR", "official", true), (Systems.insNIA, "INS-NIA", "temp", true),
        (Systems.insTest, "INS-NIR-TEST", "official", true), (Systems.insDemo, "INS-NIR-DEMO", "official", true),
        (Systems.insNIR, "NH", "official", false), (Systems.insNIR, "INS-NIA", "official", false),
        (Systems.insNIR, "INS-NIR", "old", false), ("urn:oid:1.2.250.1.213.1.4.2", "INS-C", "official", false),
        ("https://ess.example/ipp", "INS-NIR", "official", false),
    ])
    func onlyAnINSIsAnINS(system: String, code: String, use: String, isINS: Bool) async throws {
        let list = try await pull([
            task("t1"), order("o1"), patient("p1", identifiers: "[\(identifier(system, code, use: use))]"),
        ])
        #expect((list.visits.first?.patient.ins != nil) == isINS)
    }

    @Test func anINSWithoutATypeIsNone() async throws {
        let bare = #"[{"system":"\#(Systems.insNIR)","value":"279035121518989"}]"#
        #expect(
            try await pull([task("t1"), order("o1"), patient("p1", identifiers: bare)]).visits.first?.patient.ins == nil
        )
    }

    @Test(arguments: [
        ("cancelled", Visit.Status.cancelled), ("rejected", .cancelled), ("entered-in-error", .cancelled),
        ("completed", .closed),
        ("requested", .planned), ("in-progress", .planned), ("something-new", .planned),
    ])
    func states(status: String, expected: Visit.Status) async throws {
        #expect(
            try await pull([task("t1", status: status), order("o1"), patient("p1")]).visits.first?.status == expected)
    }

    @Test func whatIsMissingIsReportedAndTheOthersGoOn() async throws {
        let list = try await pull([
            task("t1", patient: "Patient/gone"), task("t2", order: nil), task("t3", patient: nil),
            task("t4", patient: "Patient/p2"),
            task("t5", order: "ServiceRequest/o2"), task("t6"), #"{"resourceType":"Task","id":"t7","status":[]}"#,
            #"{"resourceType":"CarePlan","id":"c"}"#, order("o1"), order("o2", patient: "Patient/p9"), patient("p1"),
            patient("p2", name: nil),
        ])
        #expect(list.visits.map(\.id) == ["t6"])
        let reasons = Dictionary(uniqueKeysWithValues: list.problems.map { ($0.resource, $0.reason) })
        #expect(reasons["Task/t1"] == .noPatient)
        #expect(reasons["Task/t2"] == .noOrder)
        #expect(reasons["Task/t3"] == .noPatient)
        // The order is the first patient's.
        #expect(reasons["Task/t4"] == .unreadable("the order is for another patient than the task"))
        #expect(reasons["Task/t5"] == .unreadable("the order is for another patient than the task"))
        #expect(reasons["Task/t7"] == .unreadable("entry.6.resource.status is not a String"))
        #expect(list.problems.count == 6)
    }

    @Test func aPatientWithoutANameMakesNoVisit() async throws {
        let list = try await pull([task("t1"), order("o1"), patient("p1", name: nil)])
        #expect(list.visits.isEmpty)
        #expect(list.problems.first?.reason == .noName)
    }

    @Test func pagesAndVersions() async throws {
        let server = try ScriptedServer { seen in
            if seen.target.contains("page=2") {
                return page(
                    [
                        task("t1", status: "cancelled", version: 2, at: "2026-11-20T09:00:00Z"), task("t2"),
                        order("o1"), patient("p1"),
                    ], next: "?page=3")
            }
            if seen.target.contains("page=3") {
                return page([task("t1", at: "2026-11-20T08:00:00Z"), order("o1"), patient("p1")])
            }
            return page(
                [task("t1", at: "2026-11-20T08:00:00Z"), order("o1"), patient("p1")],
                next: "http://localhost/fhir/Task?page=2")
        }
        defer { server.stop() }
        let list = try await WorklistLane(link(to: server), offer: Offer(), team: "CareTeam/équipe").pull()
        #expect(list.visits.map(\.id) == ["t1", "t2"])
        #expect(list.visits.map(\.version) == ["2", "1"])
        #expect(list.visits[0].status == .cancelled)
        #expect(list.cursor == Instant("2026-11-20T09:00:00Z"))
        #expect(
            server.seen.map(\.target) == [
                "/fhir/Task?owner=CareTeam%2F%C3%A9quipe&status=requested,received,accepted,ready,in-progress,on-hold&_include=Task:focus&_include=Task:patient&_count=50",
                "/fhir/Task?page=2", "/fhir/Task?page=3",
            ])
    }

    @Test func theCursorOverlaps() async throws {
        let server = try ScriptedServer { _ in page([]) }
        defer { server.stop() }
        let cursor = Instant("2026-11-20T09:00:00Z")
        let list = try await WorklistLane(link(to: server), offer: Offer(), team: "t").pull(since: cursor)
        #expect(list.cursor == cursor)
        let target = server.seen.first?.target ?? ""
        #expect(target.contains("_lastUpdated=ge2026-11-20T08%3A50%3A00.000Z"))
        #expect(target.contains("on-hold,cancelled,rejected,entered-in-error,completed,failed"))
    }

    @Test func aServerThatKnowsFewerWords() async throws {
        let server = try ScriptedServer { seen in
            seen.target.contains("_lastUpdated") || seen.target.contains("status=")
                ? .answer(400, [:], "unknown") : page([task("t1"), order("o1"), patient("p1")])
        }
        defer { server.stop() }
        let list = try await WorklistLane(link(to: server), offer: Offer(), team: "t").pull(
            since: Instant("2026-11-20T09:00:00Z"))
        #expect(list.visits.count == 1)
        #expect(list.wasWidened)
        #expect(server.seen.count == 3)
    }

    @Test func pagesThatDoNotEndOrLead() async throws {
        for (next, expected) in [
            ("?page=1", UplinkError.malformed("the worklist's pages do not end")),
            ("https://evil.example/fhir/Task?page=2", .malformed("the next page is on another host")),
        ] {
            let server = try ScriptedServer { _ in page([task("t1"), order("o1"), patient("p1")], next: next) }
            defer { server.stop() }
            let cursor = Instant("2026-11-19T09:00:00Z")
            let list = try await WorklistLane(link(to: server), offer: Offer(), team: "t").pull(since: cursor)
            // What came is here; the rest is asked for again.
            #expect(list.visits.map(\.id) == ["t1"])
            #expect(list.failure == expected)
            #expect(list.cursor == cursor)
        }
    }

    @Test func aLaterPageThatFailsTakesNothingAway() async throws {
        let server = try ScriptedServer { seen in
            seen.target.contains("page=2")
                ? .answer(500, [:], "") : page([task("t1"), order("o1"), patient("p1")], next: "?page=2")
        }
        defer { server.stop() }
        let list = try await WorklistLane(link(to: server), offer: Offer(), team: "t").pull()
        #expect(list.visits.map(\.id) == ["t1"])
        #expect(list.failure == .transient(status: 500, retryAfter: nil))
    }

    /// A server that doesn't know `owner=` gives every team's tasks.
    @Test func anotherTeamsTasksAreNotOurs() async throws {
        func owned(_ id: String, _ owner: String) -> String {
            task(id).dropLast() + #","owner":{"reference":"\#(owner)"}}"#
        }
        let list = try await pull([
            owned("t1", "CareTeam/t"), owned("t2", "CareTeam/u"), owned("t3", "https://ess.example/fhir/CareTeam/t"),
            task("t4"), order("o1"), patient("p1"),
        ])
        #expect(list.visits.map(\.id) == ["t1", "t3", "t4"])
        #expect(list.problems.isEmpty)
    }

    @Test func whatHidesAVisitIsKnown() {
        func problem(_ resource: String) -> Worklist.Problem { .init(resource: resource, reason: .noPatient) }
        #expect(problem("Task/7").visit == "7")
        #expect(["Task/7", "Patient/7", "Patient"].allSatisfy { !problem($0).hidesVisit })
        #expect(["Task", "", "/7"].allSatisfy { problem($0).hidesVisit })
    }

    @Test func aPortalIsNoWorklist() async throws {
        let server = try ScriptedServer { _ in .answer(200, ["Content-Type": "text/html; charset=utf-8"], "<html>") }
        defer { server.stop() }
        let lane = try WorklistLane(link(to: server), offer: Offer(), team: "t")
        await #expect(throws: UplinkError.captivePortal("HTML instead of JSON")) { try await lane.pull() }
    }
}
