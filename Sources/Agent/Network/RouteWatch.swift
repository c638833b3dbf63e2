import CHost
import Glibc
import Synchronization

/// Hears from the kernel (rtnetlink) that a link, an address or a route has changed, on a thread of its own that sleeps
/// otherwise. What has changed is looked up, not parsed out of the messages: they only say when to look.
final class RouteWatch: Sendable {
    private let wake: Int32

    /// - Parameter changed: on the watch's own thread; must not block.
    /// - Returns: nil where there is no netlink (a strict sandbox): then the timers alone decide.
    init?(changed: @escaping @Sendable () -> Void) {
        let socket = ess_netlink_open()
        guard socket >= 0 else { return nil }
        let wake = ess_wake_open()
        guard wake >= 0 else {
            close(socket)
            return nil
        }
        self.wake = wake
        startThread {
            var buffer = [UInt8](repeating: 0, count: 32 << 10)
            var files = [
                pollfd(fd: socket, events: Int16(POLLIN), revents: 0),
                pollfd(fd: wake, events: Int16(POLLIN), revents: 0),
            ]
            while true {
                guard unsafe poll(&files, 2, -1) >= 0 || errno == EINTR else { break }
                if files[1].revents != 0 { break }
                guard files[0].revents != 0 else { continue }
                let count = unsafe ess_netlink_drain(socket, &buffer, UInt(buffer.count))
                // ENOBUFS: so much has changed that some of it was dropped. It has changed.
                guard count > 0 || errno == ENOBUFS || errno == EAGAIN || errno == EINTR else { break }
                changed()
            }
            close(socket)
            // The last word comes through `wake`: closed before, its number could be another file's by then.
            var end = pollfd(fd: wake, events: Int16(POLLIN), revents: 0)
            while unsafe poll(&end, 1, -1) < 1 {}
            close(wake)
        }
    }

    deinit {
        var one: UInt64 = 1
        _ = unsafe write(wake, &one, 8)
    }
}

/// A detached thread for something that waits all its life.
func startThread(_ work: @escaping @Sendable () -> Void) {
    var thread = pthread_t()
    let box = unsafe Unmanaged.passRetained(ThreadWork(work)).toOpaque()
    let code = unsafe pthread_create(
        &thread, nil,
        { argument in
            guard let argument = unsafe argument else { return nil }
            unsafe Unmanaged<ThreadWork>.fromOpaque(argument).takeRetainedValue().work()
            return nil
        }, box)
    guard code == 0 else { return unsafe Unmanaged<ThreadWork>.fromOpaque(box).release() }
    pthread_detach(thread)
}

private final class ThreadWork: Sendable {
    let work: @Sendable () -> Void
    init(_ work: @escaping @Sendable () -> Void) { self.work = work }
}

/// The ways out of this machine, as a text to compare: default routes and the addresses that packets leave from.
enum Routes {
    static func fingerprint() -> String {
        var lines: [String] = []
        for line in text("/proc/net/route").split(separator: "\n").dropFirst() {
            let fields = line.split(separator: "\t").map(String.init)
            // Destination and mask are zero: interface, gateway and metric of a way out.
            if fields.count > 7, fields[1] == "00000000", fields[7] == "00000000" {
                lines.append("4 \(fields[0]) \(fields[2]) \(fields[6])")
            }
        }
        for line in text("/proc/net/ipv6_route").split(separator: "\n") {
            let fields = line.split(separator: " ").map(String.init)
            if fields.count > 9, fields[1] == "00", fields[9] != "lo", fields[0].allSatisfy({ $0 == "0" }) {
                lines.append("6 \(fields[9]) \(fields[4]) \(fields[5])")
            }
        }
        return (lines + addresses()).sorted().joined(separator: "\n")
    }

    /// IPv4 addresses of links that are up; those of IPv6 change by themselves for privacy.
    private static func addresses() -> [String] {
        var first: UnsafeMutablePointer<ifaddrs>?
        guard unsafe getifaddrs(&first) == 0 else { return [] }
        defer { unsafe freeifaddrs(first) }
        var found: [String] = []
        var next = unsafe first
        while let entry = unsafe next {
            unsafe next = entry.pointee.ifa_next
            let address = unsafe ess_link_address(entry)
            guard address != 0 else { continue }
            found.append("a \(unsafe String(cString: entry.pointee.ifa_name)) \(address)")
        }
        return found
    }

    private static func text(_ path: String) -> String {
        guard let file = unsafe fopen(path, "re") else { return "" }
        defer { unsafe fclose(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16 << 10)
        while bytes.count < 1 << 20 {
            let count = unsafe fread(&buffer, 1, buffer.count, file)
            guard count > 0 else { break }
            bytes += buffer[..<count]
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
