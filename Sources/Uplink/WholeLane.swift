/// Which standards a region's server speaks (sync.md 4.7).
public enum RegionalProfile: String, Sendable, CaseIterable {
    /// FHIR, tus and receipts: the whole contract.
    case full
    /// A PACS takes the recordings by STOW-RS, a FHIR server the facts.
    case pacs
    /// A FHIR server takes both; recordings as Binary.
    case fhir
    /// Nothing at all: sealed files in a folder.
    case drop
}

/// Where a DICOM object is found.
public struct DicomAddress: Sendable, Equatable {
    public var study: String
    public var series: String
    public var instance: String

    public init(study: String, series: String, instance: String) {
        self.study = study
        self.series = series
        self.instance = instance
    }
}

/// A document as it is sent in one request.
public struct WholeContent: Sendable {
    public var item: BytesLane.Item
    /// Bytes on the wire: the document's own, or those of the DICOM object around it.
    public var size: Int
    /// Where the document's bytes begin in it; 0 when they are all of it.
    public var documentStart: Int
    public var dicom: DicomAddress?
    /// `Patient/…`
    public var patient: String
    public var read: @Sendable (_ offset: Int, _ count: Int) async throws -> [UInt8]

    public init(
        item: BytesLane.Item, size: Int, documentStart: Int = 0, dicom: DicomAddress? = nil, patient: String,
        read: @escaping @Sendable (_ offset: Int, _ count: Int) async throws -> [UInt8]
    ) {
        self.item = item
        self.size = size
        self.documentStart = documentStart
        self.dicom = dicom
        self.patient = patient
        self.read = read
    }
}

/// A running SHA-256; lower-case hexadecimal at its end.
public protocol RunningHash: Sendable {
    mutating func update(_ bytes: ArraySlice<UInt8>)
    func finish() -> String
}

/// A server without receipts: what counts is what it gives back (sync.md 4.3). Not resumable, hence for what fits one request.
public protocol WholeLane: Sendable {
    /// The largest document that it takes, bytes; nil when it doesn't say.
    var maxSize: Int? { get }
    /// Hands the document over. Success only when the server's own words account for it.
    func store(_ content: WholeContent, progress: @escaping @Sendable (Int) -> Void) async throws(UplinkError)
    /// Fetches it, and hashes what comes.
    func readBack(_ content: WholeContent) async throws(UplinkError) -> ReceiptAnswer
    /// Where a reader of the facts finds it.
    func address(of content: WholeContent) -> String?
}

extension WholeContent {
    /// Bytes of an answer after which it is no longer this document: headers and padding need less.
    var mostGivenBack: Int { size + (64 << 10) }
}

/// How a whole document goes, and how its rate is held down.
public struct WholeOptions: Sendable {
    public var makeHash: @Sendable () -> any RunningHash
    /// Bytes per second; nil for no limit.
    public var sendRate: Int?

    public init(makeHash: @escaping @Sendable () -> any RunningHash, sendRate: Int? = nil) {
        self.makeHash = makeHash
        self.sendRate = sendRate
    }
}

extension ServerLink {
    /// A question whose answer is as large as a document: taken piece by piece.
    /// - Parameter size: of the document, bytes.
    func download(_ url: String, accept: String, size: Int) async throws(UplinkError) -> HTTPStream {
        guard let url = origin.resolve(url, against: origin.root) else {
            throw .malformed("an address outside of the server's origin")
        }
        return try await client.stream(
            HTTPRequest(
                .get, url, headers: try await standardHeaders(["Accept": accept], for: url),
                limits: HTTPRequest.Limits(total: Self.patience(size))))
    }

    /// What a stream says when it isn't what was asked for; the rest of it is given up.
    func refusal(of stream: HTTPStream) async -> UplinkError {
        var body: [UInt8] = []
        do {
            for try await piece in stream.pieces {
                body += piece
                guard body.count < 64 << 10 else { break }
            }
        } catch { return error as? UplinkError ?? .link("cut while answering") }
        let response = HTTPResponse(status: stream.status, headers: stream.headers, body: body)
        return UplinkError(response, from: origin) ?? .malformed("an answer of another kind")
    }
}
