import Clinical
import Testing
import Wire

@testable import Devices

/// What no input may ever bring about.
@Suite("PHDC: whatever comes")
struct PhdcFuzzTests {
    /// Sessions that have got so far; the bytes come then.
    static let moments = [0.0, 0.05, 0.3, 0.6, 1.2]

    /// True for the erase command, in either form.
    static func erases(_ bytes: [UInt8]) -> Bool {
        Phdc.profile.forbidden.contains { $0.occurs(in: bytes) }
    }

    @Test("the forbidden bytes are those of the published erase command, and of nothing else")
    func forbidden() {
        for name in PhdcVectors.names { #expect(Self.erases(PhdcVectors.bytes(name)) == (name == "E11")) }
        #expect(Self.erases([0xE7] + Array(PhdcVectors.bytes("E11"))))
        var unconfirmed = PhdcVectors.bytes("E11")
        unconfirmed[9] = 0x06
        #expect(Self.erases(unconfirmed))
    }

    @Test("published frames, whole, cut, flipped or made up, in every state", arguments: 0..<12 as Range<UInt64>)
    func everyState(_ seed: UInt64) throws {
        var random = Seeded(state: seed)
        let name = PhdcSimulator.Configuration.names.randomElement(using: &random)!
        for goal in [.identify, .live, .download(known: [])] as [SessionGoal] {
            for moment in Self.moments {
                for _ in 0..<6 {
                    var bench = Bench(PhdcProtocol(goal: goal), PhdcDriverTests.device(name))
                    bench.run(until: moment)
                    for _ in 0..<25 where bench.finish == nil {
                        bench.inject(Self.input(&random))
                        if Bool.random(using: &random) { _ = bench.step() }
                    }
                    Self.check(&bench)
                }
            }
        }
    }

    @Test("every truncation of every frame, in every state", arguments: [.live, .download(known: [])] as [SessionGoal])
    func truncations(_ goal: SessionGoal) {
        for moment in Self.moments {
            var started = Bench(PhdcProtocol(goal: goal), PhdcDriverTests.device("ecg-stored"))
            started.run(until: moment)
            started.replaceDevice(SilentDevice())
            for name in PhdcVectors.names {
                let bytes = PhdcVectors.bytes(name)
                // All of them while it operates, some of them before.
                for count in stride(from: 0, through: bytes.count, by: moment == 0.6 ? 1 : 7) {
                    var bench = started
                    bench.inject(Array(bytes[..<count]))
                    // The rest never comes.
                    bench.run(until: bench.elapsed + 4)
                    Self.check(&bench)
                }
            }
        }
    }

    @Test("an answer to every malformed message", arguments: PhdcVectors.names)
    func answers(_ name: String) throws {
        var started = Bench(PhdcProtocol(goal: .live), PhdcDriverTests.device("ecg"))
        started.run(until: 2)
        var bytes = PhdcVectors.bytes(name)
        guard bytes[0] == 0xE7 else { return }
        // The outer frame stays whole; what is in it does not add up.
        bytes[5] ^= 0x01
        var bench = started
        let before = bench.sent.count
        bench.inject(bytes)
        #expect(bench.sent.count > before)
        let answer = try PhdcApdu(bench.sent[before])
        if bytes[8] == 1 {
            let id = UInt16(bytes[6]) << 8 | UInt16(bytes[7])
            #expect(answer == .presentation(PhdcData(id, .rejection(2))))
        } else {
            #expect(answer == .abort(reason: 0))
        }
    }

    /// Found by the fuzzer: a device says that one of its waves has a sample in many seconds, and sends some hundred of it beside
    /// a lead at 8000 Hz, which is then filled up to the same moment: a gigabyte for 3 kB at the longest period that is a wave's, all
    /// memory there is where no period was too long.
    @Test(
        "a slow wave beside a fast one doesn't fill the memory", arguments: [80_000, 80_001, 0xFFFF_FFFE] as [UInt32])
    func slowWave(_ period: UInt32) throws {
        let updates = 3000
        func wave(_ handle: UInt16, _ code: UInt16, _ period: UInt32, count: Int) -> PhdcObject {
            PhdcObject(
                kind: PhdcClass.array, handle: handle,
                attributes: [
                    PhdcAttribute(PhdcAttributeID.type, long: 0x0002_0000 | UInt32(code)),
                    PhdcAttribute(PhdcAttributeID.samplePeriod, long: period),
                    PhdcAttribute(
                        PhdcAttributeID.arraySpecification,
                        [UInt8(count >> 8), UInt8(count & 0xFF), 8, 255, 0x20, 0]),
                    PhdcConfiguration.mapAttribute([(PhdcAttributeID.samples, UInt16(count))]),
                ])
        }
        let configuration = PhdcConfigurationReport(
            id: 0x4000, objects: [wave(1, 0x0101, 1, count: 10), wave(2, 0x0102, period, count: updates)])
        let announced = PhdcEvent(handle: 0, time: 0, type: PhdcEventType.configuration, info: configuration.wire)
        func report(_ number: UInt16, _ handle: UInt16, _ samples: [UInt8]) -> [UInt8] {
            let report = PhdcScanReport(
                number: number, items: [.init(person: nil, content: .fixed(handle: handle, samples))])
            let event = PhdcEvent(handle: 0, time: 0, type: 0x0D1D, info: report.wire)
            return PhdcApdu.presentation(PhdcData(number, .event(event, confirmed: false))).wire
        }
        let transcript = Transcript(
            header: TranscriptHeader(model: "made up", date: "2026-11-27"),
            events: [
                .received(PhdcApdu.presentation(PhdcData(0, .event(announced, confirmed: true))).wire, after: 0.01),
                .received(report(0, 1, Array(repeating: 1, count: 10)), after: 0.01),
                .received(report(1, 2, Array(repeating: 2, count: updates)), after: 0.01),
            ])
        let started = ContinuousClock.now
        let recorded = try #require(replay(transcript, through: Phdc.profile).recordings.first)
        #expect(ContinuousClock.now - started < .seconds(20))
        let samples = recorded.channels.reduce(0) { $0 + $1.samples }
        // The fast lead's ten, and no more absent ones than a block may have.
        #expect(samples <= 300_000 && recorded.channels.first?.samples ?? 0 >= 10, "\(samples) samples")
        if period == 80_000 {
            #expect(recorded.channels.map(\.name) == ["I", "II"])
            #expect(recorded.notes.contains { $0.kind == .gap && $0.text.contains("too far ahead of the others") })
        } else {
            // No wave at all: kept as bytes.
            #expect(recorded.channels.map(\.name) == ["I"])
        }
        #expect(recorded.bytes > updates)
    }

    /// One transfer: a published frame or one of the simulator's kind, perhaps damaged.
    private static func input(_ random: inout Seeded) -> [UInt8] {
        switch UInt8.random(in: 0...5, using: &random) {
        case 0: return (0..<Int.random(in: 0...80, using: &random)).map { _ in .random(in: 0...255, using: &random) }
        case 1: return madeUp(&random)
        case 2:
            let bytes = PhdcVectors.bytes(PhdcVectors.names.randomElement(using: &random)!)
            return Array(bytes[..<Int.random(in: 0...bytes.count, using: &random)])
        default:
            var bytes = PhdcVectors.bytes(PhdcVectors.names.randomElement(using: &random)!)
            for _ in 0..<Int.random(in: 0...2, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] ^= 1 << UInt8.random(in: 0...7, using: &random)
            }
            return bytes
        }
    }

    /// A whole frame with random contents; handles, types and actions from those that mean something.
    private static func madeUp(_ random: inout Seeded) -> [UInt8] {
        let handle = UInt16([0, 1, 2, 3, 4, 40].randomElement(using: &random)!)
        let info = (0..<Int.random(in: 0...40, using: &random)).map { _ in UInt8.random(in: 0...9, using: &random) }
        let event = PhdcEvent(handle: handle, time: 0, type: .random(in: 0x0D1C...0x0D2E, using: &random), info: info)
        let action = PhdcAction(handle: handle, type: .random(in: 0x0C0B...0x0C1F, using: &random), info: info)
        let confirmed = Bool.random(using: &random)
        let message: PhdcMessage =
            switch UInt8.random(in: 0...6, using: &random) {
            case 0: .action(action, confirmed: confirmed)
            case 1: .actionResponse(action)
            case 2: .getResponse(handle: handle, [PhdcAttribute(.random(in: 0x0900...0x0AFF, using: &random), info)])
            case 3: .error(.random(in: 0...30, using: &random), parameter: info)
            case 4: .setResponse(handle: handle, [])
            default: .event(event, confirmed: confirmed)
            }
        return PhdcApdu.presentation(PhdcData(.random(in: 0...4, using: &random), message)).wire
    }

    private static func check(_ bench: inout Bench) {
        bench.stop()
        bench.run(until: bench.elapsed + 1)
        #expect(bench.finish != nil)
        #expect(bench.violations.isEmpty)
        #expect(bench.recordings.allSatisfy { $0.end != nil })
        #expect(!bench.sent.contains { erases($0) } && !erases(bench.sent.flatMap { $0 }))
        #expect((bench.device as? PhdcSimulator)?.clearCommands ?? 0 == 0)
        // Whatever is sent is a whole, readable APDU of a moderate size.
        #expect(bench.sent.allSatisfy { (try? PhdcApdu($0)) != nil && $0.count < 8192 })
        for kept in bench.recordings {
            for (channel, samples) in zip(kept.start.channels, kept.samples) {
                #expect(samples.allSatisfy { $0 == .absent || channel.range.contains($0) })
            }
        }
    }
}
