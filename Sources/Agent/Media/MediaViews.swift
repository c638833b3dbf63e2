// The local contract about cards and sticks; see LocalAPI.swift.

/// A card, stick or folder, what is on it, and how far its copy has come.
public struct MediumView: Codable, Sendable, Equatable {
    /// Counts up with every medium of the agent's life.
    public var id: String
    /// The last part of its path: a stick's label. May name a person: for the screen, never for a log.
    public var label: String
    /// `surveying`, `ready`, `importing`, `done`, `interrupted` (can be continued), `unreadable`.
    public var state: String
    /// One French sentence: what it is doing, and whether it may be pulled out.
    public var sentence: String
    /// Another French sentence, of something that a person should look at and that hinders nothing; mostly missing.
    public var hint: String?
    /// Nothing is lost when it is pulled out now. While it is copied, that only costs time: it is continued later.
    public var mayRemove: Bool
    /// What was found, before anything is copied; missing while it is still looked through.
    public var found: Found?
    /// Missing before the first copy.
    public var progress: Progress?
    /// Recordings that came of it.
    public var imported: [String]
    /// Of these, the ones whose file names another patient, or none: a person decides.
    public var held: [String]
    /// Recordings that were here already, each once.
    public var known: [String]
    public var failed: [ImportView.Failure]
    public var problem: Problem?

    public struct Found: Codable, Sendable, Equatable {
        /// Recordings, images, loops and reports that are recognised.
        public var recordings: Int
        /// Files that nobody here understands: they are kept and sent as they are.
        public var otherFiles: Int
        /// Programs, indexes and traces of operating systems: not copied.
        public var leftOut: Int
        /// Files that the medium's index announces and that aren't on it: the medium was copied in part, or the index is stale.
        public var missing: Int
        /// Bytes that a copy reads.
        public var bytes: Int
        /// False when the medium holds more than any card does, or folders that can't be read: the rest was looked at.
        public var isAll: Bool
    }

    public struct Progress: Codable, Sendable, Equatable {
        public var items: Int
        public var ofItems: Int
        public var bytes: Int
        public var ofBytes: Int
        /// Missing until there is something to tell it from.
        public var bytesPerSecond: Double?
        public var secondsLeft: Double?
    }
}

/// A folder that is looked through as if it were a card.
public struct MediumRequest: Codable, Sendable {
    public var path: String

    public init(path: String) { self.path = path }
}

/// What the nurse is told of a medium.
enum MediumSentence {
    static let surveying = "Lecture du contenu…"
    static let nothing = "Rien à copier : aucun enregistrement, aucune image. Vous pouvez retirer la clé ou la carte."
    static let importing = "Copie en cours : laissez la clé ou la carte en place."
    static let done = "Tout est copié : vous pouvez retirer la clé ou la carte."
    static let gone =
        "La clé ou la carte a été retirée pendant la copie. Remettez-la et continuez : ce qui est copié est gardé."
    static let exchanged =
        "Ce n'est plus la même clé ou carte : regardez ce qu'elle contient et à quel patient elle est, puis recommencez."
    static let stopped = "Copie arrêtée. Vous pouvez retirer la clé ou la carte, et continuer plus tard."
    static let laptop =
        "L'ordinateur n'a pas pu tout enregistrer ; la clé ou la carte n'a rien. Gardez-la, et continuez plus tard."
    static func incomplete(_ count: Int) -> String {
        let files = count == 1 ? "1 fichier annoncé manque" : "\(count) fichiers annoncés manquent"
        return "La clé est incomplète : \(files). Le reste est copié normalement."
    }
    static let partly =
        "Une partie de la clé ou de la carte ne peut pas être lue (dossiers illisibles, trop profonds ou trop nombreux). Le reste est "
        + "copié normalement : gardez la clé ou la carte."
    static let unread =
        "Rien n'a pu être copié : une partie de la clé ou de la carte ne peut pas être lue (dossiers illisibles, "
        + "trop profonds ou trop nombreux). Gardez-la."
    static let partlyDone =
        "Copie terminée, sauf ce qui ne peut pas être lu : retirez la clé ou la carte, et gardez-la."
    static func ready(_ count: Int, _ megabytes: String) -> String {
        "\(count) élément(s) à copier (\(megabytes) Mo). Rien n'est encore copié."
    }
    static func toDecide(held: Int, undecided: Int, isAll: Bool) -> String {
        (isAll ? "Copie terminée : vous pouvez retirer la clé ou la carte." : partlyDone)
            + (held > 0 ? " \(held) fichier(s) ne sont pas au nom du patient de la visite : à décider." : "")
            + (undecided > 0 ? " \(undecided) enregistrement(s) sans patient : à attribuer." : "")
    }
    /// Of a bundle; behind the medium's other failures.
    static func damaged(_ count: Int) -> String {
        (count == 1 ? "1 fichier illisible" : "\(count) fichiers illisibles")
            + ", au moins en partie : ce qui a pu être lu est gardé"
    }
    static func failed(_ count: Int) -> String {
        "Copie terminée, sauf \(count) élément(s) illisible(s) : retirez la clé ou la carte, et gardez-la."
    }
}
