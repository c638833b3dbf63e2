import Clinical
import Foundation
import GRDB
import Store
import Testing

private let day: Int64 = 86_400_000

extension Bench {
    func receipt(_ document: Document, durability: String = "fsync", epoch: String = "e1") -> Receipt {
        Receipt(
            rid: document.id, sha256: document.sha256, size: document.size, storedAt: "2026-11-22T10:00:00Z",
            durability: durability, storeEpoch: epoch)
    }

    /// A recording that the server has completely, in a visit that is closed.
    func delivered(_ recording: Recording = .sample(), visit: String = "v1") async throws -> RecordingID {
        let id = try await sealed(recording, try await openVisit(visit))
        try await store.closeVisit(visit, by: "nurse", at: world.time)
        try await deliver(try await freeze(id))
        return id
    }

    func deliver(_ documents: (artefact: Document, original: Document), durability: String = "fsync") async throws {
        for document in [documents.artefact, documents.original] {
            try await store.beginUpload(document.id)
            try await store.uploadCreated(document.id, location: "https://ess.test/files/x")
            try await store.record(receipt(document, durability: durability))
            try await store.markFactsSent([document.id], state: .final)
        }
    }
}

@Suite struct Retention {
    @Test func goesAfterReceiptAndTime() async throws {
        let bench = try await Bench()
        let store = bench.store
        let id = try await bench.delivered()
        let now = bench.world.time
        func verdict(_ time: Int64, _ policy: PurgePolicy = PurgePolicy()) async throws -> [PurgeVerdict.Reason] {
            try #require(try await store.purgeable(now: time, policy: policy).first { $0.recording == id }).reasons
        }
        #expect(try await verdict(now) == [.epochUnknown, .withinRetention])
        try await store.setValue("e1", forKey: Store.storeEpochKey)
        #expect(try await verdict(now) == [.withinRetention])
        #expect(try await verdict(now + 14 * day - 1) == [.withinRetention])
        #expect(try await verdict(now + 14 * day) == [])
        #expect(try await verdict(now + 3 * day, PurgePolicy(isDiskShort: true)) == [])
        bench.world.setFree(1_000_000_000)
        #expect(try await verdict(now + 3 * day) == [], "the disk says that it is short")
        bench.world.setFree(nil)
        #expect(try await verdict(now + 14 * day, PurgePolicy(durabilities: ["replicated"])) == [.durabilityNotAllowed])
        try await store.setValue("e2", forKey: Store.storeEpochKey)
        #expect(try await verdict(now + 14 * day) == [.epochChanged])
        #expect(try await store.purge(now: now + 14 * day, by: "nurse") == [])
        try await store.setValue("e1", forKey: Store.storeEpochKey)
        try await store.openVisit("v1", by: "nurse", at: now)
        #expect(try await verdict(now + 14 * day) == [.visitOpen])
        try await store.closeVisit("v1", by: "nurse", at: now)
        // Looking changes nothing.
        #expect(try await store.original(id).count == 6)
        #expect(try await store.purge(now: now + 14 * day, by: "nurse") == [id])
        #expect(try await store.purge(now: now + 14 * day, by: "nurse") == [])
        #expect(try await store.purgeable(now: now).isEmpty)
    }

    @Test func whatStaysAndWhatIsGone() async throws {
        let bench = try await Bench()
        let store = bench.store
        var recording = Recording.sample(
            kind: .stored, source: "night-1", claim: IdentityClaim(name: "Tartempionne"), start: .device)
        recording.clock.deviceRaw = "raw"
        let id = try await bench.delivered(recording)
        try await store.add(Note(kind: .device, text: "x"), to: id)
        try await store.setValue("e1", forKey: Store.storeEpochKey)
        let before = try #require(try await store.recording(id))
        bench.world.pass(15 * day)
        #expect(try await store.purge(now: bench.world.time, by: "nurse") == [id])
        let after = try #require(try await store.recording(id))
        #expect(after.summary.purgedAt == bench.world.time)
        #expect(after.bindings == before.bindings)
        #expect(after.summary.documents.map(\.receipt) == before.summary.documents.map(\.receipt))
        #expect(after.summary.documents.allSatisfy { $0.stage == .received })
        #expect(after.recording.claim == nil)
        #expect(after.notes == [])
        #expect(try await store.recordings().count == 1)
        for gone in [
            await failure { try await store.original(id) }, await failure { try await store.waveform(id) },
            await failure {
                try await store.documentBytes(before.summary.documents[0].document.id, offset: 0, count: 1)
            },
            await failure { try await store.add(Note(kind: .device, text: "x"), to: id) },
            await failure { try await store.attribute(id, to: "v1", by: "n", why: nil, at: 1) },
        ] {
            guard case .refused = gone else {
                Issue.record("\(String(describing: gone))")
                continue
            }
        }
        // The same night is not fetched again.
        #expect(try await store.knownItems() == ["night-1"])
        #expect(try await store.knowsSource("night-1"))
        #expect(try await store.statusCounts().received == 2)
        #expect(try await store.auditEntries().first?.action == "recording.purge")
        guard case .intact = try await store.verifyAudit() else {
            Issue.record("audit")
            return
        }
        let report = try await store.salvage()
        #expect(report.isSound && report.readable == [id])
        try await store.close()
        let queue = try DatabaseQueue(path: bench.scratch.database)
        let left = try await queue.read { db in
            try ["chunk", "document_part", "note", "held", "reading"].map {
                try Int.fetchOne(db, sql: "SELECT COUNT(*) FROM \($0)") ?? -1
            } + [try Int.fetchOne(db, sql: "SELECT SUM(length(data_key)) FROM recording") ?? -1]
        }
        #expect(left == [0, 0, 0, 0, 0, 0])
    }

    /// Every reason for which something stays.
    @Test func whatStays() async throws {
        let bench = try await Bench()
        let store = bench.store
        try await store.setValue("e1", forKey: Store.storeEpochKey)
        let binding = try await bench.openVisit()
        let open = Recording.sample()
        try await store.begin(open, binding: binding)
        let nobodys = try await bench.sealed(.sample(), nil)
        let unprepared = try await bench.sealed(.sample(), binding)
        let cut = try await bench.sealed(
            .sample(kind: .stored, source: "n", start: .device), binding, reason: .deviceGone)
        let whole = try await bench.sealed(.sample(kind: .stored, source: "n", start: .device), binding)
        let partly = try await bench.sealed(.sample(), binding)
        let quarantined = try await bench.sealed(.sample(), binding)
        let unfinished = try await bench.sealed(.sample(), binding)
        try await store.closeVisit("v1", by: "nurse", at: bench.world.time)
        try await bench.deliver(try await bench.freeze(whole))
        let documents = try await bench.freeze(partly)
        try await store.record(bench.receipt(documents.artefact))
        try await store.markFactsSent([documents.artefact.id, documents.original.id], state: .final)
        let doubtful = try await bench.freeze(quarantined)
        try await bench.deliver(doubtful)
        try await store.quarantine(doubtful.original.id, reason: "x")
        let announced = try await bench.freeze(unfinished)
        try await store.markFactsSent([announced.artefact.id], state: .preliminary)
        for document in [announced.artefact, announced.original] { try await store.record(bench.receipt(document)) }
        bench.world.pass(99 * day)
        let verdicts = try await store.purgeable(now: bench.world.time)
        let reasons = Dictionary(uniqueKeysWithValues: verdicts.map { ($0.recording, $0.reasons) })
        #expect(reasons[open.id] == [.open, .notPrepared])
        #expect(reasons[nobodys] == [.unattributed, .notPrepared])
        #expect(reasons[unprepared] == [.notPrepared])
        #expect(reasons[cut] == [.superseded, .notPrepared])
        #expect(reasons[whole] == [])
        #expect(reasons[partly] == [.noReceipt])
        #expect(reasons[quarantined] == [.quarantined])
        #expect(reasons[unfinished] == [.factsNotFinal])
        #expect(try await store.purge(now: bench.world.time, by: "agent") == [whole])
        for id in [open.id, nobodys, unprepared, cut, partly, quarantined, unfinished] {
            #expect(try await store.recording(id)?.summary.purgedAt == nil)
        }
    }

    /// Even a wrong program can't: the file itself says no.
    @Test func theSchemaRefusesToo() async throws {
        let bench = try await Bench()
        let delivered = try await bench.delivered()
        let waiting = try await bench.sealed(.sample(), try await bench.openVisit("v2", patient: .paul))
        try await bench.freeze(waiting)
        try await bench.store.close()
        let queue = try DatabaseQueue(path: bench.scratch.database)
        for sql in [
            "DELETE FROM chunk",
            "DELETE FROM document_part WHERE document IN (SELECT document FROM outgoing WHERE begun_at > 0)",
            "UPDATE recording SET data_key = zeroblob(0)",
            "UPDATE recording SET purged_at = 1 WHERE uuid = '\(waiting)'",
        ] {
            await #expect(throws: DatabaseError.self, "\(sql)") { try await queue.write { try $0.execute(sql: sql) } }
        }
        try await queue.write { try $0.execute(sql: "UPDATE recording SET purged_at = 1 WHERE uuid = '\(delivered)'") }
    }

    @Test func aServerThatLostWhatItHad() async throws {
        let bench = try await Bench()
        let store = bench.store
        let id = try await bench.delivered()
        let documents = try await store.documents(of: id).map(\.document)
        #expect(try await store.receiptsToConfirm(epoch: "e1") == [])
        #expect(try await store.receiptsToConfirm(epoch: "e2") == documents)
        // One is still there, one isn't.
        try await store.record(bench.receipt(documents[0], epoch: "e2"))
        try await store.receiptLost(documents[1].id, by: "agent")
        #expect(try await store.receiptsToConfirm(epoch: "e2") == [])
        #expect(try await store.outbox(now: .max).map(\.document) == [documents[1]])
        #expect(try await store.documents(of: id).map(\.stage) == [.received, .sending])
        #expect(try await store.factsPending(now: .max).map(\.documents) == [[documents[1]]])
        try await store.setValue("e2", forKey: Store.storeEpochKey)
        bench.world.pass(99 * day)
        #expect(try await store.purge(now: bench.world.time, by: "agent") == [])
        try await bench.deliver((documents[0], documents[1]))
        #expect(try await store.outbox(now: .max).isEmpty)
        let waiting = try await bench.sealed(.sample(), nil)
        #expect(await isRefused { try await store.receiptLost(UUID(), by: "x") } == false)
        #expect(try await store.documents(of: waiting).isEmpty)
    }

    @Test func theFileShrinks() async throws {
        let bench = try await Bench()
        let recording = Recording.sample(kind: .file, start: .device)
        _ = try await bench.store.importRecording(
            recording, waveform: Waveform(channels: recording.channels, samples: [[1], [2]]),
            original: [UInt8](repeating: 3, count: 5_000_000), binding: try await bench.openVisit())
        try await bench.store.closeVisit("v1", by: "nurse", at: bench.world.time)
        try await bench.deliver(try await bench.freeze(recording.id))
        try await bench.store.setValue("e1", forKey: Store.storeEpochKey)
        bench.world.pass(99 * day)
        try await bench.store.purge(now: bench.world.time, by: "agent")
        let size = try FileManager.default.attributesOfItem(atPath: bench.scratch.database)[.size] as? Int
        #expect(size ?? .max < 1_000_000)
    }
}

@Suite struct IdentityRetention {
    private func family(_ bench: Bench, _ visit: String) async throws -> String? {
        try await bench.store.visit(visit)?.patient.family
    }

    @Test func whatLeftTheWorklistIsForgotten() async throws {
        let bench = try await Bench()
        let store = bench.store
        try await store.merge(visits: [.sample("v1"), .sample("v2", patient: .paul)], isWhole: true)
        bench.world.pass(day)
        try await store.merge(visits: [.sample("v2", patient: .paul)], isWhole: false)
        #expect(try await store.purgeIdentities(now: bench.world.time + day, by: "agent") == [], "not a whole one")
        try await store.merge(visits: [.sample("v2", patient: .paul)], isWhole: true)
        #expect(try await store.purgeIdentities(now: bench.world.time, by: "agent") == [])
        bench.world.pass(day / 2)
        #expect(try await store.purgeIdentities(now: bench.world.time, by: "agent") == ["v1"])
        #expect(try await store.purgeIdentities(now: bench.world.time, by: "agent") == [])
        #expect(try await family(bench, "v1") == "")
        #expect(try await store.visit("v1")?.patient.id == "p1")
        #expect(try await family(bench, "v2") == "Durandal")
        #expect(await isRefused { try await store.openVisit("v1", by: "n", at: 1) })
        let id = try await bench.sealed(.sample(), nil)
        #expect(await isRefused { try await store.attribute(id, to: "v1", by: "n", why: nil, at: 1) })
        // It comes back, in the version that was known.
        try await store.merge(visits: [.sample("v1"), .sample("v2", patient: .paul)], isWhole: true)
        #expect(try await store.visit("v1")?.patient == .jeanne)
        try await store.openVisit("v1", by: "n", at: 1)
    }

    @Test func notWhileSomethingIsUnsent() async throws {
        let bench = try await Bench()
        let store = bench.store
        let id = try await bench.sealed(.sample(), try await bench.openVisit())
        try await store.merge(visits: [], isWhole: true)
        bench.world.pass(day)
        func purged() async throws -> [String] { try await store.purgeIdentities(now: bench.world.time, by: "agent") }
        #expect(try await purged() == [], "open")
        try await store.closeVisit("v1", by: "nurse", at: bench.world.time)
        #expect(try await purged() == [], "not prepared")
        let documents = try await bench.freeze(id)
        #expect(try await purged() == [], "not sent")
        try await bench.deliver(documents)
        #expect(try await purged() == ["v1"])
        #expect(try await store.original(id).count == 6, "the recording has its own time")
    }

    @Test func notWhileADeviceIsLentOrAHoldWaits() async throws {
        let bench = try await Bench()
        let store = bench.store
        let binding = try await bench.openVisit()
        let held = Recording.sample(claim: IdentityClaim(name: "NABUCHODONOSOR"))
        try await store.begin(held, binding: binding)
        try await store.merge(visits: [.sample("v2", patient: .paul)], isWhole: false)
        try await store.closeVisit("v1", by: "nurse", at: bench.world.time)
        let from = try #require(LocalTime("2026-11-22 17:00:00"))
        let loan = try await store.lend(driver: "d", serial: "s", to: "v2", from: from, by: "n", at: bench.world.time)
            .loan
        try await store.merge(visits: [], isWhole: true)
        bench.world.pass(day)
        #expect(try await store.purgeIdentities(now: bench.world.time, by: "agent") == [])
        try await store.takeBack(loan: loan.id, until: from, by: "n", at: bench.world.time)
        bench.world.pass(13 * day)
        #expect(try await store.purgeIdentities(now: bench.world.time, by: "agent") == [])
        bench.world.pass(2 * day)
        #expect(try await store.purgeIdentities(now: bench.world.time, by: "agent") == ["v2"])
    }
}
