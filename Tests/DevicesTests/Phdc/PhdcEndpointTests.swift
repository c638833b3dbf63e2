import Clinical
import Testing
import Wire

@testable import Devices

/// What may be lost comes by the interrupt endpoint, everything else by the bulk pair (phdc.md 2.5).
@Suite("PHDC: two endpoints, descriptors")
struct PhdcEndpointTests {
    @Test("messages of two endpoints are put together one by one, however they are mixed")
    func framers() {
        let one = PhdcApdu.releaseRequest(reason: 0).wire
        let two = PhdcApdu.abort(reason: 3).wire
        var framers = PhdcFramers()
        #expect(framers.take(Array(one[..<3]), from: 0x81, at: 0) == [])
        #expect(framers.take(Array(two[..<5]), from: 0x83, at: 0) == [])
        #expect(framers.take(Array(one[3...]), from: 0x01, at: 1) == [.apdu(one)])
        #expect(framers.deadline == PhdcFramer.patience)
        #expect(framers.take(Array(two[5...]), from: 0x83, at: 2) == [.apdu(two)])
        #expect(framers.deadline == nil)
        // What never becomes whole is given up on its own endpoint only.
        #expect(framers.take([0xE7], from: 0x83, at: 10) == [] && framers.take(one, from: nil, at: 11) == [.apdu(one)])
        #expect(framers.expire(at: 10 + PhdcFramer.patience) == [.lost([0xE7])])
        #expect(framers.take([0xE3], from: nil, at: 20) == [] && framers.flush() == [.lost([0xE3])])
    }

    /// The live ECG with each report cut into packets of the interrupt endpoint, in the middle of a long bulk message.
    @Test("a stream by the interrupt endpoint loses nothing while the other one is in the middle of a message")
    func mixed() throws {
        let start = try #require(LocalTime(year: 2026, month: 11, day: 22, hour: 23, minute: 5, second: 9))
        let configuration = try #require(PhdcSimulator.Configuration.named("ecg", at: start))
        var device = PhdcSimulator(configuration)
        var dialogue = PhdcProtocol(goal: .live)
        var actions = dialogue.start(at: 0)
        var samples = 0
        var surprises: [String] = []
        var late: [UInt8] = []
        var now: UInt64 = 0
        var beside = 0
        func collect(_ some: [DialogueAction]) {
            for case .append(let block) in some { samples += block.samples[0].count }
            for case .surprise(let text) in some { surprises.append(text) }
        }
        while now < 5_000_000_000 {
            var answers = device.tick(at: now)
            for case .send(let bytes) in actions { answers += device.received(bytes, at: now) }
            actions = []
            for answer in answers {
                if device.isBeside(answer) {
                    beside += 1
                    for at in stride(from: 0, to: answer.count, by: 64) {
                        actions += dialogue.received(
                            Array(answer[at..<min(at + 64, answer.count)]), from: 0x83, at: now)
                    }
                } else {
                    // Its last byte comes with the next round.
                    actions += dialogue.received(late + answer.dropLast(), from: 0x81, at: now)
                    late = answer.suffix(1)
                }
            }
            if answers.isEmpty, !late.isEmpty {
                actions += dialogue.received(late, from: 0x81, at: now)
                late = []
            }
            collect(actions)
            now += 10_000_000
            let timed = dialogue.timerFired(at: now)
            collect(timed)
            actions += timed
        }
        collect(dialogue.stop(at: now))
        #expect(beside > 50 && samples == beside * 10)
        #expect(surprises.isEmpty)
    }

    @Test("a vendor's own protocol is left alone, a device without the descriptor is not")
    func dataCode() throws {
        guard case .usb(let shape) = Phdc.profile.transport else {
            Issue.record("no USB device")
            return
        }
        // Class function, function extension; a truncated extension; a metadata descriptor that nobody knows before it.
        #expect(shape.fits(classDescriptors: [4, 0x20, 2, 0, 6, 0x30, 0, 1, 0x06, 0x10]))
        #expect(shape.fits(classDescriptors: [3, 0x22, 9, 4, 0x20, 2, 1, 6, 0x30, 0, 2]))
        #expect(shape.fits(classDescriptors: []) && shape.fits(classDescriptors: [0, 0x20, 1]))
        #expect(!shape.fits(classDescriptors: [4, 0x20, 1, 0]) && !shape.fits(classDescriptors: [2, 0x20, 2, 0]))
        var numbers = Seeded(state: 20)
        for _ in 0..<5000 {
            let count = Int.random(in: 0...12, using: &numbers)
            _ = shape.fits(classDescriptors: (0..<count).map { _ in UInt8.random(in: 0...255, using: &numbers) & 0x37 })
        }
    }

    @Test("the simulated device's descriptors are those of the notes")
    func descriptors() {
        let persona = Phdc.profile.simulation.persona(.init(variant: "ecg"))
        let expected =
            "09 02 3D 00 01 01 00 80 32 09 04 00 00 03 0F 00 00 00 04 20 02 00 06 30 00 01 06 10 "
            + "07 05 81 02 40 00 00 04 21 01 08 07 05 02 02 40 00 00 04 21 01 08 07 05 83 03 40 00 0A 04 21 01 01"
        #expect(persona.configurationDescriptor == bytes(expected))
        #expect(
            Phdc.profile.simulation.persona(.init(variant: "scale")).configurationDescriptor[26...27] == [0x0F, 0x10])
    }

    @Test("configuration 0191: single values, each with its time")
    func spot() throws {
        let bench = PhdcDriverTests.run("oximeter-spot", .live)
        let readings = bench.recordings.flatMap(\.readings)
        #expect(readings.filter { $0.kind == .spo2 }.map(\.value.value) == [97, 96.5, 96])
        #expect(readings.filter { $0.kind == .pulseRate }.map(\.value.value) == [66, 67, 68])
        #expect(Set(readings.compactMap(\.at)).count == 3)
        #expect(PhdcDriverTests.simulator(bench).confirmed.count == 3)
    }
}
