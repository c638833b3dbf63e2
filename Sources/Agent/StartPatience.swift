import Glibc

/// A store is opened, migrated, checked or copied out of a damaged file before the agent is ready, which takes as long as its file is
/// large. systemd waits on (TimeoutStartSec) while bytes are really read or written: a start that hangs is still ended.
public enum StartPatience {
    /// How often the bytes are looked at, and for how long each look asks.
    private static let look = Duration.seconds(15), more = Duration.seconds(90)

    public static func whileStarting<Value, Failure: Error>(
        _ notifier: SystemdNotifier, _ work: () async throws(Failure) -> Value
    ) async throws(Failure) -> Value {
        let watch = Task.detached {
            await extend(every: look, bytes: bytesMoved) { notifier.extendStart(by: more) }
        }
        defer { watch.cancel() }
        return try await work()
    }

    /// Until cancelled: `ask` for more time after each interval in which bytes have moved.
    static func extend(
        every interval: Duration, bytes: @Sendable () -> UInt64, ask: @Sendable () -> Void
    ) async {
        var seen = bytes()
        while (try? await Task.sleep(for: interval)) != nil {
            let moved = bytes()
            if moved != seen { ask() }
            seen = moved
        }
    }

    /// What this process has read and written so far (proc(5), /proc/pid/io); 0 where it can't be known.
    static func bytesMoved() -> UInt64 {
        // A literal, valid for the call.
        let descriptor = unsafe open("/proc/self/io", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return 0 }
        defer { close(descriptor) }
        var buffer = [UInt8](repeating: 0, count: 512)
        // `buffer` outlives the call, and its size is passed along.
        let count = unsafe read(descriptor, &buffer, buffer.count)
        guard count > 0 else { return 0 }
        return String(decoding: buffer[..<count], as: UTF8.self).split(separator: "\n").reduce(0) { sum, line in
            let parts = line.split(separator: " ")
            guard parts.count == 2, parts[0] == "rchar:" || parts[0] == "wchar:" else { return sum }
            return sum &+ (UInt64(parts[1]) ?? 0)
        }
    }
}
