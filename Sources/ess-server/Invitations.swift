import Crypto
import Foundation
import GRDB
import HTTPTypes
import Hummingbird
import NIOSSL
import SwiftASN1
import X509

/// One-time codes with which a new laptop gets its certificate; and the renewal of one that is about to end.
struct Invitations: Sendable {
    let home: Home
    let ledger: Ledger
    /// Life of a certificate.
    let days: Double

    /// No letters that are taken for digits.
    private static let alphabet = Array("ABCDEFGHJKLMNPQRSTUVWXYZ23456789")

    /// - Returns: the code, to be told to the person at the laptop; kept as a hash.
    func invite(name: String, hours: Double) throws -> String {
        try Authority.require(name: name)
        var random = SystemRandomNumberGenerator()
        let letters = (0..<16).map { _ in Self.alphabet[Int.random(in: 0..<Self.alphabet.count, using: &random)] }
        let end = Instant.now() + Int(hours * 3_600_000)
        try ledger.queue.write { db in
            try db.execute(
                sql: "INSERT INTO fact (name, value) VALUES (?, ?)",
                arguments: ["invitation \(Self.hash(String(letters)))", "\(name) \(end) -"])
        }
        return stride(from: 0, to: 16, by: 4).map { String(letters[$0..<$0 + 4]) }.joined(separator: "-")
    }

    private static func hash(_ code: String) -> String {
        let letters = code.uppercased().filter { alphabet.contains($0) }
        return Disk.hexadecimal(SHA256.hash(data: Array(letters.utf8)))
    }

    /// `POST /ess/v1/enrolments` {code, request}: on a listener that asks for no certificate.
    /// - Parameter port: of the server itself; 0 where it isn't known beforehand.
    func addEnrolment(to router: Router<Context>, port: Int) {
        router.post("/ess/v1/enrolments") { request, _ in
            let form = try JSON(parsing: try await request.bytes(upTo: 64 << 10))
            guard let code = form["code"]?.string, let text = form["request"]?.string,
                let csr = try? CertificateSigningRequest(pemEncoded: text)
            else { throw Refusal.invalid("code and request are needed") }
            let key = Disk.hexadecimal(SHA256.hash(data: Array(csr.publicKey.subjectPublicKeyInfoBytes)))
            let name = try take(code, key: key)
            let certificate = try Authority(home: home).sign(csr, name: name, days: days)
            var body: JSON = [
                "certificate": .string(certificate), "authority": .string(try Authority(home: home).pem),
                "laptop": .string(name),
            ]
            if port > 0 { body["server"] = .string("\(request.host):\(port)") }
            return Answer(status: 201, headers: ["Cache-Control": "no-store"], body: body).response(
                type: "application/json")
        }
    }

    /// The code is worth one key: asked again with the same key, after a lost answer, it is as good as the first time.
    private func take(_ code: String, key: String) throws -> String {
        let no = Refusal(403, "forbidden", "the code is used, expired or wrong")
        return try ledger.queue.write { db in
            let fact = "invitation \(Self.hash(code))"
            let value = try String.fetchOne(db, sql: "SELECT value FROM fact WHERE name = ?", arguments: [fact])
            let parts = value?.split(separator: " ").map(String.init) ?? []
            guard parts.count == 3, let end = Int(parts[1]), end > Instant.now(), parts[2] == "-" || parts[2] == key
            else {
                throw no
            }
            try db.execute(
                sql: "UPDATE fact SET value = ? WHERE name = ?", arguments: ["\(parts[0]) \(parts[1]) \(key)", fact])
            return parts[0]
        }
    }

    /// `POST /ess/v1/certificates` {request}: the name is the one on the certificate that it comes with.
    func addRenewal(to router: Router<Context>) {
        router.post("/ess/v1/certificates") { request, context in
            let body = try JSON(parsing: try await request.bytes(upTo: 64 << 10))
            guard let text = body["request"]?.string, let csr = try? CertificateSigningRequest(pemEncoded: text) else {
                throw Refusal.invalid("a certificate request is needed")
            }
            guard let peer = try await context.channel.nioSSL_peerCertificate().get(),
                let old = try? Certificate(derEncoded: try peer.toDERBytes()),
                let name = Authority.commonName(old.subject)
            else { throw Refusal(403, "forbidden", "there is no certificate to renew") }
            let certificate = try Authority(home: home).sign(csr, name: name, days: days)
            return Answer(
                status: 201, headers: ["Cache-Control": "no-store"], body: ["certificate": .string(certificate)]
            )
            .response(type: "application/json")
        }
    }
}
