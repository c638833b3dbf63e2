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

struct SyncCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sync", abstract: "Try to reach the server now; with --wait until everything is received.")
    @OptionGroup var options: ClientOptions
    @OptionGroup var output: JSONOption
    @Flag(help: "Wait until nothing is left to send, or the timeout is over (exit status 3).") var wait = false
    @Option(help: "Seconds to wait with --wait.") var timeout = 300.0

    func run() async throws {
        let client = try options.client()
        var view: SyncView = try await client.post("/api/sync")
        guard wait else {
            output.json ? try printJSON(view) : print(view.sentence)
            return
        }
        let deadline = ContinuousClock.now + .seconds(timeout)
        var last = ""
        while true {
            let status: StatusView = try await client.get("/api/status")
            view = status.sync
            if !output.json, let line = progressLine(status), line != last {
                print(line)
                last = line
            }
            // Settled: nothing open, nothing to freeze, nothing to send, and the visits have been asked for.
            if status.counts.waiting == 0, status.counts.open == 0, view.state == "online", view.isSettled { break }
            guard ContinuousClock.now < deadline else {
                output.json ? try printJSON(view) : print(view.sentence)
                throw ExitCode(Problem.ExitStatus.partial.rawValue)
            }
            try await Task.sleep(for: .milliseconds(200))
        }
        output.json ? try printJSON(view) : print(view.sentence)
    }

    private func progressLine(_ status: StatusView) -> String? {
        let left = "reste \(status.counts.waiting)"
        guard let document = status.sync.document, let sent = status.sync.sentBytes, let total = status.sync.totalBytes
        else { return "  \(status.sync.sentence) (\(left))" }
        return "  envoi \(document.prefix(13))… \(size(sent)) / \(size(total)) (\(left))"
    }
}
