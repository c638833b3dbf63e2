import Clinical
import Store
import Testing

@Suite struct Worklist {
    @Test func mergesByIDAndVersion() async throws {
        let bench = try await Bench()
        let store = bench.store
        #expect(
            try await store.merge(visits: [.sample("v1", version: "9"), .sample("v2", version: "1", patient: .paul)])
                == [VisitChange(visit: "v1", kind: .added), VisitChange(visit: "v2", kind: .added)])
        #expect(try await store.merge(visits: [.sample("v1", version: "9")]) == [])
        #expect(try await store.merge(visits: [.sample("v1", version: "8", status: .cancelled)]) == [], "older")
        var changed = Visit.sample("v1", version: "10")
        changed.place = "Au domicile"
        #expect(try await store.merge(visits: [changed]) == [VisitChange(visit: "v1", kind: .updated)])
        #expect(try await store.visit("v1") == changed)
        #expect(try await store.visits().map(\.id) == ["v1", "v2"])
        #expect(try await store.visit("v3") == nil)
    }

    @Test func opaqueVersionsAreNewerWhenTheyDiffer() async throws {
        let store = try await Bench().store
        try await store.merge(visits: [.sample("v1", version: "b")])
        #expect(try await store.merge(visits: [.sample("v1", version: "b")]) == [])
        #expect(try await store.merge(visits: [.sample("v1", version: "a")]).map(\.kind) == [.updated])
    }

    @Test func theServerOpensNothing() async throws {
        let store = try await Bench().store
        try await store.merge(visits: [.sample("v1", status: .open)])
        #expect(try await store.visit("v1")?.status == .planned)
        try await store.merge(visits: [.sample("v1", version: "2", status: .open)])
        #expect(try await store.currentVisit() == nil)
    }

    @Test func onlyOneIsOpen() async throws {
        let bench = try await Bench()
        let store = bench.store
        try await store.merge(visits: [.sample("v1"), .sample("v2", patient: .paul)])
        #expect(try await store.currentVisit() == nil)
        #expect(try await store.openVisit("v1", by: "nurse", at: 1).status == .open)
        #expect(try await store.openVisit("v1", by: "nurse", at: 2).status == .open)
        #expect(
            await failure { try await store.openVisit("v2", by: "nurse", at: 3) }
                == .refused("visit v1 is still open: close it first"))
        try await store.closeVisit("v1", by: "nurse", at: 4)
        try await store.closeVisit("v1", by: "nurse", at: 4)
        try await store.openVisit("v2", by: "nurse", at: 5)
        #expect(try await store.currentVisit()?.patient == .paul)
        let again = try await bench.reopened()
        #expect(try await again.currentVisit()?.id == "v2")
        #expect(try await again.visit("v1")?.status == .closed)
        #expect(
            try await again.auditEntries().map(\.action) == ["visit.open", "visit.close", "visit.open"])
    }

    @Test func whatCannotBeOpenedOrClosed() async throws {
        let store = try await Bench().store
        try await store.merge(visits: [.sample("v1", status: .cancelled), .sample("v2")])
        #expect(await isRefused { try await store.openVisit("v1", by: "nurse", at: 1) })
        #expect(await isRefused { try await store.closeVisit("v2", by: "nurse", at: 1) })
        #expect(await failure { try await store.openVisit("v9", by: "nurse", at: 1) } == .notFound("visit v9"))
        #expect(await failure { try await store.closeVisit("v9", by: "nurse", at: 1) } == .notFound("visit v9"))
    }

    @Test func localStatusIsKeptButACancellationWins() async throws {
        let store = try await Bench().store
        try await store.merge(visits: [.sample("v1")])
        try await store.openVisit("v1", by: "nurse", at: 1)
        try await store.merge(visits: [.sample("v1", version: "2")])
        #expect(try await store.visit("v1")?.status == .open)
        #expect(
            try await store.merge(visits: [.sample("v1", version: "3", status: .cancelled)])
                == [VisitChange(visit: "v1", kind: .cancelled)])
        #expect(try await store.currentVisit() == nil)
        #expect(try await store.merge(visits: [.sample("v1", version: "4")]).map(\.kind) == [.updated])
        #expect(try await store.visit("v1")?.status == .planned)
    }

    /// What was recorded belongs to the patient that was there.
    @Test func aVisitThatWasOpenKeepsItsPatientAlsoWithNothingRecorded() async throws {
        let bench = try await Bench()
        try await bench.store.merge(visits: [.sample("v1")])
        try await bench.store.openVisit("v1", by: "nurse", at: 1)
        try await bench.store.closeVisit("v1", by: "nurse", at: 2)
        #expect(
            try await bench.store.merge(visits: [.sample("v1", version: "2", patient: .paul)]).map(\.kind)
                == [.refusedPatientChange])
        #expect(try await bench.store.visit("v1")?.patient == .jeanne)
    }

    @Test func aVisitInUseKeepsItsPatient() async throws {
        let bench = try await Bench()
        let store = bench.store
        try await store.merge(visits: [.sample("v1")])
        #expect(try await store.merge(visits: [.sample("v1", version: "2", patient: .paul)]).map(\.kind) == [.updated])
        try await store.openVisit("v1", by: "nurse", at: 1)
        #expect(
            try await store.merge(visits: [.sample("v1", version: "3", patient: .jeanne)]).map(\.kind)
                == [.refusedPatientChange])
        _ = try await bench.sealed(.sample(), Binding(visit: "v1", reason: .openVisit, by: "nurse", at: 1))
        try await store.closeVisit("v1", by: "nurse", at: 2)
        #expect(
            try await store.merge(visits: [.sample("v1", version: "4", patient: .jeanne)]).map(\.kind)
                == [.refusedPatientChange])
        // The server says it with each look: once is told.
        #expect(try await store.merge(visits: [.sample("v1", version: "4", patient: .jeanne)]) == [])
        #expect(try await store.auditEntries().filter { $0.action == "visit.refuse-patient-change" }.count == 2)
        #expect(try await store.visit("v1")?.patient == .paul)
    }

    private func current(_ store: Store, _ visit: Visit) async throws -> [VisitChange.Kind] {
        try await store.merge(visits: [visit], isWhole: false, areCurrent: true).map(\.kind)
    }

    /// The order was revoked, a name corrected, the server restored, or it counts no versions at all.
    @Test func whatHoldsNowIsTakenWhateverTheVersion() async throws {
        let store = try await Bench().store
        try await store.merge(visits: [.sample("v1", version: "9"), .sample("v2", version: ""), .sample("v3")])
        #expect(try await current(store, .sample("v1", version: "9")) == [])
        var corrected = Visit.sample("v1", version: "9")
        corrected.patient.family = "CORRIGÉE"
        #expect(try await current(store, corrected) == [.updated])
        #expect(try await store.visit("v1")?.patient.family == "CORRIGÉE")
        #expect(try await current(store, .sample("v1", version: "2", status: .cancelled)) == [.cancelled])
        #expect(try await current(store, .sample("v1", version: "2", status: .cancelled)) == [])
        #expect(try await current(store, .sample("v2", version: "", status: .cancelled)) == [.cancelled])
        #expect(try await current(store, .sample("v2", version: "")) == [.updated])
        #expect(try await store.visit("v2")?.status == .planned)
        // What the nurse did is no difference.
        try await store.openVisit("v3", by: "nurse", at: 1)
        #expect(try await current(store, .sample("v3")) == [])
        #expect(try await store.currentVisit()?.id == "v3")
        #expect(try await store.auditEntries().filter { $0.action == "visit.cancel" }.count == 2)
    }

    @Test func aCancellationCountsAlsoWithAnotherPatient() async throws {
        let bench = try await Bench()
        let store = bench.store
        try await store.merge(visits: [.sample("v1", patient: .paul)])
        try await store.openVisit("v1", by: "nurse", at: 1)
        _ = try await bench.sealed(.sample(), Binding(visit: "v1", reason: .openVisit, by: "nurse", at: 1))
        let ended = Visit.sample("v1", version: "2", patient: .jeanne, status: .cancelled)
        #expect(try await current(store, ended) == [.cancelled])
        #expect(try await store.visit("v1")?.status == .cancelled)
        #expect(try await store.visit("v1")?.patient == .paul)
        #expect(try await store.currentVisit() == nil)
        #expect(try await current(store, ended) == [])
        #expect(try await store.auditEntries().filter { $0.action == "visit.cancel" }.count == 1)
        // And it is taken back by what isn't one.
        #expect(try await current(store, .sample("v1", version: "1", patient: .paul)) == [.updated])
        #expect(try await store.visit("v1")?.status == .planned)
    }

    @Test func whatCannotBeReadHasNotLeft() async throws {
        let store = try await Bench().store
        try await store.merge(visits: [.sample("v1"), .sample("v2", patient: .paul)])
        try await store.merge(visits: [], isWhole: true, areCurrent: true, unreadable: ["v2"])
        #expect(try await store.purgeIdentities(now: .max / 2, by: "agent") == ["v1"])
    }
}
