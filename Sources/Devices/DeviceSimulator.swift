public import Wire

/// A device's other end: pure, no clock, no I/O. Times are monotonic nanoseconds, whatever their beginning.
public protocol DeviceSimulator: Sendable {
    /// What the device sends in answer, in the portions in which it arrives.
    mutating func received(_ bytes: [UInt8], at now: UInt64) -> [[UInt8]]
    /// A control transfer; what the device sends on its IN endpoint because of it.
    mutating func controlled(_ request: ControlRequest, at now: UInt64) -> [[UInt8]]
    /// The host selected a configuration; 0: none.
    mutating func configured(_ value: UInt8, at now: UInt64)
    /// What the device sends by itself until now.
    mutating func tick(at now: UInt64) -> [[UInt8]]
    /// When `tick` has something to do next; nil when only a command can change that.
    func nextTick(after now: UInt64) -> UInt64?
    /// Whether it sends a portion by the interrupt endpoint that stands beside its bulk pair (`USBPersona.besides`).
    func isBeside(_ portion: [UInt8]) -> Bool
}

extension DeviceSimulator {
    public func isBeside(_ portion: [UInt8]) -> Bool { false }
    public mutating func configured(_ value: UInt8, at now: UInt64) {}
    public mutating func controlled(_ request: ControlRequest, at now: UInt64) -> [[UInt8]] { [] }
}

/// A `Port` with a simulated device at its other end, for tests and demonstrations.
public actor SimulatedPort<Device: DeviceSimulator>: Port {
    public nonisolated let incoming: AsyncThrowingStream<Arrival, any Error>
    private let sink: AsyncThrowingStream<Arrival, any Error>.Continuation
    private let now: @Sendable () -> UInt64
    private let pace: Double
    private let origin: UInt64
    private var device: Device
    private var isOpen = true
    private var ticking: Task<Void, Never>?

    /// - Parameters:
    ///   - now: the host's monotonic clock in nanoseconds; `Arrival.at` comes from it.
    ///   - pace: how much faster than the host's clock the device lives.
    public init(_ device: Device, pace: Double = 1, now: @escaping @Sendable () -> UInt64) {
        (incoming, sink) = AsyncThrowingStream.makeStream(of: Arrival.self)
        self.device = device
        self.pace = pace
        self.now = now
        origin = now()
    }

    /// The device as it is now, to see what happened to it.
    public var simulated: Device { device }

    public func write(_ bytes: [UInt8]) async throws(PortError) {
        guard isOpen else { throw .gone }
        deliver(device.received(bytes, at: deviceTime))
        schedule()
    }

    public func control(_ request: ControlRequest) async throws(PortError) -> [UInt8] {
        guard isOpen else { throw .gone }
        deliver(device.controlled(request, at: deviceTime))
        schedule()
        return []
    }

    public func renew() async throws(PortError) {
        guard isOpen else { throw .gone }
        device.configured(0, at: deviceTime)
        device.configured(1, at: deviceTime)
        schedule()
    }

    public func close() async {
        isOpen = false
        ticking?.cancel()
        sink.finish()
    }

    /// Pulls the cable.
    public func unplug() {
        isOpen = false
        ticking?.cancel()
        sink.finish(throwing: PortError.gone)
    }

    private var deviceTime: UInt64 { UInt64(Double(now() - origin) * pace) }

    private func deliver(_ portions: [[UInt8]]) {
        for bytes in portions where !bytes.isEmpty {
            sink.yield(Arrival(bytes: bytes, at: now(), endpoint: device.isBeside(bytes) ? 0x83 : nil))
        }
    }

    private func schedule() {
        ticking?.cancel()
        guard isOpen, let next = device.nextTick(after: deviceTime) else { return }
        let wait = Double(next - min(next, deviceTime)) / pace
        ticking = Task { [weak self] in
            guard (try? await Task.sleep(for: .nanoseconds(Int64(wait)))) != nil else { return }
            await self?.ticked()
        }
    }

    private func ticked() {
        guard isOpen else { return }
        deliver(device.tick(at: deviceTime))
        schedule()
    }
}
