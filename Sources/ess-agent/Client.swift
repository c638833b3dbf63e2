import Agent
import ArgumentParser
import FoundationEssentials
import Glibc
import Uplink

/// Where the daemon is, and how to show what it says.
struct ClientOptions: ParsableArguments {
    @Option(help: "The daemon's socket (default: the configuration's).") var socket: String?
    @Option(help: "Read this configuration file instead of the system's.") var config: String?

    func client() throws -> LocalClient {
        if let socket { return try LocalClient(socket: socket) }
        let path: String
        do throws(ConfigurationError) {
            path = try Configuration.load(file: config).socket
        } catch {
            throw fail(Problem.configuration("\(error)"))
        }
        return try LocalClient(socket: path)
    }
}

/// The same HTTP client as the uplink's, over the daemon's Unix socket.
struct LocalClient {
    let socket: String
    private let http: HTTPClient

    init(socket: String) throws {
        self.socket = socket
        do throws(UplinkError) { http = try HTTPClient(unixSocket: socket) } catch { throw fail(.internalFailure) }
    }

    func get<Value: Decodable>(_ path: String, as: Value.Type = Value.self) async throws -> Value {
        try decoded(try await send(.get, path, nil))
    }

    func getBytes(_ path: String) async throws -> [UInt8] { try await send(.get, path, nil) }

    /// Writes an answer of any length into a file, as it comes.
    func download(_ path: String, into file: NewFile) async throws {
        do {
            _ = try await send(.get, path, nil) { file.append($0) }
        } catch {
            guard file.hasFailed else {
                file.discard()
                throw error
            }
        }
        try file.close()
    }

    func post<Value: Decodable>(_ path: String, _ body: some Encodable, as: Value.Type = Value.self) async throws
        -> Value
    {
        try decoded(try await send(.post, path, Array(JSONEncoder().encode(body))))
    }

    func post<Value: Decodable>(_ path: String, as: Value.Type = Value.self) async throws -> Value {
        try decoded(try await send(.post, path, Array("{}".utf8)))
    }

    private func send(
        _ method: HTTPRequest.Method, _ path: String, _ body: [UInt8]?, into sink: (@Sendable ([UInt8]) -> Bool)? = nil
    ) async throws -> [UInt8] {
        // Said before trying: "no such socket" and "not allowed" need different help.
        // Its directory is closed to others, so they don't even see whether it is there.
        guard unsafe access(socket, F_OK) == 0 else { throw fail(errno == EACCES ? .socketDenied : .daemonNotRunning) }
        guard unsafe access(socket, R_OK | W_OK) == 0 else { throw fail(.socketDenied) }
        let response: HTTPResponse
        do throws(UplinkError) {
            // An import or an export takes as long as it takes; only an agent that is gone ends the wait.
            response = try await http.send(
                HTTPRequest(
                    method, "http://localhost\(path)",
                    headers: body == nil ? [:] : ["Content-Type": "application/json"],
                    body: body.map { .bytes($0) } ?? .none, limits: HTTPRequest.Limits(idle: nil, body: 1 << 30)),
                into: sink)
        } catch {
            throw fail(.daemonNotRunning)
        }
        guard response.status == 200 else {
            let problem = try? JSONDecoder().decode(Problem.self, from: Data(response.body))
            throw fail(problem ?? .internalFailure)
        }
        return response.body
    }

    private func decoded<Value: Decodable>(_ bytes: [UInt8]) throws -> Value {
        do {
            return try JSONDecoder().decode(Value.self, from: Data(bytes))
        } catch {
            throw fail(.internalFailure)
        }
    }
}

/// One path component, so that a name typed by a person can't reach another route.
func component(_ text: String) -> String {
    let allowed = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~".utf8)
    return text.utf8.map { byte in
        allowed.contains(byte)
            ? String(UnicodeScalar(byte)) : "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
    }.joined()
}

/// Who does it, as far as this machine knows: the account. The nurse's own identity comes with the page's session.
func account() -> String {
    guard let entry = unsafe getpwuid(getuid()) else { return "uid \(getuid())" }
    return unsafe String(cString: entry.pointee.pw_name)
}
