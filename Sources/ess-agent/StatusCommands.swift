import Agent
import ArgumentParser

struct Status: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "What the agent is doing, in one look.")
    @OptionGroup var options: ClientOptions
    @OptionGroup var output: JSONOption

    func run() async throws {
        let status: StatusView = try await options.client().get("/api/status")
        if output.json { return try printJSON(status) }
        print(status.sentence)
        print(status.sync.sentence)
        let counts = status.counts
        printTable(
            ["ENREGISTREMENTS", "EN COURS", "SANS PATIENT", "SANS HEURE", "À ENVOYER", "REÇUS", "À SIGNALER"],
            [
                [
                    counts.recordings, counts.open, counts.unattributed, counts.needStartTime, counts.waiting,
                    counts.received,
                    counts.quarantined,
                ].map(String.init)
            ])
    }
}

struct MetricsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "metrics", abstract: "The same for a fleet's monitoring, as Prometheus text.",
        discussion: "For node_exporter: ess-agent metrics > /var/lib/prometheus/node-exporter/ess-agent.prom")
    @OptionGroup var options: ClientOptions

    func run() async throws {
        let bytes = try await options.client().getBytes("/metrics")
        print(String(decoding: bytes, as: UTF8.self), terminator: "")
    }
}
