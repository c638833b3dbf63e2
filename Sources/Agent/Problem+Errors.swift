import Store
public import Wire

// What goes wrong below, in the words that a person gets.

extension Problem {
    public init(_ error: PortError) {
        switch error {
        case .gone: self = .deviceGone
        case .busy: self = .portBusy
        case .denied: self = .portDenied
        case .forbidden, .overflow, .system: self = .deviceSilent
        }
    }

    init(_ error: TreeError) {
        switch error {
        case .notFound: self = .pathUnreadable("il n'existe plus")
        case .notAFile, .notADirectory: self = .pathUnreadable("ce n'est ni un dossier ni un fichier ordinaire")
        case .denied: self = .pathUnreadable("accès refusé à l'agent")
        case .tooLarge(_, let size, _): self = .pathUnreadable("un fichier est trop grand (\(size) octets)")
        case .unreadable:
            self = .pathUnreadable("la carte a été retirée ou est abîmée ; ce qui était lu est enregistré")
        }
    }

    init(_ error: any Error) {
        switch error {
        case let problem as Problem: self = problem
        case let error as StoreError: self = Problem(store: error)
        default: self = .internalFailure
        }
    }

    private init(store error: StoreError) {
        switch error {
        case .inUse: self = .alreadyRunning
        case .wrongKey:
            self = .configuration("La base est scellée avec une autre clé maîtresse. Vérifiez la clé `master-key`.")
        case .diskFull, .diskLow: self = .diskLow
        case .corrupt: self = .storage("la base est endommagée")
        case .readOnly: self = .storage("le disque est en lecture seule")
        case .denied: self = .storage("la base appartient à un autre compte")
        case .badKey: self = .storage("la clé maîtresse n'est pas utilisable")
        case .notFound: self = .recordingNotFound("-")
        case .refused(let why): self = .refused("Refusé : \(why).")
        case .system(let what): self = .storage(what)
        }
    }
}
