import FoundationEssentials

/// What is being sent at this moment, in the order in which it began.
struct Underway: Sendable {
    struct Item: Sendable {
        var document: UUID
        /// Bytes that the server confirmed.
        var sent: Int
        var total: Int
    }

    private(set) var items: [Item] = []

    var first: Item? { items.first }

    subscript(document: UUID) -> Item? { items.first { $0.document == document } }

    mutating func begin(_ document: UUID, of total: Int) {
        end(document)
        items.append(Item(document: document, sent: 0, total: total))
    }

    /// - Returns: how many bytes are new; nil when it isn't being sent.
    mutating func reached(_ offset: Int, of document: UUID) -> Int? {
        guard let at = items.firstIndex(where: { $0.document == document }) else { return nil }
        let new = max(0, offset - items[at].sent)
        items[at].sent = offset
        return new
    }

    mutating func end(_ document: UUID) { items.removeAll { $0.document == document } }

    mutating func clear() { items = [] }
}
