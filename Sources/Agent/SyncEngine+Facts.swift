import Clinical
import FHIR
import FoundationEssentials
import Logging
import Store
import Uplink

// The facts lane: one transaction per visit, and what to do when a single entry of it is poison.

extension SyncEngine {
    func send(_ pending: PendingFacts, _ link: ServerLink) async throws(UplinkError) {
        do {
            var search = PoisonSearch()
            try await deliver(pending, link, &search)
            guard let (_, first) = search.refused.first else { return }
            // All of them: it is the visit that is refused, not one document.
            guard search.delivered > 0 || pending.documents.count == 1 else { throw first }
            for (document, error) in search.refused {
                logger.info("facts refused", metadata: ["document": "\(document)", "error": "\(error.kind)"])
                switch machine.factsRefused(document, error, now: now, jitter: Double.random(in: 0..<1)) {
                case .retry(let at):
                    try await store.failed(
                        document, error: "\(error)", notBefore: clock.wall + Int64((at - now) * 1000))
                case .quarantine: try await quarantine(document, SetAsideSentence.refused(error))
                case .none: break
                }
            }
        } catch let error as UplinkError {
            throw error
        } catch {
            throw .local("\(error)")
        }
    }

    /// One bad resource poisons a whole transaction for ever (sync.md 1.1): halves are tried until it stands alone, so that
    /// the others arrive at once. When nothing arrives, the search ends early.
    private func deliver(_ pending: PendingFacts, _ link: ServerLink, _ search: inout PoisonSearch) async throws {
        do {
            try await deliver(pending, link)
            search.delivered += pending.documents.count
        } catch let error as UplinkError where error.isAboutContent {
            guard search.isWorthHalving(pending.documents.count) else {
                search.refused += pending.documents.map { ($0.id, error) }
                return
            }
            let middle = pending.documents.count / 2
            for part in [pending.documents[..<middle], pending.documents[middle...]] {
                var half = pending
                half.documents = Array(part)
                half.key = nil
                try await deliver(half, link, &search)
            }
        }
    }

    private func deliver(_ pending: PendingFacts, _ link: ServerLink) async throws {
        let facts = try await visitFacts(pending)
        let documents = pending.documents.map(\.id)
        // Written down before the first attempt: from here on these documents never change.
        try await store.beginFacts(documents, state: pending.state, key: facts.batch)
        _ = try await FactsLane(link, offer: offer).send(facts, key: facts.batch)
        try await store.markFactsSent(documents, state: pending.state)
        logger.info("facts received", metadata: ["documents": "\(documents.count)", "state": "\(pending.state)"])
    }

    func visitFacts(_ pending: PendingFacts) async throws -> VisitFacts {
        var sensors: [VisitFacts.Sensor] = []
        var entries: [VisitFacts.Entry] = []
        var measured: [VisitFacts.Measured] = []
        var reported: [VisitFacts.Reported] = []
        var recorded: Int64 = 0
        var fingerprint: [[UInt8]] = [Array("\(pending.state) \(pending.visit.id)".utf8)]
        for document in pending.documents {
            guard let detail = try await store.recording(document.recording) else { continue }
            let recording = detail.recording
            let sensor = VisitFacts.Sensor(id: Identity.of(recording.device), identity: recording.device)
            if !sensors.contains(where: { $0.id == sensor.id }) { sensors.append(sensor) }
            let start = recording.zonedStart
            let end = recording.zonedEnd(lasting: detail.summary.seconds)
            entries.append(
                VisitFacts.Entry(
                    document: document, recording: recording, sensor: sensor.id, start: start, end: end,
                    original: DocumentHasher.identity(of: .original, in: recording.id),
                    address: try await address(of: document, visit: pending.visit)))
            recorded = max(recorded, recording.clock.hostWall)
            // Also beside a waveform: an artefact has no place for single values.
            if document.role == .original {
                let readings = ToldReadings.of(recording, try await store.readings(recording.id))
                if !readings.isEmpty || recording.channels.isEmpty {
                    measured.append(Self.measured(recording, sensor.id, readings))
                }
            }
            if let values = try await reportedValues(document, recording) {
                reported.append(VisitFacts.Reported(recording: recording, sensor: sensor.id, values: values))
            }
            fingerprint.append(Array("\(document.id) \(document.sha256) \(start ?? "-") \(end ?? "-")".utf8))
        }
        let times = try await store.visitTimes(pending.visit.id)
        let opened = times.opened.map(rfc3339(unixMilliseconds:))
        let closed = pending.visit.status == .open ? nil : times.closed.map(rfc3339(unixMilliseconds:))
        fingerprint.append(Array("\(opened ?? "-") \(closed ?? "-") \(pending.visit.order ?? "-")".utf8))
        // Another content is another batch; the same content the same, over any number of attempts and restarts.
        let batch = Identity.of("batch", DocumentHasher.fingerprint(fingerprint))
        var facts = VisitFacts(
            visit: pending.visit, state: pending.state == .final ? .final : .preliminary,
            encounter: Identity.of("encounter", pending.visit.id), provenance: Identity.of("provenance", "\(batch)"),
            batch: batch,
            laptop: VisitFacts.Laptop(
                id: Identity.of("laptop", configuration.laptop), identifier: configuration.laptop, version: agentVersion
            ),
            nurse: nil, sensors: sensors, entries: entries, opened: opened, closed: closed,
            recorded: Instant(milliseconds: recorded))
        facts.measured = measured
        facts.reported = reported
        return facts
    }

    private static func measured(_ recording: Recording, _ sensor: UUID, _ readings: [Reading]) -> VisitFacts.Measured {
        var ids: [Int: UUID] = [:]
        var times: [Int: String] = [:]
        for reading in readings {
            ids[reading.sequence] = DocumentHasher.uuid5(
                namespace: recording.id.uuid, name: "reading/\(reading.sequence)")
            if let at = reading.at {
                times[reading.sequence] = rfc3339(at, utcOffsetMinutes: utcOffsetMinutes(at: at))
            }
        }
        return VisitFacts.Measured(recording: recording, sensor: sensor, readings: readings, ids: ids, times: times)
    }
}

/// How far a search for what poisons a transaction has come.
struct PoisonSearch {
    /// Refusals without a success, after which all are refused.
    private static let patience = 8
    var delivered = 0
    private var refusals = 0
    var refused: [(UUID, UplinkError)] = []

    /// Counts a refusal.
    /// - Parameter count: of what was refused together.
    mutating func isWorthHalving(_ count: Int) -> Bool {
        refusals += 1
        return count > 1 && (delivered > 0 || refusals < Self.patience)
    }
}

extension UplinkError {
    /// The server read the bundle and doesn't want it as it is.
    var isAboutContent: Bool {
        switch self {
        case .permanent, .conflict: true
        default: false
        }
    }
}
