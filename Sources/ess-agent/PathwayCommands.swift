import Agent
import ArgumentParser
import Clinical

struct Pathways: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Pathways and acquisition plans (docs/pathways.md).", subcommands: [Check.self])

    struct Check: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Check a region's files before they are installed; needs no daemon.")
        @Argument(help: "A directory with *.json; without one, what the agent comes with.") var directory: String?

        func run() async throws {
            do throws(ConfigurationError) {
                let catalogue = try PathwayCatalogue.load(directory: directory)
                for pathway in catalogue.pathways {
                    print(Texts.pathway(pathway.code, pathway.title, pathway.required.count, pathway.optional.count))
                }
            } catch {
                throw fail(Problem.configuration("\(error)"))
            }
        }
    }
}

extension Texts {
    static func pathway(_ code: String, _ title: String, _ required: Int, _ optional: Int) -> String {
        "\(code) : \(title) (\(required) demandés, \(optional) facultatifs)"
    }
}
