import Agent
import ArgumentParser
import Glibc

struct EnrolCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "enrol", abstract: "Get this laptop's certificate from the region, with a one-time code.",
        discussion: """
            Makes the key here (it never leaves), asks for its certificate, and writes client.key, client.pem, ca.pem and \
            enrolment.conf into the directory. The daemon reads it at its next start, and renews the certificate by itself.
            """)
    @Argument(help: "The enrolment address: https://…") var server: String
    @Option(help: "The one-time code; default: asked for on the terminal, so that it stays out of the history.")
    var code: String?
    @Option(help: "This laptop's name at the server.") var name = "ess-laptop"
    @Option(help: "PEM file of the CA that signed the server's certificate; default: the system's.") var serverCa:
        String?
    @Option(help: "Where the files go.") var directory = "/etc/ess-agent/enrolment"
    @Option(help: "Also link enrolment.conf here, as a drop-in of the configuration; empty for none.")
    var dropIn = "/etc/ess-agent/ess-agent.conf.d/50-enrolment.conf"

    func run() async throws {
        umask(0o077)
        if code == nil { print("Code : ", terminator: "") }
        guard let code = code ?? readLine(), !code.isEmpty else { throw ValidationError("a code is needed.") }
        guard directory.hasPrefix("/") else { throw ValidationError("--directory is an absolute path.") }
        if unsafe mkdir(directory, 0o755) != 0, errno != EEXIST {
            throw failInput(
                "\(directory): \(unsafe String(cString: strerror(errno))). Run this as root, or name another --directory."
            )
        }
        do throws(Enrolment.Failure) {
            let text = try await Enrolment.enrol(
                server: server, code: code, name: name, authorities: serverCa, directory: directory)
            print(text, terminator: "")
        } catch { throw failInput("\(error)") }
        guard !dropIn.isEmpty else { return }
        _ = unsafe unlink(dropIn)
        guard unsafe symlink("\(directory)/enrolment.conf", dropIn) == 0 else {
            throw failInput("\(dropIn): \(unsafe String(cString: strerror(errno))).")
        }
    }
}
