/// Header fields in order; names compare without case.
public struct Headers: Equatable, Sendable, ExpressibleByDictionaryLiteral {
    public struct Field: Equatable, Sendable {
        public var name: String
        public var value: String
    }

    public private(set) var fields: [Field] = []

    public init() {}

    public init(dictionaryLiteral elements: (String, String)...) {
        for (name, value) in elements { append(name, value) }
    }

    public mutating func append(_ name: String, _ value: String) { fields.append(Field(name: name, value: value)) }

    /// The first value of that name; setting replaces all of them.
    public subscript(_ name: String) -> String? {
        get { fields.first { $0.name.lowercased() == name.lowercased() }?.value }
        set {
            fields.removeAll { $0.name.lowercased() == name.lowercased() }
            if let newValue { append(name, newValue) }
        }
    }
}

public struct HTTPRequest: Sendable {
    public enum Method: String, Sendable {
        case get = "GET"
        case head = "HEAD"
        case post = "POST"
        case put = "PUT"
        case patch = "PATCH"
        case delete = "DELETE"
        case options = "OPTIONS"
    }

    public enum Body: Sendable {
        case none
        case bytes([UInt8])
        /// Read while it is sent; a file that turns out shorter fails the request.
        case file(path: String, offset: Int, count: Int)
        /// Asked for piece by piece while it is sent; `pull` gives exactly as many bytes as it is asked for, or throws.
        case stream(size: Int, pull: @Sendable (_ offset: Int, _ count: Int) async throws -> [UInt8])
    }

    /// How long to wait, and how much to take.
    public struct Limits: Sendable, Equatable {
        /// Until the connection stands, TLS included.
        public var connect: Duration
        /// Without a byte in either direction, whole seconds; nil waits for ever (a feed of events).
        public var idle: Duration?
        /// For everything; nil for uploads, that take as long as they take.
        public var total: Duration?
        /// Bytes of the answer's body. A stream has no such limit, only one on what nobody has read yet.
        public var body: Int
        /// Bytes per second that are sent at most; nil for as fast as the line allows.
        public var sendRate: Int?

        public init(
            connect: Duration = .seconds(10), idle: Duration? = .seconds(25), total: Duration? = nil,
            body: Int = 16 << 20, sendRate: Int? = nil
        ) {
            self.connect = connect
            self.idle = idle
            self.total = total
            self.body = body
            self.sendRate = sendRate
        }
    }

    public var method: Method
    /// Absolute: `https:` for a server, `http://localhost/…` for a Unix socket.
    public var url: String
    public var headers: Headers
    public var body: Body
    public var limits: Limits

    public init(
        _ method: Method, _ url: String, headers: Headers = [:], body: Body = .none, limits: Limits = Limits()
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.limits = limits
    }
}

/// An answer, whatever its status; redirects are returned, never followed.
public struct HTTPResponse: Sendable, Equatable {
    public var status: Int
    public var headers: Headers
    public var body: [UInt8]
    /// From the request's start to the answer's end.
    public var elapsed: Duration
    /// A kept connection broke under the request, and libcurl sent its body once more over a new one.
    public var wasRepeated: Bool

    public init(
        status: Int, headers: Headers = [:], body: [UInt8] = [], elapsed: Duration = .zero, wasRepeated: Bool = false
    ) {
        self.wasRepeated = wasRepeated
        self.status = status
        self.headers = headers
        self.body = body
        self.elapsed = elapsed
    }
}

/// An answer whose body comes in pieces.
public struct HTTPStream: Sendable {
    public var status: Int
    public var headers: Headers
    /// One consumer. Ends with the body; throws an `UplinkError`. Giving up the iteration ends the request.
    public var pieces: AsyncThrowingStream<[UInt8], any Error>
}
