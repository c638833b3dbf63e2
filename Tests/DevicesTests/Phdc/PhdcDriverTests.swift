import Clinical
import Testing
import Wire

@testable import Devices

/// The driver against the simulated device.
@Suite("PHDC: driver")
struct PhdcDriverTests {
    static let start = LocalTime(year: 2026, month: 11, day: 22, hour: 23, minute: 5, second: 9)!

    static func device(
        _ name: String, _ change: (inout PhdcSimulator.Configuration) -> Void = { _ in }
    ) -> PhdcSimulator {
        var configuration = PhdcSimulator.Configuration.named(name, at: start)!
        change(&configuration)
        return PhdcSimulator(configuration)
    }

    @Test(
        "what the configuration says of a store holds where the answer to a Get is silent about it",
        arguments: [nil, 160 as UInt32])
    func storeAttributes(asked: UInt32?) throws {
        var conversation = PhdcConversation(isListening: false)
        conversation.configuration = PhdcConfiguration(
            id: 0x4000, objects: [PhdcSimulator.Configuration.store(4, period: 320)])
        let state = PhdcAttribute(PhdcAttributeID.operationalState, 0 as UInt16)
        let answer = [state] + (asked.map { [PhdcAttribute(PhdcAttributeID.samplePeriod, long: $0)] } ?? [])
        #expect(conversation.take(answer, of: 4, at: 0).isEmpty)
        let usage = PhdcAttribute(PhdcAttributeID.segmentUsage, long: 3)
        conversation.take(segments: [PhdcSegmentInfo(instance: 1, attributes: [usage])], of: 4)
        let segment = try #require(conversation.segments.values.first)
        #expect(conversation.segments.count == 1 && segment.period == asked ?? 320)
    }

    static func run(
        _ name: String, _ goal: SessionGoal, seconds: Double = 8,
        _ change: (inout PhdcSimulator.Configuration) -> Void = { _ in }
    ) -> Bench {
        var bench = Bench(PhdcProtocol(goal: goal), device(name, change))
        bench.run(until: seconds)
        if goal == .live { bench.stop() }
        bench.run(until: seconds + 60)
        #expect(bench.violations.isEmpty)
        #expect(bench.finish != nil)
        #expect((bench.device as? PhdcSimulator)?.clearCommands == 0)
        return bench
    }

    static func simulator(_ bench: Bench) -> PhdcSimulator { bench.device as! PhdcSimulator }

    static func texts(_ kept: Bench.Kept) -> [String] {
        kept.readings.map { "\($0.kind.rawValue) \($0.value.value) \($0.unit)" }
    }

    @Test("every device, live and from memory", arguments: PhdcSimulator.Configuration.names)
    func devices(_ name: String) {
        for goal in [.live, .download(known: [])] as [SessionGoal] {
            let bench = Self.run(name, goal)
            #expect(bench.finish == .done)
            #expect(bench.identities.count == 1 && bench.identities[0].isSimulated)
            #expect(bench.recordings.allSatisfy { $0.end?.state == .complete })
            #expect(Self.simulator(bench).rejected.isEmpty && Self.simulator(bench).aborts.isEmpty)
        }
    }

    @Test("a probe learns who it is and takes nothing")
    func identify() throws {
        for name in PhdcSimulator.Configuration.names {
            // A report that comes at once must stay on the device.
            let bench = Self.run(name, .identify) { if !$0.reports.isEmpty { $0.reports[0].after = 0 } }
            #expect(bench.finish == .done && bench.recordings.isEmpty)
            #expect(bench.identities.map(\.serial) == ["SIM00001"])
            #expect(Self.simulator(bench).confirmed.isEmpty)
        }
    }

    @Test("after a probe the device comes again, and then everything is read", arguments: ["scale", "ecg", "glucose"])
    func again(_ name: String) throws {
        let probe = Self.run(name, .identify)
        #expect(Self.simulator(probe).aborts == [0])
        let goal = name == "glucose" ? SessionGoal.download(known: []) : .live
        var bench = Bench(PhdcProtocol(goal: goal), probe.device)
        bench.run(until: 8)
        if goal == .live { bench.stop() }
        bench.run(until: 40)
        #expect(bench.finish == .done && !bench.recordings.isEmpty && bench.violations.isEmpty)
    }

    @Test("a device that gave up, or sulks since an abort, begins anew, once", arguments: ["scale", "ecg", "glucose"])
    func renewal(_ name: String) throws {
        let probe = Self.run(name, .identify, seconds: 40) { $0.faults = [.gaveUp, .sulks] }
        #expect(probe.finish == .done && probe.identities.map(\.serial) == ["SIM00001"] && probe.renewals == 1)
        // The probe ended with an abort: now it says nothing by itself.
        let goal = name == "glucose" ? SessionGoal.download(known: []) : .live
        var bench = Bench(PhdcProtocol(goal: goal), probe.device)
        bench.run(until: 40)
        if goal == .live { bench.stop() }
        bench.run(until: 60)
        #expect(bench.finish == .done && !bench.recordings.isEmpty && bench.violations.isEmpty)
        #expect(bench.renewals == 1 && Self.simulator(bench).renewals == 2)
        #expect(bench.recordings.allSatisfy { $0.end?.state == .complete })
    }

    @Test("a device that stays silent is given up after one renewal, within half a minute")
    func vainRenewal() {
        var bench = Bench(PhdcProtocol(goal: .identify), SilentDevice())
        bench.run(until: 60)
        #expect(bench.finish == .notThisDevice && bench.renewals == 1 && bench.elapsed < 30)
        let busy = Self.run("scale", .live)
        #expect(busy.renewals == 0)
    }

    @Test("what can't be kept is refused instead of confirmed, and the device has it for the next time")
    func unkept() throws {
        for (name, goal) in [("thermometer", SessionGoal.live), ("glucose", .download(known: []))] {
            var dialogue = PhdcProtocol(goal: goal)
            var device = Self.device(name) { $0.releasesAfter = nil }
            var now: UInt64 = 0
            var pending: [[UInt8]] = []
            var isRefused = false
            _ = dialogue.start(at: now)
            for _ in 0..<2000 where !isRefused {
                now += 10_000_000
                pending += device.tick(at: now)
                let bytes = pending
                pending = []
                for apdu in bytes where !isRefused {
                    for action in dialogue.received(apdu, at: now) {
                        if case .send(let answer) = action { pending += device.received(answer, at: now) }
                        guard case .append = action else { continue }
                        // The store refuses: nothing behind it is carried out.
                        for farewell in dialogue.unkept(at: now) { _ = device.received(farewell, at: now) }
                        isRefused = true
                        break
                    }
                }
            }
            #expect(isRefused && device.confirmed.isEmpty)
            // What was already confirmed is not refused afterwards, and nothing is where nothing was asked.
            #expect(device.rejected.count == 1, "\(name)")
            #expect(device.aborts.isEmpty)
        }
    }

    @Test("a confirmation is sent only after everything it confirms was handed over")
    func order() throws {
        for (name, goal) in [("thermometer", .live), ("blood-pressure", .live), ("glucose", .download(known: []))]
            as [(String, SessionGoal)]
        {
            var dialogue = PhdcProtocol(goal: goal)
            var device = Self.device(name)
            var now: UInt64 = 0
            var pending: [[UInt8]] = []
            var raw = 0
            _ = dialogue.start(at: now)
            for _ in 0..<2000 {
                now += 10_000_000
                pending += device.tick(at: now)
                let bytes = pending
                pending = []
                for apdu in bytes {
                    let waiting = apdu.count
                    var appended = false
                    for action in dialogue.received(apdu, at: now) {
                        switch action {
                        case .append(let block):
                            raw += block.raw.count
                            appended = true
                        case .send(let answer):
                            if case .presentation(let data) = try PhdcApdu(answer),
                                case .eventResponse(let event) = data.message,
                                event.type != PhdcEventType.configuration
                            {
                                #expect(appended, "\(waiting) bytes were confirmed before they were kept")
                            }
                            pending += device.received(answer, at: now)
                        default: break
                        }
                    }
                }
            }
            #expect(raw > 0 && !device.confirmed.isEmpty)
        }
    }

    @Test("two persons never share a recording")
    func persons() {
        let bench = Self.run("blood-pressure", .live)
        #expect(bench.recordings.map { Set($0.readings.map(\.bank)) } == [[1], [2], [1]])
        #expect(
            Self.texts(bench.recordings[1]) == [
                "systolic 118.0 mm[Hg]", "diastolic 76.0 mm[Hg]", "meanArterial 90.0 mm[Hg]", "pulseRate 64.0 /min",
            ])
        #expect(bench.recordings.allSatisfy { $0.start.modality == .bloodPressure })
        #expect(Self.simulator(bench).confirmed.count == 2)
    }

    @Test("a lost confirmation: the report comes again, and is kept once")
    func repetition() {
        let bench = Self.run("thermometer", .live) { $0.faults = [.repeatsReports] }
        #expect(bench.recordings.count == 1 && bench.recordings[0].readings.count == 1)
        #expect(bench.surprises == ["a confirmed report came again"])
    }

    @Test("an ECG streams once its scanner is enabled; both leads have all samples")
    func ecg() {
        let bench = Self.run("ecg", .live, seconds: 11)
        let kept = bench.recordings[0]
        #expect(kept.start.modality == .ecg && kept.start.channels.map(\.name) == ["I", "II"])
        #expect(kept.samples[0].count == kept.samples[1].count && (2400...2800).contains(kept.samples[0].count))
        #expect(kept.gaps.isEmpty && kept.samples.allSatisfy { !$0.contains(.absent) })
        // One block a second, not 25.
        #expect(kept.blocks.count < 15)
        #expect(kept.samples[0].max()! > 900)
        // A heart rate that is always the same is not said 25 times a second.
        #expect((8...14).contains(kept.readings.count))
        #expect(kept.notes.contains { $0.text.hasSuffix("are in the raw bytes only") })
    }

    @Test("stored segments: waveform and results, empty ones not, known ones skipped")
    func stored() throws {
        let ecg = Self.run("ecg-stored", .download(known: []))
        #expect(ecg.recordings.count == 1)
        let kept = ecg.recordings[0]
        #expect(kept.samples[0].count == 250 && kept.start.item?.samples == 250 && kept.end == .finished)
        #expect(kept.samples[0][125] == 400)
        #expect(kept.start.item?.start == Self.start)
        let source = try #require(kept.start.item?.source)
        let again = Self.run("ecg-stored", .download(known: [source]))
        #expect(again.recordings.isEmpty && again.skipped.map(\.source) == [source] && again.finish == .done)

        let glucose = Self.run("glucose", .download(known: []))
        #expect(glucose.recordings[0].readings.map(\.value) == (0..<7).map { Ratio(95 + $0 * 7) })
        #expect(glucose.recordings[0].readings.last?.at == Self.start.adding(seconds: 6 * 14_400))
        #expect(glucose.recordings[0].readings.allSatisfy { $0.kind == .glucose && $0.unit == "mg/dL" })
        #expect(Set(glucose.recordings[0].readings.map(\.sequence)).count == 7)
    }

    @Test(
        "transfers that go wrong are interrupted recordings, and never silence",
        arguments: [.abortsTransfer, .skipsSegmentData, .stallsInTransfer, .wrongEntryCount] as [PhdcSimulator.Fault])
    func brokenTransfers(_ fault: PhdcSimulator.Fault) {
        let bench = Self.run("ecg-stored", .download(known: [])) { $0.faults = [fault] }
        #expect(bench.recordings.count == 1)
        #expect(bench.recordings[0].end == .deviceEnded)
        #expect(bench.recordings[0].samples[0].count >= 70)
        #expect(bench.elapsed < 40)
    }

    @Test("a segment's portion that comes again is kept once")
    func repeatedPortions() {
        let bench = Self.run("ecg-stored", .download(known: [])) { $0.faults = [.repeatsSegmentData] }
        #expect(bench.recordings.map(\.end) == [.finished])
        #expect(bench.recordings[0].samples[0].count == 250)
    }

    @Test("a store that is recording is left alone; one that refuses is said; a report waits for the transfer's end")
    func stores() {
        #expect(Self.run("ecg-stored", .download(known: [])) { $0.faults = [.storeRecording] }.finish == .busyRecording)
        let refused = Self.run("ecg-stored", .download(known: [])) { $0.faults = [.refusesTransfer] }
        #expect(refused.recordings.isEmpty && refused.surprises.contains { $0.hasPrefix("segment 0 is not sent") })
        let busy = Self.run("glucose", .download(known: [])) {
            // In one transfer with a portion, so that it is heard before the next one.
            $0.faults = [.reportsInTransfer, .joined]
            let value = PhdcSimulator.Configuration.sfloat(111)
            $0.reports = [PhdcSimulator.Report(items: [PhdcSimulator.Configuration.fixed(1, value)], after: 100)]
        }
        #expect(Self.simulator(busy).rejected.count == 1)
        #expect(busy.recordings.map(\.end) == [.finished])
    }

    @Test("configurations: a bad one is refused, the next is taken")
    func configurations() {
        for fault in [.badConfigurationFirst, .unreadableConfigurationFirst] as [PhdcSimulator.Fault] {
            let bench = Self.run("ecg", .live) { $0.faults = [fault] }
            #expect(bench.recordings.count == 1 && bench.finish == .done)
        }
        // TO_config.
        let silent = Self.run("ecg", .live, seconds: 25) { $0.faults = [.noConfiguration] }
        #expect(Self.simulator(silent).aborts.first == 3)
    }

    @Test("associations that can't be are refused; the next attempt is taken")
    func associations() throws {
        for (fault, result) in [
            (.wrongVersion, 8), (.foreignProtocol, 4), (.noMDER, 5), (.shortSystemID, 1), (.testAssociation, 1),
        ] as [(PhdcSimulator.Fault, UInt16)] {
            let bench = Self.run("thermometer", .live) { $0.faults = [fault] }
            let answers = try bench.sent.prefix(2).map { bytes -> UInt16 in
                guard case .associationResponse(let response) = try PhdcApdu(bytes) else { return 99 }
                return response.result
            }
            #expect(answers == [result, 0])
            #expect(bench.recordings.count == 1)
        }
        #expect(Self.run("thermometer", .live) { $0.faults = [.manyVersions] }.recordings.count == 1)
    }

    @Test("a device that does not answer, or not who it is")
    func mute() {
        let anonymous = Self.run("thermometer", .live) { $0.faults = [.anonymous] }
        #expect(anonymous.identities.map(\.serial) == ["0A1B2CFFFE53494D"])
        #expect(anonymous.recordings.count == 1)
        let mute = Self.run("thermometer", .live, seconds: 20) {
            $0.faults = [.mute]
            $0.releasesAfter = nil
        }
        // It reports all the same, and is heard within the time that it waits.
        #expect(mute.recordings.first?.readings.count == 1)
        #expect(Self.simulator(mute).aborts == [2])
    }

    @Test("transfers cut, joined, padded, announced", arguments: [1, 7, 64] as [Int])
    func transfers(_ size: Int) {
        let whole = Self.run("blood-pressure", .live)
        for change in [
            { $0.transferSize = size }, { $0.faults = [.joined] }, { $0.faults = [.preamble] },
        ] as [(inout PhdcSimulator.Configuration) -> Void] {
            let bench = Self.run("blood-pressure", .live, change)
            #expect(bench.recordings.map(\.readings) == whole.recordings.map(\.readings))
        }
        let padded = Self.run("thermometer", .live) { $0.faults = [.padding] }
        #expect(padded.recordings.count == 1)
    }

    @Test("reports that are missing are a gap")
    func gaps() throws {
        var bench = Bench(PhdcProtocol(goal: .live), Self.device("ecg"))
        bench.run(until: 3)
        var device = Self.simulator(bench)
        device.numbers[40, default: 0] += 5
        bench.replaceDevice(device)
        bench.run(until: 6)
        bench.stop()
        bench.run(until: 10)
        #expect(bench.recordings[0].gaps == ["5 reports are missing"])
    }

    @Test("a device that reports only when asked is asked")
    func dataRequest() {
        let bench = Self.run("thermometer", .live) {
            $0.requestModes = 0x0880
            $0.reports[0].after = 100
            $0.releasesAfter = nil
        }
        #expect(Self.texts(bench.recordings[0]) == ["temperature 37.2 Cel"])
    }
}
