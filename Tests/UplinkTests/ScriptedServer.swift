import Foundation
import Synchronization

/// A server on a Unix socket that does what a test tells it to, wrong things included.
final class ScriptedServer: Sendable {
    struct Seen: Sendable {
        var method = ""
        var target = ""
        var headers: [String: String] = [:]
        var body: [UInt8] = []
        var path: String { String(target.prefix { $0 != "?" }) }
    }

    enum Step: Sendable {
        case answer(Int, [String: String], String)
        /// Bytes as they are, then the connection is closed.
        case raw(String)
        /// Bytes as they are, and then silence until the client goes away.
        case rawThenSilence(String)
        /// No answer: the connection is closed.
        case cut
        /// No answer, ever.
        case silence
    }

    let path: String
    private let listener: Int32
    private let state = Mutex<(seen: [Seen], connections: [Int32], stopped: Bool)>(([], [], false))

    /// - Parameters:
    ///   - cutBody: called with a request's head; a number closes the connection after that many bytes of the body.
    ///   - handler: called with whole requests, one at a time per connection.
    init(
        cutBody: @escaping @Sendable (Seen) -> Int? = { _ in nil }, _ handler: @escaping @Sendable (Seen) -> Step
    ) throws {
        path = "/tmp/ess-uplink-\(UUID().uuidString.prefix(13)).sock"
        listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let name = Array(path.utf8)
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: name) }
        let socket = listener
        let bound = unsafe withUnsafePointer(to: &address) {
            unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe bind(socket, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        guard bound == 0, listen(listener, 128) == 0 else { throw POSIXError(.EADDRINUSE) }
        let open = listener
        Thread.detachNewThread { [self] in
            while true {
                let connection = accept(open, nil, nil)
                guard connection >= 0 else { return }
                let stopped = state.withLock { state in
                    state.connections.append(connection)
                    return state.stopped
                }
                guard !stopped else { return }
                Thread.detachNewThread { [self] in serve(connection, cutBody, handler) }
            }
        }
    }

    var seen: [Seen] { state.withLock { $0.seen } }

    func stop() {
        state.withLock { state in
            state.stopped = true
            for connection in state.connections { shutdown(connection, Int32(SHUT_RDWR)) }
        }
        shutdown(listener, Int32(SHUT_RDWR))
        unsafe _ = unlink(path)
    }

    private func serve(_ connection: Int32, _ cutBody: (Seen) -> Int?, _ handler: (Seen) -> Step) {
        var buffer: [UInt8] = []
        func more() -> Bool {
            var piece = [UInt8](repeating: 0, count: 65536)
            let count = unsafe recv(connection, &piece, piece.count, 0)
            guard count > 0 else { return false }
            buffer += piece[..<count]
            return true
        }
        defer {
            state.withLock { state in state.connections.removeAll { $0 == connection } }
            close(connection)
        }
        while true {
            while end(of: buffer) == nil { guard more() else { return } }
            let length = end(of: buffer)!
            var seen = parse(Array(buffer[..<length]))
            buffer.removeFirst(length)
            let count = Int(seen.headers["content-length"] ?? "0")!
            let stopAt = cutBody(seen)
            while buffer.count < min(count, stopAt ?? count) { guard more() else { return } }
            if stopAt != nil {
                state.withLock { $0.seen.append(seen) }
                return
            }
            seen.body = Array(buffer.prefix(count))
            buffer.removeFirst(count)
            state.withLock { $0.seen.append(seen) }
            switch handler(seen) {
            case .answer(let status, let headers, let body):
                var text = "HTTP/1.1 \(status) X\r\n"
                for (name, value) in headers { text += "\(name): \(value)\r\n" }
                if status != 204, status != 304 { text += "Content-Length: \(body.utf8.count)\r\n" }
                write(connection, text + "\r\n" + (seen.method == "HEAD" ? "" : body))
            case .raw(let text):
                write(connection, text)
                return
            case .rawThenSilence(let text):
                write(connection, text)
                while more() {}
                return
            case .cut: return
            case .silence:
                while more() {}
                return
            }
        }
    }

    private func write(_ connection: Int32, _ text: String) {
        let bytes = Array(text.utf8)
        var done = 0
        while done < bytes.count {
            let count = unsafe bytes[done...].withUnsafeBytes {
                unsafe send(connection, $0.baseAddress!, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { return }
            done += count
        }
    }

    private func end(of buffer: [UInt8]) -> Int? {
        guard buffer.count >= 4 else { return nil }
        for index in 3..<buffer.count where buffer[index] == 10 && buffer[index - 1] == 13 && buffer[index - 2] == 10 {
            return index + 1
        }
        return nil
    }

    private func parse(_ head: [UInt8]) -> Seen {
        var seen = Seen()
        let lines = String(decoding: head, as: UTF8.self).components(separatedBy: "\r\n")
        let words = lines[0].split(separator: " ")
        seen.method = String(words[0])
        seen.target = String(words[1])
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { continue }
            seen.headers[line[..<colon].lowercased()] = line[line.index(after: colon)...].trimmingCharacters(
                in: .whitespaces)
        }
        return seen
    }
}
