import Clinical
import FHIR
import Foundation
import Synchronization
import Testing
@_spi(Testing) import Uplink

/// A link to a scripted server, with request ids that count.
func link(to server: ScriptedServer, version: String = "1.2.3") throws -> ServerLink {
    let counter = Mutex<UInt8>(0)
    return try ServerLink(UplinkConfiguration(unixSocket: server.path, version: version)) {
        let n = counter.withLock { value in
            value += 1
            return value
        }
        return UUID(uuid: (0, 0, 0, 0, 0, 0, 0x40, 0, 0x80, 0, 0, 0, 0, 0, 0, n))
    }
}

let json = ["Content-Type": "application/json"]
let fhirJSON = ["Content-Type": "application/fhir+json; charset=utf-8"]

@Suite(.timeLimit(.minutes(2)))
struct LinkTests {
    @Test func everyRequestSaysWhoAsks() async throws {
        let server = try ScriptedServer { _ in
            .answer(204, ["Date": "Sun, 22 Nov 2026 22:05:09 GMT"], "")
        }
        defer { server.stop() }
        let pong = try await link(to: server).ping()
        #expect(pong.serverTime == Instant("2026-11-22T22:05:09Z"))
        #expect(pong.roundTrip > .zero)
        let seen = try #require(server.seen.first)
        #expect(seen.target == "/ess/v1/ping")
        #expect(seen.headers["user-agent"] == "ess-agent/1.2.3 (1.0)")
        #expect(seen.headers["ess-contract"] == "1.0")
        #expect(seen.headers["x-request-id"] == "00000000-0000-4000-8000-000000000001")
    }

    @Test(
        arguments: [
            (200, [:], UplinkError.captivePortal("200 to a ping")),
            (302, ["Location": "http://portal.example/"], .captivePortal("302 to another host")),
            (301, ["Location": "/ess/v1/ping/"], .transient(status: 301, retryAfter: nil)),
            (401, [:], .unauthorised), (403, [:], .forbidden("<p>")), (426, [:], .version("<p>")),
            (404, ["Content-Type": "text/html"], .permanent(status: 404, "")),
            (412, [:], .conflict(status: 412, "<p>")), (511, [:], .captivePortal("the network asks for a login (511)")),
            (507, [:], .serverFull(retryAfter: nil)),
            (429, ["Retry-After": "7"], .transient(status: 429, retryAfter: .seconds(7))),
            (503, ["Retry-After": "99999"], .transient(status: 503, retryAfter: .seconds(3600))),
            (
                503, ["Retry-After": "Sun, 22 Nov 2026 22:06:09 GMT", "Date": "Sun, 22 Nov 2026 22:05:09 GMT"],
                .transient(status: 503, retryAfter: .seconds(60))
            ),
            (502, ["Retry-After": "soon"], .transient(status: 502, retryAfter: nil)),
        ] as [(Int, [String: String], UplinkError)])
    func statusesAreClassed(status: Int, headers: [String: String], expected: UplinkError) async throws {
        let server = try ScriptedServer { _ in .answer(status, headers, "<p>") }
        defer { server.stop() }
        let link = try link(to: server)
        await #expect(throws: expected) { try await link.ping() }
    }

    /// nginx completes the handshake and answers every request with a page.
    @Test(
        arguments: [
            (400, "text/html", "<html><head><title>400 The SSL certificate error</title></head>", true),
            (400, "text/html", "<html><head><title>400 No required SSL certificate was sent</title></head>", true),
            (400, "text/html", "<html><head><title>400 Request Header Or Cookie Too Large</title></head>", false),
            (400, "text/plain", "No required SSL certificate was sent", false), (495, "text/html", "", true),
            (496, "text/html", "", true),
        ])
    func aCertificateThatAPageRefuses(status: Int, type: String, body: String, isRefusal: Bool) async throws {
        let server = try ScriptedServer { _ in .answer(status, ["Content-Type": type], body) }
        defer { server.stop() }
        let error = await #expect(throws: UplinkError.self) { try await link(to: server).ping() }
        if case .certificateRefused = error { #expect(isRefusal) } else { #expect(!isRefusal) }
    }

    @Test func aRefusalInTheServersWords() async throws {
        let server = try ScriptedServer { _ in
            .answer(
                422, fhirJSON,
                #"{"resourceType":"OperationOutcome","issue":[{"severity":"error","code":"invalid","diagnostics":"status"}]}"#
            )
        }
        defer { server.stop() }
        let link = try link(to: server)
        await #expect(throws: UplinkError.permanent(status: 422, "error: invalid: status")) { try await link.ping() }
    }

    private func offer(_ extra: String = "", contracts: String = #"["1.0"]"#) -> String {
        """
        {"contracts":\(contracts),"fhirBase":"/fhir","bytes":[{"kind":"stow","url":"/dicom-web"},{"kind":"tus","url":"http://localhost/files","maxSize":9,"chunkMax":5}],
         "receipts":"http://localhost/r/{rid}/receipt","storeEpoch":"e1","unknown":{"a":[1]},"policy":{"retentionDays":14}\(extra)}
        """
    }

    @Test func discovery() async throws {
        let text = offer()
        let server = try ScriptedServer { seen in
            seen.headers["if-none-match"] == "\"7\""
                ? .answer(304, [:], "") : .answer(200, json.merging(["ETag": "\"7\""]) { $1 }, text)
        }
        defer { server.stop() }
        let link = try link(to: server)
        guard case .offer(let offer, let etag) = try await link.discover() else {
            Issue.record("an offer")
            return
        }
        #expect(etag == "\"7\"")
        #expect(offer.bytes(.tus)?.chunkMax == 5)
        #expect(offer.storeEpoch == "e1")
        #expect(offer.policy?.retentionDays == 14)
        #expect(try await link.discover(etag: etag) == .unchanged)
        #expect(try JSONDecoder().decode(Offer.self, from: JSONEncoder().encode(offer)) == offer)
    }

    /// What isn't used may lie anywhere, and be of any shape.
    @Test func oneItemOfTheOfferHidesNoOther() async throws {
        let text = #"""
            {"contracts":["1.0"],"bytes":[{"kind":"stow","url":"https://pacs.example/dicom-web"},{"kind":"webtransport"},7,
             {"kind":"tus","url":"/files"}],"receipts":"/ess/v1/proofs/{rid}?full=1"}
            """#
        let server = try ScriptedServer {
            $0.path.hasPrefix("/.well") ? .answer(200, json, text) : .answer(404, [:], "")
        }
        defer { server.stop() }
        let link = try link(to: server)
        guard case .offer(let offer, _) = try await link.discover(for: .full) else {
            Issue.record("an offer")
            return
        }
        #expect(offer.bytes == [Offer.Bytes(kind: .tus, url: "/files")])
        await #expect(throws: UplinkError.malformed("the server names an address on another host")) {
            try await link.discover(for: .pacs)
        }
        #expect(try await link.receipt(for: Self.rid, offer: offer) == .unknown)
        #expect(server.seen.last?.target == "/ess/v1/proofs/019abcde-0000-7000-8000-000000000001?full=1")
        await #expect(throws: UplinkError.malformed("a template for receipts that is not understood")) {
            try await link.receipt(for: Self.rid, offer: Offer(receipts: "/r/{id}"))
        }
    }

    @Test func discoveryThatDoesNotFit() async throws {
        let cases: [(ScriptedServer.Step, UplinkError)] = [
            (.answer(200, json, offer(contracts: #"["2.0"]"#)), .version("the server speaks contract 2.0")),
            (.answer(200, json, offer(#","minAgent":"1.10.0""#)), .version("the server wants agent 1.10.0 or later")),
            (.answer(200, ["Content-Type": "text/html"], "<html>"), .captivePortal("HTML instead of JSON")),
            (.answer(200, json, "{"), .malformed("not a Offer")),
            (
                .answer(
                    200, json, offer().replacingOccurrences(of: "\"/fhir\"", with: "\"https://evil.example/fhir\"")),
                .malformed("the server names an address on another host")
            ),
        ]
        for (step, expected) in cases {
            let server = try ScriptedServer { _ in step }
            defer { server.stop() }
            let link = try link(to: server)
            await #expect(throws: expected) { try await link.discover() }
        }
        let absent = try ScriptedServer { _ in .answer(404, [:], "") }
        defer { absent.stop() }
        #expect(try await link(to: absent).discover() == .absent)
        let old = offer(#","minAgent":"1.2.3""#)
        let fits = try ScriptedServer { _ in .answer(200, json, old) }
        defer { fits.stop() }
        guard case .offer = try await link(to: fits).discover() else {
            Issue.record("an offer")
            return
        }
    }

    private static let rid = UUID(uuidString: "019ABCDE-0000-7000-8000-000000000001")!
    private static let stored =
        #"{"rid":"019abcde-0000-7000-8000-000000000001","sha256":"AB12","size":5,"storedAt":"2026-11-22T22:05:09Z","durability":"fsync","storeEpoch":"e1","sig":"x"}"#

    @Test func receipts() async throws {
        let receipt = Receipt(
            rid: Self.rid, sha256: "ab12", size: 5, storedAt: "2026-11-22T22:05:09Z", durability: "fsync",
            storeEpoch: "e1")
        let cases: [(ScriptedServer.Step, ReceiptAnswer)] = [
            (.answer(200, json, Self.stored), .stored(receipt)),
            (.answer(202, ["Retry-After": "5"], ""), .pending(retryAfter: .seconds(5))),
            (.answer(202, [:], ""), .pending(retryAfter: nil)),
            (.answer(404, json, "{}"), .unknown), (.answer(409, json, #"{"sha256":"FF"}"#), .otherHash("ff")),
            (.answer(409, [:], "what"), .otherHash("")),
        ]
        for (step, expected) in cases {
            let server = try ScriptedServer { _ in step }
            defer { server.stop() }
            let link = try link(to: server)
            #expect(try await link.receipt(for: Self.rid) == expected)
            _ = try await link.receipt(for: Self.rid, offer: Offer(receipts: "/r/{rid}/receipt"))
            #expect(
                server.seen.map(\.target) == [
                    "/ess/v1/recordings/019abcde-0000-7000-8000-000000000001/receipt",
                    "/r/019abcde-0000-7000-8000-000000000001/receipt",
                ])
        }
    }

    @Test func whatIsNoReceipt() async throws {
        let other = Self.stored.replacingOccurrences(of: "000000000001", with: "000000000002")
        let cases: [(ScriptedServer.Step, UplinkError)] = [
            (.answer(200, json, other), .malformed("a receipt for something else")),
            (.answer(200, ["Content-Type": "text/html"], "<html>"), .captivePortal("HTML instead of JSON")),
            (.answer(200, json, #"{"rid":"019abcde-0000-7000-8000-000000000001"}"#), .malformed("not a Receipt")),
            (.answer(204, [:], ""), .malformed("204 to a question for a receipt")),
        ]
        for (step, expected) in cases {
            let server = try ScriptedServer { _ in step }
            defer { server.stop() }
            let link = try link(to: server)
            await #expect(throws: expected) { try await link.receipt(for: Self.rid) }
        }
    }
}
