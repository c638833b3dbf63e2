// For sigset_t, which belongs to the first C module that mentions it.
import CLibUSB
import Glibc
import Synchronization

/// Host's monotonic clock (CLOCK_MONOTONIC) in nanoseconds, the clock of every time stamp of a port.
public func monotonicNow() -> UInt64 {
    var time = timespec()
    // A local, properly initialised structure; the clock always exists.
    _ = unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

/// A descriptor (or only a deadline) that the ports thread looks after. Called on that thread only.
protocol PollSource: AnyObject {
    /// Nil: only the deadline counts.
    var descriptor: Int32? { get }
    /// `POLLIN`, `POLLOUT`.
    var interest: Int16 { get }
    /// Monotonic nanoseconds.
    var deadline: UInt64? { get }
    func ready(_ events: Int16, on loop: PortsLoop)
    func expired(on loop: PortsLoop)
    /// Gives the descriptor back; called once, when the source is removed.
    func release()
}

/// The one thread that waits for every tty and for udev, with `poll`. Every read, write and close of a descriptor happens
/// here, so none can be used after it was closed, and no cooperative thread ever blocks.
public final class PortsThread: Sendable {
    typealias Job = @Sendable (PortsLoop) -> Void

    static let shared = PortsThread()

    private let jobs = Mutex<[Job]>([])
    private let nextID = Atomic<UInt64>(1)
    private let pipeEnd: Int32
    private let wakeUp: Int32

    private init() {
        var ends: [Int32] = [-1, -1]
        // Two places for two descriptors.
        precondition(unsafe pipe(&ends) == 0, "no descriptor left for the ports thread")
        for end in ends {
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
        }
        pipeEnd = ends[1]
        wakeUp = ends[0]
        var thread = pthread_t()
        // The thread lives as long as the process, and so does `shared`: the reference is never given back.
        let result = unsafe pthread_create(
            &thread, nil,
            { context in
                guard let context = unsafe context else { return nil }
                unsafe Unmanaged<PortsThread>.fromOpaque(context).takeUnretainedValue().main()
                return nil
            }, Unmanaged.passRetained(self).toOpaque())
        precondition(result == 0, "the ports thread can't start")
    }

    /// Returns when the thread has turned once more: a sign of life for the watchdog.
    public static func turn() async {
        await withCheckedContinuation { continuation in
            shared.perform { _ in continuation.resume() }
        }
    }

    func newID() -> UInt64 { nextID.wrappingAdd(1, ordering: .relaxed).oldValue }

    /// Runs the job on the thread, in order.
    func perform(_ job: @escaping Job) {
        jobs.withLock { $0.append(job) }
        var one: UInt8 = 1
        // A full pipe (EAGAIN) wakes it up just as well.
        _ = unsafe Glibc.write(pipeEnd, &one, 1)
    }

    private func main() {
        // Signals are the main thread's business.
        var all = sigset_t()
        unsafe sigfillset(&all)
        _ = unsafe pthread_sigmask(SIG_BLOCK, &all, nil)
        let loop = PortsLoop(wakeUp: wakeUp)
        while true {
            let due = jobs.withLock { jobs in
                defer { jobs = [] }
                return jobs
            }
            for job in due { job(loop) }
            // A job may have asked for another one: there is a byte in the pipe then, and the wait ends at once.
            loop.wait()
        }
    }
}

/// What the ports thread knows; never leaves it.
final class PortsLoop {
    private let wakeUp: Int32
    private(set) var sources: [UInt64: any PollSource] = [:]

    init(wakeUp: Int32) { self.wakeUp = wakeUp }

    func add(_ source: any PollSource, id: UInt64) { sources[id] = source }

    func remove(_ id: UInt64) { sources.removeValue(forKey: id)?.release() }

    func wait() {
        var polled = [pollfd(fd: wakeUp, events: Int16(POLLIN), revents: 0)]
        var ids: [UInt64] = [0]
        var next: UInt64?
        for (id, source) in sources {
            if let deadline = source.deadline { next = min(next ?? deadline, deadline) }
            guard let descriptor = source.descriptor else { continue }
            polled.append(pollfd(fd: descriptor, events: source.interest, revents: 0))
            ids.append(id)
        }
        // The array is ours and its count goes with it.
        let count = unsafe poll(&polled, nfds_t(polled.count), milliseconds(until: next))
        if count > 0 {
            if polled[0].revents != 0 {
                var bytes = [UInt8](repeating: 0, count: 512)
                _ = unsafe Glibc.read(wakeUp, &bytes, bytes.count)
            }
            // One that an earlier one of this round removed is not in `sources` any more.
            for (id, entry) in zip(ids, polled).dropFirst() where entry.revents != 0 {
                sources[id]?.ready(entry.revents, on: self)
            }
        }
        guard next != nil else { return }
        let now = monotonicNow()
        for id in Array(sources.keys) {
            guard let source = sources[id], let deadline = source.deadline, deadline <= now else { continue }
            source.expired(on: self)
        }
    }

    private func milliseconds(until deadline: UInt64?) -> Int32 {
        guard let deadline else { return -1 }
        let now = monotonicNow()
        guard deadline > now else { return 0 }
        return Int32(clamping: (deadline - now) / 1_000_000 + 1)
    }
}
