import Clinical
import Foundation
import Store
import Synchronization

/// A directory of its own, gone with the test.
final class Scratch: Sendable {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.appendingPathComponent("ess-store-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    var database: String { "\(path)/\(Store.fileName)" }
}

/// A world that a test moves by hand.
final class World: Sendable {
    let now = Mutex<Int64>(1_790_000_000_000)
    let free = Mutex<Int64?>(10_000_000_000)
    /// Milliseconds since the laptop was started; nil: nobody reads that clock.
    let up = Mutex<Int64?>(nil)

    var environment: Store.Environment {
        Store.Environment(
            now: { self.now.withLock { $0 } }, freeSpace: { self.free.withLock { $0 } }, decoder: "test 1",
            clocks: {
                self.up.withLock { up in
                    up.map {
                        HostReading(
                            wall: self.time, monotonic: UInt64($0) * 1_000_000, boottime: UInt64($0) * 1_000_000,
                            bootID: "boot")
                    }
                }
            })
    }

    var time: Int64 { now.withLock { $0 } }
    func setFree(_ bytes: Int64?) { free.withLock { $0 = bytes } }
    func pass(_ milliseconds: Int64) {
        now.withLock { $0 += milliseconds }
        up.withLock { up in up = up.map { $0 + milliseconds } }
    }
    /// From now on the clock that nobody sets is read as well.
    func start() { up.withLock { $0 = 5000 } }
    /// Somebody, or the network, sets the laptop's clock.
    func set(by milliseconds: Int64) { now.withLock { $0 += milliseconds } }
}

func testKey(_ first: UInt8 = 0) throws -> MasterKey { try MasterKey(bytes: (0..<32).map { first &+ $0 }) }

struct Bench {
    let scratch: Scratch
    let world: World
    let store: Store

    init() async throws {
        scratch = try Scratch()
        world = World()
        store = try await Store.open(directory: scratch.path, key: try testKey(), environment: world.environment)
    }

    /// As after a restart.
    func reopened() async throws -> Store {
        try await store.close()
        return try await Store.open(directory: scratch.path, key: try testKey(), environment: world.environment)
    }

    func openVisit(_ id: String = "v1", patient: Patient = .jeanne) async throws -> Binding {
        try await store.merge(visits: [.sample(id, patient: patient)])
        try await store.openVisit(id, by: "nurse", at: world.time)
        return Binding(visit: id, reason: .openVisit, by: "nurse", at: world.time)
    }

    /// A sealed recording with samples, bound to a visit.
    func sealed(
        _ recording: Recording, _ binding: Binding?, reason: Recording.EndReason = .finished, chunks: Int = 2
    ) async throws -> RecordingID {
        try await store.begin(recording, binding: binding)
        for n in 0..<chunks { try await store.append(recording.id, blocks: [.sample(n)]) }
        try await store.seal(recording.id, reason: reason)
        world.pass(1000)
        return recording.id
    }

    /// Builds and freezes both documents.
    @discardableResult
    func freeze(_ id: RecordingID, size: Int = 100) async throws -> (artefact: Document, original: Document) {
        guard let detail = try await store.recording(id), let binding = detail.summary.binding else {
            throw StoreError.notFound("bound recording")
        }
        let artefact = [UInt8](repeating: 0xA1, count: size)
        let original = try await store.original(id)
        let documents = [
            (
                DocumentHasher.document(of: id, role: .artefact, mediaType: "application/dicom", bytes: artefact),
                artefact
            ),
            (
                DocumentHasher.document(
                    of: id, role: .original, mediaType: "application/octet-stream", bytes: original),
                original
            ),
        ]
        try await store.freeze(
            id, documents: documents, boundTo: binding.visit, revision: detail.summary.revision)
        return (documents[0].0, documents[1].0)
    }
}

extension Patient {
    static let jeanne = Patient(
        id: "p1", ins: Identifier(system: "urn:oid:1.2.250.1.213.1.4.8", value: "238047512345622"),
        family: "Tartempionne", given: ["Jeanne"], birthDate: "1938-04-12", sex: .female)
    static let paul = Patient(
        id: "p2", family: "Durandal", given: ["Paul"], birthDate: "1941-07-01", sex: .male)
}

extension Visit {
    static func sample(
        _ id: String = "v1", version: String = "1", patient: Patient = .jeanne, status: Status = .planned
    ) -> Visit {
        Visit(
            id: id, version: version, patient: patient, order: "ServiceRequest/7", reason: "Dyspnée inexpliquée",
            pathway: "heart-failure", plannedAt: "2026-11-22T09:00:00+01:00", place: "EHPAD Les Glycines",
            status: status)
    }
}

extension Channel {
    static let spo2 = Channel(
        signal: .spo2, name: "SpO2", unit: "%", rate: Ratio(1), scale: Ratio(1), range: 0...100,
        calibration: .singleSource)
    static let pulse = Channel(
        signal: .pulseRate, name: "PR", unit: "/min", rate: Ratio(2), scale: Ratio(1), range: 0...254,
        calibration: .singleSource)
}

extension Recording {
    static func sample(
        kind: Kind = .live, modality: Modality = .oximetry, source: String? = nil, claim: IdentityClaim? = nil,
        start: StartSource = .host, serial: String? = "S1"
    ) -> Recording {
        var random = SystemRandomNumberGenerator()
        return Recording(
            id: RecordingID(milliseconds: 1_790_000_000_000, random: &random), kind: kind, modality: modality,
            origin: kind == .file ? .imported : .device,
            device: DeviceIdentity(
                driver: "test-device", vendor: "Test", model: "T1", serial: serial, support: .verified),
            channels: [.spo2, .pulse],
            clock: ClockFacts(
                deviceStart: start == .device ? LocalTime("2026-11-22 23:05:09") : nil, deviceRaw: "07E6",
                hostWall: 1_790_000_000_000, hostMonotonic: 5_000_000_000, bootID: "boot", hostSynchronised: true,
                source: start),
            source: source, claim: claim)
    }
}

extension Block {
    /// One second.
    static func sample(_ n: Int) -> Block {
        let value = Sample(90 + n % 10)
        return Block(
            samples: [[value], [.absent, value]], raw: [0xF0, UInt8(truncatingIfNeeded: n), 0x55],
            at: UInt64(n) * 1_000_000_000)
    }
}

/// The store's error of a call that must fail.
func failure<T>(_ body: () async throws -> T) async -> StoreError? {
    do {
        _ = try await body()
        return nil
    } catch {
        return error as? StoreError
    }
}

/// Whether a call is refused.
func isRefused<T>(_ body: () async throws -> T) async -> Bool {
    if case .refused = await failure(body) { true } else { false }
}

/// `fixtures/store` at the project's root.
let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().appendingPathComponent("fixtures/store").path
