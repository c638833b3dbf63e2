import Clinical
import FoundationEssentials
import Store
import Uplink

// Several documents at once. A small one costs more round trips and waiting for disks, here and there, than bytes; alone, one
// after the other, they leave a fast line idle for most of the time.

extension SyncEngine {
    /// Enough that some wait for disks while others are on the line, and no more than one laptop should ask of a server at once. Each is a
    /// connection, and a new one costs more than a small document.
    static let mostTogether = 4

    /// Seconds after which what else waits is looked at again: something more urgent may have come.
    static let turn = 1.0

    /// Documents that one turn may get to.
    static let mostInATurn = 60

    /// The first one always; on a slow line that is one document at a time, the most urgent first.
    /// - Parameters:
    ///   - size: bytes
    ///   - sizes: of what is under way, bytes.
    static func fits(_ size: Int, beside sizes: [Int], _ pace: Pace?) -> Bool {
        guard !sizes.isEmpty else { return true }
        guard sizes.count < mostTogether, let pace else { return false }
        return sizes.reduce(size, +) <= pace.together
    }

    /// - Parameter items: in the order of urgency; the first is to be sent now.
    func sendTogether(_ items: [OutboxItem], _ link: ServerLink, _ facts: [PendingFacts]) async throws {
        // The first one asks what the server's tus can do; the other profiles have no pace to go by.
        let isKnown = configuration.region.profile == .full && lane != nil
        let end = now + Self.turn
        let outcomes = await withTaskGroup(of: Outcome.self) { group in
            var waiting = items[...]
            var sizes: [UUID: Int] = [:]
            var outcomes: [Outcome] = []
            func fill() {
                while let item = waiting.first, Self.fits(item.document.size, beside: Array(sizes.values), pace.pace) {
                    waiting.removeFirst()
                    sizes[item.document.id] = item.document.size
                    group.addTask { await self.outcome(item, link) }
                    guard isKnown else { return waiting = [] }
                }
            }
            fill()
            for await outcome in group {
                outcomes.append(outcome)
                sizes[outcome.id] = nil
                underway.end(outcome.id)
                // What was allowed on a metered line was counted before; of what failed, all are told first.
                guard outcome.error == nil, now < end, !policy.isRestricted, !Task.isCancelled else {
                    waiting = []
                    continue
                }
                fill()
            }
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
