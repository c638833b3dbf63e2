import Clinical
import Devices
import FoundationEssentials
import Glibc
import Store

/// What this laptop's disk does with recordings, sealed as they always are: for support ("is it fit for this?") and for
/// `make bench`. Nothing here is a patient's.
public struct DiskMeasurement: Codable, Sendable {
    /// Durable commits, each a second of twelve leads, one after the other on each device.
    public struct Rate: Codable, Sendable {
        /// That record at once, each as fast as the store takes it.
        public var devices: Int
        public var commits: Int
        public var seconds: Double
        /// Of samples and original bytes, before coding.
        public var bytes: Int
        /// What one commit writes: sealed rows, on average.
        public var storedBytes: Int
    }

    /// As recordings are kept.
    public var coded: [Rate]
    /// Sealed and not coded: what the encryption alone costs.
    public var sealed: [Rate]
    /// Eight devices at once, a second of each every second: from the block's last byte to durable, milliseconds.
    public var streams: Int
    public var median: Double
    public var percentile99: Double
    public var slowest: Double
}

/// How long the questions of every day take on a store as it is; milliseconds.
public struct StoreMeasurement: Codable, Sendable {
    public var recordings: Int
    public var openAndRecover: Double
    public var nextToSend: Double
    public var statusCounts: Double
}

public struct Measurement: Sendable {
    private let clock = HostClock()

    public init() {}

    /// - Parameter directory: on the disk to measure; a directory of its own is made in it and removed again.
    /// - Throws: `Problem`.
    public func disk(_ directory: String, seconds: Int) async throws(Problem) -> DiskMeasurement {
        let place = "\(directory)/ess-agent-measure-\(getpid())"
        defer { try? FileManager.default.removeItem(atPath: place) }
        do throws(StoreError) {
            var random = SystemRandomNumberGenerator()
            let key = try MasterKey(bytes: (0..<32).map { _ in UInt8.random(in: 0...255, using: &random) })
            var configuration = Configuration()
            configuration.stateDirectory = place
            let store = try await Store.open(
                directory: place, key: key, environment: configuration.environment(clock))
            let blocks = (0..<16).map { Self.second($0) }
            var environment = configuration.environment(clock)
            environment.coding = .none
            let plain = try await Store.open(directory: "\(place)/uncoded", key: key, environment: environment)
            var (coded, sealed): ([DiskMeasurement.Rate], [DiskMeasurement.Rate]) = ([], [])
            for devices in [1, Self.devices] {
                sealed.append(try await rate(plain, blocks, devices: devices, seconds: seconds))
                coded.append(try await rate(store, blocks, devices: devices, seconds: seconds))
            }
            try await plain.close()
            let latencies = try await streams(Self.devices, store, blocks, seconds: seconds).sorted()
            try await store.close()
            func at(_ share: Double) -> Double {
                latencies[min(latencies.count - 1, Int(Double(latencies.count) * share))]
            }
            return DiskMeasurement(
                coded: coded, sealed: sealed, streams: Self.devices, median: at(0.5), percentile99: at(0.99),
                slowest: at(1))
        } catch {
            throw Problem(error)
        }
    }

    private static let devices = 8

    private func rate(
        _ store: Store, _ blocks: [Block], devices: Int, seconds: Int
    ) async throws(StoreError) -> DiskMeasurement.Rate {
        let start = clock.monotonic
        let each = try await together(devices) { device throws(StoreError) in
            let id = try await begin(store)
            var commits = 0
            while clock.monotonic - start < UInt64(seconds) * 1_000_000_000 {
                try await store.append(id, blocks: [blocks[(device + commits) % blocks.count]])
                commits += 1
            }
            return (id, commits)
        }
        let lasted = Double(clock.monotonic - start) / 1e9
        var stored = 0
        for (id, _) in each {
            try await store.seal(id, reason: .finished)
            stored += try await store.storedBytes(id)
        }
        let commits = each.reduce(0) { $0 + $1.1 }
        let size = blocks.reduce(0) { $0 + $1.raw.count + $1.samples.reduce(0) { $0 + $1.count * 2 } } / blocks.count
        return DiskMeasurement.Rate(
            devices: devices, commits: commits, seconds: lasted, bytes: commits * size,
            storedBytes: stored / max(1, commits))
    }

    private func together<T: Sendable>(
        _ count: Int, _ work: @escaping @Sendable (Int) async throws(StoreError) -> T
    ) async throws(StoreError) -> [T] {
        let results = await withTaskGroup(of: Result<T, StoreError>.self) { group in
            for device in 0..<count {
                group.addTask {
                    do throws(StoreError) { return .success(try await work(device)) } catch { return .failure(error) }
                }
            }
            return await group.reduce(into: [Result<T, StoreError>]()) { $0.append($1) }
        }
        var all: [T] = []
        for result in results { all.append(try result.get()) }
        return all
    }

    /// The store of a configuration, while no agent runs.
    /// - Throws: `Problem`.
    public func store(_ configuration: Configuration) async throws(Problem) -> StoreMeasurement {
        do throws(StoreError) {
            let key = try MasterKey.load(from: configuration.masterKeyPath, createIfMissing: false)
            var (opened, next, counts) = (0.0, 0.0, 0.0)
            let start = clock.monotonic
            let store = try await Store.open(
                directory: configuration.stateDirectory, key: key, environment: configuration.environment(clock))
            _ = try await store.recover()
            opened = milliseconds(since: start)
            // The first question warms the page cache as the first pass of the agent does.
            _ = try? await store.outbox(now: .max, limit: 1)
            let asked = clock.monotonic
            _ = try? await store.outbox(now: .max, limit: 1)
            next = milliseconds(since: asked)
            let counting = clock.monotonic
            let status = try await store.statusCounts()
            counts = milliseconds(since: counting)
            try await store.close()
            return StoreMeasurement(
                recordings: status.recordings, openAndRecover: opened, nextToSend: next, statusCounts: counts)
        } catch {
            throw Problem(starting: error, configuration)
        }
    }

    private func streams(
        _ count: Int, _ store: Store, _ blocks: [Block], seconds: Int
    ) async throws(StoreError) -> [Double] {
        try await together(count) { stream throws(StoreError) in
            let id = try await begin(store)
            var latencies: [Double] = []
            for n in 0..<max(2, seconds) {
                let arrived = clock.monotonic
                try await store.append(id, blocks: [blocks[(stream + n) % blocks.count]])
                latencies.append(milliseconds(since: arrived))
                try? await Task.sleep(for: .milliseconds(max(0, 1000 - Int(latencies[n]))))
            }
            try await store.seal(id, reason: .finished)
            return latencies
        }.flatMap { $0 }
    }

    private func milliseconds(since start: UInt64) -> Double { Double(clock.monotonic - start) / 1e6 }

    private func begin(_ store: Store) async throws(StoreError) -> RecordingID {
        var random = SystemRandomNumberGenerator()
        let id = RecordingID(milliseconds: UInt64(clock.wall), random: &random)
        let recording = Recording(
            id: id, kind: .live, modality: .ecg, origin: .simulated,
            device: DeviceIdentity(
                driver: "measurement", vendor: "ess-agent", model: "disk", serial: "SIM-DISK", support: .experimental),
            channels: Self.channels, clock: clock.facts(deviceStart: nil, deviceRaw: nil, source: .host))
        try await store.begin(recording, binding: nil)
        return id
    }

    private static let rate = 500
    private static let channels: [Channel] = [
        (Channel.Signal.ecgI, "I"), (.ecgII, "II"), (.ecgIII, "III"), (.ecgAVR, "aVR"), (.ecgAVL, "aVL"),
        (.ecgAVF, "aVF"), (.ecgV1, "V1"), (.ecgV2, "V2"), (.ecgV3, "V3"), (.ecgV4, "V4"), (.ecgV5, "V5"),
        (.ecgV6, "V6"),
    ].map { signal, name in
        Channel(
            signal: signal, name: name, unit: "uV", rate: Ratio(rate), scale: Ratio(5, 2), range: -2048...2047,
            calibration: .unverified)
    }

    /// A second of something like an ECG: a slow wave, a sharp one each second, and noise that no coder removes.
    private static func second(_ number: Int) -> Block {
        var state = UInt64(number) &* 0x9E37_79B9_7F4A_7C15 &+ 1
        func noise() -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 60) - 8
        }
        var samples = [[Sample]](repeating: [], count: channels.count)
        var raw: [UInt8] = []
        for n in 0..<rate {
            let beat = n % 400 < 12 ? 900 - abs(n % 400 - 6) * 140 : 0
            for lead in channels.indices {
                let value = (beat * (lead + 3)) / 9 + (n % 250) / 5 + noise()
                samples[lead].append(Sample(value))
                raw.append(UInt8(truncatingIfNeeded: value))
                raw.append(UInt8(truncatingIfNeeded: value >> 8))
            }
        }
        return Block(samples: samples, raw: raw, at: UInt64(number) * 1_000_000_000)
    }
}
