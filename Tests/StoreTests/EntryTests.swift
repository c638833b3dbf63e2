import Clinical
import Foundation
import Store
import Testing

private func entry(_ visit: String = "v1", _ text: String = "Apixaban 5 mg", at: Int64 = 1) -> Entry {
    Entry(
        id: UUID(), visit: visit, block: "treatments", title: "Traitements",
        form: Form(fields: [.init(key: "t", label: "T", type: .text)], target: .questionnaire),
        values: ["t": .text(text)], by: "nurse", at: at)
}

@Suite("What the nurse types")
struct EntryTests {
    @Test func isKeptSealedAndInOrder() async throws {
        let bench = try await Bench()
        _ = try await bench.openVisit()
        let (first, second) = (entry(at: 2), entry("v1", "Ramipril", at: 3))
        try await bench.store.add(first)
        try await bench.store.add(second)
        let store = try await bench.reopened()
        #expect(try await store.entries(visit: "v1").map(\.entry) == [first, second])
        #expect(try await store.entries(visit: "v2") == [])
        try await store.close()
        for name in try FileManager.default.contentsOfDirectory(atPath: bench.scratch.path) {
            let bytes = try Data(contentsOf: URL(fileURLWithPath: "\(bench.scratch.path)/\(name)"))
            #expect(bytes.range(of: Data("Apixaban".utf8)) == nil)
        }
    }

    @Test func onlyForAVisitThatIsThere() async throws {
        let bench = try await Bench()
        await #expect(throws: StoreError.self) { try await bench.store.add(entry("nowhere")) }
        try await bench.store.merge(visits: [.sample("v2", status: .cancelled)])
        await #expect(throws: StoreError.self) { try await bench.store.add(entry("v2")) }
    }

    @Test func goesUpOnceAndItsWithdrawalOnce() async throws {
        let bench = try await Bench()
        _ = try await bench.openVisit()
        let kept = entry()
        try await bench.store.add(kept)
        let unsent = entry("v1", "an error that nobody saw")
        try await bench.store.add(unsent)
        try await bench.store.withdrawEntry(unsent.id, visit: "v1", by: "nurse", at: 5)
        var pending = try #require(try await bench.store.entriesPending().first)
        #expect(pending.entries.map(\.entry) == [kept] && pending.visit.id == "v1" && !pending.isSimulated)
        #expect(try await bench.store.unfinishedVisits() == ["v1"])
        #expect(
            try await bench.store.entryCounts() == [.init(visit: "v1", waiting: 1, received: 0, quarantined: 0)])
        try await bench.store.entriesSent(pending.entries)
        #expect(try await bench.store.entriesPending() == [])
        #expect(try await bench.store.entries(visit: "v1").map(\.stage) == [.received, .waiting])
        #expect(try await bench.store.unfinishedVisits() == [])
        try await bench.store.withdrawEntry(kept.id, visit: "v1", by: "nurse", at: 6)
        try await bench.store.withdrawEntry(kept.id, visit: "v1", by: "nurse", at: 7)
        pending = try #require(try await bench.store.entriesPending(visit: "v1").first)
        #expect(pending.entries.map(\.withdrawnAt) == [6])
        try await bench.store.entriesSent(pending.entries)
        #expect(try await bench.store.entriesPending() == [])
        await #expect(throws: StoreError.self) {
            try await bench.store.withdrawEntry(kept.id, visit: "v2", by: "nurse", at: 8)
        }
    }

    /// Withdrawn while it was on its way: the server has it as final, so the withdrawal goes as well.
    @Test func aWithdrawalDuringTheSendingIsNotLost() async throws {
        let bench = try await Bench()
        _ = try await bench.openVisit()
        let kept = entry()
        try await bench.store.add(kept)
        let pending = try #require(try await bench.store.entriesPending().first)
        try await bench.store.withdrawEntry(kept.id, visit: "v1", by: "nurse", at: 6)
        try await bench.store.entriesSent(pending.entries)
        #expect(try await bench.store.entriesPending().first?.entries.map(\.isWithdrawn) == [true])
    }

    @Test func aVisitWithEntriesNeverGetsAnotherPatient() async throws {
        let bench = try await Bench()
        _ = try await bench.openVisit()
        try await bench.store.add(entry())
        try await bench.store.closeVisit("v1", by: "nurse", at: 2)
        let changes = try await bench.store.merge(visits: [.sample("v1", version: "2", patient: .paul)])
        #expect(changes.map(\.kind) == [.refusedPatientChange])
        #expect(try await bench.store.visit("v1")?.patient == .jeanne)
    }

    @Test func goesWithTheIdentityAndNeverBeforeItWasSent() async throws {
        let bench = try await Bench()
        _ = try await bench.openVisit()
        try await bench.store.add(entry())
        try await bench.store.closeVisit("v1", by: "nurse", at: 2)
        try await bench.store.merge(visits: [], isWhole: true)
        bench.world.pass(24 * 3_600_000)
        #expect(try await bench.store.purgeIdentities(now: bench.world.time, by: "agent") == [])
        let pending = try #require(try await bench.store.entriesPending().first)
        try await bench.store.entriesSent(pending.entries)
        #expect(try await bench.store.purgeIdentities(now: bench.world.time, by: "agent") == ["v1"])
        #expect(try await bench.store.entries(visit: "v1") == [])
    }

    @Test func refusedOnesAreSetAsideAndStay() async throws {
        let bench = try await Bench()
        _ = try await bench.openVisit()
        try await bench.store.add(entry())
        try await bench.store.entriesRefused(try #require(try await bench.store.entriesPending().first).entries)
        #expect(try await bench.store.entriesPending() == [])
        #expect(try await bench.store.entries(visit: "v1").map(\.stage) == [.quarantined])
        try await bench.store.closeVisit("v1", by: "nurse", at: 2)
        try await bench.store.merge(visits: [], isWhole: true)
        bench.world.pass(24 * 3_600_000)
        #expect(try await bench.store.purgeIdentities(now: bench.world.time, by: "agent") == [])
    }

    @Test func opensUnderANewKey() async throws {
        let bench = try await Bench()
        _ = try await bench.openVisit()
        let kept = entry()
        try await bench.store.add(kept)
        let key = try testKey(9)
        try await bench.store.rotateKey(to: key, by: "admin")
        try await bench.store.close()
        let store = try await Store.open(directory: bench.scratch.path, key: key, environment: bench.world.environment)
        #expect(try await store.entries(visit: "v1").map(\.entry) == [kept])
    }
}
