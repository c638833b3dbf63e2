import Agent
import ArgumentParser
import Glibc

extension Setup {
    /// `--check`: one line for each thing that a laptop has that is set up. Changes nothing; keys are opened, never shown.
    func report() throws {
        var checklist = Checklist()
        let settings: Configuration
        do throws(ConfigurationError) { settings = try Configuration.load(file: nil) } catch {
            throw fail(Problem.configuration("\(error)"))
        }
        checklist.add("server", settings.server, missing: "no server; ess-agent setup --server https://…")
        checklist.add("team", settings.team, missing: "no team")
        checklist.add(
            "laptop", settings.laptop == "ess-laptop" ? nil : settings.laptop, missing: "still has the default name")
        for (what, path, otherwise) in [
            ("authority", settings.serverCA, "the system's authorities"),
            ("certificate", settings.clientCertificate, nil),
        ] {
            checklist.add(
                what, path.map { isPEM($0) ? $0 : nil } ?? otherwise,
                missing: path.map { "\($0) can't be read" } ?? "not named")
        }
        for key in [SealedKey.client, .master] {
            if geteuid() != 0 {
                checklist.add(key.name, "not looked at: that needs root", missing: "")
            } else if key.isThere {
                checklist.add(
                    key.name, try key.opened().map { _ in "sealed, opens on this machine" },
                    missing: "\(key.path) doesn't open here")
            } else if key.name == SealedKey.client.name, let path = settings.clientKey, isPEM(path) {
                checklist.add(key.name, "a plain file, \(path)", missing: "")
            } else {
                checklist.add(key.name, nil, missing: "not sealed; ess-agent setup as root seals it")
            }
        }
        let hasTPM = unsafe access("/dev/tpmrm0", F_OK) == 0
        checklist.add("tpm", hasTPM ? "there" : "none: keys are bound to the disk only", missing: "")
        if unsafe access("/run/systemd/system", F_OK) == 0 {
            let isRunning = try ChildProgram(["systemctl", "is-active", "--quiet", "ess-agent.service"]).status == 0
            checklist.add("daemon", isRunning ? "running" : nil, missing: "not running; systemctl status ess-agent")
        }
        checklist.show()
        guard checklist.isComplete else { throw ExitCode(1) }
    }

    private func isPEM(_ path: String) -> Bool {
        guard let bytes = try? readFile(path, limit: 1 << 16) else { return false }
        return String(decoding: bytes, as: UTF8.self).contains("-----BEGIN ")
    }
}

private struct Checklist {
    private var items: [(isThere: Bool, text: String)] = []

    var isComplete: Bool { items.allSatisfy(\.isThere) }

    mutating func add(_ what: String, _ value: String?, missing: String) {
        items.append((value != nil, "\(what): \(value ?? missing)"))
    }

    func show() {
        for item in items { print("\(item.isThere ? "ok     " : "missing") \(item.text)") }
    }
}
