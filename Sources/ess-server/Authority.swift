import Crypto
import Foundation
import HummingbirdTLS
import NIOCore
import NIOSSL
import SwiftASN1
import X509

/// The server's own certificate authority: it signs the server and each laptop, and trusts nobody else.
struct Authority {
    let home: Home

    private var certificateFile: URL { home.authority.appendingPathComponent("ca.pem") }
    private var keyFile: URL { home.authority.appendingPathComponent("ca.key") }
    private var serverFile: URL { home.authority.appendingPathComponent("server.pem") }
    private var serverKeyFile: URL { home.authority.appendingPathComponent("server.key") }

    /// Makes what is missing.
    /// - Returns: what was made or kept, one line each.
    func initialise(hosts: [String]) throws -> [String] {
        var notes: [String] = []
        if Disk.exists(certificateFile), Disk.exists(keyFile) {
            notes.append("kept the authority \(certificateFile.path)")
        } else {
            try makeAuthority()
            // A server certificate of a lost authority is of no use.
            try Disk.remove(serverFile)
            notes.append("made the authority \(certificateFile.path)")
        }
        if Disk.exists(serverFile), Disk.exists(serverKeyFile) {
            notes.append("kept the server certificate \(serverFile.path)")
            let names = try serverNames()
            for host in hosts where !names.contains(host) {
                notes.append("note: it does not name \(host); remove \(serverFile.path) and run init again")
            }
        } else {
            try makeServer(hosts: hosts)
            notes.append("made the server certificate \(serverFile.path)")
        }
        return notes
    }

    /// Writes `ca.pem`, `client.pem` and `client.key` for one laptop.
    /// - Returns: what was made or kept, one line.
    func enrol(name: String, into directory: URL, days: Double = 730) throws -> String {
        try Self.require(name: name)
        let authority = try load()
        try FileManager.default.createDirectory(
            at: directory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        let certificateURL = directory.appendingPathComponent("client.pem")
        let keyURL = directory.appendingPathComponent("client.key")
        let authorityURL = directory.appendingPathComponent("ca.pem")
        if Disk.exists(certificateURL), Disk.exists(keyURL) {
            let there = try Certificate(pemEncoded: String(contentsOf: certificateURL, encoding: .utf8))
            guard authority.certificate.publicKey.isValidSignature(there.signature, for: there) else {
                throw Trouble("\(certificateURL.path) was signed by another authority: give an empty directory")
            }
            return "kept \(certificateURL.path)"
        }
        let key = P256.Signing.PrivateKey()
        let certificate = try sign(
            key.publicKey, name: try subject(name), days: days, by: authority,
            usage: try ExtendedKeyUsage([.clientAuth]), alternatives: [])
        try Disk.write(Data(key.pemRepresentation.utf8), to: keyURL, mode: 0o600)
        try Disk.write(Data(contentsOf: certificateFile), to: authorityURL, mode: 0o644)
        try Disk.write(pem(certificate), to: certificateURL, mode: 0o644)
        return "enrolled \(name): \(authorityURL.path), \(certificateURL.path), \(keyURL.path)"
    }

    /// TLS 1.2 or later, HTTP/1.1, and a client certificate of this authority or no connection at all.
    /// - Parameter fault: `name` or `expired`: a certificate of this authority that nobody should believe.
    func tlsConfiguration(fault: String? = nil, needsCertificate: Bool = true) throws -> TLSConfiguration {
        var chain = try NIOSSLCertificate.fromPEMFile(serverFile.path).map { NIOSSLCertificateSource.certificate($0) }
        var privateKey = try NIOSSLPrivateKey(file: serverKeyFile.path, format: .pem)
        if let fault {
            let key = P256.Signing.PrivateKey()
            let name = fault == "name" ? "autre.invalid" : "localhost"
            let certificate = try sign(
                key.publicKey, name: try subject(name), days: fault == "expired" ? -0.5 : 30, by: try load(),
                usage: try ExtendedKeyUsage([.serverAuth]), alternatives: [Self.generalName(name)])
            chain = [.certificate(try NIOSSLCertificate(bytes: Array(pem(certificate)), format: .pem))]
            privateKey = try NIOSSLPrivateKey(bytes: Array(key.pemRepresentation.utf8), format: .pem)
        }
        var configuration = TLSConfiguration.makeServerConfigurationWithMTLS(
            certificateChain: chain,
            privateKey: .privateKey(privateKey),
            trustRoots: .certificates(try NIOSSLCertificate.fromPEMFile(certificateFile.path)))
        if !needsCertificate { configuration.certificateVerification = .none }
        configuration.minimumTLSVersion = .tlsv12
        configuration.applicationProtocols = ["http/1.1"]
        configuration.shutdownTimeout = .seconds(1)
        return configuration
    }

    /// - Throws: unless it can be a laptop's name.
    static func require(name: String) throws {
        let legal = name.utf8.allSatisfy {
            (0x61...0x7A).contains($0) || (0x41...0x5A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2D
                || $0 == 0x2E || $0 == 0x5F
        }
        guard (1...64).contains(name.utf8.count), legal else {
            throw Trouble("a laptop's name is 1 to 64 of: letters, digits, '-', '.', '_'")
        }
    }

    /// A certificate for somebody who has asked for one, under the name that we know them by.
    func sign(_ request: CertificateSigningRequest, name: String, days: Double) throws -> String {
        guard request.publicKey.isValidSignature(request.signature, for: request) else {
            throw Refusal.invalid("the request is not signed by its own key")
        }
        let certificate = try sign(
            request.publicKey, name: try subject(name), days: days, by: try load(),
            usage: try ExtendedKeyUsage([.clientAuth]), alternatives: [])
        return String(decoding: try pem(certificate), as: UTF8.self)
    }

    /// The authority's certificate.
    var pem: String { get throws { try String(contentsOf: certificateFile, encoding: .utf8) } }

    static func commonName(_ name: DistinguishedName) -> String? {
        for part in name {
            for attribute in part where attribute.type == .RDNAttributeType.commonName {
                return String(describing: attribute.value)
            }
        }
        return nil
    }

    /// The same, for those who have no certificate yet.
    func enrolmentConfiguration() throws -> TLSConfiguration {
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: try NIOSSLCertificate.fromPEMFile(serverFile.path).map { .certificate($0) },
            privateKey: .privateKey(try NIOSSLPrivateKey(file: serverKeyFile.path, format: .pem)))
        configuration.minimumTLSVersion = .tlsv12
        configuration.applicationProtocols = ["http/1.1"]
        return configuration
    }

    // MARK: Making

    private struct Signer {
        var certificate: Certificate
        var key: P256.Signing.PrivateKey
    }

    private func load() throws -> Signer {
        guard Disk.exists(certificateFile), Disk.exists(keyFile) else {
            throw Trouble("\(home.root.path) has no authority: run `ess-server init` first")
        }
        return Signer(
            certificate: try Certificate(pemEncoded: String(contentsOf: certificateFile, encoding: .utf8)),
            key: try P256.Signing.PrivateKey(pemRepresentation: String(contentsOf: keyFile, encoding: .utf8)))
    }

    private func makeAuthority() throws {
        let key = P256.Signing.PrivateKey()
        let name = try subject("ESS reference authority \(UUID().uuidString.prefix(8).lowercased())")
        let identifier = SubjectKeyIdentifier(hash: Certificate.PublicKey(key.publicKey))
        let now = Date()
        let certificate = try Certificate(
            version: .v3, serialNumber: Certificate.SerialNumber(), publicKey: .init(key.publicKey),
            notValidBefore: now.addingTimeInterval(-86_400), notValidAfter: now.addingTimeInterval(3_650 * 86_400),
            issuer: name, subject: name, signatureAlgorithm: .ecdsaWithSHA256,
            extensions: Certificate.Extensions {
                Critical(BasicConstraints.isCertificateAuthority(maxPathLength: 0))
                Critical(KeyUsage(keyCertSign: true, cRLSign: true))
                identifier
                AuthorityKeyIdentifier(keyIdentifier: identifier.keyIdentifier)
            },
            issuerPrivateKey: .init(key))
        try Disk.write(Data(key.pemRepresentation.utf8), to: keyFile, mode: 0o600)
        try Disk.write(pem(certificate), to: certificateFile, mode: 0o644)
    }

    private func makeServer(hosts: [String]) throws {
        var names: [String] = []
        for host in ["localhost", "127.0.0.1", "::1"] + hosts where !names.contains(host) { names.append(host) }
        let key = P256.Signing.PrivateKey()
        let certificate = try sign(
            key.publicKey, name: try subject(hosts.first ?? "localhost"), days: 825, by: try load(),
            usage: try ExtendedKeyUsage([.serverAuth]), alternatives: names.map(Self.generalName))
        try Disk.write(Data(key.pemRepresentation.utf8), to: serverKeyFile, mode: 0o600)
        try Disk.write(pem(certificate), to: serverFile, mode: 0o644)
    }

    /// A certificate is valid from the day before: a laptop's clock may be behind.
    private func sign(
        _ key: P256.Signing.PublicKey, name: DistinguishedName, days: Double, by signer: Signer,
        usage: ExtendedKeyUsage, alternatives: [GeneralName]
    ) throws -> Certificate {
        try sign(
            Certificate.PublicKey(key), name: name, days: days, by: signer, usage: usage, alternatives: alternatives)
    }

    private func sign(
        _ key: Certificate.PublicKey, name: DistinguishedName, days: Double, by signer: Signer,
        usage: ExtendedKeyUsage, alternatives: [GeneralName]
    ) throws -> Certificate {
        let issuer = SubjectKeyIdentifier(hash: Certificate.PublicKey(signer.key.publicKey))
        let now = Date()
        return try Certificate(
            version: .v3, serialNumber: Certificate.SerialNumber(), publicKey: key,
            notValidBefore: now.addingTimeInterval(-86_400), notValidAfter: now.addingTimeInterval(days * 86_400),
            issuer: signer.certificate.subject, subject: name, signatureAlgorithm: .ecdsaWithSHA256,
            extensions: Certificate.Extensions {
                Critical(BasicConstraints.notCertificateAuthority)
                Critical(KeyUsage(digitalSignature: true))
                usage
                SubjectKeyIdentifier(hash: key)
                AuthorityKeyIdentifier(keyIdentifier: issuer.keyIdentifier)
                if !alternatives.isEmpty { SubjectAlternativeNames(alternatives) }
            },
            issuerPrivateKey: .init(signer.key))
    }

    private func subject(_ name: String) throws -> DistinguishedName {
        try DistinguishedName {
            OrganizationName("ESS")
            CommonName(name)
        }
    }

    private func pem(_ certificate: Certificate) throws -> Data {
        Data((try certificate.serializeAsPEM().pemString + "\n").utf8)
    }

    private func serverNames() throws -> [String] {
        let certificate = try Certificate(pemEncoded: String(contentsOf: serverFile, encoding: .utf8))
        let all = ["localhost", "127.0.0.1", "::1"]
        guard let alternatives = try certificate.extensions.subjectAlternativeNames else { return [] }
        return alternatives.compactMap { name in
            switch name {
            case .dnsName(let dns): dns
            case .ipAddress(let address):
                address.bytes.count == 4 ? address.bytes.map(String.init).joined(separator: ".") : nil
            default: nil
            }
        } + all
    }

    /// An address when it reads as one, a DNS name otherwise.
    static func generalName(_ host: String) -> GeneralName {
        guard let address = ipv4(host) ?? ipv6(host) else { return .dnsName(host) }
        return .ipAddress(ASN1OctetString(contentBytes: address[...]))
    }

    private static func ipv4(_ text: String) -> [UInt8]? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false).map { UInt8($0) }
        guard parts.count == 4, !parts.contains(nil) else { return nil }
        return parts.compactMap { $0 }
    }

    private static func ipv6(_ text: String) -> [UInt8]? {
        guard text.contains(":") else { return nil }
        func groups(_ text: Substring) -> [UInt16]? {
            if text.isEmpty { return [] }
            let parts = text.split(separator: ":", omittingEmptySubsequences: false).map { UInt16($0, radix: 16) }
            return parts.contains(nil) ? nil : parts.compactMap { $0 }
        }
        let words: [UInt16]
        if let gap = text.range(of: "::") {
            guard let head = groups(text[..<gap.lowerBound]), let tail = groups(text[gap.upperBound...]),
                head.count + tail.count < 8
            else { return nil }
            words = head + Array(repeating: 0, count: 8 - head.count - tail.count) + tail
        } else {
            guard let all = groups(text[...]), all.count == 8 else { return nil }
            words = all
        }
        return words.flatMap { [UInt8($0 >> 8), UInt8($0 & 0xFF)] }
    }
}
