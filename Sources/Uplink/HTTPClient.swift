/// Files that prove who we are and whom we believe; PEM.
public struct TLSFiles: Sendable, Equatable {
    /// The only authorities that are believed; nil means the system's.
    public var authorities: String?
    /// Our certificate (with its chain), and its key; both or none.
    public var certificate: String?
    public var key: String?

    public init(authorities: String? = nil, certificate: String? = nil, key: String? = nil) {
        self.authorities = authorities
        self.certificate = certificate
        self.key = key
    }
}

/// HTTP over libcurl, on one thread of its own (anchors.md 5.4). TLS 1.2 or later with certificate and name always verified,
/// HTTP/1.1, no redirect followed, no cookies, no proxy out of the environment.
public final class HTTPClient: Sendable {
    private let thread: CurlThread

    /// To a server, `https:` only.
    /// - Parameter proxy: `http://host:port`, or nil for a direct connection.
    public init(tls: TLSFiles = TLSFiles(), proxy: String? = nil) throws(UplinkError) {
        guard (tls.certificate == nil) == (tls.key == nil) else {
            throw .configuration("a client certificate and its key come together")
        }
        for path in [tls.authorities, tls.certificate, tls.key] {
            if let path, !isReadable(path) { throw .configuration("cannot read \(path)") }
        }
        thread = try CurlThread(.tls(tls, proxy: proxy))
    }

    /// To a program on this machine, plain `http:` over its Unix socket.
    public init(unixSocket path: String) throws(UplinkError) {
        thread = try CurlThread(.unixSocket(path))
    }

    deinit { thread.stop() }

    /// - Parameters:
    ///   - progress: body bytes handed to the network so far; called on the client's thread, must not block.
    ///   - sink: takes the body of a 200 piece by piece, and says whether it wants more; the response's own is empty then.
    ///     Called on the client's thread, which it may hold up: nothing else of this client goes on meanwhile.
    public func send(
        _ request: HTTPRequest, progress: (@Sendable (Int) -> Void)? = nil,
        into sink: (@Sendable ([UInt8]) -> Bool)? = nil
    ) async throws(UplinkError) -> HTTPResponse {
        let transfer = Transfer(request, progress: progress)
        transfer.sink = sink
        let result: Result<HTTPResponse, UplinkError> = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                transfer.whole = { continuation.resume(returning: $0) }
                thread.start(transfer)
            }
        } onCancel: {
            thread.cancel(transfer)
        }
        return try result.get()
    }

    /// Returns at the end of the answer's head.
    public func stream(_ request: HTTPRequest) async throws(UplinkError) -> HTTPStream {
        let transfer = Transfer(request, progress: nil)
        let (pieces, sink) = AsyncThrowingStream<[UInt8], any Error>.makeStream(
            bufferingPolicy: .bufferingOldest(Transfer.unreadPieces))
        sink.onTermination = { [thread] _ in thread.cancel(transfer) }
        transfer.pieces = sink
        let result: Result<HTTPResponse, UplinkError> = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                transfer.whole = { continuation.resume(returning: $0) }
                thread.start(transfer)
            }
        } onCancel: {
            thread.cancel(transfer)
        }
        let head = try result.get()
        return HTTPStream(status: head.status, headers: head.headers, pieces: pieces)
    }

    /// Forgets the connections that are idle, and uses no old one from now on: after a change of network they are dead without
    /// knowing it (sync.md 5).
    public func dropConnections() { thread.dropConnections() }

    /// Ends every request as `link`, and keeps no connection: the way that they took isn't there any more.
    public func interrupt() { thread.interrupt() }

    /// Ends every request as `cancelled`; later ones fail the same way.
    public func close() { thread.stop() }
}
