import Crypto
import Foundation
import HTTPTypes
import Hummingbird
import NIOCore

/// The bytes lane: tus 1.0.0 with creation, creation-with-upload, checksum and termination.
struct Tus {
    let home: Home
    let recordings: Recordings
    let desk: Desk
    let faults: Faults
    /// Bytes of the longest recording.
    let maxSize: Int

    /// Advertised to agents; a longer body is taken all the same.
    static let chunkMax = 4 << 20
    private static let octets = "application/offset+octet-stream"

    private var uploads: Uploads { recordings.uploads }

    func add(to router: Router<Context>) {
        for path in ["/files", "/files/:id"] as [RouterPath] {
            router.on(path, method: .options) { _, _ in
                var headers = HTTPFields()
                headers[.tusResumable] = "1.0.0"
                headers[.tusVersion] = "1.0.0"
                headers[.tusExtension] = "creation,creation-with-upload,checksum,termination"
                headers[.tusMaxSize] = String(maxSize)
                headers[.tusChecksumAlgorithm] = "sha1,sha256"
                return Response(status: .noContent, headers: headers)
            }
        }
        router.post("/files") { request, context in try await speaking(request) { try await create(request, context) } }
        router.head("/files/:id") { request, context in try await speaking(request) { try ask(context) } }
        router.patch("/files/:id") { request, context in
            try await speaking(request) { try await append(request, context) }
        }
        router.delete("/files/:id") { request, context in
            try await speaking(request) { try await terminate(context) }
        }
    }

    /// Every answer carries the protocol's version, and a request without it is refused.
    private func speaking(_ request: Request, _ work: () async throws -> Response) async throws -> Response {
        var response: Response
        do {
            guard request.headers[.tusResumable] == "1.0.0" else {
                throw Refusal(412, "not-supported", "Tus-Resumable is not 1.0.0", headers: [.tusVersion: "1.0.0"])
            }
            response = try await work()
        } catch let refusal as Refusal {
            response = refusal.response(fhir: false)
        }
        response.headers[.tusResumable] = "1.0.0"
        return response
    }

    private func find(_ context: Context) throws -> Upload {
        guard let id = context.parameters.get("id"), let upload = try uploads.with(id: id) else {
            throw Refusal.notFound("there is no such upload")
        }
        return upload
    }

    // MARK: Creation

    private func create(_ request: Request, _ context: Context) async throws -> Response {
        guard request.headers[.uploadConcat] == nil, request.headers[.uploadDeferLength] == nil else {
            throw Refusal(400, "not-supported", "concatenation and deferred lengths are not supported")
        }
        guard let length = request.headers[.uploadLength].flatMap({ Int($0) }), length >= 0 else {
            throw Refusal.invalid("Upload-Length is missing or not a number")
        }
        guard length <= maxSize else { throw Refusal(413, "too-long", "Upload-Length is over Tus-Max-Size") }
        let header = request.headers[.uploadMetadata] ?? ""
        let metadata = try UploadMetadata(header)
        let withBody = request.headers[.contentType] != nil || request.announced ?? 0 > 0
        if withBody { try requireOctets(request) }
        guard var upload = try await announce(metadata, header, length, context) else {
            guard let known = try uploads.with(rid: metadata.rid) else { throw Self.contended }
            return created(known, status: .ok)
        }
        if length == 0 {
            try uploads.commit(upload, position: 0)
            finish(upload)
        } else if withBody {
            upload.position = try await receive(upload, request, context)
        }
        return created(upload, status: .created)
    }

    /// One announcement of a recording at a time: a second attempt clears away what the first one left.
    /// - Returns: a new upload; nil when this recording is known already.
    private func announce(
        _ metadata: UploadMetadata, _ header: String, _ length: Int, _ context: Context
    ) async throws -> Upload? {
        let place = "announcement of \(metadata.rid)"
        guard let token = desk.take(place, context.channel) else { throw Self.contended }
        defer { desk.leave(place, token) }
        if try await isKnown(metadata, length: length) { return nil }
        if let free = Disk.free(at: home.uploads), free < length { throw Self.full }
        let made = try uploads.create(rid: metadata.rid, sha256: metadata.sha256, length: length, metadata: header)
        guard let made else { throw Self.contended }
        try Disk.write(Data(), to: home.upload(made.id), mode: 0o600)
        return made
    }

    private static var contended: Refusal {
        Refusal(
            423, "lock-error", "the same recording is being announced by another request", headers: [.retryAfter: "1"])
    }

    /// Whether a repeated announcement finds its upload again.
    private func isKnown(_ metadata: UploadMetadata, length: Int) async throws -> Bool {
        guard let upload = try uploads.with(rid: metadata.rid) else { return false }
        guard upload.sha256 == metadata.sha256, upload.length == length else {
            throw Refusal.conflict("this recording was announced with another hash or length")
        }
        switch try await recordings.standing(metadata.rid) {
        case .underway where faults.hasLostReceipt(of: metadata.rid): break
        case .underway, .stored: return true
        case .unknown, .wrong: break
        }
        // What is here is useless: this is the second attempt.
        try recordings.discard(upload)
        faults.findsReceipt(of: metadata.rid)
        return false
    }

    private func finish(_ upload: Upload) {
        if !faults.losesReceipt(of: upload.rid) { recordings.finish(upload.id) }
    }

    private func created(_ upload: Upload, status: HTTPResponse.Status) -> Response {
        var headers = HTTPFields()
        headers[.location] = "/files/\(upload.id)"
        headers[.uploadOffset] = String(upload.position)
        return Response(status: status, headers: headers)
    }

    // MARK: Asking

    private func ask(_ context: Context) throws -> Response {
        let upload = try find(context)
        var headers = HTTPFields()
        if faults.forgetsFinished, upload.position == upload.length {
            throw Refusal.notFound("there is no such upload")
        }
        headers[.uploadOffset] = String(faults.offset(upload.position, of: upload.length))
        headers[.uploadLength] = String(upload.length)
        headers[.uploadMetadata] = upload.metadata
        headers[.cacheControl] = "no-store"
        return Response(status: .ok, headers: headers)
    }

    // MARK: Appending

    private func append(_ request: Request, _ context: Context) async throws -> Response {
        try requireOctets(request)
        guard let offset = request.headers[.uploadOffset].flatMap({ Int($0) }), offset >= 0 else {
            throw Refusal.invalid("Upload-Offset is missing or not a number")
        }
        let position = try await receive(try find(context), request, context, from: offset)
        var headers = HTTPFields()
        headers[.uploadOffset] = String(position)
        return Response(status: .noContent, headers: headers)
    }

    private func requireOctets(_ request: Request) throws {
        guard request.headers[.contentType] == Self.octets else {
            throw Refusal(415, "not-supported", "Content-Type is not \(Self.octets)")
        }
    }

    /// Streams a body to the upload's file.
    ///
    /// Without a checksum every MiB is synchronised and then counted, and so is what came before a cut. With one, nothing
    /// counts before the whole chunk was found right.
    /// - Returns: the new offset.
    private func receive(
        _ found: Upload, _ request: Request, _ context: Context, from offset: Int = 0
    ) async throws -> Int {
        var checksum = try request.headers[.uploadChecksum].map(Checksum.init)
        guard let token = desk.take(found.id, context.channel) else {
            throw Refusal(423, "lock-error", "another request writes to this upload", headers: [.retryAfter: "1"])
        }
        defer { desk.leave(found.id, token) }
        // Again, now that nobody else writes.
        guard let upload = try uploads.with(id: found.id) else { throw Refusal.notFound("there is no such upload") }
        guard offset == upload.position else {
            throw Refusal(
                409, "conflict", "Upload-Offset is not \(upload.position)",
                headers: [.uploadOffset: String(upload.position)])
        }
        if let announced = request.announced, announced > upload.length - offset { throw Self.tooLong }
        guard upload.state == .receiving else { return upload.position }

        let file = home.upload(upload.id)
        // The disk was full when this upload was announced.
        if offset == 0, !Disk.exists(file) { try Disk.write(Data(), to: file, mode: 0o600) }
        let handle = try FileHandle(forUpdating: file)
        defer { try? handle.close() }
        try handle.truncate(atOffset: UInt64(offset))
        var committed = offset
        var written = offset
        func keep() throws {
            guard written > committed else { return }
            try handle.synchronize()
            try uploads.commit(upload, position: written)
            committed = written
            if written == upload.length { finish(upload) }
        }
        do {
            for try await buffer in request.body {
                desk.progress(upload.id)
                var bytes = buffer
                let cut = faults.cut(within: bytes.readableBytes)
                if let cut { bytes.moveWriterIndex(to: bytes.readerIndex + cut) }
                let count = bytes.readableBytes
                guard count <= upload.length - written else { throw Self.tooLong }
                checksum?.update(bytes)
                if count > 0, faults.corrupts() {
                    let middle = bytes.readerIndex + count / 2
                    bytes.setInteger((bytes.getInteger(at: middle) ?? UInt8(0)) ^ 1, at: middle)
                }
                try Disk.write(bytes, to: handle)
                written += count
                if checksum == nil, written - committed >= 1 << 20 { try keep() }
                if cut != nil {
                    context.channel.close(promise: nil)
                    throw Refusal(500, "transient", "cut")
                }
            }
            if let announced = request.announced, announced != written - offset {
                throw Refusal.invalid("the body is shorter than announced")
            }
            if let checksum, !checksum.isRight {
                throw Refusal(460, "invalid", "Upload-Checksum does not match: the chunk is discarded")
            }
        } catch {
            if checksum == nil { try? keep() }
            try? handle.truncate(atOffset: UInt64(committed))
            if (error as? CocoaError)?.code == .fileWriteOutOfSpace { throw Self.full }
            throw error
        }
        try keep()
        return written
    }

    private static var tooLong: Refusal { Refusal(413, "too-long", "the body goes past Upload-Length") }
    private static var full: Refusal { Refusal(507, "no-store", "no space is left on the server") }

    // MARK: Termination

    private func terminate(_ context: Context) async throws -> Response {
        let found = try find(context)
        guard let token = desk.take(found.id, context.channel) else {
            throw Refusal(423, "lock-error", "another request writes to this upload", headers: [.retryAfter: "1"])
        }
        defer { desk.leave(found.id, token) }
        let upload = try find(context)
        switch (upload.state, try await recordings.standing(upload.rid)) {
        case (.checking, .underway) where !faults.hasLostReceipt(of: upload.rid):
            throw Refusal(423, "lock-error", "the upload is being checked", headers: [.retryAfter: "1"])
        case (_, .stored): throw Refusal(403, "forbidden", "a stored recording is not removed")
        default:
            try recordings.discard(upload)
            faults.findsReceipt(of: upload.rid)
        }
        return Response(status: .noContent)
    }
}

/// `Upload-Checksum: sha1 base64`
private struct Checksum {
    private enum Hasher {
        case sha1(Insecure.SHA1)
        case sha256(SHA256)
    }

    private var hasher: Hasher
    private let expected: [UInt8]

    init(_ header: String) throws {
        let sides = header.split(separator: " ")
        guard sides.count == 2, let digest = Data(base64Encoded: String(sides[1])) else {
            throw Refusal.invalid("Upload-Checksum is malformed")
        }
        switch sides[0] {
        case "sha1": hasher = .sha1(Insecure.SHA1())
        case "sha256": hasher = .sha256(SHA256())
        default: throw Refusal(400, "not-supported", "Upload-Checksum: unknown algorithm")
        }
        expected = Array(digest)
    }

    mutating func update(_ bytes: ByteBuffer) {
        unsafe bytes.withUnsafeReadableBytes { pointer in
            switch hasher {
            case .sha1(var sha1):
                unsafe sha1.update(bufferPointer: pointer)
                hasher = .sha1(sha1)
            case .sha256(var sha256):
                unsafe sha256.update(bufferPointer: pointer)
                hasher = .sha256(sha256)
            }
        }
    }

    var isRight: Bool {
        switch hasher {
        case .sha1(let sha1): Array(sha1.finalize()) == expected
        case .sha256(let sha256): Array(sha256.finalize()) == expected
        }
    }
}
