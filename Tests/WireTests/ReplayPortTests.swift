import Testing
import Wire

@Suite struct ReplayPortTests {
    static let conversation = Transcript(events: [
        .received([0x11]), .sent([0xA0], after: 1), .received([6], after: 0.5), .received([7], after: 0.25),
        .error("timeout", after: 1), .sent([0xA8]), .received([2]),
    ])

    /// What arrives until the port ends; nil for the error when it ended normally.
    private func everything(from port: ReplayPort) async -> ([Arrival], PortError?) {
        var arrivals: [Arrival] = []
        do {
            for try await arrival in port.incoming { arrivals.append(arrival) }
            return (arrivals, nil)
        } catch {
            return (arrivals, error as? PortError)
        }
    }

    @Test func strictAnswersInOrderWithTheTranscriptsTimes() async throws {
        let port = ReplayPort(Self.conversation, startingAt: 1000)
        try await port.write([0xA0])
        #expect(port.remainingWrites == 1)
        try await port.write([0xA8])
        #expect(port.remainingWrites == 0)
        await port.close()
        let (arrivals, error) = await everything(from: port)
        #expect(error == nil)
        #expect(arrivals.map(\.bytes) == [[0x11], [6], [7], [2]])
        #expect(arrivals.map(\.at) == [1000, 1_500_001_000, 1_750_001_000, 2_750_001_000])
    }

    @Test(arguments: [[[0xA8]], [[0xA0, 0xA0]], [[0xA0], [0xA8], [0xA8]], [[]]] as [[[UInt8]]])
    func strictFailsLoudly(writes: [[UInt8]]) async throws {
        let port = ReplayPort(Self.conversation)
        await #expect(throws: PortError.self) {
            for bytes in writes { try await port.write(bytes) }
        }
        #expect(port.failure?.isEmpty == false)
        let (_, error) = await everything(from: port)
        #expect(error != nil)
        await #expect(throws: PortError.gone) { try await port.write([0xA0]) }
    }

    @Test func tolerantAnswersInAnyOrderAndIgnoresTheUnknown() async throws {
        let port = ReplayPort(Self.conversation, order: .tolerant)
        for bytes in [[0xA8], [0x55], [0xA0], [0xA0]] as [[UInt8]] { try await port.write(bytes) }
        await port.close()
        let (arrivals, error) = await everything(from: port)
        #expect(error == nil)
        #expect(arrivals.map(\.bytes) == [[0x11], [2], [6], [7], [6], [7]])
        #expect(port.failure == nil)
    }

    @Test func endsAsGone() async throws {
        let port = ReplayPort(Self.conversation, atEnd: .gone)
        try await port.write([0xA0])
        try await port.write([0xA8])
        let (arrivals, error) = await everything(from: port)
        #expect(arrivals.count == 4)
        #expect(error == .gone)
    }

    @Test func recordedEndIsPlayed() async throws {
        let port = ReplayPort(Transcript(events: [.received([1]), .error("gone"), .received([2])]))
        let (arrivals, error) = await everything(from: port)
        #expect(arrivals.map(\.bytes) == [[1]])
        #expect(error == .gone)
        await port.close()
        await port.close()
    }
}
