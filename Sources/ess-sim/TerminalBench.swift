import Devices
import Glibc
import Synchronization

/// Set by a signal: the play is over.
let isOver = Atomic(false)

/// Lets the usual signals end the play.
func endOnSignals() {
    for signalNumber in [SIGTERM, SIGINT, SIGHUP] {
        // The handler only stores into an atomic: safe at any moment.
        _ = signal(signalNumber) { _ in isOver.store(true, ordering: .relaxed) }
    }
}

/// CLOCK_MONOTONIC in nanoseconds.
func monotonicNow() -> UInt64 {
    var time = timespec()
    // `time` is a local value that outlives the call; this clock can't fail.
    _ = unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

/// The device's end of a line to a host: a pseudo terminal, or the file of a USB gadget.
protocol DeviceLine {
    /// Not blocking.
    var descriptor: Int32 { get }
    /// What a device says in one portion is written in one piece, as a report is.
    var isReports: Bool { get }
    /// Nobody listened: the line is made as it was at the beginning.
    func makeRaw() throws
}

/// Lets a simulated device live at the end of a line, until a signal ends it.
struct TerminalBench<Line: DeviceLine> {
    let terminal: Line
    var device: any DeviceSimulator

    /// Bytes that wait for a host that reads slowly; beyond that they are lost, as on a real line.
    private static var patience: Int { 1 << 20 }

    func play() {
        endOnSignals()
        var device = device
        var waiting: [[UInt8]] = []
        while !isOver.load(ordering: .relaxed) {
            let now = monotonicNow()
            let next = device.nextTick(after: now) ?? now + 50_000_000
            let pause = min(50, Int32(clamping: (next - min(next, now)) / 1_000_000) + 1)
            var entry = pollfd(
                fd: terminal.descriptor, events: Int16(POLLIN) | (waiting.isEmpty ? 0 : Int16(POLLOUT)), revents: 0)
            // `entry` outlives the call, and its number is one.
            _ = unsafe poll(&entry, 1, pause)
            let isConnected = Int32(entry.revents) & POLLHUP == 0
            if Int32(entry.revents) & POLLIN != 0 {
                add(device.received(read(), at: monotonicNow()), to: &waiting)
            }
            add(device.tick(at: monotonicNow()), to: &waiting)
            guard isConnected else {
                // Nobody listens: what a device says is lost, and the next host finds a raw line again.
                waiting = []
                try? terminal.makeRaw()
                usleep(20_000)
                continue
            }
            while let portion = waiting.first {
                let count = write(portion)
                if count < portion.count {
                    if count > 0 { waiting[0].removeFirst(count) }
                    break
                }
                waiting.removeFirst()
            }
        }
    }

    /// Bytes of a terminal are one stream; reports stay apart.
    private func add(_ portions: [[UInt8]], to waiting: inout [[UInt8]]) {
        let said = portions.filter { !$0.isEmpty }
        guard !said.isEmpty else { return }
        waiting += terminal.isReports ? said : [said.flatMap { $0 }]
        while waiting.count > 1, waiting.reduce(0, { $0 + $1.count }) > Self.patience { waiting.removeFirst() }
    }

    /// What the host has sent; nothing when it has gone meanwhile.
    private func read() -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: 4096)
        // `buffer` outlives the call, and its size is passed along.
        let count = unsafe Glibc.read(terminal.descriptor, &buffer, buffer.count)
        return count > 0 ? Array(buffer[..<count]) : []
    }

    /// The number of bytes that went out.
    private func write(_ bytes: [UInt8]) -> Int {
        // `bytes` outlives the call, and its size is passed along.
        max(0, unsafe Glibc.write(terminal.descriptor, bytes, bytes.count))
    }
}
