import Clinical

/// Everything that can go wrong in front of a nurse or an administrator: what happened and what to do, in French, an exit
/// code for scripts and a stable key for tests, logs and the page. The only place with French texts besides the page.
public struct Problem: Error, Sendable, Equatable, Codable {
    /// Stable, English, for programs: `device-not-found`.
    public var key: String
    /// What happened and what to do; no identity.
    public var text: String
    /// Exit code of the command line (see `ExitStatus`).
    public var exit: Int32

    init(_ key: String, exit: ExitStatus = .failure, _ text: String) {
        self.key = key
        self.text = text
        self.exit = exit.rawValue
    }

    /// Exit codes of `ess-agent`, documented in the README.
    public enum ExitStatus: Int32, Sendable {
        case success = 0
        case failure = 1
        /// Some of it worked: some recordings are not sent, some files could not be read.
        case partial = 3
        case daemonNotRunning = 10
        case notPermitted = 11
        case usage = 64
        case badInput = 65
        case badConfiguration = 78
    }
}

extension Problem {
    public static func deviceNotFound(_ name: String) -> Problem {
        Problem(
            "device-not-found",
            "Aucun appareil « \(name) » n'est branché. `ess-agent devices` montre ceux qui le sont ; vérifiez le câble."
        )
    }
    public static func deviceAmbiguous(_ name: String, _ ports: [String]) -> Problem {
        Problem(
            "device-ambiguous", exit: .usage,
            "Plusieurs appareils répondent à « \(name) ». Nommez le port : \(ports.joined(separator: ", ")).")
    }
    public static func deviceNotReady(_ name: String, _ state: String) -> Problem {
        Problem("device-not-ready", "L'appareil « \(name) » n'est pas prêt : \(state).")
    }
    public static func deviceBusy(_ name: String) -> Problem {
        Problem(
            "device-busy",
            "Une capture est déjà en cours sur « \(name) ». Terminez-la d'abord : `ess-agent stop \(name)`.")
    }
    public static func deviceIdle(_ name: String) -> Problem {
        Problem("device-idle", "Aucune capture n'est en cours sur « \(name) ».")
    }
    public static func deviceCannot(_ name: String, _ ability: String) -> Problem {
        Problem("device-cannot", "L'appareil « \(name) » ne sait pas faire cela (\(ability)).")
    }
    public static func modelUnknown(_ name: String, _ known: [String]) -> Problem {
        Problem(
            "model-unknown", exit: .usage,
            "Aucun modèle ou pilote « \(name) » à ce port. Possibles : \(known.joined(separator: ", ")).")
    }
    public static let portNamed = Problem(
        "port-named", "La configuration dit déjà quel appareil est à ce port ; changez-la.")
    public static func deviceHoldsMore(_ count: Int) -> Problem {
        Problem(
            "device-holds-more",
            "Rien n'a été effacé : le centre n'a pas encore confirmé \(count) enregistrement\(count == 1 ? "" : "s") de cet "
                + "appareil. Récupérez-les (`ess-agent download`), attendez « reçu par le centre », puis recommencez.")
    }
    public static func confirmErasure(_ serial: String) -> Problem {
        Problem(
            "confirm-erasure", exit: .usage,
            "Rien n'a été effacé : pour confirmer, donnez le numéro de série de l'appareil qui est branché (\(serial))."
        )
    }
    public static let deviceWithoutSerial = Problem(
        "device-without-serial",
        "Rien n'a été effacé : cet appareil n'a pas de numéro de série, on ne peut pas être sûr que c'est le bon.")
    public static let erasureUnclear = Problem(
        "erasure-unclear",
        "L'appareil n'a pas confirmé que sa mémoire est effacée. Rien n'est perdu ; regardez ce qu'il lui reste en mémoire."
    )
    public static let deviceRecording = Problem(
        "device-recording",
        "L'appareil est en train d'enregistrer. Arrêtez l'enregistrement sur l'appareil, puis recommencez.")
    public static let deviceGone = Problem(
        "device-gone",
        "L'appareil a été débranché ou s'est éteint. Ce qui était reçu est enregistré ; rebranchez-le et recommencez.")
    public static let deviceSilent = Problem(
        "device-silent", "L'appareil ne répond plus. Ce qui était reçu est enregistré ; vérifiez qu'il est allumé.")
    public static let notThisDevice = Problem(
        "device-not-recognised",
        "Ce qui est branché ne répond pas comme un appareil connu. "
            + "Éteignez-le et rallumez-le, ou débranchez-le et rebranchez-le.")
    public static let portBusy = Problem(
        "port-busy", "Le port est utilisé par un autre programme. Fermez-le, ou débranchez et rebranchez l'appareil.")
    public static let portDenied = Problem(
        "port-denied", exit: .notPermitted,
        "Le port n'est pas accessible à l'agent. Les règles udev d'ess-agent sont-elles installées ?")
    public static func visitNotFound(_ id: String) -> Problem {
        Problem(
            "visit-not-found",
            "La visite « \(id) » n'est pas dans la liste. `ess-agent visits` montre les visites connues.")
    }
    public static func visitRefused(_ why: String) -> Problem { Problem("visit-refused", why) }
    public static let anotherVisitOpen = Problem(
        "another-visit-open", "Une autre visite est ouverte. Fermez-la d'abord : `ess-agent visit close`.")
    public static let visitCancelled = Problem("visit-cancelled", "Cette visite a été annulée par le centre.")
    public static let captureRunning = Problem(
        "capture-running",
        "Un appareil enregistre encore pour une visite. Terminez d'abord la capture (`ess-agent stop …`).")
    public static let identityNotChecked = Problem(
        "identity-not-checked", "Vérifiez d'abord l'identité : date de naissance, nom, prénoms et sexe.")
    public static let identityMismatch = Problem(
        "identity-mismatch",
        "La date de naissance n'est pas celle du patient de cette visite. La visite n'est pas ouverte.")
    public static let tooManyScreens = Problem(
        "too-many-screens", "Trop d'écrans suivent déjà cet appareil. Fermez-en un ; l'enregistrement continue.")
    public static let notSignedIn = Problem(
        "not-signed-in", exit: .notPermitted,
        "Cette page n'est plus ouverte pour vous. Ouvrez-la de nouveau depuis le bureau, ou par `ess-agent open`.")
    public static let pageRefused = Problem("page-refused", exit: .notPermitted, "Demande refusée.")
    public static let browserNotFound = Problem(
        "browser-not-found",
        "Aucun navigateur n'a pu être ouvert. `ess-agent open --print` donne l'adresse à ouvrir vous-même (une minute)."
    )
    public static let pageClosed = Problem(
        "page-closed",
        "La page n'est pas disponible : elle est désactivée (clé `page-port`), ou son port est pris par un autre programme."
    )
    public static let noOpenVisit = Problem("no-open-visit", "Aucune visite n'est ouverte.")
    public static func recordingNotFound(_ id: String) -> Problem {
        Problem(
            "recording-not-found",
            "L'enregistrement « \(id) » n'existe pas ici. `ess-agent recordings` les montre tous.")
    }
    public static func refused(_ why: String) -> Problem { Problem("refused", why) }
    public static let alreadySent = Problem(
        "already-sent",
        "L'envoi de cet enregistrement a déjà commencé : il ne peut plus changer de visite ici. Signalez-le au centre.")
    public static func notExportable(_ format: String) -> Problem {
        Problem("not-exportable", exit: .badInput, "Cet enregistrement ne peut pas être exporté en \(format).")
    }
    public static func pathUnreadable(_ why: String) -> Problem {
        Problem("path-unreadable", exit: .badInput, "Le dossier ou le fichier ne peut pas être lu : \(why).")
    }
    public static let nothingToImport = Problem(
        "nothing-to-import", exit: .badInput,
        "Aucun enregistrement connu n'a été trouvé à cet endroit. Est-ce la bonne carte ?")
    public static let diskLow = Problem(
        "disk-low", "Le disque est presque plein : aucune nouvelle capture ne peut commencer. Libérez de la place.")
    public static func storage(_ why: String) -> Problem {
        Problem(
            "storage",
            "L'enregistrement sur le disque a échoué (\(why)). Rien de ce qui était annoncé enregistré n'est perdu.")
    }
    public static func badRequest(_ why: String) -> Problem { Problem("bad-request", exit: .usage, why) }
    public static let daemonNotRunning = Problem(
        "daemon-not-running", exit: .daemonNotRunning,
        "L'agent ne répond pas. Est-il démarré ? `systemctl status ess-agent`, ou `ess-agent serve`.")
    public static let socketDenied = Problem(
        "socket-denied", exit: .notPermitted,
        "Vous n'avez pas le droit de parler à l'agent : demandez à être ajouté·e au groupe ess-agent.")
    public static let alreadyRunning = Problem(
        "already-running", "Un autre agent utilise déjà cette base. Un seul agent à la fois : celui-ci s'arrête.")
    public static func configuration(_ why: String) -> Problem {
        Problem("configuration", exit: .badConfiguration, why)
    }
    public static let noServer = Problem(
        "no-server", exit: .badConfiguration,
        "Aucun serveur n'est configuré (clé `server`). Les enregistrements sont gardés ; rien n'est envoyé.")
    public static func socketFailed(_ path: String) -> Problem {
        Problem(
            "socket-failed",
            "La prise de l'agent (\(path)) ne peut pas être ouverte, ou un service s'est arrêté : voir le journal.")
    }
    public static let internalFailure = Problem(
        "internal", "Une erreur inattendue s'est produite. Rien n'est perdu ; le journal de l'agent en dit plus.")
}

/// States of the sync, in the nurse's words.
public enum SyncSentence {
    public static let offline = "Hors ligne : tout est gardé ici, l'envoi reprendra tout seul."
    public static let portal = "Ce réseau demande une connexion (portail) ou n'est pas le centre : rien n'est envoyé."
    public static let certificate =
        "Le certificat du serveur n'est pas celui du centre : rien n'est envoyé. Prévenez l'administrateur."
    public static let clock =
        "Le certificat du serveur n'est pas valable à la date de cet ordinateur : rien n'est envoyé. "
        + "Vérifiez la date et l'heure ; si elles sont justes, prévenez l'administrateur."
    public static let unauthorised =
        "Le centre ne reconnaît pas cet ordinateur : rien n'est envoyé. Prévenez l'administrateur."
    public static let serverFull = "Le serveur du centre est plein : l'envoi reprendra plus tard."
    public static let version = "Le serveur du centre demande une version plus récente de l'agent."
    public static let upToDate = "Tout est reçu par le centre."
    public static let setAside =
        "Un envoi n'a pas été accepté par le centre : gardé ici, à signaler au centre. Tout le reste est reçu."
    public static let worklistLacking =
        "Tout est reçu par le centre, mais la liste des visites n'est pas venue en entier : à signaler au centre."
    public static let sending = "Envoi en cours."
    public static let waiting = "En attente d'envoi."
    public static let testOnly =
        "Données simulées : elles ne partent que vers un serveur de test (`test-server = yes`)."

    public static let battery =
        "Batterie faible : l'essentiel est envoyé, les enregistrements partiront sur secteur."
    public static let metered =
        "Connexion mobile : les ECG et l'urgent partent ; le reste attend une connexion sans limite."
    public static let folderReady = "Tout est dans le dossier d'échange, en attente de l'accusé de réception du centre."
    public static let folderMissing =
        "Le dossier d'échange n'est pas là (clé USB à brancher ?) : tout est gardé ici."
    public static let folderBroken =
        "Le dossier d'échange ne peut pas être utilisé : tout est gardé ici. Prévenez l'administrateur."

    public static let configuration =
        "La liaison avec le centre est mal configurée (certificats ?) : tout est gardé ici. Prévenez l'administrateur."

    static func paused(_ reason: String) -> String {
        switch reason {
        case "portal": portal
        case "certificate": certificate
        case "unauthorised": unauthorised
        case "server-full": serverFull
        case "version": version
        case "configuration": configuration
        default: offline
        }
    }
}

/// The one sentence at the top of everything.
enum StatusSentence {
    static let disk = "Le disque se remplit : libérez de la place."
    static let recording = "Un enregistrement est en cours."
    static let quarantined = "Un envoi est à signaler au centre."
    static let damaged =
        "La base de ce poste est abîmée : prévenez l'administrateur (`ess-agent doctor`). Ce qui est lisible continue d'être envoyé."
    static let visitOpen = "Une visite est ouverte."
    static let idle = "Prêt."
    static func unattributed(_ count: Int) -> String { "\(count) enregistrement(s) sans patient : à attribuer." }
    static func needsStart(_ count: Int) -> String { "\(count) enregistrement(s) sans heure de début : à compléter." }
}

/// Why a recording waits for a person.
enum AttentionSentence {
    static let superseded = "remplacé par un enregistrement complet"
    static let empty = "vide : rien n'a été reçu"
    static let held = "l'identité dans le fichier n'est pas celle du patient de la visite : à décider"
    /// Why it is nobody's, so that a person can decide without asking anybody.
    static func unattributed(_ reason: UnattributedReason?) -> String {
        let why: String? =
            switch reason {
            case nil, .noVisit: nil
            case .visitNotOpen: "la visite indiquée n'était pas ouverte à ce moment"
            case .contradiction: "l'identité dans le fichier en contredit une autre"
            case .objectIdentity: "un autre fichier porte le même numéro d'objet, avec un autre contenu"
            case .overlappingLoans: "l'appareil était prêté à deux patients en même temps"
            case .outsideLoans: "l'appareil est prêté, et cet enregistrement est hors de la période de prêt"
            case .acrossLoans: "mesures faites pendant plusieurs prêts de l'appareil, ou en partie hors prêt"
            case .otherVisit: "fait pendant la visite d'un autre patient"
            case .otherPatientsMachine: "les nuits précédentes de cet appareil sont d'un autre patient"
            case .startUnknown: "l'appareil est prêté, et l'heure de début est inconnue"
            case .deviceWithoutSerial: "l'appareil est prêté, et ne dit pas son numéro de série"
            case .sharedMemory: "il peut y avoir les mesures de plusieurs personnes"
            }
        return "sans patient : à attribuer" + (why.map { " (\($0))" } ?? "")
    }
    static let needsStart = "heure de début inconnue : à compléter"
    static let interruptedDownload =
        "téléchargement interrompu : rebranchez l'appareil et recommencez (sinon, envoyé tel quel à la fermeture de la visite)"
    static let quarantined = "à signaler au centre"
}
