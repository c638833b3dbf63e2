import Clinical
import FoundationEssentials
import Store
import Uplink

// Several documents at once. A small one costs more round trips and waiting for disks, here and there, than bytes; alone, one
// after the other, they leave a fast line idle for most of the time.

extension SyncEngine {
    /// Enough that some wait for disks while others are on the line, and no more than one laptop should ask of a server at once.
    static let mostTogether = 6

    /// The first, and what goes beside it without holding it up: as many bytes as one chunk on this line, and four of the largest where
    /// no chunk was ever cut or slow. On a slow line that is one document at a time, the most urgent first.
    /// - Parameter sizes: bytes, in the order of urgency.
    /// - Returns: how many of them; at least one where there is one.
    static func together(_ sizes: [Int], pace: Pace?) -> Int {
        let most = pace.map { $0.isUnbounded ? 4 * $0.chunk : $0.chunk } ?? 0
        var bytes = 0
        var count = 0
        for size in sizes.prefix(mostTogether) {
            bytes += size
            if count > 0, bytes > most { break }
            count += 1
        }
        return count
    }

    /// - Parameter items: of which the first is to be sent now.
    func sendTogether(_ items: [OutboxItem], _ link: ServerLink, _ facts: [PendingFacts]) async throws {
        // The first one asks what the server's tus can do; the other profiles have no pace to go by.
        let isKnown = configuration.region.profile == .full && lane != nil
        let count = isKnown ? Self.together(items.map(\.document.size), pace: pace.pace) : 1
        let outcomes = await withTaskGroup(of: Outcome.self) { group in
            for item in items.prefix(count) { group.addTask { await self.outcome(item, link) } }
            var outcomes: [Outcome] = []
            for await outcome in group { outcomes.append(outcome) }
            return outcomes
        }
        underway.clear()
        guard !Task.isCancelled else { return }
        // What went well is no longer in the way of what is said about the others.
        for (id, error) in outcomes where error == nil { succeeded(.bytes(id)) }
        for (id, error) in outcomes {
            guard let error else { continue }
            if wasInterrupted, case .link = error {
                lane = nil
                continue
            }
            // One connection that broke under several of them is one failure.
            if case .paused = machine.link { continue }
            try await handle(error, .bytes(id), facts)
        }
    }

    private typealias Outcome = (id: UUID, error: UplinkError?)

    private func outcome(_ item: OutboxItem, _ link: ServerLink) async -> Outcome {
        do throws(UplinkError) {
            try await send(item, link)
            return (item.document.id, nil)
        } catch {
            // Each part vouches for itself, so that damage is found where it is read; what went before was whole.
            if case .local = error, (try? await mend(item.document)) == true { return (item.document.id, nil) }
            return (item.document.id, error)
        }
    }
}
