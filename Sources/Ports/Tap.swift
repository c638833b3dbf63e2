import Synchronization
public import Wire

/// Listens at the cable: every write, arrival and error as a transcript event. Put it below the guard, so that it hears
/// what really passed.
public final class TappedPort: Port {
    public typealias Sink = @Sendable (TranscriptEvent) -> Void

    private let port: any Port
    private let sink: Sink
    private let clock: @Sendable () -> UInt64
    private let last: Mutex<UInt64?>
    /// A serial line has no endpoints; the format has two places for them.
    private static let outward: UInt8 = 0x01
    private static let inward: UInt8 = 0x81

    /// `sink` is called in order, never twice at once, from whatever task reads or writes. `clock`: monotonic
    /// nanoseconds, the clock of `Arrival.at`.
    public init(_ port: any Port, clock: @escaping @Sendable () -> UInt64 = monotonicNow, sink: @escaping Sink) {
        self.port = port
        self.sink = sink
        self.clock = clock
        last = Mutex(nil)
    }

    public var incoming: AsyncThrowingStream<Arrival, any Error> {
        AsyncThrowingStream { try await self.next() }
    }

    /// The event is written before the bytes are, or their answer could come first.
    public func write(_ bytes: [UInt8]) async throws(PortError) {
        record(.sent(bytes, endpoint: Self.outward), at: clock())
        do throws(PortError) {
            try await port.write(bytes)
        } catch {
            record(.error(error.transcriptText, endpoint: Self.outward), at: clock())
            throw error
        }
    }

    /// A note: `control 21 09 0300 0000: 01 01`, and what came back. As it was asked for: the interface's number is the
    /// port's to put in.
    public func control(_ request: ControlRequest) async throws(PortError) -> [UInt8] {
        let fields = [
            hexadecimal(UInt64(request.type), digits: 2), hexadecimal(UInt64(request.request), digits: 2),
            hexadecimal(UInt64(request.value), digits: 4), hexadecimal(UInt64(request.index), digits: 4),
        ].joined(separator: " ")
        let name = "control \(fields)"
        record(.note(request.data.isEmpty ? name : "\(name): \(bytesText(request.data))"), at: clock())
        do throws(PortError) {
            let answer = try await port.control(request)
            if !answer.isEmpty { record(.note("\(name) answered \(bytesText(answer))"), at: clock()) }
            return answer
        } catch {
            record(.error(error.transcriptText, endpoint: request.type & 0x80), at: clock())
            throw error
        }
    }

    /// A note: `renew`.
    public func renew() async throws(PortError) {
        record(.note("renew"), at: clock())
        do throws(PortError) {
            try await port.renew()
        } catch {
            record(.error(error.transcriptText, endpoint: 0), at: clock())
            throw error
        }
    }

    public func close() async { await port.close() }

    /// A remark of the caller's.
    public func note(_ text: String) { record(.note(text), at: clock()) }

    private func next() async throws -> Arrival? {
        do {
            // Iterators of one stream share its elements.
            var iterator = port.incoming.makeAsyncIterator()
            guard let arrival = try await iterator.next() else { return nil }
            record(.received(arrival.bytes, endpoint: arrival.endpoint ?? Self.inward), at: arrival.at)
            return arrival
        } catch {
            let text = (error as? PortError)?.transcriptText ?? "failed"
            record(.error(text, endpoint: Self.inward), at: clock())
            throw error
        }
    }

    private func record(_ event: TranscriptEvent, at now: UInt64) {
        // Called under the lock, so that the order of times is the order of events.
        last.withLock { last in
            var event = event
            if let last, now > last { event.after = Double(now - last) / 1e9 }
            last = max(last ?? now, now)
            sink(event)
        }
    }
}

private func hexadecimal(_ value: UInt64, digits: Int) -> String {
    let text = String(value, radix: 16, uppercase: true)
    return String(repeating: "0", count: max(0, digits - text.count)) + text
}

private func bytesText(_ bytes: [UInt8]) -> String {
    bytes.map { hexadecimal(UInt64($0), digits: 2) }.joined(separator: " ")
}

extension PortError {
    /// As it stands in a transcript; `ReplayPort` plays `gone` and `overflow` back.
    public var transcriptText: String {
        switch self {
        case .gone: "gone"
        case .busy: "busy"
        case .denied: "denied"
        case .forbidden(let reason): "forbidden: \(reason)"
        case .overflow: "overflow"
        case .system(let call, let code): "\(call): errno \(code)"
        }
    }
}
