import Clinical
import Foundation
import GRDB
import Store
import Testing

/// A damaged file's readable rows go into a new one; the damaged one stays as it is.
@Suite struct RescueOfAFile {
    private func filled() async throws -> (bench: Bench, ids: [RecordingID]) {
        let bench = try await Bench()
        let open = try await bench.openVisit()
        var ids: [RecordingID] = []
        for n in 0..<40 {
            let id = try await bench.sealed(.sample(source: "s\(n)"), open, chunks: 30)
            try await bench.store.add(Note(kind: .device, text: "note of \(n)"), to: id)
            try await bench.store.audit(by: "nurse", action: AuditAction.viewIdentity, subject: "\(id)")
            if n % 4 == 0 { try await bench.freeze(id, size: 9000) }
            ids.append(id)
        }
        try await bench.store.close()
        return (bench, ids)
    }

    /// Noise over a page of a table or an index: a leaf, or the root.
    private func damage(_ bench: Bench, _ name: String, root: Bool) throws {
        let file = URL(fileURLWithPath: bench.scratch.database)
        let page = try DatabaseQueue(path: bench.scratch.database).read { db in
            if root {
                return try Int.fetchOne(
                    db, sql: "SELECT rootpage FROM sqlite_master WHERE name = ?", arguments: [name])
            }
            let leaves = try Int.fetchAll(
                db, sql: "SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf' ORDER BY pageno",
                arguments: [name])
            return leaves.dropFirst(leaves.count / 2).first
        }
        let damaged = try #require(page)
        var bytes = try Data(contentsOf: file)
        var random = Noise(state: 7)
        bytes.replaceSubrange(
            (damaged - 1) * 4096..<damaged * 4096,
            with: Data((0..<4096).map { _ in UInt8(truncatingIfNeeded: random.next()) }))
        try bytes.write(to: file)
    }

    private struct Noise: RandomNumberGenerator {
        var state: UInt64
        mutating func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state >> 24
        }
    }

    private func rescue(_ bench: Bench) async throws -> RescueReport {
        try await Store.rescue(
            directory: bench.scratch.path, key: try testKey(), environment: bench.world.environment)
    }

    private func opened(_ bench: Bench) async throws -> Store {
        try await Store.open(directory: bench.scratch.path, key: try testKey(), environment: bench.world.environment)
    }

    @Test(arguments: ["sqlite_autoindex_chunk_1", "sqlite_autoindex_recording_1", "recording_order"])
    func anIndexCostsNothing(_ index: String) async throws {
        let (bench, ids) = try await filled()
        try damage(bench, index, root: true)
        let report = try await rescue(bench)
        #expect(report.lost.isEmpty && report.copied > 1000)
        let store = try await opened(bench)
        let check = try await store.salvage()
        #expect(check.isSound && check.readable.count == ids.count)
        #expect(try await store.recover().problems == [])
        #expect(try await store.auditEntries(limit: 1).map(\.action) == [AuditAction.repair])
        // It goes on, under the same rules.
        try await store.begin(.sample(source: "new"), binding: nil)
        #expect(await isRefused { try await store.append(ids[0], blocks: [.sample(0)]) })
    }

    @Test(arguments: ["chunk", "note"])
    func aPageCostsWhatIsOnIt(_ table: String) async throws {
        let (bench, ids) = try await filled()
        try damage(bench, table, root: false)
        let before = try Data(contentsOf: URL(fileURLWithPath: bench.scratch.database))
        let report = try await rescue(bench)
        #expect(Set(report.lost.keys) == [table])
        #expect(try Data(contentsOf: URL(fileURLWithPath: report.kept)) == before)
        let store = try await opened(bench)
        #expect(try await store.recordings().count == ids.count)
        let check = try await store.salvage()
        #expect(check.problems == [] && check.damagedVisits == [])
        #expect(check.readable.count >= ids.count - 6 && check.readable.count + check.damaged.count == ids.count)
        #expect(try await store.verifyAudit() == .intact(entries: try await store.auditEntries().count))
    }

    @Test("a large file isn't checked at a start; damage that is found later makes the next one look")
    func aLargeFile() async throws {
        let (bench, _) = try await filled()
        var store = try await opened(bench)
        #expect(
            try await store.recover(checkUpTo: 0)
                == .init(sealed: [], uploadsInFlight: 0, problems: [], isChecked: false))
        #expect(try await store.checkFile() == [])
        #expect(!store.knownDamage.isAny)
        try await store.close()
        try damage(bench, "chunk", root: false)
        store = try await opened(bench)
        #expect(try await store.recover(checkUpTo: 0).problems == [])
        #expect(try await !store.checkFile().isEmpty)
        #expect(store.knownDamage.isFileDamaged)
        try await store.close()
        store = try await opened(bench)
        let report = try await store.recover(checkUpTo: 0)
        #expect(report.isChecked && !report.problems.isEmpty)
        try await store.close()
        _ = try await rescue(bench)
        store = try await opened(bench)
        #expect(try await store.recover(checkUpTo: 0).isChecked)
        #expect(try await !store.recover(checkUpTo: 0).isChecked)
    }

    /// The trail tells that it lost something, and goes on.
    @Test func theAuditTrail() async throws {
        let (bench, ids) = try await filled()
        try damage(bench, "audit", root: true)
        let report = try await rescue(bench)
        #expect(report.lost["audit"] != nil)
        let store = try await opened(bench)
        guard case .broken = try await store.verifyAudit() else {
            Issue.record("the loss is hidden")
            return
        }
        try await store.audit(by: "nurse", action: AuditAction.export, subject: "x")
        #expect(try await store.salvage().readable.count == ids.count)
    }

    /// Without the list of recordings the same night would come in and go out again under another identity.
    @Test(arguments: ["recording", "visit", "meta"])
    func whatKeepsThemApartIsNotGuessed(_ table: String) async throws {
        let (bench, _) = try await filled()
        try damage(bench, table, root: true)
        let before = try Data(contentsOf: URL(fileURLWithPath: bench.scratch.database))
        guard case .corrupt = await failure({ try await rescue(bench) }) else {
            Issue.record("rescued")
            return
        }
        #expect(try Data(contentsOf: URL(fileURLWithPath: bench.scratch.database)) == before)
        let names = try FileManager.default.contentsOfDirectory(atPath: bench.scratch.path)
        #expect(!names.contains { $0.contains("rescued") || $0.contains("damaged-") })
    }

    @Test func anotherKeyRescuesNothing() async throws {
        let (bench, _) = try await filled()
        let other = await failure {
            try await Store.rescue(
                directory: bench.scratch.path, key: try testKey(9), environment: bench.world.environment)
        }
        #expect(other == .wrongKey)
    }
}

@Suite struct DamagedDocuments {
    @Test func onlyTheSameBytesComeBack() async throws {
        let bench = try await Bench()
        let id = try await bench.sealed(.sample(), try await bench.openVisit())
        let document = try await bench.freeze(id, size: 3_000_000).artefact
        #expect(try await bench.store.isIntact(document.id))
        try await bench.store.beginUpload(document.id)
        try await bench.store.close()
        try await bench.tamper("UPDATE document_part SET bytes = zeroblob(100) WHERE n = 1", keepingTriggers: true)
        let store = try await Store.open(
            directory: bench.scratch.path, key: try testKey(), environment: bench.world.environment)
        #expect(try await !store.isIntact(document.id))
        let right = [UInt8](repeating: 0xA1, count: document.size)
        #expect(await isRefused { try await store.restoreBytes(of: document.id, Array(right.dropLast()) + [0]) })
        #expect(try await !store.isIntact(document.id))
        try await store.restoreBytes(of: document.id, right)
        #expect(try await store.isIntact(document.id))
        #expect(try await store.documentBytes(document.id, offset: 0, count: document.size) == right)
        #expect(try await store.auditEntries(limit: 1).map(\.action) == [AuditAction.repair])
    }
}

/// Values that a sound file can't hold, as a damaged page may: each reader says so or goes on; none ends the process.
@Suite struct UnreadableValues {
    private static let columns: [(table: String, columns: [String])] = [
        (
            "recording",
            [
                "uuid", "state", "kind", "modality", "origin", "device", "channels", "clock", "start_known",
                "begun_at", "chunks", "bytes", "counts", "revision", "data_key", "mark", "visit", "end_reason", "doubt",
            ]
        ),
        ("binding", ["n", "visit", "reason", "by", "at", "mark"]),
        ("chunk", ["n", "first", "raw", "decoded", "created"]),
        ("note", ["n", "sealed"]), ("visit", ["id", "version", "status", "sealed", "left_at"]),
        ("document", ["id", "role", "media_type", "size", "sha256", "sha1"]), ("document_part", ["n", "bytes"]),
        ("outgoing", ["state", "confirmed", "restarts", "begun_at", "facts", "urgency", "begun", "lost"]),
        ("attempt", ["count", "not_before", "last_error"]), ("receipt", ["sha256", "size", "stored_at", "durability"]),
        ("audit", ["at", "actor", "action", "subject", "details", "hash"]), ("loan", ["driver", "serial", "sealed"]),
        ("device", ["identity", "last_seen", "surprises"]), ("setting", ["key", "sealed"]), ("meta", ["value"]),
    ]

    @Test(arguments: columns.map(\.table))
    func areTold(_ table: String) async throws {
        let bench = try await Bench()
        let id = try await bench.sealed(.sample(), try await bench.openVisit())
        try await bench.store.add(Note(kind: .device, text: "x"), to: id)
        let documents = try await bench.freeze(id)
        try await bench.store.beginUpload(documents.artefact.id)
        try await bench.store.record(
            Receipt(
                rid: documents.artefact.id, sha256: documents.artefact.sha256, size: documents.artefact.size,
                storedAt: "2026-11-22T10:00:00Z", durability: "fsync", storeEpoch: "e1"))
        try await bench.store.setValue("e1", forKey: Store.storeEpochKey)
        try await bench.store.lend(
            driver: "test-device", serial: "S1", to: "v1", from: try #require(LocalTime("2026-11-22 17:00:00")),
            by: "nurse", at: 1)
        try await bench.store.seen(Recording.sample().device, at: 1)
        try await bench.store.close()
        let sound = try Data(contentsOf: URL(fileURLWithPath: bench.scratch.database))
        for column in try #require(Self.columns.first { $0.table == table }).columns {
            for value in ["NULL", "'x'", "-1", "9223372036854775807"] {
                let scratch = try Scratch()
                try sound.write(to: URL(fileURLWithPath: scratch.database))
                try Self.put(value, column, table, scratch.database)
                await Self.readEverything(scratch, bench.world, id, documents.artefact.id)
            }
        }
    }

    /// The table without its rules, as SQLite reads one whose page isn't what was written.
    private static func put(_ value: String, _ column: String, _ table: String, _ path: String) throws {
        var configuration = Configuration()
        configuration.foreignKeysEnabled = false
        try DatabaseQueue(path: path, configuration: configuration).write { db in
            for name in try String.fetchAll(db, sql: "SELECT name FROM sqlite_master WHERE type = 'trigger'") {
                try db.execute(sql: "DROP TRIGGER \(name)")
            }
            let indexes = try String.fetchAll(
                db, sql: "SELECT sql FROM sqlite_master WHERE type = 'index' AND tbl_name = ? AND sql NOT NULL",
                arguments: [table])
            let columns = try db.columns(in: table).map(\.name).joined(separator: ", ")
            try db.execute(sql: "CREATE TABLE aside AS SELECT * FROM \(table); DROP TABLE \(table)")
            try db.execute(sql: "CREATE TABLE \(table) (\(columns))")
            try db.execute(sql: "INSERT INTO \(table) SELECT * FROM aside; DROP TABLE aside")
            for index in indexes { try db.execute(sql: index) }
            try db.execute(sql: "UPDATE \(table) SET \(column) = \(value)")
        }
    }

    private static func readEverything(
        _ scratch: Scratch, _ world: World, _ id: RecordingID, _ document: UUID
    ) async {
        guard
            let store = try? await Store.open(
                directory: scratch.path, key: try testKey(), environment: world.environment)
        else { return }
        _ = try? await store.recover()
        _ = try? await store.salvage()
        _ = try? await store.recordings()
        _ = try? await store.recording(id)
        _ = try? await store.salvaged(id)
        _ = try? await store.visits()
        _ = try? await store.loans()
        _ = try? await store.devices()
        _ = try? await store.auditEntries()
        _ = try? await store.outbox(now: .max)
        _ = try? await store.factsPending(now: .max)
        _ = try? await store.syncItems(limit: 9, received: 9)
        _ = try? await store.purgeable(now: .max)
        _ = try? await store.purgeIdentities(now: .max, by: "agent")
        _ = try? await store.receiptsToConfirm(epoch: "e2")
        _ = try? await store.statusCounts()
        _ = try? await store.recordingCounts()
        _ = try? await store.answers()
        _ = try? await store.documentBytes(document, offset: 0, count: 9)
        _ = try? await store.attribute(id, to: "v1", by: "n", why: nil, at: 1)
        try? await store.close()
    }
}
