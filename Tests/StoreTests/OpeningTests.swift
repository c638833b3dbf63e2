import Clinical
import Foundation
import GRDB
import Store
import Testing

@Suite struct Opening {
    @Test func filesArePrivate() async throws {
        let bench = try await Bench()
        _ = try await bench.openVisit()
        func mode(_ path: String) throws -> Int {
            try #require(FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int) & 0o777
        }
        #expect(try mode(bench.scratch.path) == 0o700)
        let files = try FileManager.default.contentsOfDirectory(atPath: bench.scratch.path)
        #expect(files.contains("\(Store.fileName)-wal"))
        for file in files { #expect(try mode("\(bench.scratch.path)/\(file)") == 0o600, "\(file)") }
    }

    @Test func aSecondOpenerIsTurnedAway() async throws {
        let bench = try await Bench()
        let error = await failure {
            try await Store.open(
                directory: bench.scratch.path, key: try testKey(), environment: bench.world.environment)
        }
        #expect(error == .inUse(getpid()))
        try await bench.store.close()
        _ = try await Store.open(
            directory: bench.scratch.path, key: try testKey(), environment: bench.world.environment)
    }

    @Test func aWrongKeyIsSaidAndHarmsNothing() async throws {
        let bench = try await Bench()
        _ = try await bench.openVisit()
        try await bench.store.close()
        let error = await failure {
            try await Store.open(
                directory: bench.scratch.path, key: try testKey(9), environment: bench.world.environment)
        }
        #expect(error == .wrongKey)
        let again = try await Store.open(
            directory: bench.scratch.path, key: try testKey(), environment: bench.world.environment)
        #expect(try await again.currentVisit()?.patient == .jeanne)
    }

    @Test func garbageIsCorrupt() async throws {
        let scratch = try Scratch()
        try Data((0..<8192).map { UInt8(truncatingIfNeeded: $0 &* 37) }).write(
            to: URL(fileURLWithPath: scratch.database))
        let error = await failure {
            try await Store.open(directory: scratch.path, key: try testKey(), environment: World().environment)
        }
        guard case .corrupt = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    @Test func aNewerSchemaIsLeftAlone() async throws {
        let bench = try await Bench()
        try await bench.store.close()
        try await DatabaseQueue(path: bench.scratch.database).write {
            try $0.execute(sql: "INSERT INTO grdb_migrations (identifier) VALUES ('v99')")
        }
        #expect(
            await isRefused {
                try await Store.open(
                    directory: bench.scratch.path, key: try testKey(), environment: bench.world.environment)
            })
    }

    @Test func everyTableIsStrict() async throws {
        let bench = try await Bench()
        try await bench.store.close()
        let loose = try await DatabaseQueue(path: bench.scratch.database).read {
            try String.fetchAll(
                $0, sql: "SELECT name FROM pragma_table_list WHERE type = 'table' AND strict = 0 AND schema = 'main'")
        }
        #expect(loose.filter { !$0.hasPrefix("sqlite_") && !$0.hasPrefix("grdb_") } == [])
    }

    @Test func valuesAndHealth() async throws {
        let bench = try await Bench()
        #expect(try await bench.store.value(forKey: "cursor") == nil)
        try await bench.store.setValue("2026-11-22T00:00:00Z", forKey: "cursor")
        try await bench.store.setValue("é", forKey: "other")
        try await bench.store.setValue(nil, forKey: "other")
        try await bench.store.healthCheck()
        try await bench.store.healthCheck()
        let store = try await bench.reopened()
        #expect(try await store.value(forKey: "cursor") == "2026-11-22T00:00:00Z")
        #expect(try await store.value(forKey: "other") == nil)
    }

    @Test func aClosedStoreSaysSo() async throws {
        let bench = try await Bench()
        try await bench.store.close()
        #expect(await failure { try await bench.store.close() } != nil)
        #expect(await failure { try await bench.store.healthCheck() } != nil)
        #expect(await failure { try await bench.store.visits() } != nil)
    }

    /// An ending session's task is cancelled; what it still has must reach the disk.
    @Test func cancellationDoesNotStopAWrite() async throws {
        let bench = try await Bench()
        let recording = Recording.sample()
        let store = bench.store
        try await Task {
            // unsafe: the task is used inside the closure only.
            unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
            #expect(Task.isCancelled)
            try await store.begin(recording, binding: nil)
            try await store.append(recording.id, blocks: [.sample(0)])
            try await store.seal(recording.id, reason: .deviceGone)
        }.value
        #expect(try await store.recording(recording.id)?.summary.state == .interrupted)
    }

    @Test func devices() async throws {
        let bench = try await Bench()
        var device = Recording.sample().device
        try await bench.store.seen(device, at: 5)
        #expect(try await bench.store.surprise("flag 3 set", from: device, at: 6))
        #expect(try await !bench.store.surprise("flag 3 set", from: device, at: 7))
        device.firmware = "2.0"
        try await bench.store.seen(device, at: 8)
        let devices = try await bench.store.devices()
        #expect(devices == [KnownDevice(identity: device, lastSeen: 8, surprises: ["flag 3 set"])])
    }
}

@Suite struct KeyFile {
    @Test func isMadeOnceAndPrivate() throws {
        let scratch = try Scratch()
        let path = "\(scratch.path)/master.key"
        #expect(throws: StoreError.notFound("master key file \(path)")) {
            try MasterKey.load(from: path, createIfMissing: false)
        }
        _ = try MasterKey.load(from: path, createIfMissing: true)
        let bytes = try Data(contentsOf: URL(fileURLWithPath: path))
        #expect(bytes.count == 32)
        let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
        #expect(mode == 0o600)
        _ = try MasterKey.load(from: path, createIfMissing: true)
        #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == bytes)
        #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.path) == ["master.key"])
    }

    @Test(arguments: [0, 31, 33, 4096])
    func mustHaveItsSize(_ size: Int) throws {
        let scratch = try Scratch()
        let path = "\(scratch.path)/master.key"
        try Data(count: size).write(to: URL(fileURLWithPath: path))
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
        #expect(throws: StoreError.self) { try MasterKey.load(from: path, createIfMissing: true) }
    }

    @Test func mustNotBeOpenToEverybody() throws {
        let scratch = try Scratch()
        let path = "\(scratch.path)/master.key"
        _ = try MasterKey.load(from: path, createIfMissing: true)
        try FileManager.default.setAttributes([.posixPermissions: 0o604], ofItemAtPath: path)
        #expect(throws: StoreError.self) { try MasterKey.load(from: path, createIfMissing: false) }
    }

    @Test func saysNothing() throws { #expect("\(try testKey())" == "MasterKey") }
}

@Suite struct Hashes {
    @Test func knownValues() throws {
        #expect(
            DocumentHasher.sha256(Array("abc".utf8))
                == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        #expect(DocumentHasher.sha1(Array("abc".utf8)) == "qZk+NkcGgWq6PiVxeFDCbJzQ2J0=")
        let dns = try #require(UUID(uuidString: "6ba7b810-9dad-11d1-80b4-00c04fd430c8"))
        #expect(
            DocumentHasher.uuid5(namespace: dns, name: "www.example.com").uuidString.lowercased()
                == "2ed6657d-e927-568b-95e1-2665a8aea6a2")
    }

    @Test func fingerprintsKeepPartsApart() {
        #expect(DocumentHasher.fingerprint([[1], [2]]) != DocumentHasher.fingerprint([[1, 2]]))
        #expect(DocumentHasher.fingerprint([[1], [2]]) == DocumentHasher.fingerprint([[1], [2]]))
        #expect(DocumentHasher.fingerprint([[], [1]]) != DocumentHasher.fingerprint([[1], []]))
    }
}

@Suite struct Disk {
    @Test(
        arguments: [
            (nil, .ample), (3_000_000_000, .ample), (2_000_000_000, .ample), (1_999_999_999, .low),
            (500_000_000, .low), (499_999_999, .refuseStart), (50_000_000, .refuseStart), (49_999_999, .stopRunning),
            (0, .stopRunning),
        ] as [(Int64?, DiskPolicy.Verdict)])
    func verdicts(_ free: Int64?, _ verdict: DiskPolicy.Verdict) {
        #expect(DiskPolicy().verdict(free: free) == verdict)
    }

    @Test func theRealDiskAnswers() {
        #expect(DiskPolicy.freeSpace(at: "/") ?? -1 >= 0)
        #expect(DiskPolicy.freeSpace(at: "/nowhere/at/all") == nil)
    }

    @Test func startsAreRefusedBeforeRunningOnesAreStopped() async throws {
        let bench = try await Bench()
        let running = Recording.sample()
        try await bench.store.begin(running, binding: nil)
        bench.world.setFree(400_000_000)
        let error = await failure { try await bench.store.begin(.sample(), binding: nil) }
        #expect(error == .diskLow(free: 400_000_000, needed: 500_000_000))
        #expect("\(try #require(error))".contains("free space"))
        let waveform = Waveform(channels: running.channels, samples: [[1], [2, 3]])
        let imported = await failure {
            try await bench.store.importRecording(
                .sample(kind: .file), waveform: waveform, original: [1], binding: nil)
        }
        #expect(imported == error)
        try await bench.store.append(running.id, blocks: [.sample(0)])
        bench.world.setFree(49_000_000)
        #expect(bench.store.diskVerdict() == .stopRunning)
        #expect(
            await failure { try await bench.store.append(running.id, blocks: [.sample(1)]) }
                == .diskLow(free: 49_000_000, needed: 50_000_000))
        try await bench.store.seal(running.id, reason: .storageFailed)
        #expect(try await bench.store.recording(running.id)?.summary.samples == [1, 2])
    }
}
