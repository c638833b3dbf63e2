import Clinical
import Foundation
import Store
import Testing

@Suite struct Loans {
    private func time(_ text: String) throws -> LocalTime { try #require(LocalTime(text)) }

    /// A night as a device's memory has it.
    private func night(
        _ start: String?, now: String? = nil, serial: String? = "S1", kind: Recording.Kind = .stored,
        claim: IdentityClaim? = nil
    ) -> Recording {
        var recording = Recording.sample(
            kind: kind, claim: claim, start: start == nil ? .unknown : .device, serial: serial)
        recording.clock.deviceStart = start.flatMap { LocalTime($0) }
        recording.clock.deviceNow = now.flatMap { LocalTime($0) }
        // 2026-11-24 09:00 in Paris.
        recording.clock.hostWall = 1_795_507_200_000
        return recording
    }

    private func lent(_ bench: Bench) async throws -> Loan {
        try await bench.store.merge(visits: [.sample("v1"), .sample("v2", patient: .paul)])
        return try await bench.store.lend(
            driver: "test-device", serial: "S1", to: "v1", from: try time("2026-11-22 17:00:00"), by: "nurse",
            at: bench.world.time
        ).loan
    }

    @Test func aLoanWinsOverTheOpenVisit() async throws {
        let bench = try await Bench()
        let loan = try await lent(bench)
        let open = try await bench.openVisit("v2", patient: .paul)
        let recording = night("2026-11-22 23:05:00")
        #expect(try await bench.store.begin(recording, binding: open) == .attributed(visit: "v1"))
        let detail = try #require(try await bench.store.recording(recording.id))
        #expect(detail.summary.binding?.reason == .loan)
        #expect(detail.summary.binding?.by == "nurse")
        #expect(detail.summary.unattributed == nil)
        #expect(try await bench.store.auditEntries().first?.details == "loan \(loan.id)")
        // What streams while a person watches is the open visit's all the same.
        let live = night("2026-11-22 23:05:00", kind: .live)
        #expect(try await bench.store.begin(live, binding: open) == .attributed(visit: "v2"))
        // The same over a card, and with no visit open.
        let card = night("2026-11-23 23:05:00", kind: .file)
        #expect(try await bench.store.begin(card, binding: nil) == .attributed(visit: "v1"))
        // A person's word wins.
        let decided = night("2026-11-23 23:05:01")
        let word = Binding(visit: "v2", reason: .decision, by: "nurse", at: 1)
        #expect(try await bench.store.begin(decided, binding: word) == .attributed(visit: "v2"))
    }

    @Test func theCorrectedTimeCounts() async throws {
        let bench = try await Bench()
        _ = try await lent(bench)
        let open = try await bench.openVisit("v2", patient: .paul)
        // A device that thinks it is 2020.
        let recording = night("2020-01-01 22:00:00", now: "2020-01-02 09:00:00")
        #expect(try await bench.store.begin(recording, binding: open) == .attributed(visit: "v1"))
        let uncompared = night("2020-01-01 22:00:00")
        #expect(try await bench.store.begin(uncompared, binding: open) == .unattributed)
        let detail = try #require(try await bench.store.recording(uncompared.id))
        #expect(detail.summary.unattributed == .outsideLoans)
        #expect(detail.rawClock.deviceStart?.description == "2020-01-01 22:00:00")
    }

    /// An hour behind since summer time ended, or set by somebody's watch.
    @Test func aClockThatCannotBeAskedIsNotBelievedWhereALoanEnds() async throws {
        let bench = try await Bench()
        let store = bench.store
        let loan = try await lent(bench)
        try await store.takeBack(loan: loan.id, until: try time("2026-11-23 10:00:00"), by: "nurse", at: 2)
        func begin(_ start: String, _ open: Binding?, now: String? = nil) async throws -> UnattributedReason? {
            let recording = night(start, now: now)
            _ = try await store.begin(recording, binding: open)
            return try await store.recording(recording.id)?.summary.unattributed
        }
        #expect(try await begin("2026-11-23 09:30:00", nil) == nil, "nobody else had it")
        try await store.lend(
            driver: "test-device", serial: "S1", to: "v2", from: try time("2026-11-23 10:05:00"), by: "nurse", at: 3)
        #expect(try await begin("2026-11-23 08:30:00", nil) == nil)
        #expect(try await begin("2026-11-23 09:30:00", nil) == .acrossLoans)
        #expect(try await begin("2026-11-23 09:30:00", nil, now: "2026-11-24 09:00:00") == nil, "asked: it is right")
        #expect(try await begin("2026-11-23 10:10:00", nil) == .acrossLoans)
        #expect(try await begin("2026-11-23 11:30:00", nil) == nil)
    }

    /// It was taken back, and measured another patient in the visit that is open now.
    @Test func orWhereAnotherPatientsVisitBegins() async throws {
        let bench = try await Bench()
        let store = bench.store
        let loan = try await lent(bench)
        try await store.takeBack(loan: loan.id, until: try time("2026-11-24 08:40:00"), by: "nurse", at: 2)
        let wall = try #require(ZoneRule.paris.instants(of: try time("2026-11-24 08:55:00")).first)
        bench.world.pass(Int64(wall + 300) * 1000 - bench.world.time)
        try await store.openVisit("v2", by: "nurse", at: Int64(wall) * 1000)
        let open = Binding(visit: "v2", reason: .openVisit, by: "nurse", at: Int64(wall) * 1000)
        #expect(try await store.begin(night("2026-11-24 07:58:00"), binding: open) == .unattributed)
        #expect(try await store.begin(night("2026-11-24 07:00:00"), binding: open) == .attributed(visit: "v1"))
        #expect(
            try await store.begin(night("2026-11-24 07:58:00", now: "2026-11-24 09:00:00"), binding: open)
                == .attributed(visit: "v1"))
    }

    /// That it came back was written down in the next patient's visit, who was measured with it then.
    @Test func whatComesAfterALateReturnIsNobodys() async throws {
        let bench = try await Bench()
        let store = bench.store
        let loan = try await lent(bench)
        let opened = try #require(ZoneRule.paris.instants(of: try time("2026-11-24 08:00:00")).first)
        bench.world.pass(Int64(opened + 3600) * 1000 - bench.world.time)
        try await store.openVisit("v2", by: "nurse", at: Int64(opened) * 1000)
        try await store.takeBack(loan: loan.id, until: try time("2026-11-24 08:20:00"), by: "nurse", at: 2)
        let open = Binding(visit: "v2", reason: .openVisit, by: "nurse", at: Int64(opened + 3600) * 1000)
        // 08:25 by a clock that is an hour slow.
        #expect(try await store.begin(night("2026-11-24 07:25:00"), binding: open) == .unattributed)
        #expect(try await store.begin(night("2026-11-23 23:00:00"), binding: open) == .attributed(visit: "v1"))
    }

    /// A loan that is long over is no reason to keep several visits' measurements together.
    @Test func aMemoryIsSortedAlsoOfWhatWasLentOnce() async throws {
        let bench = try await Bench()
        let store = bench.store
        let loan = try await lent(bench)
        try await store.takeBack(loan: loan.id, until: try time("2026-11-22 18:00:00"), by: "nurse", at: 2)
        let start = try #require(ZoneRule.paris.instants(of: try time("2026-11-24 08:00:00")).first)
        bench.world.pass(Int64(start + 3600) * 1000 - bench.world.time)
        try await store.openVisit("v2", by: "nurse", at: Int64(start) * 1000)
        try await store.closeVisit("v2", by: "nurse", at: Int64(start + 600) * 1000)
        try await store.openVisit("v1", by: "nurse", at: Int64(start + 3000) * 1000)
        var recording = night("2026-11-24 08:05:00", now: "2026-11-24 09:00:00")
        recording.clock.hostWall = Int64(start + 3600) * 1000
        let times = [try time("2026-11-24 08:05:00"), try time("2026-11-24 08:55:00")]
        let open = Binding(visit: "v1", reason: .openVisit, by: "nurse", at: Int64(start + 3600) * 1000)
        #expect(try await store.parts(of: times, in: recording, for: open) == [[times[1]], [times[0]]])
        let inside = [try time("2026-11-22 17:05:00"), try time("2026-11-22 17:55:00")]
        recording.clock.deviceStart = inside[0]
        #expect(try await store.parts(of: inside, in: recording, for: open) == [inside], "all of it is the loan's")
    }

    @Test func whatIsUnclearIsNobodys() async throws {
        let bench = try await Bench()
        let store = bench.store
        _ = try await lent(bench)
        let second = try await store.lend(
            driver: "test-device", serial: "S1", to: "v2", from: try time("2026-11-23 17:00:00"), by: "nurse", at: 2)
        #expect(second.overlapping.map(\.visit) == ["v1"])
        let open = try await bench.openVisit("v2", patient: .paul)
        try await store.lend(
            driver: "test-device", serial: nil, to: "v1", from: try time("2026-11-22 17:00:00"), by: "nurse", at: 3)
        let cases: [(Recording, UnattributedReason)] = [
            (night("2026-11-23 23:00:00"), .overlappingLoans), (night("2026-11-21 23:00:00"), .outsideLoans),
            (night(nil), .startUnknown), (night("2026-11-23 23:00:00", serial: nil), .deviceWithoutSerial),
        ]
        for (recording, reason) in cases {
            #expect(try await store.begin(recording, binding: open) == .unattributed)
            try await store.append(recording.id, blocks: [.sample(0)])
            try await store.seal(recording.id, reason: .finished)
            #expect(try await store.recording(recording.id)?.summary.unattributed == reason)
        }
        #expect(try await store.awaitingFreeze() == [])
        #expect(try await store.statusCounts().unattributed == cases.count)
        // A person decides; the reason is history.
        try await store.attribute(cases[0].0.id, to: "v1", by: "nurse", why: "rendu le matin", at: 5)
        #expect(try await store.recording(cases[0].0.id)?.summary.unattributed == nil)
        // Another device is not concerned.
        #expect(
            try await store.begin(night("2026-11-23 23:00:00", serial: "S9"), binding: open)
                == .attributed(visit: "v2"))
    }

    @Test func aDeviceThatSaysNoNumberMayBeTheOneThatIsLent() async throws {
        let bench = try await Bench()
        _ = try await lent(bench)
        let open = try await bench.openVisit("v2", patient: .paul)
        let recording = night("2026-11-22 23:05:00", serial: nil, kind: .file)
        #expect(try await bench.store.begin(recording, binding: open) == .unattributed)
        #expect(try await bench.store.recording(recording.id)?.summary.unattributed == .deviceWithoutSerial)
    }

    @Test func whatIsCarriedOffALentDevicesCardIsAskedAboutItsLoans() async throws {
        let bench = try await Bench()
        _ = try await lent(bench)
        let open = try await bench.openVisit("v2", patient: .paul)
        func carried(_ made: MadeWhen, serial: String = "S1") async throws -> Attribution {
            var recording = night(nil, serial: serial, kind: .file)
            recording.clock.source = .host
            recording.channels = []
            return try await bench.store.beginCarried(
                recording, mediaType: "application/x-tar", study: nil, size: 1, notes: [], binding: open, made: made
            ).attribution
        }
        let (before, first) = (try time("2026-11-20 22:00:00"), try time("2026-11-22 22:00:00"))
        let last = try time("2026-11-23 22:00:00")
        #expect(try await carried(.between(first...last)) == .attributed(visit: "v1"))
        #expect(try await carried(.between(before...last)) == .unattributed)
        // The laptop's time of the import says nothing about it.
        #expect(try await carried(.between(nil)) == .unattributed)
        // Of a machine that nobody lent it is the open visit's.
        #expect(try await carried(.between(nil), serial: "S2") == .attributed(visit: "v2"))
    }

    @Test func aContradictionHoldsAgainstTheBorrower() async throws {
        let bench = try await Bench()
        _ = try await lent(bench)
        let open = try await bench.openVisit("v2", patient: .paul)
        let recording = night("2026-11-22 23:00:00", kind: .file, claim: IdentityClaim(name: "DURANDAL PAUL"))
        guard case .held(let found) = try await bench.store.begin(recording, binding: open) else {
            Issue.record("not held")
            return
        }
        #expect(found.map(\.kind) == [.name])
        let detail = try #require(try await bench.store.recording(recording.id))
        #expect(detail.hold?.visit == "v1")
        #expect(detail.summary.unattributed == .contradiction)
        #expect(detail.decision == nil)
        try await bench.store.attribute(recording.id, to: "v2", by: "marie", why: "l'appareil est à Paul", at: 9)
        let decided = try #require(try await bench.store.recording(recording.id)?.decision)
        #expect(decided == Binding(visit: "v2", reason: .decision, by: "marie", at: 9, why: "l'appareil est à Paul"))
        let entry = try #require(try await bench.store.auditEntries().first)
        #expect(entry.actor == "marie")
        #expect(entry.details == "visit v2, decides the hold")
    }

    @Test func givenAndTakenBack() async throws {
        let bench = try await Bench()
        let store = bench.store
        let loan = try await lent(bench)
        let end = try time("2026-11-24 08:00:00")
        #expect(
            await isRefused {
                try await store.takeBack(loan: loan.id, until: try time("2026-11-22 16:59:59"), by: "n", at: 1)
            })
        let back = try await store.takeBack(loan: loan.id, until: end, by: "luc", at: 7)
        #expect(back.to == end && back.returnedBy == "luc" && back.returnedAt == 7)
        #expect(await isRefused { try await store.takeBack(loan: loan.id, until: end, by: "n", at: 1) })
        #expect(
            await failure { try await store.takeBack(loan: 99, until: end, by: "n", at: 1) } == .notFound("loan 99"))
        #expect(
            await failure {
                try await store.lend(driver: "d", serial: "s", to: "v9", from: end, by: "n", at: 1)
            } == .notFound("visit v9"))
        let again = try await bench.reopened()
        #expect(try await again.loans() == [back])
        #expect(try await again.auditEntries(limit: 2).map(\.action) == ["loan.return", "loan.give"])
        // Whom it was lent to can't be changed any more by the server.
        #expect(
            try await again.merge(visits: [.sample("v1", version: "5", patient: .paul)]).map(\.kind)
                == [.refusedPatientChange])
    }
}

@Suite struct Readings {
    @Test func comeBack() async throws {
        let bench = try await Bench()
        let recording = Recording.sample()
        let readings = (0..<3).map {
            Reading(
                kind: .systolic, value: Ratio(120 + $0), unit: "mm[Hg]", at: LocalTime("2026-11-22 08:00:00"),
                rawTime: "26 11 22 8 0", sequence: $0)
        }
        try await bench.store.begin(recording, binding: nil)
        try await bench.store.add(Array(readings.prefix(2)), to: recording.id)
        try await bench.store.add([readings[2]], to: recording.id)
        try await bench.store.seal(recording.id, reason: .finished)
        #expect(try await bench.reopened().readings(recording.id) == readings)
    }

    @Test func aSealedRecordingTakesNone() async throws {
        let bench = try await Bench()
        let id = try await bench.sealed(.sample(), nil)
        #expect(await isRefused { try await bench.store.add([], to: id) })
    }
}
