import Clinical
import Foundation
import GRDB
import Store
import Testing

@Suite struct Secrecy {
    /// A store with every kind of secret in it. The marks are long enough never to occur by chance.
    private func filled() async throws -> Bench {
        let bench = try await Bench()
        let store = bench.store
        let binding = try await bench.openVisit()
        let claim = IdentityClaim(name: "TARTEMPIONNE", birthDate: "1938-04-12", patientID: "238047512345622")
        let recording = Recording.sample(claim: claim)
        try await store.begin(recording, binding: binding)
        let block = Block(
            samples: [[Sample](repeating: 0x4142_4344, count: 64), []],
            raw: Array(String(repeating: "RAWBYTES", count: 8).utf8), at: 1)
        try await store.append(recording.id, blocks: [block])
        try await store.add(Note(kind: .device, text: "NOTETEXT-SECRET"), to: recording.id)
        try await store.seal(recording.id, reason: .finished)
        let held = Recording.sample(claim: IdentityClaim(name: "NABUCHODONOSOR"))
        try await store.begin(held, binding: binding)
        try await store.append(held.id, blocks: [block])
        try await store.attribute(held.id, to: "v1", by: "nurse", why: "WHYTEXT-SECRET", at: 1)
        let bytes = Array(String(repeating: "FROZENBYTES", count: 200_000).utf8)
        let document = DocumentHasher.document(
            of: recording.id, role: .artefact, mediaType: "application/dicom", bytes: bytes)
        let revision = try #require(try await store.recording(recording.id)).summary.revision
        try await store.freeze(recording.id, documents: [(document, bytes)], boundTo: "v1", revision: revision)
        try await store.beginUpload(document.id)
        try await store.uploadCreated(document.id, location: "https://ess.test/LOCATION-SECRET")
        try await store.failed(document.id, error: "ERRORTEXT-SECRET", notBefore: 0)
        try await store.quarantine(document.id, reason: "QUARANTINE-SECRET")
        try await store.setValue("SETTING-SECRET", forKey: "cursor")
        try await store.audit(by: "nurse", action: "export", subject: "x", details: "DETAILS-SECRET")
        return bench
    }

    private func leaks(in bench: Bench) throws -> [String] {
        let words = [
            "Tartempionne", "TARTEMPIONNE", "NABUCHODONOSOR", "Jeanne", "1938-04-12", "238047512345622", "Dyspn",
            "Glycines", "RAWBYTES", "DCBADCBADCBA", "NOTETEXT", "WHYTEXT", "FROZENBYTES", "LOCATION-SECRET",
            "ERRORTEXT", "QUARANTINE-SECRET", "SETTING-SECRET", "DETAILS-SECRET",
        ]
        var found: [String] = []
        for file in try FileManager.default.contentsOfDirectory(atPath: bench.scratch.path) {
            let data = try Data(contentsOf: URL(fileURLWithPath: "\(bench.scratch.path)/\(file)"))
            for word in words where data.range(of: Data(word.utf8)) != nil { found.append("\(word) in \(file)") }
        }
        return found
    }

    @Test func nothingIsReadableInAnyFile() async throws {
        let bench = try await filled()
        let wal = "\(bench.scratch.database)-wal"
        #expect(try Data(contentsOf: URL(fileURLWithPath: wal)).count > 1_000_000)
        #expect(try leaks(in: bench) == [])
        try await bench.store.close()
        #expect(try leaks(in: bench) == [])
        let file = try Data(contentsOf: URL(fileURLWithPath: bench.scratch.database))
        #expect(file.range(of: Data("test-device".utf8)) != nil, "the search finds what is in the clear")
    }

    /// Rows that were moved, in the file, to where they would be another patient's.
    @Test(
        arguments: [
            "UPDATE chunk SET raw = (SELECT raw FROM chunk WHERE n = 1) WHERE n = 0",
            "UPDATE chunk SET raw = decoded WHERE n = 0",
            "UPDATE chunk SET raw = zeroblob(8) WHERE n = 0",
            "UPDATE chunk SET n = n + 10; UPDATE chunk SET n = 12 - n",
            "DELETE FROM chunk WHERE n = 2",
            "DELETE FROM chunk WHERE n = 1",
            "UPDATE chunk SET raw = (SELECT raw FROM chunk o WHERE o.recording <> chunk.recording AND o.n = chunk.n)",
            "UPDATE recording SET data_key = (SELECT data_key FROM recording o WHERE o.uuid <> recording.uuid)",
        ])
    func swappedRowsDoNotOpen(_ sql: String) async throws {
        let bench = try await Bench()
        let first = try await bench.sealed(.sample(), nil, chunks: 3)
        _ = try await bench.sealed(.sample(), nil, chunks: 3)
        try await bench.store.close()
        try await bench.tamper(sql)
        let store = try await Store.open(
            directory: bench.scratch.path, key: try testKey(), environment: bench.world.environment)
        let error = await failure { try await store.original(first) }
        guard case .corrupt = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    @Test func visitsCannotBeSwapped() async throws {
        let bench = try await Bench()
        try await bench.store.merge(visits: [.sample("v1"), .sample("v2", patient: .paul)])
        try await bench.store.close()
        try await bench.tamper("UPDATE visit SET sealed = (SELECT sealed FROM visit WHERE id = 'v2')")
        let store = try await Store.open(
            directory: bench.scratch.path, key: try testKey(), environment: bench.world.environment)
        #expect(await failure { try await store.visit("v1") } != nil)
    }
}

extension Bench {
    /// What somebody with the file but without the program does: no triggers in the way.
    /// - Parameter keepingTriggers: puts the triggers back afterwards.
    func tamper(_ sql: String, keepingTriggers: Bool = false) async throws {
        var configuration = Configuration()
        configuration.foreignKeysEnabled = false
        try await DatabaseQueue(path: scratch.database, configuration: configuration).write { db in
            let triggers = try Row.fetchAll(db, sql: "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
            for trigger in triggers { try db.execute(sql: "DROP TRIGGER \(trigger["name"] as String)") }
            try db.execute(sql: sql)
            if keepingTriggers { for trigger in triggers { try db.execute(sql: trigger["sql"] as String) } }
        }
    }
}

@Suite struct InsertOnly {
    @Test func triggersRefuse() async throws {
        let bench = try await Bench()
        let binding = try await bench.openVisit()
        let held = Recording.sample(claim: IdentityClaim(name: "NABUCHODONOSOR"))
        try await bench.store.begin(held, binding: binding)
        let id = try await bench.sealed(.sample(), binding)
        try await bench.store.add(Note(kind: .device, text: "x"), to: id)
        let from = try #require(LocalTime("2026-11-22 17:00:00"))
        try await bench.store.lend(driver: "d", serial: "s", to: "v1", from: from, by: "n", at: 1)
        let document = try await bench.freeze(id).artefact
        try await bench.store.beginUpload(document.id)
        try await bench.store.record(
            Receipt(
                rid: document.id, sha256: document.sha256, size: document.size, storedAt: "", durability: "fsync",
                storeEpoch: ""))
        try await bench.store.close()
        let queue = try DatabaseQueue(path: bench.scratch.database)
        let forbidden =
            ["chunk", "note", "binding", "held", "receipt", "audit"].flatMap {
                ["DELETE FROM \($0)", "UPDATE \($0) SET rowid = rowid"]
            } + [
                "UPDATE document SET sha256 = ''", "UPDATE document_part SET n = n", "DELETE FROM document_part",
                "DELETE FROM outgoing WHERE begun_at IS NOT NULL", "UPDATE outgoing SET begun_at = NULL",
                "DELETE FROM recording", "UPDATE recording SET state = 'open' WHERE state = 'complete'",
                "UPDATE recording SET claim = NULL", "DELETE FROM loan", "UPDATE loan SET visit = 'v2'",
                "UPDATE recording SET data_key = zeroblob(0)", "UPDATE recording SET origin = 'device'",
                "INSERT INTO chunk SELECT recording, 99, first, arrived, created, decoder, raw, decoded FROM chunk "
                    + "LIMIT 1",
            ]
        for sql in forbidden {
            await #expect(throws: DatabaseError.self, "\(sql)") { try await queue.write { try $0.execute(sql: sql) } }
        }
    }
}

@Suite struct AuditTrail {
    private func written() async throws -> Bench {
        let bench = try await Bench()
        for n in 0..<5 {
            try await bench.store.audit(by: "nurse", action: "export", subject: "r\(n)", details: "to a stick")
        }
        return bench
    }

    @Test func holds() async throws {
        let bench = try await written()
        #expect(try await bench.store.verifyAudit() == .intact(entries: 5))
        let store = try await bench.reopened()
        try await store.audit(by: "nurse", action: "look", subject: "r1")
        #expect(try await store.verifyAudit() == .intact(entries: 6))
        let entries = try await store.auditEntries(limit: 2)
        #expect(entries.map(\.id) == [6, 5])
        #expect(
            entries[1]
                == AuditEntry(
                    id: 5, at: bench.world.time, actor: "nurse", action: "export", subject: "r4",
                    details: "to a stick"))
    }

    @Test(
        arguments: [
            ("UPDATE audit SET actor = 'somebody' WHERE id = 3", 3), ("UPDATE audit SET at = at + 1 WHERE id = 1", 1),
            ("UPDATE audit SET action = 'exportr', subject = substr(subject, 2) WHERE id = 2", 2),
            ("DELETE FROM audit WHERE id = 4", 4), ("DELETE FROM audit WHERE id = 5", 5), ("DELETE FROM audit", 1),
            ("UPDATE audit SET details = (SELECT details FROM audit WHERE id = 1) WHERE id = 2", 2),
            // Reordered: two entries change places.
            (
                "UPDATE audit SET id = 99 WHERE id = 2; UPDATE audit SET id = 2 WHERE id = 3; "
                    + "UPDATE audit SET id = 3 WHERE id = 99", 2
            ),
            // Cut at the end, with the head of an earlier moment missing or made up.
            ("DELETE FROM audit WHERE id > 3; DELETE FROM meta WHERE key = 'audit'", 4),
            ("DELETE FROM audit; UPDATE meta SET value = zeroblob(60) WHERE key = 'audit'", 1),
            ("INSERT INTO audit SELECT 6, at, actor, action, subject, details, hash FROM audit WHERE id = 5", 6),
        ] as [(String, Int64)])
    func noticesTampering(_ sql: String, _ entry: Int64) async throws {
        let bench = try await written()
        try await bench.store.close()
        try await bench.tamper(sql)
        let store = try await Store.open(
            directory: bench.scratch.path, key: try testKey(), environment: bench.world.environment)
        #expect(try await store.verifyAudit() == .broken(at: entry))
    }
}
