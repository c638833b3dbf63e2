import Agent
import ArgumentParser
import Uplink

struct ServerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "server", abstract: "A region's server, seen from outside.", subcommands: [ServerCheckCommand.self]
    )
}

struct ServerCheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Which profile a server really satisfies, and what is missing.",
        discussion: """
            Asks the server, and writes nothing on it. Certificates and addresses are those of the configuration unless \
            named here. Exit status 0 when it satisfies the profile that is configured (or --profile), 3 when it doesn't.
            """)
    @Argument(help: "https://…; default: the configuration's.") var url: String?
    @Option(help: "Read this configuration file instead of the system's.") var config: String?
    @Option(help: "full, pacs or fhir: what it is to satisfy.") var profile: String?
    @Option(help: "PEM file of the CA that signed the server's certificate.") var ca: String?
    @Option(help: "PEM file of the client certificate.") var certificate: String?
    @Option(help: "PEM file of its key.") var key: String?
    @Option(help: "Where FHIR is on the server.") var fhirBase: String?
    @Option(help: "Where DICOMweb is on the server.") var dicomweb: String?
    @OptionGroup var output: JSONOption

    func run() async throws {
        var settings: Configuration
        do throws(ConfigurationError) {
            settings = try Configuration.load(file: config)
            for (name, value) in [
                ("profile", profile), ("server", url), ("server-ca", ca), ("client-certificate", certificate),
                ("client-key", key), ("fhir-base", fhirBase), ("dicomweb", dicomweb),
            ] {
                if let value { try settings.set(name, to: value) }
            }
        } catch { throw fail(Problem.configuration("\(error)")) }
        let check: ServerCheck
        do throws(UplinkError) { check = try await settings.checkServer() } catch {
            throw fail(Problem.configuration("\(error)"))
        }
        let wanted = settings.region.profile
        let missing = check.missing(for: wanted)
        if output.json {
            try printJSON(
                Report(profile: check.profile.rawValue, wanted: wanted.rawValue, findings: check.findings))
        } else {
            printTable(
                ["", "CHECK", "FOUND", "NEEDED BY"],
                check.findings.map {
                    [$0.isGood ? "ok" : "MISSING", $0.key, $0.detail, $0.neededBy.joined(separator: " ")]
                })
            print("\nprofile: \(check.profile.rawValue)")
            if !missing.isEmpty {
                print("missing for \(wanted.rawValue): \(missing.map(\.key).joined(separator: ", "))")
            }
        }
        if !missing.isEmpty { throw ExitCode(Problem.ExitStatus.partial.rawValue) }
    }

    private struct Report: Encodable {
        var profile: String
        var wanted: String
        var findings: [ServerCheck.Finding]
    }
}
