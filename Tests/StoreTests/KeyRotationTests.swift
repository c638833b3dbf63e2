import Clinical
import Foundation
import GRDB
import Testing

@testable import Store

@Suite struct KeyRotation {
    /// A store in a directory, with its key in a file beside it.
    private struct Place: Sendable {
        let scratch: Scratch
        let world = World()
        var directory: String { "\(scratch.path)/store" }
        var key: String { "\(scratch.path)/master.key" }

        init() throws { scratch = try Scratch() }

        func open() async throws -> (store: Store, repair: KeyFileRepair?) {
            try await Store.open(
                directory: directory, keyFile: key, createIfMissing: true, environment: world.environment)
        }
    }

    /// Something under every kind of seal.
    private func fill(_ store: Store) async throws -> RecordingID {
        try await store.merge(visits: [.sample("v1")])
        try await store.openVisit("v1", by: "nurse", at: 1)
        let recording = Recording.sample(claim: IdentityClaim(name: "Tartempionne"))
        try await store.begin(recording, binding: Binding(visit: "v1", reason: .openVisit, by: "nurse", at: 1))
        try await store.append(recording.id, blocks: [.sample(0), .sample(1)])
        try await store.add(Note(kind: .device, text: "x"), to: recording.id)
        try await store.seal(recording.id, reason: .finished)
        try await store.setValue("2026", forKey: "cursor")
        let from = try #require(LocalTime("2026-11-22 17:00:00"))
        try await store.lend(driver: "d", serial: "s", to: "v1", from: from, by: "nurse", at: 2)
        try await store.audit(by: "nurse", action: AuditAction.export, subject: "r", details: "to a stick")
        return recording.id
    }

    private func expectWhole(_ store: Store, _ id: RecordingID, rotated: Bool) async throws {
        #expect(try await store.visit("v1")?.patient == .jeanne)
        #expect(try await store.original(id) == (0..<2).flatMap { Block.sample($0).raw })
        #expect(try await store.recording(id)?.recording.claim?.name == "Tartempionne")
        #expect(try await store.value(forKey: "cursor") == "2026")
        #expect(try await store.loans().map(\.serial) == ["s"])
        #expect(try await store.verifyAudit() == .intact(entries: rotated ? 4 : 3))
        #expect(try await store.auditEntries().contains { $0.details == "to a stick" })
        #expect(try await store.salvage().isSound)
    }

    @Test func everythingIsUnderTheNewKey() async throws {
        let place = try Place()
        let (store, _) = try await place.open()
        let id = try await fill(store)
        let old = try Data(contentsOf: URL(fileURLWithPath: place.key))
        try await store.rotateKeyFile(place.key, by: "admin")
        try await expectWhole(store, id, rotated: true)
        #expect(try await store.auditEntries().first?.action == "key.rotate")
        let new = try Data(contentsOf: URL(fileURLWithPath: place.key))
        #expect(old != new)
        // It goes on without a restart.
        try await store.begin(.sample(), binding: nil)
        try await store.close()
        let wrong = await failure {
            try await Store.open(
                directory: place.directory, key: try MasterKey(bytes: [UInt8](old)),
                environment: place.world.environment)
        }
        #expect(wrong == .wrongKey)
        let (again, repair) = try await place.open()
        #expect(repair == nil)
        try await expectWhole(again, id, rotated: true)
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: place.scratch.path).sorted() == ["master.key", "store"])
        #expect(
            try FileManager.default.attributesOfItem(atPath: place.key)[.posixPermissions] as? Int == 0o600)
    }

    /// Killed at each step, in a process of its own: one of the two keys opens everything.
    @Test(arguments: RotationStep.allCases)
    func killed(_ step: RotationStep) async throws {
        let place = try Place()
        let (store, _) = try await place.open()
        let id = try await fill(store)
        try await store.close()
        await #expect(processExitsWith: .signal(SIGKILL)) {
            [path = place.scratch.path as String, step = step.rawValue as String] in
            let world = World()
            let (store, _) = try await Store.open(
                directory: "\(path)/store", keyFile: "\(path)/master.key", createIfMissing: false,
                environment: world.environment)
            try await store.rotateKeyFile("\(path)/master.key", by: "admin") {
                if $0.rawValue == step { kill(getpid(), SIGKILL) }
            }
        }
        let (again, repair) = try await place.open()
        switch step {
        case .keyWritten, .resealed: #expect(repair == .abandoned)
        case .committed: #expect(repair == .finished)
        case .named: #expect(repair == nil)
        }
        try await expectWhole(again, id, rotated: step == .committed || step == .named)
        #expect(!FileManager.default.fileExists(atPath: "\(place.key).next"))
        try await again.rotateKeyFile(place.key, by: "admin")
        try await again.close()
        let (last, _) = try await place.open()
        #expect(try await last.original(id).count == 6)
    }

    /// The columns are found in the schema, so that a table which comes later can't be forgotten: whatever isn't sealed under
    /// a recording's own data key must be sealed anew.
    @Test func everySealedColumn() async throws {
        let place = try Place()
        let (store, _) = try await place.open()
        try await fillEverything(store)
        let before = try blobs(place)
        for (column, values) in before {
            #expect(!values.isEmpty, "\(column): write one in fillEverything, and seal it in Transaction.reseal")
        }
        try await store.rotateKeyFile(place.key, by: "admin")
        let after = try blobs(place)
        let own = try underDataKeys(place)
        #expect(own.count > 10)
        for (column, values) in before {
            // Named under a key that is itself a setting.
            if own.contains(column) || column == "measurement.name" {
                #expect(after[column] == values, "\(column)")
            } else {
                #expect(after[column]?.isDisjoint(with: values) == true, "\(column) is not sealed anew")
            }
        }
        #expect(try await store.salvage().isSound)
        #expect(try await store.answers().count == 1)
    }

    private func fillEverything(_ store: Store) async throws {
        let id = try await fill(store)
        try await store.merge(answers: [
            Answer(id: "DiagnosticReport/1", kind: .opinion, version: "1", patient: "p1", text: "x")
        ])
        try await store.add(
            Entry(id: UUID(), visit: "v1", block: "b", title: "t", form: nil, values: [:], reason: "x", by: "n", at: 1))
        let binding = Binding(visit: "v1", reason: .openVisit, by: "nurse", at: 1)
        var other = Recording.sample(kind: .file, claim: IdentityClaim(name: "DURANDAL PAUL"))
        other.channels = []
        try await store.begin(other, binding: binding)
        try await store.add(
            [
                Reading(
                    kind: .systolic, value: Ratio(120), unit: "mm[Hg]", at: nil, rawTime: nil, sequence: 0, source: "s")
            ], to: other.id)
        var carried = Recording.sample(kind: .file)
        carried.channels = []
        _ = try await store.beginCarried(
            carried, mediaType: "application/dicom", study: StudyObject(), size: 1, notes: [], binding: binding)
        try await store.attribute(id, to: "v1", by: "nurse", why: "x", at: 2)
        let bytes = try await store.original(id)
        let document = DocumentHasher.document(
            of: id, role: .original, mediaType: "application/octet-stream", bytes: bytes)
        let revision = try #require(try await store.recording(id)).summary.revision
        try await store.freeze(id, documents: [(document, bytes)], boundTo: "v1", revision: revision)
        try await store.beginUpload(document.id)
        try await store.uploadCreated(document.id, location: "https://ess.test/files/1")
        try await store.failed(document.id, error: "x", notBefore: 0)
        try await store.quarantine(document.id, reason: "x")
    }

    private func blobs(_ place: Place) throws -> [String: Set<Data>] {
        try DatabaseQueue(path: "\(place.directory)/\(Store.fileName)").read { db in
            var found: [String: Set<Data>] = [:]
            for table in try tables(db) {
                for column in try db.columns(in: table) where column.type == "BLOB" {
                    let values = try Data.fetchSet(
                        db, sql: "SELECT \(column.name) FROM \(table) WHERE typeof(\(column.name)) = 'blob'")
                    found["\(table).\(column.name)"] = values
                }
            }
            return found
        }
    }

    private func tables(_ db: Database) throws -> [String] {
        try String.fetchAll(
            db, sql: "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name")
    }

    /// Everything that belongs to a recording, but the wrapped data key itself.
    private func underDataKeys(_ place: Place) throws -> Set<String> {
        try DatabaseQueue(path: "\(place.directory)/\(Store.fileName)").read { db in
            var found: Set<String> = []
            for table in try tables(db) {
                let parents = try db.foreignKeys(on: table).map(\.destinationTable)
                guard table == "recording" || parents.contains("recording") || parents.contains("document") else {
                    continue
                }
                for column in try db.columns(in: table) where column.type == "BLOB" {
                    found.insert("\(table).\(column.name)")
                }
            }
            return found.subtracting(["recording.data_key"])
        }
    }

    @Test func anotherKeyFileIsRefused() async throws {
        let place = try Place()
        let (store, _) = try await place.open()
        let id = try await fill(store)
        let other = "\(place.scratch.path)/other.key"
        _ = try MasterKey.load(from: other, createIfMissing: true)
        #expect(await failure { try await store.rotateKeyFile(other, by: "admin") } == .wrongKey)
        #expect(await failure { try await store.rotateKeyFile("/nowhere/key", by: "admin") } != nil)
        try await expectWhole(store, id, rotated: false)
    }

    /// A lost key file must not be replaced by a new one as if nothing had been.
    @Test func noNewKeyForAnOldStore() async throws {
        let place = try Place()
        let (store, _) = try await place.open()
        try await store.close()
        try FileManager.default.removeItem(atPath: place.key)
        guard case .notFound = await failure({ try await place.open() }) else {
            Issue.record("opened")
            return
        }
        #expect(!FileManager.default.fileExists(atPath: place.key))
    }

    @Test func readersMeanwhileAreNotDisturbed() async throws {
        let place = try Place()
        let (store, _) = try await place.open()
        let id = try await fill(store)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    for _ in 0..<50 {
                        let count = try await store.original(id).count
                        #expect(count == 6)
                    }
                }
            }
            group.addTask {
                for _ in 0..<5 { try await store.rotateKeyFile(place.key, by: "admin") }
            }
            group.addTask { for _ in 0..<20 { try await store.setValue("x", forKey: "y") } }
            try await group.waitForAll()
        }
        #expect(try await store.visit("v1")?.patient == .jeanne)
        guard case .intact = try await store.verifyAudit() else {
            Issue.record("audit")
            return
        }
    }

    @Test func aBrokenTrailIsNotPaintedOver() async throws {
        let bench = try await Bench()
        for _ in 0..<3 { try await bench.store.audit(by: "n", action: "export", subject: "r") }
        try await bench.store.close()
        try await bench.tamper("UPDATE audit SET actor = 'x' WHERE id = 2", keepingTriggers: true)
        let store = try await Store.open(
            directory: bench.scratch.path, key: try testKey(), environment: bench.world.environment)
        let new = try testKey(9)
        #expect(await isRefused { try await store.rotateKey(to: new, by: "admin") })
        #expect(try await store.verifyAudit() == .broken(at: 2))
        try await store.rotateKey(to: new, by: "admin", acceptingBrokenTrail: true)
        #expect(try await store.verifyAudit() == .intact(entries: 5))
        #expect(try await store.auditEntries(limit: 2).map(\.action) == ["key.rotate", "audit.was-broken"])
    }
}
