import Glibc
import Ports
import Testing
import Wire

@Suite(.timeLimit(.minutes(1))) struct TTYPortTests {
    static let line = SerialLine(speed: 115_200)

    @Test func everyByteValuePassesBothWays() async throws {
        let pty = try Pty()
        let port = try await TTYPort.open(pty.path, line: Self.line)
        // 0x11 and 0x13 are frame types, 0x03, 0x04, 0x0D and 0xFF mean something to a cooked tty.
        let all = (0...255).map { UInt8($0) }
        pty.send(all)
        #expect(try await port.receive(256) == all)
        try await port.write(all)
        #expect(await pty.receive(256) == all)
        await port.close()
        pty.hangUp()
    }

    @Test func lineIsRawWithoutFlowControl() async throws {
        let pty = try Pty()
        let port = try await TTYPort.open(pty.path, line: SerialLine(speed: 19200, parity: .odd))
        let settings = pty.settings()
        #expect(settings.c_ospeed == speed_t(B19200))
        #expect(settings.c_iflag & tcflag_t(IXON | IXOFF | ICRNL | ISTRIP | INLCR) == 0)
        #expect(settings.c_oflag & tcflag_t(OPOST) == 0)
        #expect(settings.c_lflag & tcflag_t(ICANON | ECHO | ISIG | IEXTEN) == 0)
        #expect(settings.c_cflag & tcflag_t(CSIZE) == tcflag_t(CS8))
        #expect(settings.c_cflag & tcflag_t(CRTSCTS) == 0)
        await port.close()
        // A pty has no parity: asked for it again, it drops it, and glibc calls that a failure.
        let again = try await TTYPort.open(pty.path, line: SerialLine(speed: 19200, parity: .odd))
        #expect(pty.settings().c_ospeed == speed_t(B19200) && pty.settings().c_lflag & tcflag_t(ICANON | ECHO) == 0)
        await again.close()
        pty.hangUp()
    }

    @Test func unknownSpeedIsRefused() async throws {
        await #expect(throws: PortError.system("speed", EINVAL)) {
            try await TTYPort.open("/dev/null", line: SerialLine(speed: 12345))
        }
    }

    @Test func whatCameBeforeOpeningIsFlushed() async throws {
        let pty = try Pty()
        pty.send([1, 2, 3])
        let port = try await TTYPort.open(pty.path, line: Self.line)
        pty.send([4])
        #expect(try await port.receive(1) == [4])
        await port.close()
        pty.hangUp()
    }

    @Test func secondOpenIsBusyUntilTheFirstCloses() async throws {
        let pty = try Pty()
        let first = try await TTYPort.open(pty.path, line: Self.line)
        await #expect(throws: PortError.busy) { try await TTYPort.open(pty.path, line: Self.line) }
        await first.close()
        let second = try await TTYPort.open(pty.path, line: Self.line)
        await second.close()
        pty.hangUp()
    }

    @Test func forgottenPortGivesTheLineBack() async throws {
        let pty = try Pty()
        do { _ = try await TTYPort.open(pty.path, line: Self.line) }
        await PortsThread.turn()
        let again = try await TTYPort.open(pty.path, line: Self.line)
        await again.close()
        pty.hangUp()
    }

    @Test func missingNodeIsGone() async throws {
        await #expect(throws: PortError.gone) { try await TTYPort.open("/dev/no-such-tty", line: Self.line) }
    }

    @Test func whatIsNoTtyIsRefused() async throws {
        let scratch = try Scratch()
        try scratch.write([1], to: "file")
        await #expect(throws: PortError.self) { try await TTYPort.open("\(scratch.path)/file", line: Self.line) }
        try scratch.makePipe("pipe")
        await #expect(throws: PortError.self) { try await TTYPort.open("\(scratch.path)/pipe", line: Self.line) }
    }

    @Test func hangUpDeliversWhatCameThenThrowsGone() async throws {
        let pty = try Pty()
        let port = try await TTYPort.open(pty.path, line: Self.line)
        pty.send([0x0C])
        #expect(try await port.receive(1) == [0x0C])
        async let rest = port.drain()
        pty.hangUp()
        let (arrivals, error) = await rest
        #expect(arrivals.isEmpty)
        #expect(error == .gone)
        await #expect(throws: PortError.gone) { try await port.write([1]) }
        await port.close()
    }

    @Test func overflowIsLoudAndKeepsWhatFitted() async throws {
        let pty = try Pty()
        let port = try await TTYPort.open(pty.path, line: Self.line, bound: 4096)
        let sender = Task.detached {
            for value in UInt8(0)..<64 { pty.send([UInt8](repeating: value, count: 128)) }
        }
        await sender.value
        let (arrivals, error) = await port.drain()
        #expect(error == .overflow)
        let bytes = arrivals.flatMap(\.bytes)
        #expect(bytes.count <= 4096)
        #expect(bytes == (0..<bytes.count).map { UInt8($0 / 128) })
        await port.close()
        pty.hangUp()
    }

    @Test func bigWritesAreComplete() async throws {
        let pty = try Pty()
        let port = try await TTYPort.open(pty.path, line: Self.line)
        let bytes = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
        let received = pty.receiving(bytes.count)
        do {
            try await port.write(bytes)
        } catch {
            // The reader waits for bytes that don't come any more.
            await port.close()
            pty.hangUp()
            throw error
        }
        #expect(await received.first { _ in true } == bytes)
        await port.close()
        pty.hangUp()
    }

    @Test func writesStayInOrder() async throws {
        let pty = try Pty()
        let port = try await TTYPort.open(pty.path, line: Self.line)
        for value in UInt8(0)..<100 { try await port.write([value]) }
        #expect(await pty.receive(100) == (0..<100).map { UInt8($0) })
        await port.close()
        pty.hangUp()
    }

    @Test func stuckLineTimesOut() async throws {
        let pty = try Pty()
        let port = try await TTYPort.open(pty.path, line: Self.line)
        let before = monotonicNow()
        // Nobody reads: the pty's buffer fills up.
        await #expect(throws: PortError.system("write", ETIMEDOUT)) {
            try await port.write([UInt8](repeating: 0x55, count: 1 << 20))
        }
        #expect(monotonicNow() - before >= 2_000_000_000)
        await port.close()
        pty.hangUp()
    }

    @Test func closeDuringAReadEndsIt() async throws {
        let pty = try Pty()
        let port = try await TTYPort.open(pty.path, line: Self.line)
        async let rest = port.drain()
        await port.close()
        let (arrivals, error) = await rest
        #expect(arrivals.isEmpty)
        #expect(error == nil)
        await port.close()
        pty.hangUp()
    }

    @Test func closeDuringAWriteFailsIt() async throws {
        let pty = try Pty()
        let port = try await TTYPort.open(pty.path, line: Self.line)
        let write = Task { () -> PortError? in
            do throws(PortError) {
                try await port.write([UInt8](repeating: 0x55, count: 1 << 20))
                return nil
            } catch {
                return error
            }
        }
        // The write is under way as soon as its first bytes are out.
        #expect(await pty.receive(1) == [0x55])
        await port.close()
        // On a machine so busy that the write ran out of its time first, that is what it says.
        let failure = await write.value
        #expect(failure == .gone || failure == .system("write", ETIMEDOUT))
        pty.hangUp()
    }

    @Test func cancellingTheReaderEndsItsLoop() async throws {
        let pty = try Pty()
        let port = try await TTYPort.open(pty.path, line: Self.line)
        let reader = Task { await port.drain().1 }
        reader.cancel()
        #expect(await reader.value == nil)
        // The port itself goes on.
        try await port.write([7])
        #expect(await pty.receive(1) == [7])
        await port.close()
        pty.hangUp()
    }

    @Test func timesAreMonotonic() async throws {
        let pty = try Pty()
        let port = try await TTYPort.open(pty.path, line: Self.line)
        var last = monotonicNow()
        for value in UInt8(0)..<5 {
            pty.send([value])
            var iterator = port.incoming.makeAsyncIterator()
            let arrival = try await iterator.next()
            let time = try #require(arrival?.at)
            #expect(time >= last)
            #expect(time <= monotonicNow())
            last = time
        }
        await port.close()
        pty.hangUp()
    }

    @Test func manyPortsAtOnce() async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for index in UInt8(0)..<16 {
                group.addTask {
                    let pty = try Pty()
                    let port = try await TTYPort.open(pty.path, line: Self.line)
                    for _ in 0..<50 {
                        pty.send([index])
                        #expect(try await port.receive(1) == [index])
                    }
                    await port.close()
                    pty.hangUp()
                }
            }
            try await group.waitForAll()
        }
    }
}
