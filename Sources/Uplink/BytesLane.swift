public import FoundationEssentials
import Synchronization

/// A digest that a tus server checks each chunk with; its names are the protocol's.
public enum ChecksumAlgorithm: String, Sendable, CaseIterable {
    case sha256
    case sha1
}

/// What a tus server says of itself (OPTIONS, sync.md 1.2).
public struct TusOffer: Sendable, Equatable {
    /// Where uploads are created.
    public var url: String
    /// Bytes; nil when it doesn't say.
    public var maxSize: Int?
    /// The best of those that both know.
    public var checksum: ChecksumAlgorithm?

    public init(url: String, maxSize: Int?, checksum: ChecksumAlgorithm?) {
        self.url = url
        self.maxSize = maxSize
        self.checksum = checksum
    }
}

/// The pace of one lane after another: a greeting makes a new lane, and the line is still the same.
public final class PaceMemory: Sendable {
    private let kept = Mutex<Pace?>(nil)

    public init() {}

    public internal(set) var pace: Pace? {
        get { kept.withLock { $0 } }
        set { kept.withLock { $0 = newValue } }
    }
}

/// U1 and U2: documents as resumable uploads. A finished upload proves nothing; the receipt does.
public struct BytesLane: Sendable {
    /// One document, and how far it got.
    public struct Item: Sendable, Equatable {
        public var rid: UUID
        /// Of the file name that the server sees: `dcm`, `edf`, `bin`. The rest of the name is the rid.
        public var fileExtension: String
        public var mediaType: String
        public var size: Int
        /// Lower-case hexadecimal.
        public var sha256: String
        /// The server's id of the visit.
        public var visit: String
        /// From `didCreate` of an earlier attempt.
        public var location: String?
        /// Our own connection broke under this upload a short while ago.
        public var mayBeLocked: Bool

        public init(
            rid: UUID, fileExtension: String, mediaType: String, size: Int, sha256: String, visit: String,
            location: String? = nil, mayBeLocked: Bool = false
        ) {
            self.rid = rid
            self.fileExtension = fileExtension
            self.mediaType = mediaType
            self.size = size
            self.sha256 = sha256
            self.visit = visit
            self.location = location
            self.mayBeLocked = mayBeLocked
        }
    }

    /// The caller's side of an upload. What these throw ends the upload as `UplinkError.local`.
    public struct Hooks: Sendable {
        /// The document's bytes from an offset; as many as asked for.
        public var read: @Sendable (_ offset: Int, _ count: Int) async throws -> [UInt8]
        /// Must have written the location down when it returns: only then the first byte goes.
        public var didCreate: @Sendable (_ location: String) async throws -> Void
        /// The server has this many bytes.
        public var didConfirm: @Sendable (_ offset: Int) async throws -> Void
        /// Bytes handed to the network, confirmed or not, and the total. On the client's thread; must not block.
        public var progress: @Sendable (_ offset: Int, _ total: Int) -> Void

        public init(
            read: @escaping @Sendable (_ offset: Int, _ count: Int) async throws -> [UInt8],
            didCreate: @escaping @Sendable (_ location: String) async throws -> Void,
            didConfirm: @escaping @Sendable (_ offset: Int) async throws -> Void,
            progress: @escaping @Sendable (_ offset: Int, _ total: Int) -> Void = { _, _ in }
        ) {
            self.read = read
            self.didCreate = didCreate
            self.didConfirm = didConfirm
            self.progress = progress
        }
    }

    public typealias Digest = @Sendable (ChecksumAlgorithm, [UInt8]) -> [UInt8]

    public let tus: TusOffer
    private let link: ServerLink
    private let limits: Upload.Limits
    private let digest: Digest?
    private let sendRate: Int?
    private let memory: PaceMemory

    /// Asks the server what its tus can do.
    /// - Parameters:
    ///   - limits: the offer's `chunkMax` lowers them further.
    ///   - sendRate: bytes per second at most; nil for as fast as the line allows.
    ///   - memory: what was learned of the line, and where it is kept.
    ///   - digest: computes a chunk's checksum; nil sends none.
    public static func open(
        _ link: ServerLink, offer: Offer, limits: Upload.Limits = Upload.Limits(), sendRate: Int? = nil,
        memory: PaceMemory = PaceMemory(), digest: Digest? = nil
    ) async throws(UplinkError) -> BytesLane {
        guard let bytes = offer.bytes(.tus) else { throw .configuration("the server offers no tus") }
        let url = try link.below(bytes.url)
        var response = try await link.exchange(.options, url)
        // Some know their collection only with the slash (sync.md 1.2.2).
        var found = url
        if [404, 405].contains(response.status) {
            found = url + "/"
            response = try await link.exchange(.options, found)
        }
        var tus = TusOffer(url: url, maxSize: bytes.maxSize, checksum: nil)
        // Without OPTIONS there are no extensions that we could use, but creation is what D0 promised. Many filters let no OPTIONS
        // through, and say so in whatever way; whether we may upload is said to the upload itself.
        if ![400, 403, 404, 405, 410, 501].contains(response.status) {
            if let error = UplinkError(response, from: link.origin) { throw error }
            let list = { (name: String) in
                (response.headers[name] ?? "").split(separator: ",").map { String($0).trimmed.lowercased() }
            }
            guard list("Tus-Version").isEmpty || list("Tus-Version").contains("1.0.0") else {
                throw .version("tus \(response.headers["Tus-Version"] ?? "")")
            }
            tus.url = found
            if let size = response.headers["Tus-Max-Size"].flatMap({ Int($0) }) {
                tus.maxSize = min(size, tus.maxSize ?? size)
            }
            if list("Tus-Extension").contains("checksum") {
                let known = list("Tus-Checksum-Algorithm")
                tus.checksum = ChecksumAlgorithm.allCases.first { known.contains($0.rawValue) }
            }
        }
        var limits = limits
        if let chunk = bytes.chunkMax, chunk > 0, chunk < limits.mostChunk {
            limits = Upload.Limits(
                firstChunk: limits.firstChunk, leastChunk: limits.leastChunk, mostChunk: chunk, fast: limits.fast,
                slow: limits.slow, strikes: limits.strikes)
        }
        return BytesLane(
            tus: tus, link: link, limits: limits, digest: digest, sendRate: sendRate, memory: memory)
    }

    /// Returns when the server has as many bytes as the document.
    /// - Throws: after `link` or `transient` the same call goes on where the server is.
    public func upload(_ item: Item, _ hooks: Hooks) async throws(UplinkError) {
        // Not every server says so itself (sync.md 1.2.2).
        if let most = tus.maxSize, item.size > most {
            throw .permanent(status: 413, "larger than the \(most) bytes that the server takes")
        }
        let known = item.location.flatMap { link.origin.resolve($0, against: tus.url) }
        var upload = Upload(
            size: item.size, location: known, checksums: digest != nil && tus.checksum != nil, limits: limits,
            mayBeLocked: item.mayBeLocked, pace: memory.pace)
        defer { memory.pace = upload.pace.joined(memory.pace) }
        var actions = upload.start()
        var ahead: Piece?
        while true {
            var event: Upload.Event?
            for action in actions {
                if Task.isCancelled { throw .cancelled }
                switch action {
                case .remember(let location): try await local { try await hooks.didCreate(location) }
                case .confirm(let offset):
                    try await local { try await hooks.didConfirm(offset) }
                    hooks.progress(offset, item.size)
                case .create: event = await create(item)
                case .ask(let location): event = await ask(location)
                case .append(let location, let offset, let count, let checksum):
                    let piece =
                        if let ahead, ahead.fits(offset, count, checksum: checksum) { ahead } else {
                            try await local { try await readPiece(offset, count, checksum: checksum, hooks) }
                        }
                    // While this one is on the line: on a slow one there is time enough afterwards.
                    let next = offset + count
                    let most = upload.pace.isUnbounded ? min(upload.pace.chunk, item.size - next) : 0
                    async let reading =
                        most > 0 ? try? await readPiece(next, most, checksum: checksum, hooks) : nil
                    event = await append(location, piece) { sent in
                        hooks.progress(offset + min(sent, count), item.size)
                    }
                    ahead = await reading
                case .finish: return
                case .stop(let error): throw error
                }
            }
            guard let event else { throw .local("the upload has nothing to do") }
            actions = upload.handle(event)
        }
    }

    /// Drops what the server has of an upload (tus termination), so that the same identity can be sent again from its start:
    /// the one clean retry after a receipt that names another hash. What is gone already is fine.
    public func discard(location: String) async throws(UplinkError) {
        guard let url = link.origin.resolve(location, against: tus.url) else {
            throw .malformed("the upload's Location is on another host")
        }
        let response = try await link.exchange(.delete, url, headers: ["Tus-Resumable": "1.0.0"])
        guard ![404, 410].contains(response.status), let error = UplinkError(response, from: link.origin) else {
            return
        }
        throw error
    }

    /// How many bytes the server says that it has; nil when it doesn't know the upload.
    public func offset(at location: String) async throws(UplinkError) -> Int? {
        guard let url = link.origin.resolve(location, against: tus.url) else { return nil }
        let response = try await link.exchange(.head, url, headers: ["Tus-Resumable": "1.0.0"])
        if response.status == 404 || response.status == 410 { return nil }
        if let error = UplinkError(response, from: link.origin) { throw error }
        return response.headers["Upload-Offset"].flatMap { Int($0) }
    }

    // MARK: Requests

    private func create(_ item: Item) async -> Upload.Event {
        let rid = item.rid.uuidString.lowercased()
        let metadata = [
            ("filename", "\(rid).\(item.fileExtension)"), ("filetype", item.mediaType), ("rid", rid),
            ("sha256", item.sha256), ("visit", item.visit),
        ]
        // A key with an empty value stands alone (tus, Upload-Metadata).
        let text = metadata.map { key, value in
            value.isEmpty ? key : "\(key) \(Data(value.utf8).base64EncodedString())"
        }.joined(separator: ",")
        return await event(
            .post, tus.url, headers: ["Upload-Length": "\(item.size)", "Upload-Metadata": text],
            limits: ServerLink.questionLimits)
    }

    private func ask(_ location: String) async -> Upload.Event {
        await event(.head, location, headers: [:], limits: ServerLink.questionLimits)
    }

    /// Some bytes of the document, and what the server checks them with.
    private struct Piece: Sendable {
        var offset: Int
        var bytes: [UInt8]
        var checksum: String?

        /// Whether it is what is asked for now: the pace may have changed since it was read.
        func fits(_ offset: Int, _ count: Int, checksum: Bool) -> Bool {
            self.offset == offset && bytes.count == count && (self.checksum != nil) == checksum
        }
    }

    /// - Parameter checksum: only where the server checks chunks and we have a digest (see `upload`).
    private func readPiece(_ offset: Int, _ count: Int, checksum: Bool, _ hooks: Hooks) async throws -> Piece {
        let bytes = try await hooks.read(offset, count)
        guard bytes.count == count else { throw UplinkError.local("\(bytes.count) bytes read instead of \(count)") }
        return Piece(offset: offset, bytes: bytes, checksum: checksum ? await digest(of: bytes) : nil)
    }

    /// Away from whoever sends: several documents at once would wait for each other.
    @concurrent
    private func digest(of bytes: [UInt8]) async -> String? {
        guard let algorithm = tus.checksum, let digest else { return nil }
        return "\(algorithm.rawValue) \(Data(digest(algorithm, bytes)).base64EncodedString())"
    }

    private func append(
        _ location: String, _ piece: Piece, progress: @escaping @Sendable (Int) -> Void
    ) async -> Upload.Event {
        let bytes = piece.bytes
        var headers: Headers = [
            "Upload-Offset": "\(piece.offset)", "Content-Type": "application/offset+octet-stream",
        ]
        if let checksum = piece.checksum { headers["Upload-Checksum"] = checksum }
        let limits = HTTPRequest.Limits(
            total: ServerLink.patience(bytes.count, sendRate: sendRate), sendRate: sendRate)
        return await event(
            .patch, location, headers: headers, body: .bytes(bytes), limits: limits, progress: progress)
    }

    private func event(
        _ method: HTTPRequest.Method, _ url: String, headers: Headers, body: HTTPRequest.Body = .none,
        limits: HTTPRequest.Limits, progress: (@Sendable (Int) -> Void)? = nil
    ) async -> Upload.Event {
        var headers = headers
        headers["Tus-Resumable"] = "1.0.0"
        do throws(UplinkError) {
            let response = try await link.exchange(
                method, url, headers: headers, body: body, limits: limits, progress: progress)
            var location: String?
            if let named = response.headers["Location"], method == .post, (200...299).contains(response.status) {
                guard let resolved = link.origin.resolveOwn(named, against: url) else {
                    throw .malformed("the upload's Location is on another host")
                }
                location = resolved
            }
            // An answer without the protocol's header is nobody's that we know (a portal's 200 with HTML).
            if (200...299).contains(response.status), response.isHTML {
                throw .captivePortal("HTML to an upload")
            }
            return .answered(
                Upload.Answer(
                    status: response.status, offset: response.headers["Upload-Offset"].flatMap { Int($0) },
                    length: response.headers["Upload-Length"].flatMap { Int($0) }, location: location,
                    elapsed: response.elapsed, refusal: UplinkError(response, from: link.origin),
                    wasRepeated: response.wasRepeated))
        } catch {
            return .failed(error)
        }
    }

    private func local<T: Sendable>(_ work: () async throws -> T) async throws(UplinkError) -> T {
        do {
            return try await work()
        } catch is CancellationError {
            throw .cancelled
        } catch let error as UplinkError {
            throw error
        } catch {
            // The type alone: the text may hold more than we know.
            throw .local("\(type(of: error))")
        }
    }
}
