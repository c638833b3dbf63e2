/// What is said about keys, copies and bundles, in the nurse's and the administrator's words.
enum ReportText {
    static let about = """
        Rapport d'assistance d'ess-agent / ess-agent support bundle

        report.json ne contient ni nom, ni INS, ni date de naissance, ni identifiant de patient ou de visite, ni échantillon,
        ni compte, ni chemin de fichier. Vous pouvez le lire avant de l'envoyer.

        report.json holds no name, no INS, no birth date, no id of a patient or visit, no sample, no account and no file path.
        You can read it before you send it.

        Le journal du service n'en fait pas partie (il ne nomme personne non plus) :
        The service's log is not part of it (it names nobody either):
            journalctl -u ess-agent -b

        """
}

extension Problem {
    static let keyIsCredential = Problem(
        "key-is-credential", exit: .badConfiguration,
        "La clé vient d'un secret systemd, que l'agent ne peut pas remplacer. Arrêtez l'agent, puis "
            + "`sudo ess-agent key rotate --new FICHIER`, et scellez FICHIER à la place de l'ancienne (docs/keys.md)."
    )
    static let trailIsBroken = Problem(
        "audit-broken",
        "Le journal d'audit a été altéré : une nouvelle clé le cacherait. Prévenez l'administrateur (`ess-agent audit verify`)."
    )
    static func keyMissing(_ path: String) -> Problem {
        Problem(
            "key-missing", exit: .badConfiguration,
            "La clé maîtresse de cette base n'est pas là (\(path)). Aucune autre n'est créée : elle ne l'ouvrirait pas. Remettez "
                + "la copie gardée à part, à cette place, ou corrigez `master-key`.")
    }
    static func keyUnusable(_ path: String) -> Problem {
        Problem(
            "key-unusable", exit: .badConfiguration,
            "Le fichier de la clé maîtresse (\(path)) n'est pas utilisable : il faut exactement 32 octets, lisibles par l'agent et "
                + "fermés aux autres comptes (`chmod 600`). Rien n'a été changé.")
    }
    static func storeBeyondRepair(_ why: String) -> Problem {
        Problem(
            "store-beyond-repair", exit: .badConfiguration,
            "La base est endommagée et ne peut pas être ouverte (\(why)). Elle est laissée telle quelle. Remettez une copie : "
                + "`ess-agent restore COPIE --force` (la base actuelle est gardée à côté), et prévenez l'administrateur."
        )
    }
    static let storeIsNewer = Problem(
        "store-newer", exit: .badConfiguration,
        "Une version plus récente de l'agent a écrit cette base. Installez cette version ; rien n'a été changé.")
    static func directoryDenied(_ path: String) -> Problem {
        Problem(
            "state-directory-denied", exit: .badConfiguration,
            "L'agent n'a pas accès au dossier des données (\(path)) : il appartient à un autre compte. Corrigez son propriétaire, "
                + "ou la clé `state-directory`. Rien n'a été changé.")
    }
    static let backupNotFound = Problem("backup-not-found", exit: .badInput, "Cette copie n'existe pas.")
    static let backupUnreadable = Problem(
        "backup-unreadable", exit: .badInput,
        "Cette copie est abîmée, ou n'est pas une copie d'ess-agent. La base actuelle n'a pas été touchée.")
    static let backupOfAnotherKey = Problem(
        "backup-other-key", exit: .badInput,
        "Cette copie est scellée avec une autre clé maîtresse. La base actuelle n'a pas été touchée.")
    static let restoreWouldLose = Problem(
        "restore-would-lose",
        "La base actuelle contient des enregistrements que le centre n'a pas reçus, ou n'est pas lisible. Avec `--force` elle est "
            + "gardée sous un autre nom, et la copie prend sa place.")
    static let fileExists = Problem(
        "file-exists", exit: .badInput, "Un fichier de ce nom existe déjà. Rien n'a été écrit.")
}
