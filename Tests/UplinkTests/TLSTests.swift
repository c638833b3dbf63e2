import Foundation
import Testing
import Uplink

/// Certificates made by openssl and a server on Python's `ssl`: somebody else's TLS on the other end.
private struct TLSBench {
    static let isAvailable =
        ["openssl", "python3"].allSatisfy { name in
            (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").contains {
                FileManager.default.isExecutableFile(atPath: "\($0)/\(name)")
            }
        }

    let directory: URL

    init() throws {
        directory = FileManager.default.temporaryDirectory.appendingPathComponent("ess-tls-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        for name in ["ca", "other"] {
            try openssl(
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
                "\(name).key", "-out",
                "\(name).pem", "-subj", "/CN=\(name)", "-days", "30")
        }
        try certificate("server", subjectAlternative: "DNS:localhost,IP:127.0.0.1")
        try certificate("elsewhere", subjectAlternative: "DNS:elsewhere.example")
        try certificate("expired", subjectAlternative: "IP:127.0.0.1", days: -1)
        try certificate("laptop-7", subjectAlternative: "DNS:laptop-7")
        try certificate("stranger", subjectAlternative: "DNS:stranger", authority: "other")
    }

    func remove() { try? FileManager.default.removeItem(at: directory) }

    func file(_ name: String) -> String { directory.appendingPathComponent(name).path }

    private func certificate(_ name: String, subjectAlternative: String, days: Int = 30, authority: String = "ca")
        throws
    {
        try openssl(
            "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "\(name).key",
            "-out",
            "\(name).csr", "-subj", "/CN=\(name)")
        try "subjectAltName=\(subjectAlternative)\n".write(
            toFile: file("\(name).ext"), atomically: true, encoding: .utf8)
        try openssl(
            "x509", "-req", "-in", "\(name).csr", "-CA", "\(authority).pem", "-CAkey", "\(authority).key",
            "-set_serial", "\(abs(name.hashValue))",
            "-days", "\(days)", "-extfile", "\(name).ext", "-out", "\(name).pem")
    }

    private func openssl(_ arguments: String...) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = ["openssl"] + arguments
        process.currentDirectoryURL = directory
        process.standardError = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { throw CocoaError(.executableLoad) }
    }

    private static let script = """
        import http.server, os, socket, ssl, sys
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'
            def do_GET(self):
                peer = self.connection.getpeercert() if hasattr(self.connection, 'getpeercert') else None
                names = [v for part in (peer or {}).get('subject', ()) for k, v in part if k == 'commonName']
                self.send_response(204)
                self.send_header('X-Peer', ','.join(names))
                self.end_headers()
            def log_message(self, *arguments): pass
        class Server(http.server.ThreadingHTTPServer):
            def handle_error(self, *arguments): pass
            def finish_request(self, request, address):
                if hasattr(request, 'do_handshake'):
                    raw = socket.socket(fileno=os.dup(request.fileno()))
                    try:
                        request.do_handshake()
                    except ssl.SSLError:
                        # Closing with unread bytes would reset the connection, and the alert could be lost.
                        raw.shutdown(socket.SHUT_WR)
                        while raw.recv(4096): pass
                        raise
                    finally:
                        raw.close()
                super().finish_request(request, address)
        certificate, client, version = sys.argv[1:4]
        server = Server(('127.0.0.1', 0), Handler)
        if certificate != '-':
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate + '.pem', certificate + '.key')
            if version == 'old':
                context.set_ciphers('ALL:@SECLEVEL=0')
                context.minimum_version = ssl.TLSVersion.TLSv1
                context.maximum_version = ssl.TLSVersion.TLSv1_1
            if client != '-':
                context.load_verify_locations(client)
                context.verify_mode = ssl.CERT_REQUIRED
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        print(server.server_address[1], flush=True)
        server.serve_forever()
        """

    /// - Returns: the answer to one ping-like question, or the error.
    func ask(
        certificate: String?, host: String = "127.0.0.1", tls: TLSFiles, clientsOf authority: String? = nil,
        old: Bool = false
    ) async throws -> Result<HTTPResponse, UplinkError> {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = [
            "python3", "-W", "ignore", "-c", Self.script, certificate.map(file) ?? "-", authority.map(file) ?? "-",
            old ? "old" : "new",
        ]
        let output = Pipe()
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        defer {
            // Not SIGTERM: a child of a pool thread inherits its mask, and that blocks it.
            kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
        }
        var line = ""
        while !line.hasSuffix("\n") {
            let data = output.fileHandleForReading.availableData
            guard !data.isEmpty else { throw CocoaError(.fileReadUnknown) }
            line += String(decoding: data, as: UTF8.self)
        }
        let client = try HTTPClient(tls: tls)
        let url = "https://\(host):\(line.trimmingCharacters(in: .whitespacesAndNewlines))/"
        do throws(UplinkError) {
            return .success(try await client.send(HTTPRequest(.get, url)))
        } catch {
            return .failure(error)
        }
    }
}

@Suite(.enabled(if: TLSBench.isAvailable, "openssl and python3 are needed"), .timeLimit(.minutes(2)))
struct TLSTests {
    @Test func whoIsBelieved() async throws {
        let bench = try TLSBench()
        defer { bench.remove() }
        let ours = TLSFiles(authorities: bench.file("ca.pem"))
        #expect(try await bench.ask(certificate: "server", tls: ours).get().status == 204)
        #expect(try await bench.ask(certificate: "server", host: "localhost", tls: ours).get().status == 204)

        let refused: [(String, TLSFiles)] = [
            ("server", TLSFiles(authorities: bench.file("other.pem"))), ("server", TLSFiles()), ("elsewhere", ours),
            ("expired", ours),
        ]
        for (certificate, tls) in refused {
            guard case .failure(.tls(let text)) = try await bench.ask(certificate: certificate, tls: tls) else {
                Issue.record("\(certificate) was believed")
                continue
            }
            #expect(!text.isEmpty)
        }
    }

    @Test func ourOwnCertificate() async throws {
        let bench = try TLSBench()
        defer { bench.remove() }
        func ask(_ name: String?) async throws -> Result<HTTPResponse, UplinkError> {
            try await bench.ask(
                certificate: "server",
                tls: TLSFiles(
                    authorities: bench.file("ca.pem"), certificate: name.map { bench.file("\($0).pem") },
                    key: name.map { bench.file("\($0).key") }),
                clientsOf: "ca.pem")
        }
        #expect(try await ask("laptop-7").get().headers["X-Peer"] == "laptop-7")
        for name in [nil, "stranger"] {
            let result = try await ask(name)
            guard case .failure(.certificateRefused) = result else {
                Issue.record("\(name ?? "nobody"): \(result)")
                continue
            }
        }
    }

    @Test func oldTLSAndNoTLS() async throws {
        let bench = try TLSBench()
        defer { bench.remove() }
        let ours = TLSFiles(authorities: bench.file("ca.pem"))
        let old = try await bench.ask(certificate: "server", tls: ours, old: true)
        guard case .failure(.link) = old else {
            Issue.record("\(old)")
            return
        }
        let plain = try await bench.ask(certificate: nil, tls: ours)
        guard case .failure(.captivePortal) = plain else {
            Issue.record("\(plain)")
            return
        }
    }

    @Test func filesThatDoNotFit() async throws {
        let bench = try TLSBench()
        defer { bench.remove() }
        #expect(throws: UplinkError.configuration("cannot read /nonexistent.pem")) {
            try HTTPClient(tls: TLSFiles(authorities: "/nonexistent.pem"))
        }
        #expect(throws: UplinkError.configuration("a client certificate and its key come together")) {
            try HTTPClient(tls: TLSFiles(certificate: bench.file("server.pem")))
        }
        for files in [
            TLSFiles(
                authorities: bench.file("ca.pem"), certificate: bench.file("laptop-7.pem"),
                key: bench.file("server.key")),
            TLSFiles(authorities: bench.file("server.ext")),
        ] {
            let result = try await bench.ask(certificate: "server", tls: files)
            guard case .failure(.configuration) = result else {
                Issue.record("\(result)")
                continue
            }
        }
    }
}
