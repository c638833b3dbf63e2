import Clinical
import Devices
import Formats
import Foundation
import Store
import Testing

@testable import Agent

@Suite struct StandardCodingTests {
    private func scratch() throws -> String {
        let path = FileManager.default.temporaryDirectory.appending(path: "ess-coding-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        return path
    }

    private func open(_ path: String, _ coding: PayloadCoding) async throws -> Store {
        try await Store.open(
            directory: path, key: try MasterKey(bytes: Array(0..<32)),
            environment: Store.Environment(
                now: { 1_790_000_000_000 }, freeSpace: { nil }, decoder: "test", coding: coding))
    }

    /// 12 leads, 500 Hz, 1 µV: waves and a little noise; III, aVR, aVL and aVF computed from I and II.
    private func leads(_ seconds: Int) -> Waveform {
        var noise: UInt64 = 42
        func random(_ span: Int) -> Int {
            noise = noise &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(noise >> 33) % span - span / 2
        }
        let count = 500 * seconds
        func lead(_ gain: Int) -> [Sample] {
            (0..<count).map { t in
                let beat = t % 400
                let spike = beat < 40 ? gain * (20 - abs(beat - 20)) : 0
                let wave = (100..<200).contains(beat) ? gain * (50 - abs(beat - 150)) / 4 : 0
                return Sample(spike + wave + random(9) + Int(100 * sin(Double(t) / 700)))
            }
        }
        let (one, two) = (lead(40), lead(55))
        let chest = (0..<6).map { lead(20 + 12 * $0) }
        let derived: [[Sample]] = [
            zip(one, two).map { $1 - $0 }, zip(one, two).map { -($0 + $1) / 2 }, zip(one, two).map { $0 - $1 / 2 },
            zip(one, two).map { $1 - $0 / 2 },
        ]
        let signals: [Channel.Signal] = [
            .ecgI, .ecgII, .ecgIII, .ecgAVR, .ecgAVL, .ecgAVF, .ecgV1, .ecgV2, .ecgV3, .ecgV4, .ecgV5, .ecgV6,
        ]
        return Waveform(
            channels: signals.map {
                Channel(
                    signal: $0, name: $0.rawValue, unit: "uV", rate: Ratio(500), scale: Ratio(1), range: -32767...32767,
                    calibration: .verified)
            }, samples: [one, two] + derived + chest)
    }

    private func recording(_ channels: [Channel], kind: Recording.Kind) -> Recording {
        var generator = SystemRandomNumberGenerator()
        return Recording(
            id: RecordingID(milliseconds: 1_790_000_000_000, random: &generator), kind: kind, modality: .ecg,
            origin: .device,
            device: DeviceIdentity(driver: "t", vendor: "T", model: "T", serial: nil, support: .verified),
            channels: channels,
            clock: ClockFacts(
                deviceStart: nil, deviceRaw: nil, hostWall: 1_790_000_000_000, hostMonotonic: 1, bootID: "b",
                hostSynchronised: true, source: .host), source: nil, claim: nil)
    }

    private func raw(_ wave: Waveform, _ range: Range<Int>) -> [UInt8] {
        range.flatMap { t in
            wave.samples.prefix(8).flatMap {
                [UInt8(truncatingIfNeeded: $0[t]), UInt8(truncatingIfNeeded: $0[t] >> 8)]
            }
        }
    }

    private func size(_ path: String) throws -> Int {
        try ["", "-wal"].reduce(0) { total, suffix in
            let file = "\(path)/\(Store.fileName)\(suffix)"
            guard FileManager.default.fileExists(atPath: file) else { return total }
            return total + (try FileManager.default.attributesOfItem(atPath: file)[.size] as? Int ?? 0)
        }
    }

    private func live(_ path: String, _ coding: PayloadCoding, _ wave: Waveform) async throws -> RecordingID {
        let store = try await open(path, coding)
        let live = recording(wave.channels, kind: .live)
        try await store.begin(live, binding: nil)
        for second in 0..<wave.samples[0].count / 500 {
            let range = second * 500..<(second + 1) * 500
            try await store.append(
                live.id,
                blocks: [
                    Block(samples: wave.samples.map { Array($0[range]) }, raw: raw(wave, range), at: UInt64(second))
                ])
        }
        try await store.seal(live.id, reason: .finished)
        try await store.close()
        return live.id
    }

    @Test func aLiveECGTakesLessOfTheDisk() async throws {
        let wave = leads(8)
        let (plain, coded) = (try scratch(), try scratch())
        defer { for path in [plain, coded] { try? FileManager.default.removeItem(atPath: path) } }
        _ = try await live(plain, .none, wave)
        let id = try await live(coded, .standard, wave)
        let (before, after) = (try size(plain), try size(coded))
        // SQLite's own pages, the same in both, are most of so short a recording.
        #expect(before - after > 8 * 500 * (24 + 16) / 4, "\(before) bytes became \(after)")
        let store = try await open(coded, .standard)
        #expect(try await store.waveform(id) == wave)
        #expect(try await store.original(id) == raw(wave, 0..<4000))
    }

    @Test func anImportedECGIsCodedInStretchesOfTenSeconds() async throws {
        let wave = leads(24)
        let path = try scratch()
        defer { try? FileManager.default.removeItem(atPath: path) }
        let store = try await open(path, .standard)
        let file = recording(wave.channels, kind: .file)
        _ = try await store.importRecording(
            file, waveform: wave, original: raw(wave, 0..<12000), binding: nil)
        #expect(try await store.waveform(file.id) == wave)
        #expect(try await store.original(file.id) == raw(wave, 0..<12000))
        #expect(try await store.salvage().isSound)
    }

    @Test func zstdGivesBackWhatItTook() {
        for bytes in [
            Array(repeating: UInt8(1), count: 64), (0..<700_000).map { UInt8(truncatingIfNeeded: $0 / 7) },
        ] {
            let packed = Zstd.pack(bytes)
            #expect(packed != nil && packed.flatMap(Zstd.unpack) == bytes)
            #expect((packed ?? []).count < bytes.count / 2)
        }
        var state: UInt64 = 1
        let noise = (0..<400_000).map { _ -> UInt8 in
            state = state &* 6_364_136_223_846_793_005 &+ 1
            return UInt8(truncatingIfNeeded: state >> 56)
        }
        #expect(Zstd.pack(noise) == nil && Zstd.pack([]) == nil && Zstd.pack([1, 2, 3]) == nil)
        for bad in [[], [0x28, 0xB5, 0x2F, 0xFD], noise] { #expect(Zstd.unpack(bad) == nil) }
    }
}
