import Agent
import ArgumentParser
import Glibc

struct EnrolCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "enrol", abstract: "Get this laptop's certificate from the region, with a one-time code.",
        discussion: """
            Makes the key here, asks for its certificate, and puts what the region answers (server, team, certificates, sealed \
            key) in place as `ess-agent setup` does, in the same files: whichever came last holds. With --directory it only \
            writes client.key, client.pem, ca.pem and enrolment.conf there. The daemon renews the certificate by itself.
            """)
    @Argument(help: "The enrolment address: https://…") var server: String
    @Option(help: "The one-time code; default: asked for on the terminal, so that it stays out of the history.")
    var code: String?
    @Option(help: "This laptop's name at the server.") var name = "ess-laptop"
    @Option(help: "PEM file of the CA that signed the server's certificate; default: the system's.") var serverCa:
        String?
    @Option(
        help: "Only write the files there, for somebody else to put in place; default: set this laptop up (as root).")
    var directory: String?
    @Option(help: "With --directory: also link enrolment.conf here, as a drop-in of the configuration; empty for none.")
    var dropIn = ""

    @Option(
        name: .customLong("with-key"),
        help: "What the keys are sealed with, as systemd-creds has it: auto, tpm2, host, host+tpm2.")
    var withKey = "auto"

    /// What lies here is on its way: kept until it is in place, so that the same code can be tried again with the same key.
    static let underway = "/etc/ess-agent/enrolment"

    func run() async throws {
        umask(0o077)
        if directory == nil, geteuid() != 0 {
            throw failInput("enrol sets the laptop up: run it as root, or name a --directory.")
        }
        if code == nil { print("Code : ", terminator: "") }
        guard let code = code ?? readLine(), !code.isEmpty else { throw ValidationError("a code is needed.") }
        guard place.hasPrefix("/") else { throw ValidationError("--directory is an absolute path.") }
        if unsafe mkdir(place, 0o755) != 0, errno != EEXIST {
            throw failInput("\(place): \(unsafe String(cString: strerror(errno))).")
        }
        let text: String
        do throws(Enrolment.Failure) {
            text = try await Enrolment.enrol(
                server: server, code: code, name: name, authorities: serverCa, directory: place)
        } catch { throw failInput("\(error)") }
        print(text, terminator: "")
        if directory == nil { return try setUp(text) }
        guard !dropIn.isEmpty else { return }
        _ = unsafe unlink(dropIn)
        guard unsafe symlink("\(place)/enrolment.conf", dropIn) == 0 else {
            throw failInput("\(dropIn): \(unsafe String(cString: strerror(errno))).")
        }
    }

    /// The other half is what an administrator does by hand with the same things.
    /// - Parameter text: of `enrolment.conf`.
    private func setUp(_ text: String) throws {
        let options = [
            "server": "--server", "server-ca": "--ca", "client-certificate": "--certificate", "client-key": "--key",
            "laptop": "--laptop", "team": "--team",
        ]
        var arguments = ["--with-key", withKey]
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: "=", maxSplits: 1).map { String($0).trimmingSpaces() }
            if parts.count == 2, let option = options[parts[0]] { arguments += [option, parts[1]] }
        }
        try Setup.parse(arguments).run()
        // An earlier version's drop-in would win over what was just put in place.
        _ = unsafe unlink("\(Setup.directory)/ess-agent.conf.d/50-enrolment.conf")
        // The sealed copy is the one in use.
        for name in ["client.key", "client.pem", "ca.pem", "enrolment.conf"] { _ = unsafe unlink("\(place)/\(name)") }
        _ = unsafe rmdir(place)
    }

    private var place: String { directory ?? Self.underway }
}
