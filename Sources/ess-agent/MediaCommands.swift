import Agent
import ArgumentParser

/// `ess-agent media`: cards and sticks, and the copies that run in the daemon.
struct MediaCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "media", abstract: "Cards and sticks: what is on them, and how far their copy is.",
        subcommands: [List.self, Look.self, Copy.self, Halt.self], defaultSubcommand: List.self)

    struct List: AsyncParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Every medium that the daemon has looked through.")
        @OptionGroup var options: ClientOptions
        @OptionGroup var output: JSONOption

        func run() async throws {
            let media: [MediumView] = try await options.client().get("/api/media")
            if output.json { return try printJSON(media) }
            guard !media.isEmpty else { return print(Texts.noMedium) }
            for medium in media { show(medium) }
        }
    }

    struct Look: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Look through a card or folder; nothing is copied yet.")
        @Argument(help: "The card's mount point, or a folder.", completion: .directory) var path: String
        @OptionGroup var options: ClientOptions
        @OptionGroup var output: JSONOption

        func run() async throws {
            let medium: MediumView = try await options.client().post(
                "/api/media", MediumRequest(path: absolutePath(path)))
            output.json ? try printJSON(medium) : show(medium)
        }
    }

    struct Copy: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "import", abstract: "Copy a medium, or continue; returns at once.",
            discussion: "What comes in belongs to the visit that is open now.")
        @Argument(help: "The medium's number.") var id: String
        @OptionGroup var options: ClientOptions
        @OptionGroup var output: JSONOption

        func run() async throws {
            let medium: MediumView = try await options.client().post(
                "/api/media/\(component(id))/import", StartRequest(by: account()))
            output.json ? try printJSON(medium) : show(medium)
        }
    }

    struct Halt: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "stop", abstract: "Stop a copy; what is copied is kept, and it can be continued.")
        @Argument(help: "The medium's number.") var id: String
        @OptionGroup var options: ClientOptions
        @OptionGroup var output: JSONOption

        func run() async throws {
            let medium: MediumView = try await options.client().post("/api/media/\(component(id))/stop")
            output.json ? try printJSON(medium) : show(medium)
        }
    }
}

private func show(_ medium: MediumView) {
    print("\(medium.id)  \(medium.label) : \(medium.sentence)")
    if let hint = medium.hint { print("  \(hint)") }
    if let progress = medium.progress {
        print(Texts.copied(progress.items, progress.ofItems, size(progress.bytes), size(progress.ofBytes)))
    }
    for failure in medium.failed { print("  n° \(failure.item) : \(failure.text)") }
}
