import Clinical
import Foundation
import Logging
import Store
import Testing
import Wire

@testable import Agent
@testable import Devices

/// One blood pressure monitor for a whole nursing home: plugged in at every patient's, with everything in it.
@Suite("A team's monitor goes from one patient to the next", .timeLimit(.minutes(2)))
struct TeamMonitorTests {
    private let clock = HostClock()

    private func patient(_ id: String, _ family: String) -> Patient {
        Patient(id: id, family: family, given: ["Anne"], birthDate: "1938-04-12", sex: .female)
    }

    private func visit(_ id: String, _ patient: Patient) -> Visit {
        Visit(
            id: id, version: "1", patient: patient, order: "o", reason: "", pathway: "hypertension",
            plannedAt: "2026-11-22T09:00:00+01:00", place: "EHPAD", status: .planned)
    }

    private func measurement(_ minutes: Int, _ systolic: UInt8) -> OmronPressureSimulator.Measurement {
        let monday = LocalTime("2026-11-23 09:00:00")?.civilSeconds ?? 0
        return .init(
            time: LocalTime(civilSeconds: monday + minutes * 60)!, systolic: systolic, diastolic: 80, pulse: 70)
    }

    private func store() async throws -> (Store, URL) {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent(
            "ess-monitor-\(UUID().uuidString)")
        let store = try await Store.scratch(in: directory, now: { [clock] in clock.wall })
        return (store, directory)
    }

    /// Of a session with the team's monitor.
    private func recorder(
        _ store: Store, in visit: String, at time: Int64, _ known: KnownItems = []
    ) -> SessionRecorder {
        SessionRecorder(
            store: store, clock: clock,
            device: DeviceIdentity(
                driver: "omron-pressure", vendor: "Omron", model: "M7", serial: "SIM0001", support: .verified),
            binding: Binding(visit: visit, reason: .openVisit, by: "nurse", at: time), known: known, feed: LiveFeed(),
            logger: Logger(label: "test"))
    }

    /// Reads the whole monitor in that visit, as the hub does.
    private func read(
        _ memory: [OmronPressureSimulator.Measurement], in visit: String, _ store: Store
    ) async throws {
        var configuration = OmronPressureSimulator.Configuration()
        configuration.banks = [memory.reversed(), []]
        (configuration.deafFor, configuration.refusesEvery, configuration.sendsGarbage) = (0, 0, false)
        let now = clock.wall
        try await store.openVisit(visit, by: "nurse", at: now)
        let recorder = recorder(store, in: visit, at: now)
        let port = SimulatedPort(OmronPressureSimulator(configuration), pace: 50, now: { [clock] in clock.monotonic })
        let known = try await store.knownItems()
        let outcome = await Acquisition(port: port, clock: clock, sink: recorder)
            .run(OmronPressure.profile.makeDialogue(.download(known: known)))
        await recorder.close(outcome.reason)
        #expect(outcome == .finished(.done))
        try await store.closeVisit(visit, by: "nurse", at: clock.wall)
    }

    /// What a driver reports from a memory although it is here: of a device that never forgets.
    @Test("nothing that is here is kept again, whatever the driver does") func whateverTheDriverDoes() async throws {
        let (store, directory) = try await store()
        defer { try? FileManager.default.removeItem(at: directory) }
        func reading(_ value: Int) -> Reading {
            Reading(
                kind: .weight, value: Ratio(value), unit: "kg", at: nil, rawTime: nil, sequence: 0, source: "scale/1")
        }
        func session(_ kind: Recording.Kind, _ source: String?) async throws -> SessionRecorder {
            let device = DeviceIdentity(driver: "scale", vendor: "", model: "", serial: "SIM1", support: .verified)
            let recorder = SessionRecorder(
                store: store, clock: clock, device: device, binding: nil, known: try await store.knownItems(),
                feed: LiveFeed(), logger: Logger(label: "test"))
            let item = source.map { StoredItem(source: $0, start: nil, rawStart: nil, samples: 0) }
            try await recorder.perform(.begin(RecordingStart(kind: kind, modality: .vitals, channels: [], item: item)))
            for value in [62, 63] { try await recorder.perform(.reading(reading(value))) }
            try await recorder.perform(.end(.finished))
            return recorder
        }
        #expect(await (try await session(.live, nil)).skipped == 0)
        #expect(
            await (try await session(.live, nil)).skipped == 0, "measured now: the same again is another measurement")
        #expect(await (try await session(.stored, "scale/a")).skipped == 2)
        var counts: [Int] = []
        for recording in try await store.recordings() { counts.append(try await store.readings(recording.id).count) }
        #expect(counts.sorted() == [0, 2, 2])
        try await store.close()
    }

    /// The monitor went to bed after bed, and to the laptop only at the second one.
    @Test("what it measured in an earlier visit of today waits for a person, though nobody knew the monitor")
    func firstSeen() async throws {
        let (store, directory) = try await store()
        defer { try? FileManager.default.removeItem(at: directory) }
        try await store.merge(visits: [visit("v1", patient("p1", "LEFÈVRE")), visit("v2", patient("p2", "ROUX"))])
        let minute: Int64 = 60_000
        try await store.openVisit("v1", by: "nurse", at: clock.wall - 40 * minute)
        try await store.closeVisit("v1", by: "nurse", at: clock.wall - 20 * minute)
        func measured(_ minutes: Int64, _ systolic: UInt8) -> OmronPressureSimulator.Measurement {
            let time = localTime(ofUnixMilliseconds: clock.wall - minutes * minute).time!
            return .init(time: time, systolic: systolic, diastolic: 80, pulse: 70)
        }
        let memory = [measured(30, 189), measured(0, 121)]
        try await read(memory, in: "v2", store)
        // Whose each of them is can be said by itself.
        let all = try await store.recordings()
        #expect(all.count == 2 && all.allSatisfy { $0.state == .complete })
        for kept in all {
            let readings = try await store.readings(kept.id)
            #expect(readings.count == 3)
            let isOfFirst = readings.first?.value.numerator == 189
            #expect(kept.binding?.visit == (isOfFirst ? nil : "v2"))
            #expect(kept.unattributed == (isOfFirst ? .otherVisit : nil))
        }
        // Read again, there is nothing new.
        try await read(memory, in: "v2", store)
        #expect(try await store.recordings().count == 2)
        try await store.close()
    }

    /// Whatever ended the first read: what it brought stays, and the next one brings the rest.
    @Test("a read that was cut and its remainder are two recordings, of which none replaces the other")
    func remainder() async throws {
        let (store, directory) = try await store()
        defer { try? FileManager.default.removeItem(at: directory) }
        try await store.merge(visits: [visit("v1", patient("p1", "LEFÈVRE"))])
        try await store.openVisit("v1", by: "nurse", at: clock.wall)
        let memory = (0..<6).map { measurement($0, 130 + UInt8($0)) }
        func session(_ cut: Int?) async throws {
            var whole = BloodPressureMemory(bank: 0)
            for one in memory {
                whole.add(
                    BloodPressureMeasurement(
                        systolic: Int(one.systolic), diastolic: 80, pulse: 70, at: one.time, rawTime: "\(one.time)"))
            }
            let known = try await store.knownItems()
            let recorder = recorder(store, in: "v1", at: clock.wall, known)
            let actions = whole.recording(
                driver: "omron-pressure", device: "SIM0001", known: known, reason: .finished, at: 0)
            for action in actions.prefix(cut ?? actions.count) { try await recorder.perform(action) }
            await recorder.close(.agentStopped)
        }
        try await session(8)
        try await session(nil)
        try await session(nil)
        let all = try await store.recordings()
        #expect(all.count == 2 && all.allSatisfy { $0.supersededBy == nil && $0.binding?.visit == "v1" })
        var values: [Int] = []
        for recording in all {
            values += try await store.readings(recording.id).filter { $0.kind == .systolic }.map {
                Int($0.value.numerator)
            }
        }
        #expect(values.sorted() == (130..<136).map { $0 })
        try await store.close()
    }

    /// Another battery, another monitor of the same kind without a number: the time is the same, the values are another's.
    @Test("another measurement at the same device time is kept, and is the next patient's")
    func sameTime() async throws {
        let (store, directory) = try await store()
        defer { try? FileManager.default.removeItem(at: directory) }
        try await store.merge(visits: [visit("v1", patient("p1", "LEFÈVRE")), visit("v2", patient("p2", "ROUX"))])
        try await read([measurement(0, 130)], in: "v1", store)
        try await read([measurement(0, 185)], in: "v2", store)
        #expect(try await store.recordingCounts() == ["v1": 1, "v2": 1])
        let all = try await store.recordings()
        for recording in all {
            let readings = try await store.readings(recording.id)
            #expect(readings.count == 3)
            #expect(readings[0].value.numerator == (recording.binding?.visit == "v1" ? 130 : 185))
        }
        try await store.close()
    }

    @Test("each measurement is the patient's in whose visit it was fetched first, and nobody else's")
    func onlyWhatIsNew() async throws {
        let (store, directory) = try await store()
        defer { try? FileManager.default.removeItem(at: directory) }
        try await store.merge(visits: [visit("v1", patient("p1", "LEFÈVRE")), visit("v2", patient("p2", "ROUX"))])
        try await read([measurement(0, 151), measurement(2, 148)], in: "v1", store)
        // Fetched again with nothing new in it: nothing comes of it.
        try await read([measurement(0, 151), measurement(2, 148)], in: "v2", store)
        #expect(try await store.recordingCounts() == ["v1": 1])
        try await read([measurement(0, 151), measurement(2, 148), measurement(60, 122)], in: "v2", store)
        #expect(try await store.recordingCounts() == ["v1": 1, "v2": 1])
        for recording in try await store.recordings() {
            let systolic = try await store.readings(recording.id).filter { $0.kind == .systolic }.map(\.value.numerator)
            #expect(systolic == (recording.binding?.visit == "v1" ? [151, 148] : [122]))
        }
        try await store.close()
    }
}
