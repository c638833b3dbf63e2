/// What the command line shows to people, in French, at one place.
enum Texts {
    static let noDevice = "Aucun appareil branché."
    static let noVisit = "Aucune visite dans la liste. Elle arrive avec la prochaine synchronisation."
    static let noRecording = "Aucun enregistrement."
    static let simulated = "SIMULÉ"
    static let openPage = "Ouvrir la page"

    static let deviceHeader = ["APPAREIL", "MODÈLE", "N° DE SÉRIE", "ÉTAT", "NIVEAU"]
    static let visitHeader = ["VISITE", "ÉTAT", "PRÉVUE", "PATIENT", "NÉ·E LE", "MOTIF", "ENREG."]
    static let recordingHeader = ["ENREGISTREMENT", "TYPE", "DÉBUT", "DURÉE", "ÉTAT", "VISITE", "ENVOI"]
    static let documentHeader = ["DOCUMENT", "CONTENU", "TAILLE", "SHA-256", "ENVOI"]
    static let channelHeader = ["SIGNAL", "UNITÉ", "HZ", "ÉCHANT.", "PREMIER", "MIN", "MAX", "ABSENTS", "ÉCHELLE"]

    /// What a channel's numbers rest on.
    static func calibration(_ level: String) -> String {
        switch level {
        case "verified": "vérifiée"
        case "singleSource": "source unique"
        default: "non vérifiée"
        }
    }

    static let readingHeader = ["MESURE", "VALEUR", "UNITÉ", "HEURE", "UTILISATEUR", "REMARQUES"]

    static func support(_ level: String) -> String {
        switch level {
        case "verified": "vérifié"
        case "singleSource": "source unique"
        case "experimental": "expérimental"
        default: level
        }
    }

    static func askForModel(_ port: String, _ drivers: [String]) -> String {
        "\(port) : quel appareil est-ce ? ess-agent devices identify \(port) MODÈLE (\(drivers.joined(separator: ", ")))"
    }

    static func deviceState(_ state: String) -> String {
        switch state {
        case "probing": "reconnaissance…"
        case "ready": "prêt"
        case "capturing": "enregistre"
        case "downloading": "téléchargement"
        case "erasing": "effacement de la mémoire"
        case "not-recognised": "ne répond pas"
        case "busy": "port occupé"
        case "denied": "accès refusé"
        default: state
        }
    }

    static func visitStatus(_ status: String) -> String {
        switch status {
        case "planned": "prévue"
        case "open": "OUVERTE"
        case "closed": "terminée"
        case "cancelled": "annulée"
        default: status
        }
    }

    static func recordingState(_ state: String) -> String {
        switch state {
        case "open": "en cours"
        case "complete": "complet"
        case "interrupted": "interrompu"
        default: state
        }
    }

    static func documentState(_ state: String) -> String {
        switch state {
        case "waiting": "en attente d'envoi"
        case "sending": "envoi en cours"
        case "received": "reçu par le centre"
        case "quarantined": "à signaler au centre"
        default: state
        }
    }

    static func kind(_ kind: String, _ modality: String) -> String {
        let what =
            switch modality {
            case "ecg": "ECG"
            case "sleep": "sommeil"
            case "bloodPressure": "tension"
            case "vitals": "mesures"
            case "imaging": "images"
            case "other": "autres fichiers"
            default: "oxymétrie"
            }
        return switch kind {
        case "live": "\(what), en direct"
        case "stored": "\(what), mémoire"
        default: "\(what), fichier"
        }
    }

    static let waitsForMeasurement = "L'appareil est prêt : faites la mesure, elle sera enregistrée."
    static func started(_ recording: String) -> String { "Enregistrement en cours : \(recording)" }
    static func sealed(_ recording: String, _ state: String, _ samples: Int) -> String {
        "Enregistré : \(recording) (\(recordingState(state)), \(samples) échantillons)"
    }
    static func progress(_ samples: Int, _ expected: Int?) -> String {
        guard let expected, expected > 0 else { return "  \(samples) échantillons enregistrés" }
        return "  \(samples) / \(expected) échantillons enregistrés (\(samples * 100 / expected) %)"
    }
    static func skipped(_ count: Int) -> String { "Déjà enregistrés ici, laissés de côté : \(count)" }
    static let nothingStored = "L'appareil n'a rien en mémoire."
    static func erased(_ device: String, _ serial: String, _ count: Int) -> String {
        "Mémoire de \(device) (\(serial)) effacée : \(count) enregistrement\(count == 1 ? "" : "s"), reçu\(count == 1 ? "" : "s") par le centre."
    }
    static func mayBeErased(_ device: String, _ serial: String, _ count: Int, _ name: String) -> String {
        "\(device) (\(serial)) : \(count) enregistrement\(count == 1 ? "" : "s") en mémoire, tous reçus par le centre. "
            + "Pour effacer cette mémoire : ess-agent devices erase \(name) --confirm \(serial)"
    }
    static func imported(_ new: Int, _ known: Int, _ failed: Int) -> String {
        "Importés : \(new). Déjà là : \(known). Illisibles : \(failed)."
    }
    static func toDecide(_ count: Int) -> String {
        "Sans patient, à attribuer : \(count) (`ess-agent recordings`, puis `ess-agent attribute`)."
    }
    static let mayRemove = "Vous pouvez retirer la carte."
    static func exported(_ bytes: Int, _ path: String) -> String { "\(size(bytes)) écrits dans \(path)" }
    static func visitOpened(_ id: String) -> String { "Visite ouverte : \(id)" }
    static func visitClosed(_ id: String) -> String { "Visite fermée : \(id)" }
    static func attributed(_ id: String, _ visit: String) -> String {
        "Enregistrement \(id) attribué à la visite \(visit)."
    }
    static let recordingFinished = "Fin de la capture."

    static let loanHeader = ["PRÊT", "APPAREIL", "N° DE SÉRIE", "VISITE", "DU", "AU", "ÉTAT"]
    static let stillLent = "prêté"
    static let givenBack = "rendu"
    static func lent(_ id: Int64, _ device: String, _ visit: String) -> String {
        "Prêt n° \(id) : \(device), pour le patient de la visite \(visit)."
    }
    static func overlapping(_ others: [Int64]) -> String {
        "Attention : prêt en même temps que le n° \(others.map(String.init).joined(separator: ", ")) ; ses nuits attendront une décision."
    }
    static func returned(_ id: Int64) -> String { "Prêt n° \(id) terminé." }
    static let purgeHeader = ["ENREGISTREMENT", "SORT", "POURQUOI"]
    static let goes = "à supprimer"
    static let stays = "reste"
    static func purged(_ count: Int) -> String { "Supprimés de cet ordinateur (reçus par le centre) : \(count)" }
    static func audit(_ isIntact: Bool, _ entries: Int?, _ brokenAt: Int64?) -> String {
        isIntact
            ? "Journal d'audit intact (\(entries ?? 0) lignes)."
            : "Journal d'audit altéré à partir de la ligne \(brokenAt ?? 0). Prévenez l'administrateur."
    }
    static func backedUp(_ path: String) -> String { "Copie chiffrée : \(path)" }
}
