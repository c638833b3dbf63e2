import Foundation
import Synchronization
import Testing
@_spi(Testing) import Uplink

@Suite(.timeLimit(.minutes(2)))
struct HTTPClientTests {
    private func url(_ path: String) -> String { "http://localhost\(path)" }

    @Test func aQuestionAndItsAnswer() async throws {
        let server = try ScriptedServer { seen in
            .answer(
                418, ["X-Echo": seen.headers["x-mine"] ?? "", "Content-Type": "text/plain"], "hello \(seen.target)")
        }
        defer { server.stop() }
        let client = try HTTPClient(unixSocket: server.path)
        let response = try await client.send(HTTPRequest(.get, url("/a?b=c"), headers: ["X-Mine": "1"]))
        #expect(response.status == 418)
        #expect(response.headers["x-echo"] == "1")
        #expect(String(decoding: response.body, as: UTF8.self) == "hello /a?b=c")
        #expect(server.seen.first?.headers["expect"] == nil)
    }

    @Test func redirectsAreReturned() async throws {
        let server = try ScriptedServer { _ in .answer(302, ["Location": "http://localhost/elsewhere"], "") }
        defer { server.stop() }
        let client = try HTTPClient(unixSocket: server.path)
        let response = try await client.send(HTTPRequest(.get, url("/")))
        #expect(response.status == 302)
        #expect(server.seen.count == 1)
    }

    @Test func bodiesArriveWholeWithProgress() async throws {
        let server = try ScriptedServer { seen in .answer(200, [:], "\(seen.body.count)") }
        defer { server.stop() }
        let client = try HTTPClient(unixSocket: server.path)
        let bytes = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        let reported = Mutex<[Int]>([])
        let response = try await client.send(HTTPRequest(.patch, url("/"), body: .bytes(bytes))) { sent in
            reported.withLock { $0.append(sent) }
        }
        #expect(String(decoding: response.body, as: UTF8.self) == "3000000")
        #expect(server.seen.first?.method == "PATCH")
        #expect(server.seen.first?.body == bytes)
        let steps = reported.withLock { $0 }
        #expect(steps.last == 3_000_000)
        #expect(steps == steps.sorted())
    }

    @Test func aSliceOfAFile() async throws {
        let path = "/tmp/ess-uplink-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: path) }
        try Data((0..<100).map { UInt8($0) }).write(to: URL(fileURLWithPath: path))
        let server = try ScriptedServer { _ in .answer(204, [:], "") }
        defer { server.stop() }
        let client = try HTTPClient(unixSocket: server.path)
        _ = try await client.send(HTTPRequest(.put, url("/"), body: .file(path: path, offset: 10, count: 20)))
        #expect(server.seen.first?.body == (10..<30).map { UInt8($0) })
        await #expect(throws: UplinkError.local("the file to send is shorter than it was")) {
            try await client.send(HTTPRequest(.put, url("/"), body: .file(path: path, offset: 90, count: 20)))
        }
        await #expect(throws: UplinkError.self) {
            try await client.send(HTTPRequest(.put, url("/"), body: .file(path: path + "x", offset: 0, count: 2)))
        }
    }

    @Test func emptyBodiesSayThatTheyAreEmpty() async throws {
        let server = try ScriptedServer { _ in .answer(204, [:], "") }
        defer { server.stop() }
        let client = try HTTPClient(unixSocket: server.path)
        for method in [HTTPRequest.Method.post, .put, .patch, .delete, .options, .head] {
            #expect(try await client.send(HTTPRequest(method, url("/"))).status == 204)
        }
        #expect(server.seen.map(\.method) == ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"])
        #expect(server.seen.prefix(3).allSatisfy { $0.headers["content-length"] == "0" })
    }

    @Test func aHeadAnswerHasNoBodyWhateverItSays() async throws {
        let server = try ScriptedServer { _ in .answer(200, ["Upload-Offset": "5"], "12345") }
        defer { server.stop() }
        let client = try HTTPClient(unixSocket: server.path)
        let response = try await client.send(HTTPRequest(.head, url("/")))
        #expect(response.headers["Upload-Offset"] == "5")
        #expect(response.body.isEmpty)
    }

    @Test func cutConnectionsAreTheLinksFault() async throws {
        let server = try ScriptedServer { seen in
            switch seen.path {
            case "/cut": .cut
            case "/short": .raw("HTTP/1.1 200 X\r\nContent-Length: 100\r\n\r\nabc")
            default: .raw("HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab")
            }
        }
        defer { server.stop() }
        let client = try HTTPClient(unixSocket: server.path)
        for path in ["/cut", "/short", "/chunk"] {
            let error = await #expect(throws: UplinkError.self) { try await client.send(HTTPRequest(.get, url(path))) }
            guard case .link = error else {
                Issue.record("\(path): \(String(describing: error))")
                continue
            }
        }
    }

    @Test func aResetInTheMiddleOfABodyIsTheLinksFault() async throws {
        let server = try ScriptedServer(cutBody: { _ in 100_000 }) { _ in .answer(204, [:], "") }
        defer { server.stop() }
        let client = try HTTPClient(unixSocket: server.path)
        let error = await #expect(throws: UplinkError.self) {
            try await client.send(HTTPRequest(.patch, url("/"), body: .bytes([UInt8](repeating: 7, count: 8_000_000))))
        }
        guard case .link = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    @Test func nobodyListens() async throws {
        let client = try HTTPClient(unixSocket: "/tmp/ess-uplink-nobody.sock")
        let error = await #expect(throws: UplinkError.self) { try await client.send(HTTPRequest(.get, url("/"))) }
        guard case .link = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    @Test func silenceEnds() async throws {
        let server = try ScriptedServer { _ in .silence }
        defer { server.stop() }
        let client = try HTTPClient(unixSocket: server.path)
        let error = await #expect(throws: UplinkError.self) {
            try await client.send(HTTPRequest(.get, url("/"), limits: .init(idle: .seconds(1))))
        }
        guard case .link = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    @Test func silenceInTheMiddleEnds() async throws {
        let server = try ScriptedServer { _ in .rawThenSilence("HTTP/1.1 200 X\r\nContent-Length: 100\r\n\r\nabc") }
        defer { server.stop() }
        let client = try HTTPClient(unixSocket: server.path)
        let error = await #expect(throws: UplinkError.self) {
            try await client.send(HTTPRequest(.get, url("/"), limits: .init(idle: nil, total: .milliseconds(300))))
        }
        guard case .link = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    enum Nonsense: CaseIterable {
        case longHeader, manyHeaders, anotherProtocol, bytes

        var text: String {
            switch self {
            case .longHeader: "HTTP/1.1 200 X\r\nX-Big: \(String(repeating: "a", count: 200_000))\r\n\r\n"
            case .manyHeaders:
                "HTTP/1.1 200 X\r\n" + String(repeating: "X-Many: aaaaaaaaaaaaaaaaaaaaaaaa\r\n", count: 3000) + "\r\n"
            case .anotherProtocol: "SSH-2.0-OpenSSH_9.2\r\n"
            case .bytes: "\u{0}\u{1}\u{2}\u{3}"
            }
        }
    }

    @Test(arguments: Nonsense.allCases)
    func nonsenseIsRefused(_ nonsense: Nonsense) async throws {
        let server = try ScriptedServer { _ in .raw(nonsense.text) }
        defer { server.stop() }
        let client = try HTTPClient(unixSocket: server.path)
        let error = await #expect(throws: UplinkError.self) { try await client.send(HTTPRequest(.get, url("/"))) }
        guard case .malformed = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    @Test func tooLargeAnAnswerIsRefused() async throws {
        let server = try ScriptedServer { _ in .answer(200, [:], String(repeating: "a", count: 1001)) }
        defer { server.stop() }
        let client = try HTTPClient(unixSocket: server.path)
        await #expect(throws: UplinkError.malformed("the answer is larger than 1000 bytes")) {
            try await client.send(HTTPRequest(.get, url("/"), limits: .init(body: 1000)))
        }
        #expect(try await client.send(HTTPRequest(.get, url("/"), limits: .init(body: 1001))).body.count == 1001)
    }

    @Test func cancellingEndsARequest() async throws {
        let server = try ScriptedServer { _ in .silence }
        defer { server.stop() }
        let client = try HTTPClient(unixSocket: server.path)
        let task = Task { try await client.send(HTTPRequest(.get, "http://localhost/", limits: .init(idle: nil))) }
        while server.seen.isEmpty, !Task.isCancelled { await Task.yield() }
        task.cancel()
        await #expect(throws: UplinkError.cancelled) { try await task.value }
        // And one that was cancelled before it began.
        let late = Task {
            while !Task.isCancelled { await Task.yield() }
            return try await client.send(HTTPRequest(.get, "http://localhost/"))
        }
        late.cancel()
        await #expect(throws: UplinkError.cancelled) { try await late.value }
    }

    @Test func closingEndsEverything() async throws {
        let server = try ScriptedServer { _ in .silence }
        defer { server.stop() }
        let client = try HTTPClient(unixSocket: server.path)
        let task = Task { try await client.send(HTTPRequest(.get, "http://localhost/", limits: .init(idle: nil))) }
        while server.seen.isEmpty, !Task.isCancelled { await Task.yield() }
        client.close()
        await #expect(throws: UplinkError.cancelled) { try await task.value }
        await #expect(throws: UplinkError.cancelled) { try await client.send(HTTPRequest(.get, url("/"))) }
    }

    @Test func manyAtOnce() async throws {
        let server = try ScriptedServer { seen in .answer(200, [:], seen.path) }
        defer { server.stop() }
        let client = try HTTPClient(unixSocket: server.path)
        try await withThrowingTaskGroup(of: Bool.self) { group in
            for number in 0..<50 {
                group.addTask {
                    let response = try await client.send(HTTPRequest(.get, "http://localhost/\(number)"))
                    return String(decoding: response.body, as: UTF8.self) == "/\(number)"
                }
            }
            for try await right in group { #expect(right) }
        }
    }

    @Test func droppedConnectionsAreNotUsedAgain() async throws {
        let server = try ScriptedServer { _ in .answer(200, [:], "ok") }
        defer { server.stop() }
        let client = try HTTPClient(unixSocket: server.path)
        _ = try await client.send(HTTPRequest(.get, url("/1")))
        client.dropConnections()
        _ = try await client.send(HTTPRequest(.get, url("/2")))
        #expect(server.seen.map(\.path) == ["/1", "/2"])
    }

    @Test func aStreamComesInPieces() async throws {
        let server = try ScriptedServer { _ in
            .rawThenSilence("HTTP/1.1 200 X\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        }
        defer { server.stop() }
        let client = try HTTPClient(unixSocket: server.path)
        let stream = try await client.stream(HTTPRequest(.get, url("/"), limits: .init(idle: nil)))
        #expect(stream.status == 200)
        #expect(stream.headers["Content-Type"] == "text/event-stream")
        var first = ""
        for try await piece in stream.pieces {
            first += String(decoding: piece, as: UTF8.self)
            if first.hasSuffix("\n\n") { break }
        }
        #expect(first == "data: 1\n\n")
    }

    @Test func aStreamThatIsCutFails() async throws {
        let server = try ScriptedServer { _ in .raw("HTTP/1.1 200 X\r\nContent-Length: 100\r\n\r\nabc") }
        defer { server.stop() }
        let client = try HTTPClient(unixSocket: server.path)
        let stream = try await client.stream(HTTPRequest(.get, url("/")))
        var bytes: [UInt8] = []
        await #expect(throws: UplinkError.self) {
            for try await piece in stream.pieces { bytes += piece }
        }
        #expect(bytes == Array("abc".utf8))
        let whole = try ScriptedServer { _ in .answer(200, [:], "done") }
        defer { whole.stop() }
        var text = ""
        for try await piece in try await HTTPClient(unixSocket: whole.path).stream(HTTPRequest(.get, url("/"))).pieces {
            text += String(decoding: piece, as: UTF8.self)
        }
        #expect(text == "done")
    }

    @Test func onlyHTTPSOutside() async throws {
        let client = try HTTPClient()
        for target in ["http://127.0.0.1:9/", "ftp://127.0.0.1/", "file:///etc/hostname"] {
            let error = await #expect(throws: UplinkError.self) { try await client.send(HTTPRequest(.get, target)) }
            guard case .configuration = error else {
                Issue.record("\(target): \(String(describing: error))")
                continue
            }
        }
    }

    @Test func headersCannotBeSmuggled() async throws {
        let server = try ScriptedServer { _ in .answer(200, [:], "") }
        defer { server.stop() }
        let client = try HTTPClient(unixSocket: server.path)
        await #expect(throws: UplinkError.configuration("a header that cannot be sent")) {
            try await client.send(HTTPRequest(.get, url("/"), headers: ["X-A": "1\r\nX-B: 2"]))
        }
        #expect(server.seen.isEmpty)
    }
}
