public import Clinical
public import FoundationEssentials

/// What the server has to say about one document (sync.md 4.2, U4).
public enum ReceiptAnswer: Sendable, Equatable {
    /// Stored durably. Whether it is *our* bytes is for the caller to see: `Receipt.covers`.
    case stored(Receipt)
    /// Being hashed or replicated.
    case pending(retryAfter: Duration?)
    case unknown
    /// The server has other bytes under this identity; its SHA-256, empty when it doesn't say.
    case otherHash(String)
}

extension ServerLink {
    /// U4.
    public func receipt(for rid: UUID, offer: Offer = Offer()) async throws(UplinkError) -> ReceiptAnswer {
        let url = try receiptURL(rid, offer)
        let response = try await exchange(.get, url, headers: ["Accept": "application/json"])
        switch response.status {
        case 202: return .pending(retryAfter: response.retryAfter)
        case 404: return .unknown
        case 409:
            guard let other = try? decode(OtherHash.self, response) else { return .otherHash("") }
            return .otherHash(other.sha256.lowercased())
        default: break
        }
        if let error = UplinkError(response, from: origin) { throw error }
        guard response.status == 200 else { throw .malformed("\(response.status) to a question for a receipt") }
        var receipt = try decode(Receipt.self, response)
        guard receipt.rid == rid else { throw .malformed("a receipt for something else") }
        receipt.sha256 = receipt.sha256.lowercased()
        return .stored(receipt)
    }

    private func receiptURL(_ rid: UUID, _ offer: Offer) throws(UplinkError) -> String {
        let id = rid.uuidString.lowercased()
        guard let address = offer.receipts, address.contains("{") else {
            return try recordings(offer) + "/\(id)/receipt"
        }
        let named = address.replacing(Self.placeholder, with: id)
        guard named != address, !named.contains("{") else {
            throw .malformed("a template for receipts that is not understood")
        }
        return try below(named)
    }

    private static let placeholder = "{rid}"
    private static let usualRecordings = "/ess/v1/recordings"

    /// Below which the recordings are: what the offer names, or what stands before `/{rid}/receipt` in its template. Another template says
    /// only where receipts are.
    func recordings(_ offer: Offer) throws(UplinkError) -> String {
        let address = offer.receipts ?? Self.usualRecordings
        let template = "/\(Self.placeholder)/receipt"
        guard address.contains("{") else { return try below(address) }
        guard address.hasSuffix(template) else { return try below(Self.usualRecordings) }
        return try below(String(address.dropLast(template.utf8.count)))
    }

    private struct OtherHash: Decodable { var sha256: String }
}
