import Crypto
import FoundationEssentials
import Glibc
import SwiftASN1
import Uplink
import X509

/// How a laptop gets its certificate, and a new one before it ends. The key is made here and never leaves.
public enum Enrolment {
    public struct Failure: Error, Equatable, Sendable, CustomStringConvertible {
        public var description: String
    }

    /// What the server sent.
    struct Answer: Decodable, Sendable {
        var certificate: String
        /// Whom this laptop is to believe from now on.
        var authority: String?
        var laptop: String?
        /// Where the server itself is: enrolment may have an address of its own.
        var server: String?
        var team: String?
    }

    private static let keyName = "client.key"
    private static let certificateName = "client.pem"

    // MARK: A new laptop

    /// Asks for this laptop's certificate with a one-time code, and writes what the daemon needs to know into `directory`:
    /// `client.key` (0600), `client.pem`, `ca.pem` and `enrolment.conf`. A lost answer is no harm: the same call again, with
    /// the key that is there, gets the same certificate.
    /// - Parameters:
    ///   - authorities: PEM file of the CA that signed the enrolment address's certificate; nil for the system's.
    /// - Returns: the lines of `enrolment.conf`.
    public static func enrol(
        server: String, code: String, name: String, authorities: String?, directory: String
    ) async throws(Failure) -> String {
        let link: ServerLink
        do throws(UplinkError) {
            link = try ServerLink(
                UplinkConfiguration(baseURL: server, tls: TLSFiles(authorities: authorities), version: agentVersion))
        } catch { throw Failure(description: "\(error)") }
        defer { link.client.close() }
        let key = try await Blocking.run { () throws(Failure) in try Self.key(in: directory) }
        let answer = try await ask(
            link, "/ess/v1/enrolments", Request(code: code, request: try request(key, name: name)))
        try check(answer, key, now: Date().timeIntervalSince1970)
        var lines = ["# Written by `ess-agent enrol`.", "server = \(answer.server ?? server)"]
        if answer.authority != nil { lines.append("server-ca = \(directory)/ca.pem") }
        lines += ["client-certificate = \(directory)/\(certificateName)", "client-key = \(directory)/\(keyName)"]
        lines.append("laptop = \(answer.laptop ?? name)")
        if let team = answer.team { lines.append("team = \(team)") }
        guard lines.allSatisfy({ !$0.contains(where: \.isNewline) }) else {
            throw Failure(description: "the server's answer can't be written into a configuration")
        }
        let text = lines.joined(separator: "\n") + "\n"
        try await Blocking.run { () throws(Failure) in
            if let authority = answer.authority { try write(authority, to: "\(directory)/ca.pem", mode: 0o644) }
            try write(answer.certificate, to: "\(directory)/\(certificateName)", mode: 0o644)
            try write(text, to: "\(directory)/enrolment.conf", mode: 0o644)
        }
        return text
    }

    // MARK: Before it ends

    /// Where a renewed pair lies: below the state directory, as `/etc` isn't the daemon's to write.
    static func directory(_ state: String) -> String { "\(state)/identity" }

    /// A certificate and its key; paths.
    struct Pair: Sendable, Equatable {
        var certificate: String
        var key: String
    }

    /// The complete pairs that the agent has fetched for itself, the newest first; none when a person has put a newer certificate in
    /// place (`ess-agent setup`, `ess-agent enrol`).
    static func renewed(_ state: String, since given: String) -> [Pair] {
        let base = directory(state)
        let names = ((try? FileManager.default.contentsOfDirectory(atPath: base)) ?? []).sorted().reversed()
        // The certificate is written last: without it the pair isn't whole.
        let pairs = names.map { Pair(certificate: "\(base)/\($0)/\(certificateName)", key: "\(base)/\($0)/\(keyName)") }
            .filter { unsafe access($0.certificate, R_OK) == 0 }
        guard let newest = pairs.first else { return [] }
        if let before = life(of: newest.certificate)?.lowerBound, let after = life(of: given)?.lowerBound,
            after > before
        {
            return []
        }
        return pairs
    }

    /// - Parameter now: seconds since 1970.
    static func isValid(certificate path: String, now: Double) -> Bool { life(of: path)?.contains(now) ?? false }

    /// Seconds since 1970.
    private static func life(of path: String) -> Range<Double>? {
        guard
            let certificate = (try? String(contentsOfFile: path, encoding: .utf8)).flatMap({
                try? Certificate(pemEncoded: $0)
            }), certificate.notValidBefore < certificate.notValidAfter
        else { return nil }
        return certificate.notValidBefore.timeIntervalSince1970..<certificate.notValidAfter.timeIntervalSince1970
    }

    /// Two thirds of its life are over (sync.md 4.5).
    /// - Parameter now: seconds since 1970.
    static func isDue(certificate path: String, now: Double) -> Bool {
        guard let life = life(of: path) else { return false }
        return now < life.upperBound && now > life.lowerBound + (life.upperBound - life.lowerBound) * 2 / 3
    }

    /// Fetches a new certificate for a new key, over the old one. The old pair stays where it is, and is what counts until the new one is
    /// whole and was taken by the server: one of another authority would lock this laptop out.
    /// - Parameter proof: speaks to the server with a pair.
    static func renew(
        _ link: ServerLink, name: String, state: String, now: Int64, proof: (Pair) async throws(UplinkError) -> Void
    ) async throws(Failure) {
        let place = "\(directory(state))/\(now)"
        do throws(Failure) {
            try await renew(link, name: name, in: place, base: directory(state), now: now, proof: proof)
        } catch {
            await Blocking.run { try? FileManager.default.removeItem(atPath: place) }
            throw error
        }
    }

    private static func renew(
        _ link: ServerLink, name: String, in place: String, base: String, now: Int64,
        proof: (Pair) async throws(UplinkError) -> Void
    ) async throws(Failure) {
        let key = try await Blocking.run { () throws(Failure) in
            for made in [base, place] where unsafe mkdir(made, 0o700) != 0 {
                guard errno == EEXIST else { throw failure("\(made) can't be made") }
            }
            return try Self.key(in: place)
        }
        let answer = try await ask(
            link, "/ess/v1/certificates", Request(code: nil, request: try request(key, name: name)))
        try check(answer, key, now: Double(now) / 1000)
        let candidate = "\(place)/candidate.pem"
        try await Blocking.run { () throws(Failure) in try write(answer.certificate, to: candidate, mode: 0o644) }
        do throws(UplinkError) {
            try await proof(Pair(certificate: candidate, key: "\(place)/\(keyName)"))
        } catch { throw Failure(description: "the new certificate isn't taken: \(error)") }
        try await Blocking.run { () throws(Failure) in
            try write(answer.certificate, to: "\(place)/\(certificateName)", mode: 0o644)
            _ = unsafe unlink(candidate)
        }
    }

    // MARK: Parts

    private struct Request: Encodable {
        var code: String?
        /// PKCS #10, PEM.
        var request: String
    }

    private static func ask(_ link: ServerLink, _ path: String, _ request: Request) async throws(Failure) -> Answer {
        do throws(UplinkError) {
            let body = (try? JSONEncoder().encode(request)).map { [UInt8]($0) } ?? []
            return try await link.post(Answer.self, path, body)
        } catch {
            switch error {
            case .forbidden, .unauthorised:
                throw Failure(
                    description: "the server refuses the code: used, expired or mistyped. Ask for another one.")
            case .tls(let text):
                throw Failure(
                    description:
                        "the server's certificate is not trusted (\(text)). Name the region's CA with --server-ca.")
            default: throw Failure(description: "the server can't be asked: \(error)")
            }
        }
    }

    private static func request(_ key: P256.Signing.PrivateKey, name: String) throws(Failure) -> String {
        do {
            let request = try CertificateSigningRequest(
                version: .v1,
                subject: try DistinguishedName {
                    OrganizationName("ESS")
                    CommonName(name)
                }, privateKey: Certificate.PrivateKey(key), attributes: CertificateSigningRequest.Attributes(),
                signatureAlgorithm: .ecdsaWithSHA256)
            return try request.serializeAsPEM().pemString + "\n"
        } catch { throw Failure(description: "the certificate request can't be made: \(error)") }
    }

    /// The certificate is for our key, or it isn't ours; and it has some life left.
    private static func check(_ answer: Answer, _ key: P256.Signing.PrivateKey, now: Double) throws(Failure) {
        guard let certificate = try? Certificate(pemEncoded: answer.certificate),
            certificate.publicKey == Certificate.PublicKey(key.publicKey)
        else { throw Failure(description: "the server's answer holds no certificate for this laptop's key") }
        guard certificate.notValidAfter.timeIntervalSince1970 > now else {
            throw Failure(description: "the server's answer holds a certificate that has ended, by this laptop's clock")
        }
    }

    /// The key that is there, or a new one, for its owner alone.
    private static func key(in directory: String) throws(Failure) -> P256.Signing.PrivateKey {
        let path = "\(directory)/\(keyName)"
        if let pem = try? String(contentsOfFile: path, encoding: .utf8) {
            guard let key = try? P256.Signing.PrivateKey(pemRepresentation: pem) else {
                throw Failure(description: "\(path) is no P-256 key; move it away to make a new one")
            }
            return key
        }
        let key = P256.Signing.PrivateKey()
        try write(key.pemRepresentation + "\n", to: path, mode: 0o600)
        return key
    }

    /// Whole and on the disk, or not there.
    private static func write(_ text: String, to path: String, mode: mode_t) throws(Failure) {
        let partial = "\(path).part"
        _ = unsafe unlink(partial)
        let file = unsafe open(partial, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode)
        guard file >= 0 else { throw failure("\(partial) can't be written") }
        let bytes = Array(text.utf8)
        let isWritten = unsafe Glibc.write(file, bytes, bytes.count) == bytes.count && fsync(file) == 0
        close(file)
        guard isWritten, unsafe rename(partial, path) == 0 else { throw failure("\(path) can't be written") }
        let directory = unsafe open(String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)]), O_RDONLY | O_CLOEXEC)
        if directory >= 0 {
            fsync(directory)
            close(directory)
        }
    }

    private static func failure(_ text: String) -> Failure {
        Failure(description: "\(text): \(unsafe String(cString: strerror(errno)))")
    }
}
