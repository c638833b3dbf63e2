import HTTPTypes
import Hummingbird
import Logging
import NIOCore

/// One request, with the connection that it came on: a fault switch or a stalled upload closes that.
struct Context: RequestContext {
    var coreContext: CoreRequestContextStorage
    let channel: any Channel

    init(source: ApplicationRequestContextSource) {
        coreContext = .init(source: source)
        channel = source.channel
    }

    /// Cuts the connection without another word.
    func cut() async {
        try? await channel.close().get()
    }
}

extension HTTPField.Name {
    static func named(_ name: StaticString) -> HTTPField.Name {
        guard let made = HTTPField.Name("\(name)") else { preconditionFailure("not a header name: \(name)") }
        return made
    }
    static let requestID = named("X-Request-Id")
    static let essContract = named("ESS-Contract")
    static let ifNoneExist = named("If-None-Exist")
    static let idempotencyKey = named("Idempotency-Key")
    static let reprDigest = named("Repr-Digest")
    static let tusResumable = named("Tus-Resumable")
    static let tusVersion = named("Tus-Version")
    static let tusExtension = named("Tus-Extension")
    static let tusMaxSize = named("Tus-Max-Size")
    static let tusChecksumAlgorithm = named("Tus-Checksum-Algorithm")
    static let uploadOffset = named("Upload-Offset")
    static let uploadLength = named("Upload-Length")
    static let uploadDeferLength = named("Upload-Defer-Length")
    static let uploadConcat = named("Upload-Concat")
    static let uploadMetadata = named("Upload-Metadata")
    static let uploadChecksum = named("Upload-Checksum")
}

extension Request {
    /// The bytes that this request announced, or nil when it did not.
    var announced: Int? { headers[.contentLength].flatMap { Int($0) } }

    /// A small body, whole.
    func bytes(upTo limit: Int) async throws -> [UInt8] {
        if let announced, announced > limit { throw Refusal(413, "too-long", "the body is longer than \(limit) bytes") }
        var bytes: [UInt8] = []
        for try await buffer in body {
            guard bytes.count + buffer.readableBytes <= limit else {
                throw Refusal(413, "too-long", "the body is longer than \(limit) bytes")
            }
            bytes += buffer.readableBytesView
        }
        if let announced, announced != bytes.count { throw Refusal.invalid("the body is shorter than announced") }
        return bytes
    }

    /// `https://host` of it.
    var host: String {
        let origin = self.origin
        guard let mark = origin.lastIndex(of: ":"), !origin.hasSuffix("]"),
            mark > origin.index(origin.startIndex, offsetBy: 6)
        else { return origin }
        return String(origin[..<mark])
    }

    /// `https://host:port` as the client called it.
    var origin: String {
        let authority = head.authority ?? "localhost"
        let legal = authority.utf8.allSatisfy {
            (0x30...0x3A).contains($0) || (0x41...0x5B).contains($0) || (0x61...0x7A).contains($0)
                || [UInt8(ascii: "]"), UInt8(ascii: "."), UInt8(ascii: "-")].contains($0)
        }
        return "https://" + (legal ? authority : "localhost")
    }
}
