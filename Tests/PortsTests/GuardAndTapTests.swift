import Ports
import Synchronization
import Testing
import Wire

/// Remembers what reached it.
private final class RecordingPort: Port {
    let written = Mutex<[UInt8]>([])
    let incoming: AsyncThrowingStream<Arrival, any Error>
    let device: AsyncThrowingStream<Arrival, any Error>.Continuation
    let failure: PortError?

    init(failure: PortError? = nil) {
        self.failure = failure
        (incoming, device) = AsyncThrowingStream.makeStream(of: Arrival.self)
    }

    func write(_ bytes: [UInt8]) async throws(PortError) {
        if let failure { throw failure }
        await Task.yield()
        written.withLock { $0 += bytes }
    }

    func close() async { device.finish() }
}

@Suite struct GuardTests {
    static let erase = ForbiddenBytes([0x7D, nil, 0xAE], reason: "erase")
    static let frame: [UInt8] = [0x7D, 0x85, 0xAE, 0x80, 0xFF, 0x80, 0x80, 0x80, 0x80]

    /// Each way to cut the frame in pieces: a set bit is a cut after that byte.
    @Test(arguments: 0..<256) func noSplitLetsItThrough(cuts: Int) async throws {
        let cable = RecordingPort()
        let port = GuardedPort(cable, forbidden: [ForbiddenBytes([0x8B], reason: "other"), Self.erase])
        var pieces: [[UInt8]] = [[]]
        for (index, byte) in Self.frame.enumerated() {
            pieces[pieces.count - 1].append(byte)
            if cuts >> index & 1 == 1 { pieces.append([]) }
        }
        await #expect(throws: PortError.forbidden("erase")) {
            for piece in pieces { try await port.write(piece) }
        }
        let passed = cable.written.withLock { $0 }
        #expect(!Self.erase.occurs(in: passed))
        #expect(Self.frame.starts(with: passed))
    }

    @Test func harmlessBytesPassUnchanged() async throws {
        let cable = RecordingPort()
        let port = GuardedPort(cable, forbidden: [Self.erase])
        let frames: [[UInt8]] = [[0x7D, 0x81, 0xA0], [], [0xAE, 0x7D], [0x80], [0x7D]]
        for frame in frames { try await port.write(frame) }
        #expect(cable.written.withLock { $0 } == frames.flatMap { $0 })
    }

    @Test func refusedWriteLeavesNoTrace() async throws {
        let cable = RecordingPort()
        let port = GuardedPort(cable, forbidden: [Self.erase])
        try await port.write([0x7D])
        for _ in 0..<3 {
            await #expect(throws: PortError.forbidden("erase")) { try await port.write([0x81, 0xAE]) }
        }
        try await port.write([0x81, 0xA0])
        #expect(cable.written.withLock { $0 } == [0x7D, 0x81, 0xA0])
    }

    @Test func writesAtTheSameTimePassInTheOrderTheyWereLookedAt() async throws {
        let cable = RecordingPort()
        let port = GuardedPort(cable, forbidden: [ForbiddenBytes([1, 2], reason: "pair")])
        await withTaskGroup(of: Void.self) { group in
            for index in 0..<200 { group.addTask { try? await port.write([UInt8(index % 2 + 1)]) } }
        }
        #expect(!ForbiddenBytes([1, 2], reason: "pair").occurs(in: cable.written.withLock { $0 }))
    }

    @Test func withoutAListEverythingPasses() async throws {
        let cable = RecordingPort()
        try await GuardedPort(cable, forbidden: []).write(Self.frame)
        #expect(cable.written.withLock { $0 } == Self.frame)
    }

    @Test func readingAndClosingPassThrough() async throws {
        let cable = RecordingPort()
        let port = GuardedPort(cable, forbidden: [Self.erase])
        cable.device.yield(Arrival(bytes: [6], at: 1))
        await port.close()
        var arrivals: [Arrival] = []
        for try await arrival in port.incoming { arrivals.append(arrival) }
        #expect(arrivals == [Arrival(bytes: [6], at: 1)])
    }
}

@Suite struct TapTests {
    private final class Log: Sendable {
        let events = Mutex<[TranscriptEvent]>([])
        let time = Mutex<UInt64>(10_000_000_000)
        func tick(_ seconds: Double) { time.withLock { $0 += UInt64(seconds * 1e9) } }
        var now: UInt64 { time.withLock { $0 } }
    }

    @Test func writesWhatPassedAsATranscriptThatReplays() async throws {
        let log = Log()
        let cable = RecordingPort()
        let port = TappedPort(cable, clock: { log.now }, sink: { event in log.events.withLock { $0.append(event) } })
        try await port.write([0x7D, 0x81, 0xA0])
        log.tick(0.5)
        cable.device.yield(Arrival(bytes: [6, 0x80], at: log.now))
        var iterator = port.incoming.makeAsyncIterator()
        #expect(try await iterator.next()?.bytes == [6, 0x80])
        log.tick(0.25)
        port.note("electrodes off")
        cable.device.finish(throwing: PortError.gone)
        await #expect(throws: PortError.gone) { try await iterator.next() }
        let transcript = Transcript(events: log.events.withLock { $0 })
        #expect(
            transcript.events == [
                .sent([0x7D, 0x81, 0xA0]), .received([6, 0x80], after: 0.5), .note("electrodes off", after: 0.25),
                .error("gone", endpoint: 0x81),
            ])
        let replay = ReplayPort(try Transcript(parsing: transcript.rendered()))
        try await replay.write([0x7D, 0x81, 0xA0])
        var answers = replay.incoming.makeAsyncIterator()
        #expect(try await answers.next() == Arrival(bytes: [6, 0x80], at: 500_000_000, endpoint: 0x81))
        await #expect(throws: PortError.gone) { try await answers.next() }
    }

    @Test func failedWritesAreRecorded() async throws {
        let log = Log()
        let port = TappedPort(
            RecordingPort(failure: .system("write", 110)), clock: { log.now },
            sink: { event in log.events.withLock { $0.append(event) } })
        await #expect(throws: PortError.system("write", 110)) { try await port.write([1]) }
        #expect(log.events.withLock { $0 } == [.sent([1]), .error("write: errno 110", endpoint: 1)])
    }

    @Test func anArrivalBeforeTheLastEventTakesNoTime() async throws {
        let log = Log()
        let cable = RecordingPort()
        let port = TappedPort(cable, clock: { log.now }, sink: { event in log.events.withLock { $0.append(event) } })
        let early = log.now
        log.tick(1)
        try await port.write([1])
        cable.device.yield(Arrival(bytes: [2], at: early))
        await port.close()
        for try await _ in port.incoming {}
        #expect(log.events.withLock { $0 }.map(\.after) == [0, 0])
    }
}
