import Clinical
import Foundation
import Store
import Testing

@Suite struct Attributing {
    @Test func onlyAVisitThatWasOpenBinds() async throws {
        let bench = try await Bench()
        let store = bench.store
        try await store.merge(visits: [.sample("v1"), .sample("v2", patient: .paul)])
        func begin(_ visit: String, at time: Int64) async throws -> Attribution {
            try await store.begin(
                .sample(), binding: Binding(visit: visit, reason: .openVisit, by: "nurse", at: time))
        }
        #expect(try await begin("v1", at: 10) == .unattributed, "planned")
        #expect(try await begin("v9", at: 10) == .unattributed, "unknown")
        try await store.openVisit("v1", by: "nurse", at: 100)
        #expect(try await begin("v1", at: 100) == .attributed(visit: "v1"))
        #expect(try await begin("v1", at: 50) == .attributed(visit: "v1"), "the clock was set back")
        #expect(try await begin("v2", at: 100) == .unattributed)
        try await store.closeVisit("v1", by: "nurse", at: 200)
        #expect(try await begin("v1", at: 150) == .attributed(visit: "v1"), "the capture was started before")
        #expect(try await begin("v1", at: 201) == .unattributed)
        #expect(try await store.begin(.sample(), binding: nil) == .unattributed)
    }

    @Test func aSharedMemoryIsNobodys() async throws {
        let bench = try await Bench()
        let store = bench.store
        let binding = try await bench.openVisit()
        let recording = Recording.sample()
        #expect(try await store.begin(recording, binding: binding, company: .withOthers) == .unattributed)
        try await store.seal(recording.id, reason: .finished)
        let summary = try #require(try await store.recording(recording.id)).summary
        #expect(summary.binding == nil && summary.unattributed == .sharedMemory)
        #expect(try await store.awaitingFreeze() == [])
        // A person says whose it is, before or after.
        try await store.attribute(recording.id, to: "v1", by: "nurse", why: nil, at: 7)
        #expect(try await store.recording(recording.id)?.bindings.map(\.reason) == [.decision])
        let decided = Binding(visit: "v1", reason: .decision, by: "nurse", at: 8)
        #expect(try await store.begin(.sample(), binding: decided, company: .withOthers) == .attributed(visit: "v1"))
    }

    /// The team's monitor measured one patient and was plugged in at the next one's.
    @Test func whatWasMadeInAnotherPatientsVisitIsNobodys() async throws {
        let bench = try await Bench()
        let store = bench.store
        try await store.merge(visits: [
            .sample("v1"), .sample("v2", patient: .paul), .sample("v3", patient: .paul), .sample("v4"),
        ])
        let hour: Int64 = 3_600_000
        let day = bench.world.time
        for (n, visit) in ["v1", "v2", "v3", "v4"].enumerated() {
            try await store.openVisit(visit, by: "nurse", at: day + Int64(n) * hour)
            try await store.closeVisit(visit, by: "nurse", at: day + Int64(n) * hour + hour / 2)
        }
        try await store.openVisit("v3", by: "nurse", at: day + 4 * hour)
        bench.world.pass(4 * hour)
        let binding = Binding(visit: "v3", reason: .openVisit, by: "nurse", at: day + 4 * hour)
        func begin(
            _ minutes: Int64, serial: String? = "S1", last: Int64? = nil, also: [Int64] = [],
            kind: Recording.Kind = .stored, modality: Recording.Modality = .oximetry, claim: IdentityClaim? = nil,
            isCompared: Bool = true
        ) async throws -> (Attribution, UnattributedReason?) {
            func local(_ minutes: Int64) -> LocalTime? { ZoneRule.paris.local(Int(day / 1000 + minutes * 60)) }
            var recording = Recording.sample(kind: kind, modality: modality, claim: claim, serial: serial)
            recording.clock.source = .device
            recording.clock.deviceStart = local(minutes)
            recording.clock.deviceNow = isCompared ? local(240) : nil
            recording.clock.hostWall = day + 4 * hour
            let attribution = try await store.begin(
                recording, binding: binding,
                period: StoredPeriod(
                    last: last.flatMap(local), times: ([minutes] + also).compactMap { also.isEmpty ? nil : local($0) }))
            try await store.seal(recording.id, reason: .finished)
            return (attribution, try await store.recording(recording.id)?.summary.unattributed)
        }
        func decide(_ serial: String, _ visit: String) async throws {
            for recording in try await store.recordings() where recording.device.serial == serial {
                try await store.attribute(recording.id, to: visit, by: "nurse", why: nil, at: day + 4 * hour)
            }
        }
        // Nobody was ever recorded with it: it may be the team's.
        #expect(try await begin(10) == (.unattributed, .otherVisit))
        #expect(try await begin(-60, also: [-90, 5]) == (.unattributed, .otherVisit), "one of several measurements")
        #expect(try await begin(-60, also: [-90, 45]).0 == .attributed(visit: "v3"), "before and after, not meanwhile")
        // A clock that can't be asked may be an hour off, unless it says that it was in this patient's visit.
        #expect(try await begin(35, isCompared: false) == (.unattributed, .otherVisit))
        #expect(try await begin(-60, isCompared: false) == (.unattributed, .otherVisit))
        #expect(try await begin(260, isCompared: false) == (.unattributed, .otherVisit), "later than now")
        #expect(try await begin(240, isCompared: false).0 == .attributed(visit: "v3"))
        #expect(try await begin(245, isCompared: false).0 == .attributed(visit: "v3"), "minutes fast, read at once")
        #expect(try await begin(-240, isCompared: false).0 == .attributed(visit: "v3"))
        // What a person said of it once is remembered: that it is the patient's own, not that it was another's after all.
        #expect(try await begin(10, serial: "S6").1 == .otherVisit)
        try await decide("S6", "v1")
        #expect(try await begin(10, serial: "S6").1 == .otherVisit)
        #expect(try await begin(10, serial: "S7").1 == .otherVisit)
        #expect(try await begin(10, serial: "S9", isCompared: false).1 == .otherVisit)
        try await decide("S9", "v3")
        #expect(try await begin(10, serial: "S9").1 == .otherVisit, "its clock may have been wrong")
        try await decide("S7", "v3")
        #expect(try await begin(10, serial: "S7").0 == .attributed(visit: "v3"))
        #expect(try await begin(10, serial: "S7", modality: .ecg).1 == .otherVisit, "nobody has one at home")
        #expect(try await begin(10, serial: "S8", modality: .sleep).0 == .attributed(visit: "v3"), "and this at work")
        #expect(try await begin(10, serial: nil) == (.unattributed, .otherVisit))
        for serial in ["S1", "S2", "S7", "S8"] {
            try await store.begin(
                .sample(serial: serial), binding: Binding(visit: "v1", reason: .decision, by: "nurse", at: 1))
        }
        #expect(try await begin(10) == (.unattributed, .otherVisit))
        #expect(try await begin(10, serial: "S2") == (.unattributed, .otherVisit))
        #expect(try await begin(10, serial: "S7") == (.unattributed, .otherVisit), "it was elsewhere since")
        #expect(try await begin(10, serial: "S8", modality: .sleep).1 == .otherVisit)
        #expect(try await begin(10, kind: .live).0 == .attributed(visit: "v3"), "that is watched")
        #expect(
            try await begin(10, serial: "S4", modality: .ecg) == (.unattributed, .otherVisit), "nobody has one at home")
        // Whom a file names is compared with the open visit instead.
        #expect(try await begin(10, claim: IdentityClaim(name: "DURANDAL PAUL")).0 == .attributed(visit: "v3"))
        #expect(try await begin(10, claim: IdentityClaim(name: "TARTEMPIONNE JEANNE")).1 == .contradiction)
        #expect(try await begin(10, claim: IdentityClaim(sex: .female)).1 == .contradiction)
        #expect(try await begin(10, claim: IdentityClaim(sex: .male)).1 == .otherVisit)
        // What names nobody, or the one as well as the other, is no reason not to ask.
        #expect(try await begin(10, claim: IdentityClaim(patientID: "42")).1 == .otherVisit)
        #expect(try await begin(10, claim: IdentityClaim(name: "", birthDate: "")).1 == .otherVisit)
        // It was lent to this patient once, and came back.
        let lent = try await store.lend(
            driver: "test-device", serial: "S5", to: "v3", from: try #require(LocalTime("2026-10-01 08:00:00")),
            by: "nurse", at: day
        ).loan
        try await store.takeBack(
            loan: lent.id, until: try #require(LocalTime("2026-10-02 08:00:00")), by: "nurse", at: day)
        #expect(try await begin(10, serial: "S5").1 == .otherVisit)
        #expect(try await begin(45, serial: "S5").0 == .attributed(visit: "v3"))
        #expect(try await begin(70).0 == .attributed(visit: "v3"), "in an earlier visit of the same patient's")
        #expect(try await begin(45).0 == .attributed(visit: "v3"), "between visits")
        #expect(try await begin(150).0 == .attributed(visit: "v3"), "in this visit's first part, for all that is known")
        #expect(try await begin(-60, last: 5) == (.unattributed, .otherVisit), "the last of several measurements")
        #expect(try await begin(-60, last: -5).0 == .attributed(visit: "v3"))
    }

    /// The doubt may have been the clock's fault: the first answer says little of the device.
    @Test func aClockThatCannotBeAskedNeedsTwoAnswers() async throws {
        let bench = try await Bench()
        let (store, world) = (bench.store, bench.world)
        try await store.merge(visits: [.sample("v1"), .sample("v2", patient: .paul)])
        let minute: Int64 = 60_000
        for day in 0..<3 {
            try await store.openVisit("v1", by: "nurse", at: world.time)
            let measured = world.time + 5 * minute
            world.pass(20 * minute)
            try await store.closeVisit("v1", by: "nurse", at: world.time)
            world.pass(20 * minute)
            try await store.openVisit("v2", by: "nurse", at: world.time)
            var recording = Recording.sample(kind: .stored, modality: .bloodPressure)
            recording.clock.source = .device
            recording.clock.deviceStart = ZoneRule.paris.local(Int(measured / 1000))
            let binding = Binding(visit: "v2", reason: .openVisit, by: "nurse", at: world.time)
            let attribution = try await store.begin(recording, binding: binding)
            #expect(attribution == (day < 2 ? .unattributed : .attributed(visit: "v2")))
            try await store.seal(recording.id, reason: .finished)
            if day < 2 { try await store.attribute(recording.id, to: "v2", by: "nurse", why: nil, at: world.time) }
            try await store.closeVisit("v2", by: "nurse", at: world.time)
            world.pass(24 * 60 * minute)
        }
    }

    /// A couple of one name, in one room.
    @Test func aNameThatTwoHaveIsNobodys() async throws {
        let bench = try await Bench()
        let store = bench.store
        var husband = Patient.paul
        husband.family = Patient.jeanne.family
        try await store.merge(visits: [.sample("v1"), .sample("v2", patient: husband)])
        let day = bench.world.time
        try await store.openVisit("v1", by: "nurse", at: day)
        try await store.closeVisit("v1", by: "nurse", at: day + 600_000)
        try await store.openVisit("v2", by: "nurse", at: day + 900_000)
        bench.world.pass(900_000)
        func begin(_ name: String) async throws -> UnattributedReason? {
            var recording = Recording.sample(
                kind: .file, modality: .ecg, claim: IdentityClaim(name: name, sex: .unknown), serial: name)
            recording.clock.source = .file
            recording.clock.deviceStart = ZoneRule.paris.local(Int(day / 1000 + 300))
            let binding = Binding(visit: "v2", reason: .openVisit, by: "nurse", at: day + 900_000)
            _ = try await store.begin(recording, binding: binding)
            return try await store.recording(recording.id)?.summary.unattributed
        }
        #expect(try await begin(husband.family) == .otherVisit)
        #expect(try await begin("\(husband.family) \(husband.given[0])") == .otherVisit, "her name is in it")
    }

    /// A visit that was opened again was also open before.
    @Test func everyOpeningCounts() async throws {
        let bench = try await Bench()
        let store = bench.store
        try await store.merge(visits: [.sample("v1"), .sample("v2", patient: .paul)])
        let (hour, day) = (Int64(3_600_000), bench.world.time)
        for (visit, start) in [("v1", 0), ("v1", 2)] as [(String, Int64)] {
            try await store.openVisit(visit, by: "nurse", at: day + start * hour)
            try await store.closeVisit(visit, by: "nurse", at: day + start * hour + hour / 2)
        }
        try await store.openVisit("v2", by: "nurse", at: day + 3 * hour)
        bench.world.pass(3 * hour)
        func begin(_ minutes: Int, _ visit: String, startedAt started: Int64) async throws -> Attribution {
            var recording = Recording.sample(kind: .stored, modality: .vitals)
            recording.clock.source = .device
            recording.clock.deviceStart = ZoneRule.paris.local(Int(day / 1000) + minutes * 60)
            recording.clock.deviceNow = ZoneRule.paris.local(Int(day / 1000) + 180 * 60)
            recording.clock.hostWall = day + 3 * hour
            return try await store.begin(
                recording, binding: Binding(visit: visit, reason: .openVisit, by: "nurse", at: day + started))
        }
        #expect(try await begin(10, "v2", startedAt: 3 * hour) == .unattributed)
        #expect(try await begin(130, "v2", startedAt: 3 * hour) == .unattributed)
        #expect(try await begin(60, "v2", startedAt: 3 * hour) == .attributed(visit: "v2"))
        // What was started in the first of them.
        #expect(try await begin(5, "v1", startedAt: hour / 6) == .attributed(visit: "v1"))
        #expect(try await begin(5, "v1", startedAt: hour) == .unattributed)
    }

    /// The laptop's clock was wrong in the first visit, and right (or wrong) in the next one.
    @Test(arguments: [3, -3] as [Int64], [true, false]) func theLaptopsClockWasSet(_ hours: Int64, _ isClosed: Bool)
        async throws
    {
        let bench = try await Bench()
        let (store, world) = (bench.store, bench.world)
        world.start()
        try await store.merge(visits: [.sample("v1"), .sample("v2", patient: .paul)])
        let minute: Int64 = 60_000
        let begun = world.time - hours * 60 * minute
        try await store.openVisit("v1", by: "nurse", at: world.time)
        world.pass(20 * minute)
        if isClosed {
            try await store.closeVisit("v1", by: "nurse", at: world.time)
        } else {
            try await store.merge(visits: [.sample("v1", version: "2", status: .cancelled)])
        }
        world.pass(10 * minute)
        world.set(by: -hours * 60 * minute)
        try await store.openVisit("v2", by: "nurse", at: world.time)
        let binding = Binding(visit: "v2", reason: .openVisit, by: "nurse", at: world.time)
        func begin(_ time: Int64) async throws -> Attribution {
            var recording = Recording.sample(kind: .stored, modality: .oximetry)
            recording.clock.source = .device
            recording.clock.deviceStart = ZoneRule.paris.local(Int(time / 1000))
            recording.clock.deviceNow = ZoneRule.paris.local(Int(world.time / 1000))
            recording.clock.hostWall = world.time
            return try await store.begin(recording, binding: binding)
        }
        #expect(try await begin(begun + 10 * minute) == .unattributed)
        #expect(try await begin(begun - 10 * minute) == .attributed(visit: "v2"))
        #expect(try await begin(begun + 25 * minute) == .attributed(visit: "v2"), "between the two")
    }

    /// Of an old measurement and new ones, each is placed by the zone's own time of that day.
    @Test func summerTimeEndedInBetween() async throws {
        let bench = try await Bench()
        let store = bench.store
        try await store.merge(visits: [.sample("v1"), .sample("v2", patient: .paul)])
        let noon = try #require(LocalTime("2026-11-22 12:00:00"))
        let instant = Int64(try #require(ZoneRule.paris.instants(of: noon).first)) * 1000
        let minute: Int64 = 60_000
        try await store.openVisit("v1", by: "nurse", at: instant - 200 * minute)
        try await store.closeVisit("v1", by: "nurse", at: instant - 180 * minute)
        try await store.openVisit("v2", by: "nurse", at: instant - 10 * minute)
        bench.world.pass(instant - bench.world.time)
        var recording = Recording.sample(kind: .stored, modality: .bloodPressure)
        recording.clock.source = .device
        recording.clock.hostWall = instant
        let times = [LocalTime("2026-10-10 07:00:00"), LocalTime("2026-11-22 11:55:00")].compactMap { $0 }
        recording.clock.deviceStart = times[0]
        let now = Binding(visit: "v2", reason: .openVisit, by: "nurse", at: instant)
        #expect(try await store.parts(of: times, in: recording, for: now) == [times])
        let others = times + [LocalTime("2026-11-22 08:50:00")].compactMap { $0 }
        #expect(try await store.parts(of: others, in: recording, for: now) == [times, Array(others.suffix(1))])
    }

    /// Begins it; whether it waits because an earlier one of the same is another patient's.
    private func isHeld(_ recording: Recording, _ binding: Binding, _ store: Store) async throws -> Bool {
        guard case .held(let why) = try await store.begin(recording, binding: binding) else { return false }
        return why.map(\.kind) == [.earlierBinding]
    }

    /// A download that was cut has no certain name: in the next patient's visit the whole night may be the first one's.
    @Test func whatMayBeTheSameNightIsHeld() async throws {
        let bench = try await Bench()
        let store = bench.store
        let binding = try await bench.openVisit()
        var mark = ContentMark()
        mark.add([97, 60], hasValue: true)
        let part = mark.source(of: "oximeter/S1/0", isCertain: false)
        mark.add([96, 61], hasValue: true)
        let whole = mark.source(of: "oximeter/S1/0", isCertain: true)
        let first = Recording.sample(kind: .stored, source: part)
        #expect(try await store.begin(first, binding: binding) == .attributed(visit: "v1"))
        try await store.seal(first.id, reason: .deviceGone)
        try await store.closeVisit("v1", by: "nurse", at: bench.world.time)
        let next = try await bench.openVisit("v2", patient: .paul)
        func begin(_ source: String) async throws -> Bool {
            try await isHeld(.sample(kind: .stored, source: source), next, store)
        }
        #expect(try await begin(whole))
        // Nor did anybody notice what it had lost when it got its name.
        let lossy = Recording.sample(kind: .stored, source: mark.source(of: "oximeter/S3/0", isCertain: true))
        try await store.begin(lossy, binding: Binding(visit: "v1", reason: .decision, by: "nurse", at: 1))
        try await store.seal(lossy.id, reason: .deviceEnded)
        #expect(try await begin("oximeter/S3/0#0123"))
        // Of the same visit, it is the beginning of the whole one that comes now.
        let again = Recording.sample(kind: .stored, source: whole, start: .device)
        try await store.begin(again, binding: Binding(visit: "v1", reason: .decision, by: "nurse", at: 1))
        try await store.seal(again.id, reason: .finished)
        #expect(try await store.recording(first.id)?.summary.supersededBy == again.id)
        #expect(try await !begin(mark.source(of: "oximeter/S1/01", isCertain: true)), "another place")
        // By certain names, the content says that it is another night.
        let other = Recording.sample(kind: .stored, source: mark.source(of: "oximeter/S2/0", isCertain: true))
        try await store.begin(other, binding: Binding(visit: "v1", reason: .decision, by: "nurse", at: 1))
        try await store.seal(other.id, reason: .finished)
        mark.add([95, 62], hasValue: true)
        #expect(try await !begin(mark.source(of: "oximeter/S2/0", isCertain: true)))
        #expect(try await begin(mark.source(of: "oximeter/S2/0", isCertain: false)))
    }

    /// Stores of before 0.1.0 was released: a night's name said nothing of what is in it.
    @Test func aNightThatIsDatedLikeOneWithoutAMarkIsHeld() async throws {
        let bench = try await Bench()
        let store = bench.store
        let binding = try await bench.openVisit()
        func night(_ source: String, _ raw: String?, _ serial: String? = "S1") -> Recording {
            var recording = Recording.sample(kind: .stored, modality: .oximetry, source: source, serial: serial)
            recording.clock.deviceRaw = raw
            return recording
        }
        let first = night("oximeter/S1/0/0/20-14/600", "20-14")
        #expect(try await store.begin(first, binding: binding) == .attributed(visit: "v1"))
        try await store.seal(first.id, reason: .finished)
        try await store.closeVisit("v1", by: "nurse", at: bench.world.time)
        let next = try await bench.openVisit("v2", patient: .paul)
        #expect(try await isHeld(night("oximeter/S1/0/20-14/600#1f", "20-14"), next, store))
        #expect(try await !isHeld(night("oximeter/S1/0/20-15/600#1f", "20-15"), next, store))
        #expect(try await !isHeld(night("oximeter/S2/0/20-14/600#1f", "20-14", "S2"), next, store))
        #expect(try await !isHeld(night("oximeter/S1/0/none/600#1f", nil), next, store))
    }

    @Test func aContradictionHolds() async throws {
        let bench = try await Bench()
        let binding = try await bench.openVisit()
        let claim = IdentityClaim(name: "DURANDAL", nameLimit: 8, sex: .male, age: 85)
        let recording = Recording.sample(kind: .file, source: "f", claim: claim, start: .device)
        let outcome = try await bench.store.importRecording(
            recording, waveform: Waveform(channels: recording.channels, samples: [[1], [2]]), original: [1],
            binding: binding)
        guard case .stored(.held(let contradictions)) = outcome else {
            Issue.record("\(outcome)")
            return
        }
        #expect(contradictions.map(\.kind) == [.name, .sex, .age])
        let detail = try #require(try await bench.store.recording(recording.id))
        #expect(detail.summary.binding == nil)
        #expect(detail.summary.isHeld)
        #expect(detail.hold == Hold(visit: "v1", contradictions: contradictions, at: bench.world.time))
        #expect(detail.recording.claim == claim)
        #expect(try await bench.store.awaitingFreeze() == [])
        #expect(try await bench.store.statusCounts().held == 1)
        // A person decides; both identities stay.
        try await bench.store.attribute(recording.id, to: "v1", by: "nurse", why: "appareil non réglé", at: 7)
        let decided = try #require(try await bench.store.recording(recording.id))
        #expect(
            decided.bindings
                == [Binding(visit: "v1", reason: .decision, by: "nurse", at: 7, why: "appareil non réglé")])
        #expect(!decided.summary.isHeld)
        #expect(decided.hold?.contradictions == contradictions)
        #expect(try await bench.store.awaitingFreeze() == [recording.id])
    }

    @Test func historyGrows() async throws {
        let bench = try await Bench()
        let id = try await bench.sealed(.sample(), try await bench.openVisit())
        try await bench.store.merge(visits: [.sample("v2", patient: .paul)])
        try await bench.freeze(id)
        try await bench.store.attribute(id, to: "v2", by: "nurse", why: nil, at: 5)
        let detail = try #require(try await bench.store.recording(id))
        #expect(detail.bindings.map(\.visit) == ["v1", "v2"])
        #expect(detail.summary.documents.isEmpty, "built for another patient")
        #expect(try await bench.store.awaitingFreeze() == [id])
        #expect(
            await failure { try await bench.store.attribute(id, to: "v9", by: "nurse", why: nil, at: 6) }
                == .notFound("visit v9"))
        let unknown = Recording.sample().id
        #expect(
            await failure { try await bench.store.attribute(unknown, to: "v1", by: "nurse", why: nil, at: 6) }
                == .notFound("recording \(unknown)"))
    }

    @Test(arguments: [true, false])
    func nothingMovesOnceSendingHasBegun(_ byBytes: Bool) async throws {
        let bench = try await Bench()
        let id = try await bench.sealed(.sample(), try await bench.openVisit())
        try await bench.store.merge(visits: [.sample("v2", patient: .paul)])
        let documents = try await bench.freeze(id)
        if byBytes {
            try await bench.store.beginUpload(documents.original.id)
        } else {
            try await bench.store.beginFacts([documents.artefact.id], state: .preliminary, key: UUID())
        }
        let error = await failure { try await bench.store.attribute(id, to: "v2", by: "nurse", why: nil, at: 5) }
        #expect("\(try #require(error))".contains("sending"))
        #expect(await isRefused { try await bench.store.thaw(id) })
        #expect(try await bench.store.documents(of: id).count == 2)
    }

    @Test func aPersonSaysTheStart() async throws {
        let bench = try await Bench()
        let recording = Recording.sample(kind: .stored, start: .unknown)
        let id = try await bench.sealed(recording, try await bench.openVisit())
        #expect(try await bench.store.awaitingFreeze() == [])
        #expect(try await bench.store.statusCounts().needingStart == 1)
        let start = try #require(LocalTime("2026-11-21 22:10:00"))
        try await bench.store.setStart(id, start, by: "nurse")
        let detail = try #require(try await bench.store.recording(id))
        #expect(detail.recording.clock.deviceStart == start)
        #expect(detail.recording.clock.source == .person)
        #expect(detail.rawClock == recording.clock)
        #expect(try await bench.store.awaitingFreeze() == [id])
        #expect(try await bench.store.auditEntries().first?.details == "2026-11-21 22:10:00")
        try await bench.freeze(id)
        #expect(await isRefused { try await bench.store.setStart(id, start, by: "nurse") })
        let timed = try await bench.sealed(.sample(start: .device), nil)
        #expect(await isRefused { try await bench.store.setStart(timed, start, by: "nurse") })
    }
}

@Suite struct Freezing {
    @Test func whoIsReady() async throws {
        let bench = try await Bench()
        let store = bench.store
        let binding = try await bench.openVisit()
        let unbound = try await bench.sealed(.sample(), nil)
        _ = try await bench.sealed(.sample(), binding, chunks: 0)
        try await store.begin(.sample(), binding: binding)
        let oximetry = try await bench.sealed(.sample(), binding)
        let cutLive = try await bench.sealed(.sample(), binding, reason: .deviceGone)
        let cutDownload = try await bench.sealed(
            .sample(kind: .stored, source: "n", start: .device), binding, reason: .deviceGone)
        let ecg = try await bench.sealed(.sample(modality: .ecg), binding)
        #expect(try await store.awaitingFreeze() == [ecg, oximetry, cutLive])
        try await store.closeVisit("v1", by: "nurse", at: bench.world.time)
        #expect(try await store.awaitingFreeze() == [ecg, oximetry, cutLive, cutDownload])
        // Being fetched again.
        let again = Recording.sample(kind: .stored, source: "n", start: .device)
        try await store.begin(again, binding: nil)
        #expect(try await store.awaitingFreeze() == [ecg, oximetry, cutLive])
        let counts = try await store.statusCounts()
        #expect(counts.open == 2)
        #expect(counts.toFreeze == 3)
        #expect(counts.unattributed == 2, "\(unbound) and \(again.id)")
    }

    @Test func bytesComeBackFromAnyOffset() async throws {
        let bench = try await Bench()
        let recording = Recording.sample(kind: .file, start: .device)
        let original = (0..<2_500_000).map { UInt8(truncatingIfNeeded: $0 &* 131 >> 3) }
        _ = try await bench.store.importRecording(
            recording, waveform: Waveform(channels: recording.channels, samples: [[1], [2]]), original: original,
            binding: try await bench.openVisit())
        let document = try await bench.freeze(recording.id).original
        #expect(document.id == DocumentHasher.uuid5(namespace: recording.id.uuid, name: "original"))
        #expect(document.size == original.count)
        for (offset, count) in [
            (0, 2_500_000), (0, 1), (1_048_575, 2), (1_048_576, 1_048_576), (2_499_999, 5), (2_500_000, 5),
            (9_999_999, 5), (5, .max), (-3, 4), (7, 0),
        ] {
            let lower = min(max(offset, 0), original.count)
            let expected = original[lower..<lower + min(count, original.count - lower)]
            #expect(
                try await bench.store.documentBytes(document.id, offset: offset, count: count) == Array(expected))
        }
        let unknown = UUID()
        #expect(await failure { try await bench.store.documentBytes(unknown, offset: 0, count: 1) } != nil)
    }

    @Test func onlyOnceAndOnlyWhatItSaysItIs() async throws {
        let bench = try await Bench()
        let store = bench.store
        let id = try await bench.sealed(.sample(), try await bench.openVisit())
        let revision = try #require(try await store.recording(id)).summary.revision
        let bytes: [UInt8] = [1, 2, 3]
        let good = DocumentHasher.document(of: id, role: .artefact, mediaType: "application/dicom", bytes: bytes)
        var wrong: [Document] = []
        for change in 0..<4 {
            var document = good
            switch change {
            case 0: document.size = 4
            case 1: document.sha256 = DocumentHasher.sha256([1])
            case 2: document.sha1 = DocumentHasher.sha1([1])
            default: document.id = UUID()
            }
            wrong.append(document)
        }
        for document in wrong {
            #expect(
                await isRefused {
                    try await store.freeze(id, documents: [(document, bytes)], boundTo: "v1", revision: revision)
                })
        }
        #expect(await isRefused { try await store.freeze(id, documents: [], boundTo: "v1", revision: revision) })
        #expect(
            await isRefused {
                try await store.freeze(id, documents: [(good, bytes)], boundTo: "v2", revision: revision)
            })
        #expect(
            await isRefused {
                try await store.freeze(id, documents: [(good, bytes)], boundTo: "v1", revision: revision - 1)
            })
        #expect(try await store.documents(of: id).isEmpty)
        try await store.freeze(id, documents: [(good, bytes)], boundTo: "v1", revision: revision)
        #expect(
            await isRefused {
                try await store.freeze(id, documents: [(good, bytes)], boundTo: "v1", revision: revision)
            })
        try await store.thaw(id)
        try await store.freeze(id, documents: [(good, bytes)], boundTo: "v1", revision: revision)
        #expect(try await store.documents(of: id).map(\.document) == [good])
    }

    /// The card of a machine that stands by somebody else's bed: nobody's, until a person says whose the machine is now.
    @Test func aMachineThatWasAnotherPatients() async throws {
        let bench = try await Bench()
        let store = bench.store
        func night(
            _ serial: String? = "S1", modality: Recording.Modality = .sleep, claim: IdentityClaim? = nil,
            for binding: Binding
        ) async throws -> (RecordingID, UnattributedReason?) {
            bench.world.pass(1000)
            let recording = Recording.sample(kind: .file, modality: modality, claim: claim, serial: serial)
            _ = try await store.begin(recording, binding: binding)
            try await store.seal(recording.id, reason: .finished)
            return (recording.id, try await store.recording(recording.id)?.summary.unattributed)
        }
        let first = try await bench.openVisit()
        for serial in ["S1", nil] { #expect(try await night(serial, for: first).1 == nil) }
        try await store.closeVisit("v1", by: "nurse", at: bench.world.time)
        let second = try await bench.openVisit("v2", patient: .paul)
        let (waiting, why) = try await night(for: second)
        #expect(why == .otherPatientsMachine)
        #expect(try await night("S2", for: second).1 == nil)
        #expect(try await night(nil, for: second).1 == nil, "two machines that don't tell themselves apart")
        #expect(try await night(modality: .oximetry, for: second).1 == nil, "the team's")
        let named = Patient.paul
        #expect(
            try await night(claim: IdentityClaim(name: "\(named.family) \(named.given[0])"), for: second).1 == nil,
            "the file names him, and not her")
        // That was the machine's last night, so it is his now.
        #expect(try await night(for: second).1 == nil)
        let third = Binding(visit: "v1", reason: .decision, by: "nurse", at: bench.world.time)
        #expect(try await night(for: third).1 == nil)
        var others: [RecordingID] = []
        for _ in 0..<3 { others.append(try await night(for: second).0) }
        #expect(try await store.waitingOfMachine(like: waiting).map(\.id) == others)
        #expect(try await store.waitingOfMachine(like: others[1]).map(\.id) == [waiting, others[0], others[2]])

        // One by one, or all of them.
        try await store.attribute(others[0], to: "v2", by: "nurse", why: nil, at: bench.world.time)
        #expect(try await store.waitingOfMachine(like: others[0]).map(\.id) == [])
        let left = try await store.waitingOfMachine(like: waiting).map(\.id)
        #expect(left == [others[1], others[2]])
        await #expect(throws: StoreError.self, "one that is decided already: nothing of it") {
            try await store.attribute(
                waiting, to: "v2", by: "nurse", why: nil, andOthers: others, at: bench.world.time)
        }
        #expect(try await store.waitingOfMachine(like: waiting).map(\.id) == left)
        try await store.attribute(
            waiting, to: "v2", by: "nurse", why: "asked", andOthers: left, at: bench.world.time)
        for id in others + [waiting] {
            let bindings = try #require(try await store.recording(id)).bindings
            #expect(bindings.map(\.visit) == ["v2"] && bindings.map(\.reason) == [.decision])
        }
        #expect(try await night(for: second).1 == nil)

        // What came in during another visit may be of another owner.
        let earlier = try await night(for: third)
        #expect(earlier.1 == nil)
        let before = try await night(for: second).0
        bench.world.pass(1000)
        try await store.closeVisit("v2", by: "nurse", at: bench.world.time)
        bench.world.pass(1000)
        try await store.openVisit("v2", by: "nurse", at: bench.world.time)
        let again = Binding(visit: "v2", reason: .openVisit, by: "nurse", at: bench.world.time)
        let (after, with) = (try await night(for: again).0, try await night(modality: .other, for: again).0)
        #expect(try await store.waitingOfMachine(like: before).map(\.id) == [])
        #expect(try await store.waitingOfMachine(like: after).map(\.id) == [with], "what else is on its card, too")
    }
}
