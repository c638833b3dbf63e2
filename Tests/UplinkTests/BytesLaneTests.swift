import Foundation
import Synchronization
import Testing
@_spi(Testing) import Uplink

/// What a tus server keeps, and how it misbehaves.
private final class Tus: Sendable {
    struct State: Sendable {
        var stored: [UInt8] = []
        var length = -1
        var metadata = ""
        var checksums: [String] = []
        var creations = 0
        var patches = 0
        /// Answers to PATCH number n instead of the right one; what is true of the bytes is said apart.
        var trouble: [Int: Trouble] = [:]
    }

    enum Trouble: Sendable {
        /// The bytes are stored, the answer is lost.
        case lostAnswer
        /// Nothing is stored.
        case status(Int)
        /// Stored, and refused (sync.md 1.2.2).
        case storedButRefused(Int)
        /// Everything is forgotten.
        case forgets
    }

    let state = Mutex(State())

    func answer(_ seen: ScriptedServer.Seen) -> ScriptedServer.Step {
        state.withLock { state in
            guard seen.method == "OPTIONS" || seen.headers["tus-resumable"] == "1.0.0" else {
                return .answer(412, [:], "")
            }
            switch seen.method {
            case "OPTIONS":
                return .answer(
                    204,
                    [
                        "Tus-Version": "1.0.0", "Tus-Extension": "creation,checksum",
                        "Tus-Checksum-Algorithm": "md5,sha1", "Tus-Max-Size": "5000000",
                    ], "")
            case "POST":
                state.creations += 1
                state.length = Int(seen.headers["upload-length"] ?? "") ?? -1
                state.metadata = seen.headers["upload-metadata"] ?? ""
                state.stored = []
                return .answer(201, ["Location": "/files/u\(state.creations)"], "")
            case "HEAD":
                guard state.creations > 0, seen.path == "/files/u\(state.creations)" else {
                    return .answer(404, [:], "")
                }
                return .answer(200, ["Upload-Offset": "\(state.stored.count)", "Upload-Length": "\(state.length)"], "")
            case "PATCH":
                state.patches += 1
                let trouble = state.trouble[state.patches]
                switch trouble {
                case .status(let status): return .answer(status, ["Retry-After": "1"], "")
                case .forgets:
                    state.stored = []
                    return .answer(404, [:], "")
                default: break
                }
                guard seen.headers["upload-offset"] == "\(state.stored.count)" else { return .answer(409, [:], "") }
                if let checksum = seen.headers["upload-checksum"] { state.checksums.append(checksum) }
                state.stored += seen.body
                switch trouble {
                case .lostAnswer: return .cut
                case .storedButRefused(let status): return .answer(status, [:], "")
                default: return .answer(204, ["Upload-Offset": "\(state.stored.count)"], "")
                }
            default: return .answer(405, [:], "")
            }
        }
    }
}

/// What the caller wrote down, in order.
private final class Diary: Sendable {
    let lines = Mutex<[String]>([])
    let progress = Mutex<[Int]>([])

    func hooks(_ bytes: [UInt8]) -> BytesLane.Hooks {
        BytesLane.Hooks(
            read: { Array(bytes[$0..<$0 + $1]) },
            didCreate: { location in self.lines.withLock { $0.append("created \(location)") } },
            didConfirm: { offset in self.lines.withLock { $0.append("confirmed \(offset)") } },
            progress: { offset, _ in self.progress.withLock { $0.append(offset) } })
    }
}

private let bytes = (0..<700_000).map { UInt8(truncatingIfNeeded: $0 &* 7 ^ $0 >> 8) }

private func item(_ size: Int = bytes.count, location: String? = nil) -> BytesLane.Item {
    BytesLane.Item(
        rid: UUID(uuidString: "019ABCDE-0000-7000-8000-000000000001")!, fileExtension: "edf",
        mediaType: "application/edf",
        size: size, sha256: "ab12", visit: "t-1", location: location)
}

@Suite(.timeLimit(.minutes(2)))
struct BytesLaneTests {
    @Test func aWholeUpload() async throws {
        let tus = Tus()
        let server = try ScriptedServer { tus.answer($0) }
        defer { server.stop() }
        let lane = try await BytesLane.open(
            link(to: server), offer: Offer(),
            digest: { algorithm, chunk in Array("\(algorithm) \(chunk.count)".utf8) })
        #expect(lane.tus == TusOffer(url: "http://localhost/files", maxSize: 5_000_000, checksum: .sha1))
        let diary = Diary()
        try await lane.upload(item(), diary.hooks(bytes))
        let state = tus.state.withLock { $0 }
        #expect(state.stored == bytes)
        #expect(state.length == bytes.count)
        let metadata = state.metadata.split(separator: ",").map { pair in
            let sides = pair.split(separator: " ")
            return "\(sides[0])=\(String(decoding: Data(base64Encoded: String(sides[1]))!, as: UTF8.self))"
        }
        #expect(
            metadata == [
                "filename=019abcde-0000-7000-8000-000000000001.edf", "filetype=application/edf",
                "rid=019abcde-0000-7000-8000-000000000001", "sha256=ab12", "visit=t-1",
            ])
        #expect(state.checksums.first == "sha1 \(Data("sha1 262144".utf8).base64EncodedString())")
        let lines = diary.lines.withLock { $0 }
        #expect(lines.first == "created http://localhost/files/u1")
        #expect(lines.last == "confirmed 700000")
        let progress = diary.progress.withLock { $0 }
        #expect(progress == progress.sorted())
        #expect(progress.last == 700_000)
        // Nothing of the document's identity in a URL.
        #expect(server.seen.allSatisfy { !$0.target.contains("019abcde") })
    }

    @Test(arguments: [1, 2, 3])
    func troubleInTheMiddle(at patch: Int) async throws {
        for trouble in [Tus.Trouble.lostAnswer, .status(409), .status(460), .storedButRefused(415), .forgets] {
            let tus = Tus()
            tus.state.withLock { $0.trouble = [patch: trouble] }
            let server = try ScriptedServer { tus.answer($0) }
            defer { server.stop() }
            let lane = try await BytesLane.open(
                link(to: server), offer: Offer(bytes: [.init(kind: .tus, url: "/files", chunkMax: 200_000)]))
            try await lane.upload(item(), Diary().hooks(bytes))
            #expect(tus.state.withLock { $0.stored } == bytes)
        }
    }

    @Test func aServerThatAsksForTime() async throws {
        let tus = Tus()
        tus.state.withLock { $0.trouble = [2: .status(503)] }
        let server = try ScriptedServer { tus.answer($0) }
        defer { server.stop() }
        let lane = try await BytesLane.open(link(to: server), offer: Offer())
        let diary = Diary()
        await #expect(throws: UplinkError.transient(status: 503, retryAfter: .seconds(30))) {
            try await lane.upload(item(), diary.hooks(bytes))
        }
        // The next attempt goes on where the server is.
        try await lane.upload(item(location: "http://localhost/files/u1"), diary.hooks(bytes))
        #expect(tus.state.withLock { $0.stored } == bytes)
        #expect(tus.state.withLock { $0.creations } == 1)
    }

    @Test func aResetInTheMiddleOfAChunk() async throws {
        let tus = Tus()
        let cuts = Mutex(1)
        let server = try ScriptedServer(
            cutBody: { seen in
                guard seen.method == "PATCH" else { return nil }
                return cuts.withLock { left in
                    left -= 1
                    return left >= 0 ? 1000 : nil
                }
            }, { tus.answer($0) })
        defer { server.stop() }
        let lane = try await BytesLane.open(link(to: server), offer: Offer())
        try await lane.upload(item(), Diary().hooks(bytes))
        #expect(tus.state.withLock { $0.stored } == bytes)
    }

    @Test func aLocationOnAnotherHostIsNotFollowed() async throws {
        let server = try ScriptedServer { seen in
            seen.method == "OPTIONS"
                ? .answer(204, [:], "") : .answer(201, ["Location": "https://evil.example/files/1"], "")
        }
        defer { server.stop() }
        let lane = try await BytesLane.open(link(to: server), offer: Offer())
        await #expect(throws: UplinkError.malformed("the upload's Location is on another host")) {
            try await lane.upload(item(), Diary().hooks(bytes))
        }
        await #expect(throws: UplinkError.self) { try await lane.discard(location: "https://evil.example/files/1") }
    }

    @Test func aStoredLocationOfAnotherServerIsForgotten() async throws {
        let tus = Tus()
        let server = try ScriptedServer { tus.answer($0) }
        defer { server.stop() }
        let lane = try await BytesLane.open(link(to: server), offer: Offer())
        try await lane.upload(item(location: "https://old.example/files/9"), Diary().hooks(bytes))
        #expect(tus.state.withLock { $0.creations } == 1)
    }

    @Test func tooLargeIsSaidHere() async throws {
        let tus = Tus()
        let server = try ScriptedServer { tus.answer($0) }
        defer { server.stop() }
        let lane = try await BytesLane.open(link(to: server), offer: Offer())
        await #expect(throws: UplinkError.permanent(status: 413, "larger than the 5000000 bytes that the server takes"))
        {
            try await lane.upload(item(5_000_001), Diary().hooks(bytes))
        }
        #expect(tus.state.withLock { $0.creations } == 0)
    }

    @Test func theCallersFailuresAreLocal() async throws {
        struct Full: Error {}
        let tus = Tus()
        let server = try ScriptedServer { tus.answer($0) }
        defer { server.stop() }
        let lane = try await BytesLane.open(link(to: server), offer: Offer())
        let noRoom = BytesLane.Hooks(
            read: { _, count in [UInt8](repeating: 0, count: count) }, didCreate: { _ in throw Full() },
            didConfirm: { _ in })
        await #expect(throws: UplinkError.local("Full")) { try await lane.upload(item(), noRoom) }
        // The location could not be written down: no byte went.
        #expect(tus.state.withLock { $0.patches } == 0)
        let short = BytesLane.Hooks(read: { _, _ in [1] }, didCreate: { _ in }, didConfirm: { _ in })
        await #expect(throws: UplinkError.local("1 bytes read instead of 262144")) {
            try await lane.upload(item(), short)
        }
    }

    @Test func cancellingInAChunk() async throws {
        let server = try ScriptedServer { seen in
            switch seen.method {
            case "OPTIONS": .answer(204, [:], "")
            case "POST": .answer(201, ["Location": "/files/1"], "")
            default: .silence
            }
        }
        defer { server.stop() }
        let lane = try await BytesLane.open(link(to: server), offer: Offer())
        let task = Task { try await lane.upload(item(), Diary().hooks(bytes)) }
        while !server.seen.contains(where: { $0.method == "PATCH" }), !Task.isCancelled { await Task.yield() }
        task.cancel()
        await #expect(throws: UplinkError.cancelled) { try await task.value }
    }

    @Test func aCollectionThatNeedsItsSlash() async throws {
        let tus = Tus()
        let server = try ScriptedServer { seen in
            seen.method == "OPTIONS" && seen.path == "/files" ? .answer(405, [:], "") : tus.answer(seen)
        }
        defer { server.stop() }
        let lane = try await BytesLane.open(link(to: server), offer: Offer())
        #expect(lane.tus.url == "http://localhost/files/")
        try await lane.upload(item(), Diary().hooks(bytes))
    }

    @Test func noTusAtAll() async throws {
        let server = try ScriptedServer { _ in .answer(204, ["Tus-Version": "0.2"], "") }
        defer { server.stop() }
        let link = try link(to: server)
        await #expect(throws: UplinkError.version("tus 0.2")) { try await BytesLane.open(link, offer: Offer()) }
        await #expect(throws: UplinkError.configuration("the server offers no tus")) {
            try await BytesLane.open(link, offer: Offer(bytes: []))
        }
    }
}
