import Agent
import ArgumentParser

struct Opinions: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Opinions and questions from the centre; there offline once they came down.")
    @OptionGroup var options: ClientOptions
    @OptionGroup var output: JSONOption
    @Option(help: "Only this visit's.") var visit: String?

    func run() async throws {
        let query = visit.map { "?visit=\(component($0))" } ?? ""
        let views: [OpinionView] = try await options.client().get("/api/opinions\(query)")
        if output.json { return try printJSON(views) }
        guard !views.isEmpty else { return print(Texts.noOpinions) }
        for view in views {
            let mark = view.isSeen ? "" : Texts.unseen
            let kind = view.kind == "question" ? Texts.question : Texts.opinion
            print("\(view.id)  \(kind)\(mark)  \(view.issued ?? view.arrived)")
            if let patient = view.patient {
                print("  \(patient.family) \(patient.given.joined(separator: " ")) \(patient.birthDate ?? "")")
            }
            for line in [view.title, view.author, view.text].compactMap({ $0 }) { print("  \(line)") }
            if let reply = view.reply { print("  \(Texts.reply(reply.by, reply.isSent)) \(reply.text)") }
        }
    }
}

struct ReplyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reply", abstract: "Answer a question of the centre; the text is read from standard input.")
    @Argument(help: "The question's id, as `opinions` shows it.") var question: String
    @OptionGroup var options: ClientOptions
    @OptionGroup var output: JSONOption

    func run() async throws {
        // Not an argument: what is written may name a person, and arguments are there for every user to see.
        var lines: [String] = []
        while let line = readLine() { lines.append(line) }
        let view: OpinionView = try await options.client().post(
            "/api/opinions/\(component(question))/reply",
            ReplyRequest(text: lines.joined(separator: "\n"), by: account()))
        output.json ? try printJSON(view) : print(Texts.replyKept)
    }
}
