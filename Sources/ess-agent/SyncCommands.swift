import Agent
import ArgumentParser

struct SyncCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "sync",
        abstract: "Try to reach the server now; with --wait until everything is received; with --watch to look on.")
    @OptionGroup var options: ClientOptions
    @OptionGroup var output: JSONOption
    @Flag(help: "Wait until nothing is left to send, or the timeout is over (exit status 3).") var wait = false
    @Flag(help: "Show each document on its way, until Ctrl-C. With --json one line of JSON a second.") var watch = false
    @Option(help: "Seconds to wait with --wait.") var timeout = 300.0

    func run() async throws {
        let client = try options.client()
        if watch { return try await look(client) }
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

    private func look(_ client: LocalClient) async throws {
        var last: SyncItemsView?
        while true {
            let view: SyncItemsView = try await client.get("/api/sync/items")
            if output.json {
                try printJSONLine(view)
            } else if view != last {
                show(view)
            }
            last = view
            try await Task.sleep(for: .seconds(1))
        }
    }

    private func show(_ view: SyncItemsView) {
        var head = view.sync.sentence
        if view.remainingBytes > 0 { head += "  " + Texts.remaining(size(view.remainingBytes)) }
        if let rate = view.rate { head += ", \(size(Int(rate)))/s" }
        if let seconds = view.secondsLeft { head += ", " + Texts.duration(seconds) }
        print("\n\(head)")
        let shown = view.items.prefix(20)
        guard !shown.isEmpty else { return }
        printTable(
            ["DOCUMENT", "QUOI", "TAILLE", "ÉTAT", "REÇU"],
            shown.map { item in
                [
                    String(item.document.prefix(13)) + "…", "\(item.modality), \(item.role)", size(item.size),
                    Texts.syncState(item.state), item.size == 0 ? "-" : "\(item.confirmedBytes * 100 / item.size) %",
                ]
            })
        if view.items.count > shown.count { print(Texts.andMore(view.items.count - shown.count)) }
    }
}
