import Clinical
import FHIR
import FoundationEssentials

/// Documents as FHIR Binary under the document's id: the same PUT again is the same resource again. Read back for proof.
public struct BinaryLane: WholeLane {
    /// What FHIR servers take in one body, where they don't say (sync.md 4.7).
    public static let usualLimit = 16 << 20

    public let maxSize: Int?
    private let link: ServerLink
    private let offer: Offer
    private let options: WholeOptions

    public init(_ link: ServerLink, offer: Offer, options: WholeOptions) {
        self.link = link
        self.offer = offer
        self.options = options
        maxSize = offer.bytes(.binary)?.maxSize ?? Self.usualLimit
    }

    public func address(of content: WholeContent) -> String? {
        try? link.fhirURL(offer, "/Binary/\(content.item.rid.text)")
    }

    public func store(
        _ content: WholeContent, progress: @escaping @Sendable (Int) -> Void
    ) async throws(UplinkError) {
        if let maxSize, content.size > maxSize {
            throw .permanent(status: 413, "larger than the \(maxSize) bytes that the server takes")
        }
        let url = try link.fhirURL(offer, "/Binary/\(content.item.rid.text)")
        let response = try await link.exchange(
            .put, url,
            headers: [
                "Content-Type": content.item.mediaType, "X-Security-Context": content.patient,
                "Accept": "application/fhir+json; fhirVersion=4.0", "Prefer": "return=minimal",
            ], body: .stream(size: content.size, pull: content.read),
            limits: HTTPRequest.Limits(
                total: ServerLink.patience(content.size, sendRate: options.sendRate), body: 32 << 20,
                sendRate: options.sendRate), progress: progress)
        if let error = UplinkError(response, from: link.origin) { throw error }
        if response.isHTML { throw .captivePortal("HTML to a Binary") }
    }

    public func readBack(_ content: WholeContent) async throws(UplinkError) -> ReceiptAnswer {
        let url = try link.fhirURL(offer, "/Binary/\(content.item.rid.text)")
        let stream = try await link.download(url, accept: content.item.mediaType, size: content.size)
        if stream.status == 404 || stream.status == 410 { return .unknown }
        guard stream.status == 200 else { throw await link.refusal(of: stream) }
        // Some give FHIR JSON whatever was asked for: base64, so a third more of it.
        let type = (stream.headers["Content-Type"] ?? "").lowercased()
        let isResource = type.contains("json") && !content.item.mediaType.contains("json")
        guard isResource || !type.contains("html") else { throw .captivePortal("HTML to a Binary") }
        var hash = options.makeHash()
        var size = 0
        var text: [UInt8] = []
        do {
            for try await piece in stream.pieces {
                size += piece.count
                // What goes on beyond the document is another one, or never ends: nobody reads it to its end.
                guard size <= content.mostGivenBack + (isResource ? content.size / 2 : 0) else {
                    return .otherHash("")
                }
                if isResource { text += piece } else { hash.update(piece[...]) }
            }
        } catch { throw error as? UplinkError ?? .link("cut while answering") }
        if isResource {
            guard let binary = try? JSONDecoder().decode(Resource.self, from: Data(text)),
                binary.resourceType == "Binary", let data = binary.data.flatMap({ Data(base64Encoded: $0) })
            else { throw .malformed("not a Binary") }
            size = data.count
            hash.update(Array(data)[...])
        }
        let found = hash.finish()
        guard found == content.item.sha256, size == content.size else { return .otherHash(found) }
        return .stored(content.receipt(stream.headers["Last-Modified"] ?? stream.headers["Date"]))
    }

    private struct Resource: Decodable {
        var resourceType: String
        var data: String?
    }
}

extension WholeContent {
    /// What was read back is what was sent.
    /// - Parameter date: an HTTP date of the server's.
    func receipt(_ date: String?) -> Receipt {
        Receipt(
            rid: item.rid, sha256: item.sha256, size: item.size,
            storedAt: date.flatMap { Instant(httpDate: $0) }.map(\.description) ?? "", durability: "readback",
            storeEpoch: "")
    }
}
