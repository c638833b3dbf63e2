/// Search results in, a transaction out, its answer in.
public struct Bundle: Resource {
    public struct Link: Codable, Hashable, Sendable {
        public var relation: String
        public var url: String
        public init(relation: String, url: String) {
            self.relation = relation
            self.url = url
        }
    }

    public struct Request: Codable, Hashable, Sendable {
        public var method: String
        public var url: String
        public var ifMatch: String?
        public var ifNoneExist: String?
        public init(method: String, url: String, ifMatch: String? = nil, ifNoneExist: String? = nil) {
            self.method = method
            self.url = url
            self.ifMatch = ifMatch
            self.ifNoneExist = ifNoneExist
        }
    }

    public struct Response: Codable, Hashable, Sendable {
        /// `201 Created`
        public var status: String
        public var location: String?
        public var etag: String?
        public var lastModified: Instant?
        public var outcome: AnyResource?
        public init(status: String, location: String? = nil, etag: String? = nil) {
            self.status = status
            self.location = location
            self.etag = etag
        }

        /// The number at the front of `status`, or nil when there is none.
        public var code: Int? { Int(status.prefix { $0.isNumber }) }
    }

    public struct Search: Codable, Hashable, Sendable {
        /// `match`, `include` or `outcome`.
        public var mode: String?
        public init(mode: String?) { self.mode = mode }
    }

    public struct Entry: Codable, Hashable, Sendable {
        public var fullUrl: String?
        public var resource: AnyResource?
        public var search: Search?
        public var request: Request?
        public var response: Response?

        public init(
            fullUrl: String? = nil, resource: AnyResource? = nil, search: Search? = nil, request: Request? = nil,
            response: Response? = nil
        ) {
            self.fullUrl = fullUrl
            self.resource = resource
            self.search = search
            self.request = request
            self.response = response
        }
    }

    public static let typeName = "Bundle"
    public private(set) var resourceType = Self.typeName
    public var id: String?
    public var meta: Meta?
    public var identifier: Identifier?
    /// `searchset`, `transaction`, `transaction-response`, …
    public var type: String?
    public var timestamp: Instant?
    public var total: Int?
    @Many public var link: [Link]
    @Many public var entry: [Entry]

    public init(type: String, entry: [Entry] = []) {
        self.type = type
        self.entry = entry
    }

    /// Where the next page is.
    public var next: String? { link.first { $0.relation == "next" }?.url }
}
