/// Which server, and how we prove who we are.
public struct UplinkConfiguration: Sendable {
    public let origin: Origin
    public var tls: TLSFiles
    /// `http://host:port` of a proxy, or nil.
    public var proxy: String?
    /// The agent's semantic version, for `User-Agent` and against the server's `minAgent`.
    public var version: String
    /// Nil: the client certificate alone says who we are.
    public var grant: TokenGrant?
    let socket: String?

    /// - Parameter baseURL: `https://…`; anything else is refused.
    public init(
        baseURL: String, tls: TLSFiles = TLSFiles(), proxy: String? = nil, version: String, grant: TokenGrant? = nil
    ) throws(UplinkError) {
        guard let origin = Origin(baseURL) else { throw .configuration("the server's address must be an https: URL") }
        self.origin = origin
        self.tls = tls
        self.proxy = proxy
        self.version = version
        self.grant = grant
        socket = nil
    }

    /// A server on a Unix socket, plain: for tests.
    @_spi(Testing) public init(unixSocket path: String, version: String) throws(UplinkError) {
        guard let origin = Origin("http://localhost", scheme: "http") else { throw .configuration("localhost") }
        self.origin = origin
        tls = TLSFiles()
        self.version = version
        socket = path
    }
}
