import Uplink

/// Why a document is set aside, with what the centre's people need to know to find out.
enum SetAsideSentence {
    static let noReceipt =
        "Le centre a reçu deux fois tous les octets et n'en donne pas d'accusé de réception : gardé ici, à signaler au centre."

    static func otherBytes(_ sha256: String) -> String {
        let found = sha256.isEmpty ? "" : " (SHA-256 \(sha256))"
        return "Le centre a gardé deux fois d'autres octets que ceux envoyés\(found) : gardé ici, à signaler au centre."
    }

    /// - Parameter error: the server's own words in it are shown as it said them.
    static func refused(_ error: UplinkError) -> String {
        guard let status = error.status else {
            return "Envoi impossible (\(error.kind)) : gardé ici, à signaler au centre."
        }
        let words = error.words
        return
            "Le centre refuse cet envoi (réponse \(status)\(words.isEmpty ? "" : " : \(words)")) : gardé ici, à signaler au centre."
    }
}
