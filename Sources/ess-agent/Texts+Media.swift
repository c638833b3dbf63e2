extension Texts {
    static let noMedium = "Aucune clé ni carte. `ess-agent media look CHEMIN` lit un dossier."
    static func copied(_ items: Int, _ ofItems: Int, _ bytes: String, _ ofBytes: String) -> String {
        "  \(items) / \(ofItems) élément(s), \(bytes) / \(ofBytes)"
    }
}
