import Clinical
import FHIR
import FoundationEssentials
import Logging
import Store
import Uplink

// What the nurse typed goes up in a transaction of its own, under identities that were minted when it was typed.

extension SyncEngine {
    func sendEntries(_ visit: String, _ link: ServerLink) async throws(UplinkError) {
        do {
            guard let pending = try await store.entriesPending(visit: visit).first else { return }
            var search = PoisonSearch()
            try await deliver(pending, link, &search)
            // What was refused is all that still waits: when the answer comes again, only that is set aside.
            if let (_, first) = search.refused.first { throw first }
        } catch let error as UplinkError {
            throw error
        } catch {
            throw .local("\(error)")
        }
    }

    /// One answer that a server doesn't take must not keep the others here (as with documents, `deliver` of the facts).
    private func deliver(
        _ pending: PendingEntries, _ link: ServerLink, _ search: inout PoisonSearch
    ) async throws {
        do {
            let facts = try await facts(pending)
            _ = try await FactsLane(link, offer: offer).send(facts, key: facts.batch)
            try await store.entriesSent(pending.entries)
            search.delivered += pending.entries.count
            logger.info("entries received", metadata: ["count": "\(pending.entries.count)"])
        } catch let error as UplinkError where error.isAboutContent {
            guard search.isWorthHalving(pending.entries.count) else {
                search.refused += pending.entries.map { ($0.entry.id, error) }
                return
            }
            let middle = pending.entries.count / 2
            for part in [pending.entries[..<middle], pending.entries[middle...]] {
                var half = pending
                half.entries = Array(part)
                try await deliver(half, link, &search)
            }
        }
    }

    func refuseEntries(_ visit: String) async throws {
        guard let pending = try await store.entriesPending(visit: visit).first else { return }
        logger.error(
            "what was typed at a visit is set aside: to be told to the centre", metadata: ["visit": "\(visit)"])
        try await store.entriesRefused(pending.entries)
    }

    func facts(_ pending: PendingEntries) async throws -> VisitFacts {
        let visit = pending.visit
        let times = try await store.visitTimes(visit.id)
        let opened = times.opened.map(rfc3339(unixMilliseconds:))
        let closed = visit.status == .open ? nil : times.closed.map(rfc3339(unixMilliseconds:))
        let typed = pending.entries.map {
            VisitFacts.Typed(
                entry: $0.entry, isWithdrawn: $0.isWithdrawn, time: rfc3339(unixMilliseconds: $0.entry.at))
        }
        // Another content is another batch; the same content the same, over any number of attempts and restarts.
        let fingerprint =
            [Array("entries \(visit.id) \(opened ?? "-") \(closed ?? "-")".utf8)]
            + typed.map { Array("\($0.entry.id) \($0.isWithdrawn)".utf8) }
        let batch = Identity.of("batch", DocumentHasher.fingerprint(fingerprint))
        var facts = VisitFacts(
            visit: visit, state: .final, encounter: Identity.of("encounter", visit.id),
            provenance: Identity.of("provenance", "\(batch)"), batch: batch,
            laptop: VisitFacts.Laptop(
                id: Identity.of("laptop", configuration.laptop), identifier: configuration.laptop, version: agentVersion
            ),
            nurse: nil, sensors: [], entries: [], opened: opened, closed: closed,
            recorded: Instant(milliseconds: pending.entries.map { $0.withdrawnAt ?? $0.entry.at }.max() ?? 0))
        facts.typed = typed
        facts.isSimulatedVisit = pending.isSimulated
        return facts
    }
}
