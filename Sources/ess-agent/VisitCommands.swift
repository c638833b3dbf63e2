import Agent
import ArgumentParser

struct Visits: AsyncParsableCommand {
    static let configuration = CommandConfiguration(abstract: "The visits that the centre asks for; there offline.")
    @OptionGroup var options: ClientOptions
    @OptionGroup var output: JSONOption

    func run() async throws {
        let visits: [VisitView] = try await options.client().get("/api/visits")
        if output.json { return try printJSON(visits) }
        guard !visits.isEmpty else { return print(Texts.noVisit) }
        printTable(
            Texts.visitHeader,
            visits.map { visit in
                [
                    visit.id, Texts.visitStatus(visit.status), visit.plannedAt ?? "-",
                    "\(visit.patient.family) \(visit.patient.given.first ?? "")", visit.patient.birthDate ?? "-",
                    visit.reason ?? visit.pathway ?? "-", "\(visit.recordings)",
                ]
            })
    }
}

struct VisitCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "visit", abstract: "Open or close a visit.", subcommands: [Open.self, Close.self])

    struct Open: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Open a visit: what is captured or imported from now on, by an explicit start, belongs to it.")
        @Argument(help: "The visit's id, as `ess-agent visits` shows it.") var id: String
        @OptionGroup var options: ClientOptions
        @OptionGroup var output: JSONOption

        func run() async throws {
            let visit: VisitView = try await options.client().post(
                "/api/visits/\(component(id))/open", OpenVisitRequest(by: account()))
            output.json ? try printJSON(visit) : print(Texts.visitOpened(visit.id))
        }
    }

    struct Close: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Close the open visit.")
        @OptionGroup var options: ClientOptions
        @OptionGroup var output: JSONOption

        func run() async throws {
            let visit: VisitView = try await options.client().post("/api/visits/close", OpenVisitRequest(by: account()))
            output.json ? try printJSON(visit) : print(Texts.visitClosed(visit.id))
        }
    }
}
