import Agent
import Clinical
import Devices

extension Texts {
    /// How a recording of a conversation ended, and whether it is whole.
    static func came(_ recorded: ReplayReport.Recorded) -> String {
        let end =
            switch recorded.end {
            case .finished: "complet"
            case .stopped: "arrêté"
            case .deviceGone: "appareil débranché"
            case .deviceEnded: "terminé par l'appareil"
            case nil: "sans fin"
            case let other?: other.rawValue
            }
        return end + (recorded.announced.map { ", \($0) annoncés" } ?? "")
    }

    /// What became of a port's trouble in `record`: it keeps no recordings, only what was said, in its file.
    static func withoutStorage(_ problem: Problem, session: Bool) -> Problem {
        var problem = problem
        switch problem.key {
        case Problem.deviceGone.key:
            problem.text =
                session
                ? "L'appareil a été débranché ou s'est éteint. Ce qu'il a dit jusque-là est dans le fichier."
                : "Rien à ce port : il n'existe pas, ou rien n'y est branché. Rien n'a été écrit."
        case Problem.deviceSilent.key:
            problem.text =
                session
                ? "L'appareil ne répond plus. Ce qu'il a dit jusque-là est dans le fichier."
                : "Ce port ne s'ouvre pas : ce n'est pas celui d'un appareil de ce type. Rien n'a été écrit."
        default: break
        }
        return problem
    }
}
