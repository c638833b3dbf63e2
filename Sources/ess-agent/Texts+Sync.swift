extension Texts {
    static func remaining(_ size: String) -> String { "Reste \(size)" }
    static func duration(_ seconds: Double) -> String {
        let whole = Int(min(max(seconds, 0), 1e9))
        return whole < 60
            ? "environ \(whole) s" : whole < 5400 ? "environ \(whole / 60) min" : "environ \(whole / 3600) h"
    }
    static func syncState(_ state: String) -> String {
        switch state {
        case "waiting": "en attente"
        case "sending": "envoi en cours"
        case "received": "reçu par le centre"
        case "quarantined": "à signaler au centre"
        default: state
        }
    }
    static func andMore(_ count: Int) -> String { "… et \(count) autres" }
    static let noOpinions = "Aucun avis n'est encore arrivé."
    static let opinion = "AVIS"
    static let question = "QUESTION"
    static let unseen = " (nouveau)"
    static func reply(_ by: String, _ isSent: Bool) -> String {
        isSent ? "Répondu par \(by) :" : "Réponse de \(by), en attente d'envoi :"
    }
    static let replyKept = "Réponse gardée ; elle part dès que le réseau le permet."
}
