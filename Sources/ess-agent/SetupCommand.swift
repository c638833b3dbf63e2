import Agent
import ArgumentParser
import Glibc

/// Puts what the administrator has (addresses, certificate, key) to where the daemon and systemd look for it, keys sealed to this
/// machine; `ess-agent enrol` ends here, too, with what the region gave it. Run again with the same arguments it changes nothing.
struct Setup: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Set this laptop up: server, certificate, sealed keys, team, region. As root.",
        discussion: """
            Writes /etc/ess-agent/ess-agent.conf.d/10-setup.conf (and 20-region.conf), copies the certificates, and seals \
            the keys with systemd-creds: to the TPM where there is one. Idempotent; what isn't named stays as it is. Ends \
            with status 0 when all is in place, 1 when --check finds something missing.
            """)

    @Option(help: "The ESS server, https://…") var server: String?
    @Option(help: "PEM file of the authority that signed the server's certificate.") var ca: String?
    @Option(help: "PEM file of this laptop's certificate.") var certificate: String?
    @Option(help: "PEM file of this laptop's key; sealed, so the file can be deleted then.") var key: String?
    @Option(help: "The mobile team, for example Organization/equipe-mobile.") var team: String?
    @Option(help: "This laptop's name at the server; no person's name.") var laptop: String?
    @Option(help: "The region's settings, as a configuration file.") var region: String?
    @Option(help: "An account that may use the command line and the page; may be repeated.") var user: [String] = []
    @Flag(help: "Change nothing; say what is in place and what is missing.") var check = false
    @Option(
        name: .customLong("with-key"),
        help: "What the keys are sealed with, as systemd-creds has it: auto, tpm2, host, host+tpm2.")
    var withKey = "auto"

    static let directory = "/etc/ess-agent"
    static let setupFile = "/etc/ess-agent/ess-agent.conf.d/10-setup.conf"
    static let regionFile = "/etc/ess-agent/ess-agent.conf.d/20-region.conf"

    func validate() throws {
        guard ["auto", "tpm2", "host", "host+tpm2"].contains(withKey) else {
            throw ValidationError("--with-key is one of auto, tpm2, host, host+tpm2")
        }
        guard (certificate == nil) == (key == nil) else {
            throw ValidationError("--certificate and --key belong together: one without the other locks the laptop out")
        }
    }

    func run() throws {
        if check { return try report() }
        guard geteuid() == 0 else { throw failInput("setup writes below /etc and seals keys: run it as root.") }
        // Everything is read and checked before the first thing is written.
        let settings = try merged()
        let regionText = try region.map { try checkedRegion($0) }
        let authorities = try ca.map { try pem($0, "CERTIFICATE") }
        let chain = try certificate.map { try pem($0, "CERTIFICATE") }
        let privateKey = try key.map { try pem($0, "PRIVATE KEY") }
        if let chain, let privateKey { try checkPair(chain, privateKey) }
        let newcomers = try user.filter { try !isAdmitted($0) }
        // First of all: where there is another key than the store's, nothing is put in place.
        var changed = try SealedKey.sealMaster(withKey: withKey)
        if let authorities { changed = try place(authorities, at: "\(Self.directory)/ca.pem", mode: 0o644) || changed }
        // The key first: a certificate without its key would be worse than the old pair.
        if let privateKey { changed = try SealedKey.client.seal(privateKey, withKey: withKey) || changed }
        if let chain { changed = try place(chain, at: "\(Self.directory)/client.pem", mode: 0o644) || changed }
        if let regionText { changed = try place(regionText, at: Self.regionFile, mode: 0o644) || changed }
        changed = try place(Array(settings.utf8), at: Self.setupFile, mode: 0o644) || changed
        for name in newcomers { try admit(name) }
        // An earlier run may have written everything and not come so far.
        if unsafe access("/run/systemd/system", F_OK) == 0, try changed || isServiceOlder() {
            guard try ChildProgram(["systemctl", "restart", "ess-agent.service"]).status == 0 else {
                throw failInput("Everything is in place, but the service doesn't start: journalctl -u ess-agent.")
            }
            print("ess-agent.service restarted")
            changed = true
        }
        print(
            changed || !newcomers.isEmpty
                ? "This laptop is set up." : "Nothing to do: this laptop was set up like this already.")
    }

    /// Whether the service doesn't run, or was started before the last thing was put in place.
    private func isServiceOlder() throws -> Bool {
        let said = try ChildProgram([
            "systemctl", "show", "ess-agent.service", "--property=ActiveState,ExecMainStartTimestampMonotonic",
        ])
        let lines = String(decoding: said.output, as: UTF8.self).split(separator: "\n")
        let started = lines.compactMap { line in
            line.hasPrefix("ExecMainStartTimestampMonotonic=") ? Int64(line.split(separator: "=").last ?? "") : nil
        }.first
        guard lines.contains("ActiveState=active"), let started else { return true }
        var now = (wall: timespec(), monotonic: timespec())
        unsafe clock_gettime(CLOCK_REALTIME, &now.wall)
        unsafe clock_gettime(CLOCK_MONOTONIC, &now.monotonic)
        func microseconds(_ time: timespec) -> Int64 { Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000 }
        let files = [
            Self.setupFile, Self.regionFile, "\(Self.directory)/ca.pem", "\(Self.directory)/client.pem",
            SealedKey.client.path, SealedKey.master.path,
        ]
        let newest = files.compactMap { path in
            var facts = stat()
            return unsafe stat(path, &facts) == 0 ? microseconds(facts.st_mtim) : nil
        }.max()
        return newest.map { $0 > microseconds(now.wall) - (microseconds(now.monotonic) - started) } ?? false
    }

    private func checkPair(_ chain: [UInt8], _ key: [UInt8]) throws {
        switch CertificatePair(
            certificate: String(decoding: chain, as: UTF8.self), key: String(decoding: key, as: UTF8.self))
        {
        case .fits: break
        case .different: throw failInput("--key is not the key of --certificate.")
        case .encrypted:
            throw failInput(
                "--key is encrypted, and nobody types its passphrase at a start: openssl pkey -in KEY -out PLAIN.")
        case .unknown: print("Whether --certificate and --key belong together could not be checked.")
        }
    }

    /// The drop-in's text: what was there, and on top what was named now.
    private func merged() throws -> String {
        var values: [(key: String, value: String)] = []
        let isThere = unsafe access(Self.setupFile, F_OK) == 0
        for line in isThere ? try lines(of: Self.setupFile) : [] {
            let parts = line.split(separator: "=", maxSplits: 1).map { String($0).trimmingSpaces() }
            if parts.count == 2, !line.hasPrefix("#") { values.append((parts[0], parts[1])) }
        }
        func put(_ key: String, _ value: String?) {
            guard let value else { return }
            if let index = values.firstIndex(where: { $0.key == key }) {
                values[index].value = value
            } else {
                values.append((key, value))
            }
        }
        put("server", server)
        put("team", team)
        put("laptop", laptop)
        put("server-ca", ca.map { _ in "\(Self.directory)/ca.pem" })
        put("client-certificate", certificate.map { _ in "\(Self.directory)/client.pem" })
        put("client-key", key.map { _ in SealedKey.client.credential })
        let head = "# Written by `ess-agent setup`; run it again to change something.\n"
        let text = head + values.map { "\($0.key) = \($0.value)\n" }.joined()
        try checked(text, Self.setupFile)
        return text
    }

    private func checkedRegion(_ path: String) throws -> [UInt8] {
        let bytes = try readFile(path, limit: 1 << 16)
        try checked(String(decoding: bytes, as: UTF8.self), path)
        return bytes
    }

    private func checked(_ text: String, _ path: String) throws {
        var configuration = Configuration()
        do throws(ConfigurationError) { try configuration.apply(text, from: path) } catch {
            throw fail(Problem.configuration("\(error)"))
        }
    }

    private func pem(_ path: String, _ kind: String) throws -> [UInt8] {
        let bytes = try readFile(path, limit: 1 << 15)
        guard String(decoding: bytes, as: UTF8.self).contains("\(kind)-----") else {
            throw failInput("\(path): no \(kind) in PEM form.")
        }
        return bytes
    }

    private func isAdmitted(_ name: String) throws -> Bool {
        let groups = try ChildProgram(["id", "-nG", name])
        guard groups.status == 0 else { throw failInput("\(name): no such account.") }
        return String(decoding: groups.output, as: UTF8.self).split(whereSeparator: \.isWhitespace).contains(
            "ess-agent")
    }

    private func admit(_ name: String) throws {
        guard try ChildProgram(["usermod", "-a", "-G", "ess-agent", name]).status == 0 else {
            throw failInput("\(name) could not be added to the group ess-agent.")
        }
        print("\(name) may use ess-agent from the next login on")
    }
}

/// Writes a file in one step: the old one, or the new one. Returns false when it was so already.
func place(_ bytes: [UInt8], at path: String, mode: mode_t) throws -> Bool {
    if unsafe access(path, R_OK) == 0, try readFile(path, limit: 1 << 20) == bytes { return false }
    let temporary = "\(path).new"
    unsafe unlink(temporary)
    try writeNew(bytes, to: temporary)
    guard unsafe chmod(temporary, mode) == 0, unsafe rename(temporary, path) == 0 else {
        throw failInput("\(path): \(reason(errno)).")
    }
    print("\(path) written")
    return true
}

func lines(of path: String) throws -> [String] {
    String(decoding: try readFile(path, limit: 1 << 20), as: UTF8.self).split(separator: "\n").map(String.init)
}

extension String {
    func trimmingSpaces() -> String {
        var slice = self[...]
        while slice.first?.isWhitespace == true { slice.removeFirst() }
        while slice.last?.isWhitespace == true { slice.removeLast() }
        return String(slice)
    }
}
