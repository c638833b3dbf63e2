import Clinical
import Foundation
import Logging
import Store
import Testing
import Wire

@testable import Agent
@testable import Devices

/// From the device's report to the documents that are sent.
@Suite("PHDC: from a report to what is sent", .timeLimit(.minutes(2)))
struct PhdcRecordingTests {
    private let clock = HostClock()

    private func store() async throws -> (Store, URL) {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("ess-phdc-\(UUID().uuidString)")
        let store = try await Store.scratch(in: directory, now: { [clock] in clock.wall })
        try await store.merge(
            visits: [("v1", "p1"), ("v2", "p2")].map { visit, patient in
                Visit(
                    id: visit, version: "1",
                    patient: Patient(id: patient, family: patient, given: [], birthDate: "1938-04-12", sex: .female),
                    order: "o", reason: "", pathway: "heart-failure", plannedAt: "2026-11-22T09:00:00+01:00",
                    place: "EHPAD", status: .planned)
            })
        return (store, directory)
    }

    /// One session with the device, in a visit that is open.
    private func read(
        _ device: PhdcSimulator.Configuration, in visit: String, _ store: Store
    ) async throws {
        let identity = DeviceIdentity(
            driver: "phdc", vendor: "Simulated", model: device.model, serial: device.serial, support: .verified)
        let recorder = SessionRecorder(
            store: store, clock: clock, device: identity,
            binding: Binding(visit: visit, reason: .openVisit, by: "nurse", at: clock.wall), feed: LiveFeed(),
            logger: Logger(label: "test"))
        // In real time: a busy machine can't answer as fast as a faster device would want.
        let port = SimulatedPort(PhdcSimulator(device), pace: 1, now: { [clock] in clock.monotonic })
        let outcome = await Acquisition(port: port, clock: clock, sink: recorder)
            .run(PhdcProtocol(goal: .download(known: [])))
        await recorder.close(outcome.reason)
        #expect(outcome == .finished(.done))
    }

    private static func scale(_ ago: [Int]) -> (device: PhdcSimulator.Configuration, stamps: [[UInt8]]) {
        let start = LocalTime(year: 2026, month: 11, day: 22, hour: 23, minute: 5, second: 9)!
        var device = PhdcSimulator.Configuration.scale(at: start)
        device.attributes = [PhdcAttribute(PhdcAttributeID.dateAndTime, PhdcClock.absolute(from: start))]
        let stamps = ago.map { PhdcClock.absolute(from: start.adding(seconds: -$0)!) }
        device.reports = stamps.enumerated().map { index, stamp in
            PhdcSimulator.Report(
                items: [
                    PhdcSimulator.Configuration.fixed(1, PhdcSimulator.Configuration.float(624, -1) + stamp)
                ], after: 0.5 + Double(index))
        }
        device.releasesAfter = 6
        return (device, stamps)
    }

    private func freeze(_ store: Store) async {
        await Freezing(store: store, bell: Bell(), logger: Logger(label: "test"), frozen: {}).freezeAll()
    }

    @Test("every confirmed measurement is sent with its own bytes, the last one too")
    func theLast() async throws {
        let (store, directory) = try await store()
        defer { try? FileManager.default.removeItem(at: directory) }
        try await store.openVisit("v1", by: "nurse", at: clock.wall)
        let (device, stamps) = Self.scale([90_000, 50_000, 3600])
        try await read(device, in: "v1", store)
        let ids = try await store.awaitingFreeze()
        #expect(ids.count == 3)
        await freeze(store)
        for (id, own) in zip(ids, stamps) {
            #expect(try await store.readings(id).count == 1)
            let documents = try await store.documents(of: id)
            let original = try #require(documents.first { $0.document.role == .original }).document
            let bytes = try await store.documentBytes(original.id, offset: 0, count: original.size)
            for stamp in stamps {
                let isThere = bytes.indices.contains { bytes[$0...].starts(with: stamp) }
                #expect(isThere == (stamp == own))
            }
        }
        #expect(try await store.awaitingFreeze().isEmpty)
    }

    @Test("values without bytes are sent as what they are")
    func withoutBytes() async throws {
        let (store, directory) = try await store()
        defer { try? FileManager.default.removeItem(at: directory) }
        try await store.openVisit("v1", by: "nurse", at: clock.wall)
        let recorder = SessionRecorder(
            store: store, clock: clock,
            device: DeviceIdentity(driver: "phdc", vendor: "", model: "", serial: "S", support: .verified),
            binding: Binding(visit: "v1", reason: .openVisit, by: "nurse", at: clock.wall), feed: LiveFeed(),
            logger: Logger(label: "test"))
        let weight = Reading(
            kind: .weight, value: Ratio(624, 10), unit: "kg", at: nil, rawTime: nil, sequence: 0)
        try await recorder.perform(.begin(RecordingStart(kind: .live, modality: .vitals, channels: [])))
        try await recorder.perform(.reading(weight))
        await recorder.close(.stopped)
        let id = try #require(try await store.awaitingFreeze().first)
        await freeze(store)
        let document = try #require(try await store.documents(of: id).first).document
        #expect(document.role == .original && document.mediaType == "application/json")
        let bytes = try await store.documentBytes(document.id, offset: 0, count: document.size)
        #expect(try JSONDecoder().decode([Reading].self, from: Data(bytes)) == [weight])
    }

    /// A scale without a calendar: it says how its counter stood.
    private static func counter(_ ago: Int) -> PhdcSimulator.Configuration {
        var device = scale([0]).device
        let ticks: UInt32 = 0x1000_0000
        device.configuration = PhdcConfiguration(
            id: 0x4000,
            objects: [
                PhdcConfiguration.numeric(
                    1, 0xE140, 0xF040, unit: 0x06C3,
                    map: [(PhdcAttributeID.simpleValue, 4), (PhdcAttributeID.relativeStamp, 4)])
            ])
        device.attributes = [PhdcAttribute(PhdcAttributeID.relativeTime, long: ticks)]
        let stamp = PhdcAttribute(0, long: ticks &- UInt32(ago * 8000)).value
        device.reports = [
            PhdcSimulator.Report(
                items: [
                    PhdcSimulator.Configuration.fixed(1, PhdcSimulator.Configuration.float(624, -1) + stamp)
                ], after: 0.5)
        ]
        return device
    }

    @Test("what a counter says was measured in the last patient's visit is not the next one's")
    func counted() async throws {
        let (store, directory) = try await store()
        defer { try? FileManager.default.removeItem(at: directory) }
        try await store.openVisit("v1", by: "nurse", at: clock.wall - 4_000_000)
        try await read(Self.counter(0), in: "v1", store)
        try await store.closeVisit("v1", by: "nurse", at: clock.wall - 1000)
        try await store.openVisit("v2", by: "nurse", at: clock.wall)
        try await read(Self.counter(600), in: "v2", store)
        let all = try await store.recordings().sorted { "\($0.id)" < "\($1.id)" }
        #expect(all.map(\.kind) == [.live, .stored] && all.map(\.binding?.visit) == ["v1", nil])
        let kept = try #require(all.last)
        #expect(kept.unattributed == .otherVisit && kept.clock.source == .device)
        let (start, now) = (try #require(kept.clock.deviceStart), try #require(kept.clock.deviceNow))
        #expect((600...660).contains(now.civilSeconds - start.civilSeconds) && kept.clock.deviceRaw != nil)
    }

    @Test("what was measured seconds before the last patient's visit ended is not the next one's")
    func seconds() async throws {
        let (store, directory) = try await store()
        defer { try? FileManager.default.removeItem(at: directory) }
        try await store.openVisit("v1", by: "nurse", at: clock.wall - 600_000)
        try await store.closeVisit("v1", by: "nurse", at: clock.wall - 2000)
        try await store.openVisit("v2", by: "nurse", at: clock.wall - 1000)
        try await read(Self.scale([55, 0]).device, in: "v2", store)
        let all = try await store.recordings().sorted { "\($0.id)" < "\($1.id)" }
        #expect(all.map(\.kind) == [.stored, .live] && all.map(\.binding?.visit) == [nil, "v2"])
        #expect(all.first?.unattributed == .otherVisit)
    }

    @Test("of two people in one session a person says whose each measurement is; of one they are the visit's")
    func persons() async throws {
        let (store, directory) = try await store()
        defer { try? FileManager.default.removeItem(at: directory) }
        try await store.openVisit("v1", by: "nurse", at: clock.wall)
        var (device, stamps) = Self.scale([0, 0])
        for index in device.reports.indices {
            device.reports[index].items = [
                PhdcSimulator.Configuration.fixed(
                    1, PhdcSimulator.Configuration.float(624 + index, -1) + stamps[index], person: UInt16(index + 1))
            ]
        }
        try await read(device, in: "v1", store)
        let all = try await store.recordings().sorted { "\($0.id)" < "\($1.id)" }
        // Either of a couple may have been the first.
        #expect(all.map(\.kind) == [.live, .live] && all.allSatisfy { $0.binding == nil })
        #expect(all.allSatisfy { $0.unattributed == .sharedMemory })
        for index in device.reports.indices {
            device.reports[index].items = [
                PhdcSimulator.Configuration.fixed(
                    1, PhdcSimulator.Configuration.float(700 + index, -1) + stamps[index], person: 2)
            ]
        }
        try await read(device, in: "v1", store)
        let ofOne = try await store.recordings().filter { recording in !all.contains { $0.id == recording.id } }
        #expect(ofOne.map(\.binding?.visit) == ["v1"] && ofOne.map(\.binding?.reason) == [.openVisit])
        #expect(try await store.awaitingFreeze() == ofOne.map(\.id))
    }

    @Test("of a stream a few values are told, of what was measured one by one all")
    func told() throws {
        func reading(_ value: Int, _ sequence: Int, _ kind: Reading.Kind = .spo2) -> Reading {
            Reading(kind: kind, value: Ratio(value), unit: "%", at: nil, rawTime: nil, sequence: sequence)
        }
        var random = SystemRandomNumberGenerator()
        var recording = Recording(
            id: RecordingID(milliseconds: 1, random: &random), kind: .live, modality: .oximetry, origin: .device,
            device: DeviceIdentity(driver: "phdc", vendor: "", model: "", serial: "S", support: .verified),
            channels: [], clock: clock.facts(deviceStart: nil, deviceRaw: nil, source: .host))
        let stream = (0..<3600).map { reading([97, 96, 88, 99][$0 % 4 * ($0 > 9 && $0 < 20 ? 1 : 0)], $0) }
        let few = [reading(60, 5000, .pulseRate), reading(61, 5001, .pulseRate)]
        let told = ToldReadings.of(recording, stream + few)
        #expect(told.map(\.value.value) == [97, 88, 99, 97, 60, 61])
        #expect(told.map(\.sequence).sorted() == told.map(\.sequence) && told[3].sequence == 3599)
        #expect(told[1].flags == ["spo2: lowest of 3600 values"] && told[4].flags.isEmpty)
        recording.kind = .stored
        #expect(ToldReadings.of(recording, stream) == stream)
    }

}
