import Agent

extension Texts {
    static func level(_ level: Finding.Level) -> String {
        switch level {
        case .well: "[   ok   ]"
        case .attention: "[ à voir ]"
        case .failure: "[ ERREUR ]"
        }
    }
    static func doctor(_ level: Finding.Level) -> String {
        switch level {
        case .well: "Tout va bien. / All is well."
        case .attention: "Cela marche ; des points sont à voir. / It works; some things want a look."
        case .failure: "À corriger, voir ERREUR. / To be repaired, see ERREUR."
        }
    }
    /// Why a recording stays, of `PurgeVerdict.Reason`.
    static func stays(_ reason: String, _ due: String?) -> String {
        switch reason {
        case "open": "en cours d'enregistrement"
        case "unattributed": "sans patient : jamais envoyé"
        case "superseded": "remplacé par un enregistrement complet, jamais envoyé lui-même"
        case "notPrepared": "pas encore prêt à l'envoi"
        case "noReceipt": "pas d'accusé de réception du centre"
        case "receiptForOtherBytes": "l'accusé du centre porte sur d'autres octets"
        case "quarantined": "à signaler au centre"
        case "durabilityNotAllowed": "le centre ne promet pas de le garder durablement"
        case "epochUnknown": "on ne sait pas si le centre est toujours le même serveur"
        case "epochChanged": "le centre a été restauré depuis : la question lui est posée"
        case "factsNotFinal": "le centre n'a pas encore le compte rendu final de la visite"
        case "visitOpen": "sa visite est encore ouverte"
        case "withinRetention": "reçu, gardé par prudence" + (due.map { " jusqu'au \($0)" } ?? "")
        default: reason
        }
    }
    static func reported(_ path: String) -> String { "Rapport sans aucune identité : \(path)" }
    static func restored(_ recordings: Int, _ replaced: String?) -> String {
        "Copie remise en place (\(recordings) enregistrements)."
            + (replaced.map { " L'ancienne base est gardée : \($0)" } ?? "")
    }
    static func rotated(_ path: String) -> String {
        "Tout est scellé avec une nouvelle clé : \(path). Les copies d'avant ont besoin de l'ancienne : refaites une copie "
            + "(`ess-agent backup`), et gardez la nouvelle clé à part."
    }
}
