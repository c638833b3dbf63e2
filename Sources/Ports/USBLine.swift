import CLibUSB
import Dispatch
import Glibc
import Synchronization
import Wire

/// An open USB interface: transfers, their end, and the end of it all.
///
/// Callbacks come on the event thread and never block; whatever may block (cancelling, clearing a halt, closing) is done on
/// the line's own serial queue, one after the other. The end: no new transfers, cancel all, wait for every callback, release
/// the interface (which gives it back to the kernel's driver), close.
///
/// Safe outside: the handle is used by transfers and on the queue only, and closed when none of them can come any more.
@safe final class USBLine: @unchecked Sendable {
    /// Milliseconds for a write or a control transfer.
    private static let patience: UInt32 = 2000

    private struct Request {
        var transfer: Transfer
        var done: CheckedContinuation<Result<[UInt8], PortError>, Never>
        var name: String
        /// To be cleared when it stalls; 0 clears itself.
        var endpoint: UInt8
    }

    private struct State {
        var ring = StreamRing()
        var stream: [Transfer] = []
        var requests: [ObjectIdentifier: Request] = [:]
        /// Cancelled before they were submitted.
        var cancelled: Set<ObjectIdentifier> = []
        var isEnding = false
        var isClosing = false
        var isClosed = false
        var closings: [CheckedContinuation<Void, Never>] = []
    }

    private let open: OpenUSB
    private let inbox: Inbox
    private let queue = DispatchQueue(label: "ports.usb")
    private let state = Mutex(State())

    init(_ open: OpenUSB, inbox: Inbox) {
        self.open = open
        self.inbox = inbox
    }

    /// Puts the IN transfers in flight.
    func start(transfers count: Int) {
        let stream = (0..<max(1, count)).compactMap { _ in
            unsafe Transfer(
                open.isBulk ? .bulk : .interrupt, handle: open.handle, endpoint: open.input.address,
                capacity: open.isBulk ? open.input.roundedUp(16 << 10) : open.input.packet
            ) { [self] transfer, outcome in streamed(transfer, outcome) }
        }
        state.withLock { $0.stream = stream }
        if stream.isEmpty { return fail(.system("libusb_alloc_transfer", ENOMEM)) }
        sendStream()
    }

    // MARK: What comes in

    private func sendStream() {
        let failure = state.withLock { state -> PortError? in
            state.ring.recovered()
            for transfer in state.stream where !state.isEnding {
                if let failure = transfer.submit() { return failure }
                state.ring.submitted()
            }
            return nil
        }
        if let failure { fail(failure) }
    }

    /// On the event thread.
    private func streamed(_ transfer: Transfer, _ outcome: Transfer.Outcome) {
        let bytes = transfer.bytes
        // A cancelled transfer may have got something all the same: nothing is lost.
        var overflow = false
        if !bytes.isEmpty { overflow = !inbox.put(Arrival(bytes: bytes, at: monotonicNow())) }
        let (decision, failure) = state.withLock { state -> (StreamRing.Decision, PortError?) in
            var decision = state.ring.returned(outcome, bytes: bytes.count)
            if state.isEnding { decision = .hold }
            guard decision == .resubmit, !overflow else { return (decision, overflow ? .overflow : nil) }
            if let failure = transfer.submit() { return (.hold, failure) }
            state.ring.submitted()
            return (decision, nil)
        }
        if let failure { return fail(failure) }
        switch decision {
        case .resubmit: break
        case .hold: closeIfDone()
        case .drain: queue.async { self.state.withLock { $0.stream }.forEach { $0.cancel() } }
        case .recover: queue.async { self.recover() }
        case .fail(let error): fail(error)
        }
    }

    /// On the queue.
    private func recover() {
        if state.withLock({ $0.isEnding }) { return }
        let code = unsafe libusb_clear_halt(open.handle, open.input.address)
        if code != 0 { return fail(usbError(code, "libusb_clear_halt")) }
        sendStream()
    }

    // MARK: What goes out

    /// Bulk or interrupt, to the OUT endpoint.
    func write(_ bytes: [UInt8], to endpoint: OpenUSB.Endpoint) async throws(PortError) {
        let transfer = unsafe Transfer(
            open.isBulk ? .bulk : .interrupt, handle: open.handle, endpoint: endpoint.address, capacity: bytes.count,
            timeout: Self.patience,
            endsWithEmptyPacket: open.isBulk && !bytes.isEmpty && bytes.count.isMultiple(of: endpoint.packet)
        ) { [self] transfer, outcome in answered(transfer, outcome) }
        transfer?.load(bytes)
        _ = try await run(transfer, "write", endpoint: endpoint.address)
    }

    func control(_ request: ControlRequest) async throws(PortError) -> [UInt8] {
        let isInput = request.type & 0x80 != 0
        let length = isInput ? request.length : request.data.count
        guard 0...Int(UInt16.max) ~= length else { throw .system("control", EMSGSIZE) }
        let transfer = unsafe Transfer(
            .control, handle: open.handle, endpoint: 0, capacity: 8 + length, timeout: Self.patience
        ) { [self] transfer, outcome in answered(transfer, outcome) }
        var setup = ByteWriter(reserving: 8 + length)
        setup.append(request.type)
        setup.append(request.request)
        setup.littleEndian(request.value)
        setup.littleEndian(request.index)
        setup.littleEndian(UInt16(length))
        if !isInput { setup.append(contentsOf: request.data) }
        transfer?.load(setup.bytes)
        let answer = try await run(transfer, "control", endpoint: 0)
        return isInput ? answer : []
    }

    private func run(_ transfer: Transfer?, _ name: String, endpoint: UInt8) async throws(PortError) -> [UInt8] {
        guard let transfer else { throw .system(name, ENOMEM) }
        let id = ObjectIdentifier(transfer)
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { done in
                // Under the lock: who cancels must not see one that is half submitted.
                let failure = state.withLock { state -> PortError? in
                    if state.isEnding { return .gone }
                    if state.cancelled.remove(id) != nil { return .system(name, ECANCELED) }
                    if let failure = transfer.submit() { return failure }
                    state.requests[id] = Request(transfer: transfer, done: done, name: name, endpoint: endpoint)
                    return nil
                }
                guard let failure else { return }
                queue.async { transfer.free() }
                done.resume(returning: .failure(failure))
            }
        } onCancel: {
            let isUnderWay = state.withLock { state in
                if state.requests[id] != nil { return true }
                state.cancelled.insert(id)
                return false
            }
            if isUnderWay { queue.async { transfer.cancel() } }
        }
        state.withLock { _ = $0.cancelled.remove(id) }
        if case .failure(.gone) = result { fail(.gone) }
        return try result.get()
    }

    /// On the event thread. Freed and told on the queue, where it may also be about to be cancelled.
    private func answered(_ transfer: Transfer, _ outcome: Transfer.Outcome) {
        queue.async { [self] in
            let bytes = transfer.bytes
            transfer.free()
            let request = state.withLock { $0.requests.removeValue(forKey: ObjectIdentifier(transfer)) }
            if let request { conclude(request, outcome, bytes) }
            closeIfDone()
        }
    }

    /// On the queue: the only place that resumes who waits for a transfer.
    private func conclude(_ request: Request, _ outcome: Transfer.Outcome, _ bytes: [UInt8]) {
        let isEnding = state.withLock { $0.isEnding }
        switch outcome {
        case .completed: request.done.resume(returning: .success(bytes))
        case .cancelled:
            request.done.resume(returning: .failure(isEnding ? .gone : .system(request.name, ECANCELED)))
        case .timedOut: request.done.resume(returning: .failure(.system(request.name, ETIMEDOUT)))
        case .gone: request.done.resume(returning: .failure(.gone))
        case .overflowed: request.done.resume(returning: .failure(.overflow))
        case .stalled:
            // The next write shall find an endpoint that works. A refused control request clears itself.
            if request.endpoint != 0 { _ = unsafe libusb_clear_halt(open.handle, request.endpoint) }
            request.done.resume(returning: .failure(.system(request.name, EPIPE)))
        }
    }

    // MARK: The end

    func fail(_ error: PortError) {
        inbox.end(error)
        end()
    }

    /// Begins the end; returns at once.
    func end() {
        let begins = state.withLock { state in
            defer { state.isEnding = true }
            return !state.isEnding
        }
        guard begins else { return }
        inbox.end(nil)
        queue.async { [self] in
            let transfers = state.withLock { $0.stream + $0.requests.values.map(\.transfer) }
            for transfer in transfers.reversed() { transfer.cancel() }
            closeIfDone()
        }
    }

    func close() async {
        end()
        await withCheckedContinuation { continuation in
            let isClosed = state.withLock { state in
                if !state.isClosed { state.closings.append(continuation) }
                return state.isClosed
            }
            if isClosed { continuation.resume() }
        }
    }

    /// When the last callback has been.
    private func closeIfDone() {
        let isDone = state.withLock { state in
            guard state.isEnding, !state.isClosing, state.ring.inFlight == 0, state.requests.isEmpty else {
                return false
            }
            state.isClosing = true
            return true
        }
        guard isDone else { return }
        queue.async { [self] in
            // They hold this line, and it holds them.
            let stream = state.withLock { state in
                defer { state.stream = [] }
                return state.stream
            }
            for transfer in stream { transfer.free() }
            open.close()
            let closings = state.withLock { state in
                state.isClosed = true
                defer { state.closings = [] }
                return state.closings
            }
            for closing in closings { closing.resume() }
        }
    }
}
