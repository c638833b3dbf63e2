import Dispatch
import Glibc
public import Wire

/// A kernel tty (CP210x and other USB serial bridges, or a pty): raw, exclusive, no flow control (devices.md 2.3, 3.1).
///
/// Two agents exclude each other by `flock` on the node, everybody else is kept out by TIOCEXCL. Bytes that nobody takes
/// away are kept up to a bound, then `incoming` delivers what there is and throws `.overflow`. When the cable is pulled
/// `incoming` delivers what had come in and throws `.gone`; the descriptor is given back at once, so that the kernel
/// can reuse the node's name. Cancelling the task that reads `incoming` ends the stream for good, not the port.
public final class TTYPort: Port {
    /// Bytes.
    public static let defaultBound = 4 << 20

    public let incoming: AsyncThrowingStream<Arrival, any Error>
    private let id: UInt64

    // Opening talks to the device (several control transfers) and may take seconds with one that is wedged.
    private static let openings = DispatchQueue(label: "ports.open", attributes: .concurrent)

    private init(descriptor: Int32, bound: Int) {
        let inbox = Inbox(bound: bound)
        incoming = inbox.stream()
        id = PortsThread.shared.newID()
        PortsThread.shared.perform { [id] in $0.add(TTYLine(descriptor, inbox: inbox, id: id), id: id) }
    }

    deinit {
        PortsThread.shared.perform { [id] in $0.remove(id) }
    }

    /// `.busy`: another agent or program holds it. `.denied`: permissions. `.gone`: no such node, or no device behind
    /// it. `.system("speed", EINVAL)`: the kernel has no such standard speed.
    public static func open(
        _ path: String, line: SerialLine, bound: Int = TTYPort.defaultBound
    ) async throws(PortError) -> TTYPort {
        let result: Result<Int32, PortError> = await withCheckedContinuation { continuation in
            openings.async {
                do throws(PortError) {
                    continuation.resume(returning: .success(try openTTY(path, line: line)))
                } catch {
                    continuation.resume(returning: .failure(error))
                }
            }
        }
        return TTYPort(descriptor: try result.get(), bound: bound)
    }

    /// Throws `.system("write", ETIMEDOUT)` when the line took nothing for two seconds; part may have been sent.
    public func write(_ bytes: [UInt8]) async throws(PortError) {
        guard !bytes.isEmpty else { return }
        let failure: PortError? = await withCheckedContinuation { continuation in
            PortsThread.shared.perform { [id] loop in
                guard let line = loop.sources[id] as? TTYLine else { return continuation.resume(returning: .gone) }
                line.write(TTYLine.Write(bytes: bytes[...], done: continuation), on: loop)
            }
        }
        if let failure { throw failure }
    }

    /// Gives what was written up to 200 ms to leave.
    public func close() async {
        await withCheckedContinuation { continuation in
            PortsThread.shared.perform { [id] loop in
                guard let line = loop.sources[id] as? TTYLine else { return continuation.resume() }
                line.close(then: continuation, on: loop)
            }
        }
    }
}

/// The open tty, on the ports thread.
final class TTYLine: PollSource {
    struct Write {
        var bytes: ArraySlice<UInt8>
        var done: CheckedContinuation<PortError?, Never>
    }

    private static let patience: UInt64 = 2_000_000_000
    private static let drainTime: UInt64 = 200_000_000
    private static let drainInterval: UInt64 = 5_000_000

    private let tty: Int32
    private let inbox: Inbox
    private let id: UInt64
    private var writes: [Write] = []
    private var writeDeadline: UInt64?
    private var closings: [CheckedContinuation<Void, Never>] = []
    private var closeDeadline: UInt64?
    /// While closing: when to look again whether the last bytes have left.
    private var drainLook: UInt64?
    private var buffer = [UInt8](repeating: 0, count: 4096)

    init(_ tty: Int32, inbox: Inbox, id: UInt64) {
        self.tty = tty
        self.inbox = inbox
        self.id = id
    }

    var descriptor: Int32? { tty }
    var interest: Int16 {
        (closeDeadline == nil ? Int16(POLLIN) : 0) | (writes.isEmpty ? 0 : Int16(POLLOUT))
    }
    var deadline: UInt64? {
        drainLook ?? writeDeadline
    }

    func ready(_ events: Int16, on loop: PortsLoop) {
        if events & Int16(POLLOUT) != 0 { push(on: loop) }
        guard loop.sources[id] != nil else { return }
        if events & Int16(POLLIN | POLLHUP | POLLERR | POLLNVAL) != 0 { pull(events, on: loop) }
    }

    func expired(on loop: PortsLoop) {
        let now = monotonicNow()
        if let closeDeadline {
            if now >= closeDeadline || !hasOutput { return loop.remove(id) }
            drainLook = now + Self.drainInterval
        } else if let writeDeadline, now >= writeDeadline, !writes.isEmpty {
            writes.removeFirst().done.resume(returning: .system("write", ETIMEDOUT))
            self.writeDeadline = writes.isEmpty ? nil : now + Self.patience
        }
    }

    func write(_ write: Write, on loop: PortsLoop) {
        guard closeDeadline == nil else { return write.done.resume(returning: .gone) }
        writes.append(write)
        guard writes.count == 1 else { return }
        writeDeadline = monotonicNow() + Self.patience
        push(on: loop)
    }

    func close(then continuation: CheckedContinuation<Void, Never>, on loop: PortsLoop) {
        closings.append(continuation)
        guard closeDeadline == nil else { return }
        inbox.end(nil)
        failWrites()
        guard hasOutput else { return loop.remove(id) }
        let now = monotonicNow()
        closeDeadline = now + Self.drainTime
        drainLook = now + Self.drainInterval
    }

    func release() {
        inbox.end(nil)
        failWrites()
        _ = ioctl(tty, UInt(TIOCNXCL))
        if hasOutput {
            // The kernel may wait up to half a minute for a stuck line: not on this thread.
            DispatchQueue.global().async { [tty] in _ = Glibc.close(tty) }
        } else {
            _ = Glibc.close(tty)
        }
        for closing in closings { closing.resume() }
        closings = []
    }

    /// Bytes that the kernel has taken but not sent.
    private var hasOutput: Bool {
        var waiting: Int32 = 0
        return unsafe ioctl(tty, UInt(TIOCOUTQ), &waiting) == 0 && waiting > 0
    }

    private func failWrites() {
        for write in writes { write.done.resume(returning: .gone) }
        writes = []
        writeDeadline = nil
    }

    private func fail(_ error: PortError, on loop: PortsLoop) {
        inbox.end(error)
        loop.remove(id)
    }

    private func push(on loop: PortsLoop) {
        while let first = writes.first {
            let count = unsafe first.bytes.withUnsafeBytes { unsafe Glibc.write(tty, $0.baseAddress, $0.count) }
            if count > 0 {
                writeDeadline = monotonicNow() + Self.patience
                writes[0].bytes = first.bytes.dropFirst(count)
                if writes[0].bytes.isEmpty { writes.removeFirst().done.resume(returning: nil) }
                continue
            }
            switch errno {
            case EINTR: continue
            case EAGAIN: return
            case EIO, ENXIO, ENODEV: return fail(.gone, on: loop)
            case let error: return fail(.system("write", error), on: loop)
            }
        }
        writeDeadline = nil
    }

    private func pull(_ events: Int16, on loop: PortsLoop) {
        // While closing nobody wants what comes in; a hang-up ends the wait.
        guard closeDeadline == nil else { return loop.remove(id) }
        // Bounded, so that one talkative line can't starve the others.
        for _ in 0..<16 {
            let count = unsafe buffer.withUnsafeMutableBytes { unsafe Glibc.read(tty, $0.baseAddress, $0.count) }
            if count > 0 {
                let arrival = Arrival(bytes: Array(buffer[..<count]), at: monotonicNow())
                if !inbox.put(arrival) { return loop.remove(id) }
                continue
            }
            // VMIN is 1: nothing at all means that the other end hung up.
            if count == 0 { return fail(.gone, on: loop) }
            switch errno {
            case EINTR: continue
            case EAGAIN:
                // Hung up without an error to read: without this the loop would spin.
                if events & Int16(POLLHUP | POLLERR | POLLNVAL) != 0 { fail(.gone, on: loop) }
                return
            case EIO, ENXIO, ENODEV: return fail(.gone, on: loop)
            case let error: return fail(.system("read", error), on: loop)
            }
        }
    }
}
