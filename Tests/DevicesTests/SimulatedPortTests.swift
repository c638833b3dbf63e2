import Devices
import Testing
import Wire

@Suite("A port with a simulated device")
struct SimulatedPortTests {
    private static func port(_ pace: Double = 1) -> SimulatedPort<ContecOximeterSimulator> {
        var configuration = ContecOximeterSimulator.Configuration()
        configuration.memory = [ContecOximeterNight(start: nil, seconds: 3000)]
        let begin = ContinuousClock.now
        return SimulatedPort(ContecOximeterSimulator(configuration), pace: pace) {
            let (seconds, attoseconds) = (ContinuousClock.now - begin).components
            return UInt64(seconds) * 1_000_000_000 + UInt64(attoseconds / 1_000_000_000)
        }
    }

    @Test("answers, streams, and ends when it is closed")
    func streams() async throws {
        let port = Self.port(1000)
        try await port.write(bytes("7D 81 A0 80 80 80 80 80 80"))
        try await port.write(bytes("7D 81 A6 80 80 80 80 80 80"))
        var heard: [UInt8] = []
        for try await arrival in port.incoming {
            heard += arrival.bytes
            if heard.count == 4 + 8000 { await port.close() }
        }
        #expect(heard.starts(with: bytes("06 80 80 87")))
        #expect(heard.count == 4 + 8000)
        await #expect(throws: PortError.gone) { try await port.write([0x7D]) }
    }

    @Test("a pulled cable is said")
    func unplugged() async throws {
        let port = Self.port()
        await port.unplug()
        await #expect(throws: PortError.gone) { for try await _ in port.incoming {} }
        await #expect(throws: PortError.gone) { try await port.write([0x7D]) }
    }
}
