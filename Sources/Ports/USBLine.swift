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

    /// An IN endpoint and its transfers, which are always in flight.
    private struct Stream {
        var endpoint: UInt8
        var ring = StreamRing()
        var transfers: [Transfer] = []
    }

    private struct State {
        /// One; two where an interrupt endpoint stands beside a bulk pair.
        var streams: [Stream] = []
        var requests: [ObjectIdentifier: Request] = [:]
        /// Cancelled before they were submitted.
        var cancelled: Set<ObjectIdentifier> = []
        /// Somebody waits for the device to begin anew; no transfer is put in flight meanwhile.
        var renewal: CheckedContinuation<Result<Void, PortError>, Never>?
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
        let inputs = [(open.input, open.isBulk)] + (open.besides.map { [($0, false)] } ?? [])
        let streams = inputs.enumerated().map { index, input in
            let (endpoint, isBulk) = input
            let transfers = (0..<max(1, count)).compactMap { _ in
                unsafe Transfer(
                    isBulk ? .bulk : .interrupt, handle: open.handle, endpoint: endpoint.address,
                    capacity: isBulk ? endpoint.roundedUp(16 << 10) : endpoint.packet
                ) { [self] transfer, outcome in streamed(index, transfer, outcome) }
            }
            return Stream(endpoint: endpoint.address, transfers: transfers)
        }
        state.withLock { $0.streams = streams }
        if streams.contains(where: \.transfers.isEmpty) { return fail(.system("libusb_alloc_transfer", ENOMEM)) }
        for index in streams.indices { sendStream(index) }
    }

    // MARK: What comes in

    private func sendStream(_ index: Int) {
        let failure = state.withLock { state -> PortError? in
            state.streams[index].ring.recovered()
            for transfer in state.streams[index].transfers where !state.isEnding {
                if let failure = transfer.submit() { return failure }
                state.streams[index].ring.submitted()
            }
            return nil
        }
        if let failure { fail(failure) }
    }

    /// On the event thread.
    private func streamed(_ index: Int, _ transfer: Transfer, _ outcome: Transfer.Outcome) {
        let bytes = transfer.bytes
        // A cancelled transfer may have got something all the same: nothing is lost.
        var overflow = false
        let endpoint = state.withLock { $0.streams[index].endpoint }
        if !bytes.isEmpty {
            overflow = !inbox.put(Arrival(bytes: bytes, at: monotonicNow(), endpoint: endpoint))
        }
        let (decision, failure) = state.withLock { state -> (StreamRing.Decision, PortError?) in
            var decision = state.streams[index].ring.returned(outcome, bytes: bytes.count)
            if state.isEnding { decision = .hold }
            if state.renewal != nil, outcome != .gone { decision = .hold }
            guard decision == .resubmit, !overflow else { return (decision, overflow ? .overflow : nil) }
            if let failure = transfer.submit() { return (.hold, failure) }
            state.streams[index].ring.submitted()
            return (decision, nil)
        }
        if let failure { return fail(failure) }
        switch decision {
        case .resubmit: break
        case .hold:
            renewIfIdle()
            closeIfDone()
        case .drain: queue.async { self.state.withLock { $0.streams[index].transfers }.forEach { $0.cancel() } }
        case .recover: queue.async { self.recover(index) }
        // An endpoint beside the others that has nothing but stalls doesn't end the conversation on the others.
        case .fail(.system) where index > 0: closeIfDone()
        case .fail(let error): fail(error)
        }
    }

    /// On the queue.
    private func recover(_ index: Int) {
        let halted = state.withLock { state in
            // Whoever renews puts the transfers in flight again.
            state.isEnding || state.renewal != nil ? nil : state.streams[index].endpoint
        }
        guard let endpoint = halted else { return renewIfIdle() }
        let code = unsafe libusb_clear_halt(open.handle, endpoint)
        if code != 0 { return fail(usbError(code, "libusb_clear_halt")) }
        sendStream(index)
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
                    if state.renewal != nil { return .busy }
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

    // MARK: The device begins anew

    /// Throws `.busy` while a transfer waits for its end.
    func renew() async throws(PortError) {
        let result = await withCheckedContinuation { done in
            let failure = state.withLock { state -> PortError? in
                if state.isEnding { return .gone }
                if state.renewal != nil || !state.requests.isEmpty { return .busy }
                state.renewal = done
                return nil
            }
            if let failure { return done.resume(returning: .failure(failure)) }
            queue.async { [self] in
                let transfers = state.withLock { $0.streams.flatMap(\.transfers) }
                for transfer in transfers.reversed() { transfer.cancel() }
                renewIfIdle()
            }
        }
        try result.get()
    }

    /// When the last transfer is back. From any thread.
    private func renewIfIdle() {
        let isDue = state.withLock { $0.renewal != nil && $0.streams.allSatisfy { $0.ring.inFlight == 0 } }
        if isDue { queue.async { self.renewNow() } }
    }

    /// On the queue.
    private func renewNow() {
        let isEnding = state.withLock { state -> Bool? in state.renewal == nil ? nil : state.isEnding }
        // Two transfers may both have been the last one.
        guard let isEnding else { return }
        var failure: PortError? = isEnding ? .gone : nil
        if !isEnding {
            do throws(PortError) {
                try open.renew()
            } catch {
                failure = error
            }
        }
        let (done, streams) = state.withLock { state in
            defer { state.renewal = nil }
            return (state.renewal, state.streams.indices)
        }
        switch failure {
        case nil, .busy, .system("renew", _): for index in streams { sendStream(index) }
        case let error?: fail(error)
        }
        if let failure {
            done?.resume(returning: .failure(failure))
        } else {
            done?.resume(returning: .success(()))
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
            let transfers = state.withLock { state in
                state.streams.flatMap(\.transfers) + state.requests.values.map(\.transfer)
            }
            for transfer in transfers.reversed() { transfer.cancel() }
            renewIfIdle()
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
            let isIdle = state.streams.allSatisfy { $0.ring.inFlight == 0 } && state.requests.isEmpty
            guard state.isEnding, !state.isClosing, isIdle else { return false }
            state.isClosing = true
            return true
        }
        guard isDone else { return }
        queue.async { [self] in
            // They hold this line, and it holds them.
            let transfers = state.withLock { state in
                let transfers = state.streams.flatMap(\.transfers)
                for index in state.streams.indices { state.streams[index].transfers = [] }
                return transfers
            }
            for transfer in transfers { transfer.free() }
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
