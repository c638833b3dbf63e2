import Dispatch
import Foundation
import Glibc
import Ports
import Wire

/// The simulator's side of a pty.
final class Pty: Sendable {
    let master: Int32
    let path: String
    /// Keeps the line up while nobody else has it open.
    private let slave: Int32

    init() throws {
        var master: Int32 = -1
        var slave: Int32 = -1
        var name = [CChar](repeating: 0, count: 256)
        guard unsafe openpty(&master, &slave, &name, nil, nil) == 0 else { throw PortError.system("openpty", errno) }
        self.master = master
        self.slave = slave
        path = String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        // Nothing echoes before the port sets its own mode.
        var settings = termios()
        unsafe tcgetattr(slave, &settings)
        unsafe cfmakeraw(&settings)
        unsafe tcsetattr(slave, TCSANOW, &settings)
    }

    func hangUp() {
        _ = close(slave)
        _ = close(master)
    }

    func send(_ bytes: [UInt8]) { _ = unsafe write(master, bytes, bytes.count) }

    /// Exactly so many bytes, or fewer when the line hangs up. Waits on a thread that may block.
    func receive(_ count: Int) async -> [UInt8] { await receiving(count).first { _ in true } ?? [] }

    /// Reads from now on, on a thread of its own, however busy the tests' threads are.
    func receiving(_ count: Int) -> AsyncStream<[UInt8]> {
        let (stream, continuation) = AsyncStream<[UInt8]>.makeStream()
        DispatchQueue(label: "pty").async { [master] in
            var bytes: [UInt8] = []
            var buffer = [UInt8](repeating: 0, count: 4096)
            while bytes.count < count {
                let got = unsafe read(master, &buffer, min(buffer.count, count - bytes.count))
                guard got > 0 else { break }
                bytes += buffer[..<got]
            }
            continuation.yield(bytes)
            continuation.finish()
        }
        return stream
    }

    func settings() -> termios {
        var settings = termios()
        unsafe tcgetattr(master, &settings)
        return settings
    }
}

extension TTYPort {
    /// So many bytes, or what came before the end.
    func receive(_ count: Int) async throws -> [UInt8] {
        var bytes: [UInt8] = []
        while bytes.count < count {
            var iterator = incoming.makeAsyncIterator()
            guard let arrival = try await iterator.next() else { break }
            bytes += arrival.bytes
        }
        return bytes
    }

    /// Everything until the end, and how it ended.
    func drain() async -> ([Arrival], PortError?) {
        var arrivals: [Arrival] = []
        do {
            for try await arrival in incoming { arrivals.append(arrival) }
            return (arrivals, nil)
        } catch {
            return (arrivals, error as? PortError)
        }
    }
}

/// A directory of this test's own, removed with its last user.
final class Scratch: Sendable {
    let path: String

    init() throws {
        let url = FileManager.default.temporaryDirectory.appending(path: "ports-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        path = url.path
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func write(_ bytes: [UInt8], to name: String) throws {
        try Data(bytes).write(to: URL(filePath: "\(path)/\(name)"))
    }

    func makeDirectory(_ name: String) throws {
        try FileManager.default.createDirectory(atPath: "\(path)/\(name)", withIntermediateDirectories: true)
    }

    func link(_ name: String, to target: String) throws {
        try FileManager.default.createSymbolicLink(atPath: "\(path)/\(name)", withDestinationPath: target)
    }

    func makePipe(_ name: String) throws { try check(unsafe mkfifo("\(path)/\(name)", 0o600)) }

    func resize(_ name: String, to size: Int) throws { try check(unsafe truncate("\(path)/\(name)", size)) }

    func lock(_ name: String) throws { try check(unsafe chmod("\(path)/\(name)", 0)) }

    private func check(_ result: Int32) throws {
        if result != 0 { throw PortError.system("scratch", errno) }
    }

    func remove(_ name: String) throws { try FileManager.default.removeItem(atPath: "\(path)/\(name)") }
}
