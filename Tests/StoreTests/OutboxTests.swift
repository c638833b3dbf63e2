import Clinical
import Foundation
import Store
import Testing

@Suite struct Outbox {
    private func receipt(_ document: Document, epoch: String = "e1") -> Receipt {
        Receipt(
            rid: document.id, sha256: document.sha256, size: document.size, storedAt: "2026-11-22T10:00:00Z",
            durability: "fsync", storeEpoch: epoch)
    }

    @Test func mostUrgentFirst() async throws {
        let bench = try await Bench()
        let binding = try await bench.openVisit()
        var frozen: [(artefact: Document, original: Document)] = []
        for modality in [Recording.Modality.oximetry, .oximetry, .ecg, .ecg] {
            let id = try await bench.sealed(.sample(modality: modality), binding)
            frozen.append(try await bench.freeze(id))
        }
        let items = try await bench.store.outbox(now: 0)
        #expect(
            items.map(\.document)
                == [
                    frozen[2].artefact, frozen[3].artefact, frozen[2].original, frozen[3].original,
                    frozen[0].artefact, frozen[1].artefact, frozen[0].original, frozen[1].original,
                ])
        #expect(items.allSatisfy { $0.visit.patient == .jeanne && $0.upload == .none && $0.facts == .none })
    }

    @Test func anUploadsLife() async throws {
        let bench = try await Bench()
        let document = try await bench.freeze(try await bench.sealed(.sample(), try await bench.openVisit())).artefact
        let store = bench.store
        func item() async throws -> OutboxItem? {
            try await store.outbox(now: bench.world.time).first { $0.document == document }
        }
        func stage() async throws -> DocumentStatus.Stage? {
            try await store.documents(of: document.recording).first { $0.document == document }?.stage
        }
        #expect(try await stage() == .waiting)
        #expect(await isRefused { try await store.uploadConfirmed(document.id, offset: 1) })
        try await store.beginUpload(document.id)
        #expect(try await item()?.upload == .creating)
        #expect(try await stage() == .sending)
        try await store.uploadCreated(document.id, location: "https://ess.test/files/1")
        try await store.uploadConfirmed(document.id, offset: 64)
        #expect(try await item()?.upload == .created(location: "https://ess.test/files/1", confirmed: 64))
        #expect(await isRefused { try await store.uploadConfirmed(document.id, offset: 101) })
        #expect(await isRefused { try await store.uploadConfirmed(document.id, offset: -1) })
        try await store.uploadConfirmed(document.id, offset: 32)
        #expect(try await item()?.upload == .created(location: "https://ess.test/files/1", confirmed: 32))
        try await store.uploadForgotten(document.id)
        #expect(try await item()?.upload == UploadState.none)
        #expect(try await item()?.restarts == 1)
        #expect(try await stage() == .sending, "the server may have heard of it")
        let again = try await bench.reopened()
        #expect(try await again.recover().uploadsInFlight == 1)
        #expect(try await again.outbox(now: 0).first?.restarts == 1)
    }

    @Test func failuresWait() async throws {
        let bench = try await Bench()
        let documents = try await bench.freeze(try await bench.sealed(.sample(), try await bench.openVisit()))
        let store = bench.store
        #expect(try await store.nextWake(after: 0) == nil)
        try await store.failed(documents.artefact.id, error: "503 from the server", notBefore: 5000)
        try await store.failed(documents.artefact.id, error: "503 again", notBefore: 9000)
        try await store.failed(documents.original.id, error: "link", notBefore: 7000)
        #expect(try await store.outbox(now: 6999).isEmpty)
        #expect(try await store.nextWake(after: 6999) == 7000)
        #expect(try await store.outbox(now: 7000).map(\.document) == [documents.original])
        #expect(try await store.outbox(now: 9000).map(\.attempts) == [2, 1])
        let status = try #require(try await store.documents(of: documents.artefact.recording).first)
        #expect(status.lastError == "503 again")
        #expect(status.notBefore == 9000)
        try await store.beginUpload(documents.artefact.id)
        try await store.uploadCreated(documents.artefact.id, location: "u")
        try await store.uploadConfirmed(documents.artefact.id, offset: 1)
        #expect(try await store.outbox(now: 0).map(\.attempts) == [0], "progress forgives")
    }

    /// The laptop's clock was years ahead when it failed, and was set right since.
    @Test func aPauseThatAWrongClockReckonedIsForgotten() async throws {
        let bench = try await Bench()
        let documents = try await bench.freeze(try await bench.sealed(.sample(), try await bench.openVisit()))
        let store = bench.store
        try await store.failed(documents.artefact.id, error: "link", notBefore: 2_000_000_000_000)
        try await store.failed(documents.original.id, error: "link", notBefore: 7000)
        try await store.forgetPauses(beyond: 3_600_000)
        #expect(try await store.outbox(now: 6999).map(\.document) == [documents.artefact])
        #expect(try await store.nextWake(after: 6999) == 7000, "a pause that can be right holds")
    }

    @Test func quarantineIsKeptAndCanBeUndone() async throws {
        let bench = try await Bench()
        let documents = try await bench.freeze(try await bench.sealed(.sample(), try await bench.openVisit()))
        let store = bench.store
        try await store.quarantine(documents.artefact.id, reason: "the server has other bytes")
        #expect(try await store.outbox(now: .max).map(\.document) == [documents.original])
        let status = try #require(try await store.documents(of: documents.artefact.recording).first)
        #expect(status.stage == .quarantined)
        #expect(status.quarantine == "the server has other bytes")
        #expect(try await store.statusCounts().quarantined == 1)
        #expect(try await store.documentBytes(documents.artefact.id, offset: 0, count: 1) == [0xA1])
        try await store.requeue(documents.artefact.id, by: "nurse")
        #expect(try await store.outbox(now: 0).first?.document == documents.artefact)
        #expect(try await store.auditEntries().first?.action == "document.requeue")
    }

    @Test func onlyAReceiptForTheVerySameBytesCounts() async throws {
        let bench = try await Bench()
        let documents = try await bench.freeze(try await bench.sealed(.sample(), try await bench.openVisit()))
        let store = bench.store
        var wrong = [receipt(documents.artefact), receipt(documents.artefact), receipt(documents.artefact)]
        wrong[0].sha256 = documents.original.sha256
        wrong[1].size += 1
        wrong[2].rid = documents.original.id
        for receipt in wrong { #expect(await isRefused { try await store.record(receipt) }) }
        var unknown = receipt(documents.artefact)
        unknown.rid = UUID()
        #expect(await failure { try await store.record(unknown) } != nil)
        #expect(try await store.statusCounts().received == 0)
        try await store.record(receipt(documents.artefact))
        try await store.record(receipt(documents.artefact))
        #expect(try await store.outbox(now: .max).map(\.document) == [documents.original])
        let status = try #require(try await store.documents(of: documents.artefact.recording).first)
        #expect(status.stage == .received)
        #expect(status.receipt == receipt(documents.artefact))
        #expect(try await store.auditEntries().filter { $0.action == "document.receipt" }.count == 1)
        #expect(await isRefused { try await store.thaw(documents.artefact.recording) }, "the server has it")
        // After a restore from a backup.
        try await store.record(receipt(documents.artefact, epoch: "e2"))
        #expect(try await store.documents(of: documents.artefact.recording).first?.receipt?.storeEpoch == "e2")
        let counts = try await store.statusCounts()
        #expect(counts.received == 1)
        #expect(counts.waiting == 1)
    }

    @Test func factsPerVisit() async throws {
        let bench = try await Bench()
        let store = bench.store
        let first = try await bench.freeze(try await bench.sealed(.sample(), try await bench.openVisit()))
        try await store.closeVisit("v1", by: "nurse", at: bench.world.time)
        let second = try await bench.freeze(
            try await bench.sealed(.sample(modality: .ecg), try await bench.openVisit("v2", patient: .paul)))
        let ids = [first.artefact.id, first.original.id]
        var pending = try await store.factsPending(now: 0)
        #expect(pending.map(\.visit.id) == ["v2", "v1"])
        #expect(pending.map(\.documents) == [[second.artefact, second.original], [first.artefact, first.original]])
        #expect(pending.allSatisfy { $0.state == .preliminary && $0.key == nil })
        // A key holds for the same content only.
        let key = UUID()
        try await store.beginFacts(ids, state: .preliminary, key: key)
        pending = try await store.factsPending(now: 0)
        #expect(pending.map(\.key) == [nil, key])
        try await store.quarantine(first.original.id, reason: "x")
        #expect(try await store.factsPending(now: 0).last?.key == nil)
        try await store.requeue(first.original.id, by: "nurse")
        #expect(try await store.factsPending(now: 0).last?.key == key)
        try await store.failed(first.original.id, error: "x", notBefore: 10)
        #expect(try await store.factsPending(now: 9).last?.documents == [first.artefact])
        // Sent; final once there are receipts.
        try await store.markFactsSent(ids, state: .preliminary)
        #expect(try await store.factsPending(now: 0).map(\.visit.id) == ["v2"])
        try await store.record(receipt(first.artefact))
        pending = try await store.factsPending(now: 0)
        #expect(pending.map(\.state) == [.preliminary, .final])
        #expect(pending.last?.documents == [first.artefact])
        try await store.markFactsSent([first.artefact.id], state: .final)
        #expect(try await store.factsPending(now: 0).map(\.state) == [.preliminary])
        #expect(try await store.documents(of: first.artefact.recording).map(\.facts) == [.final, .preliminary])
    }
}
