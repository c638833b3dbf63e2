import Formats

extension Texts {
    /// One hint in a line: what, where, when.
    static func quality(_ hint: QualityHint) -> String {
        let what =
            switch hint.kind {
            case .leadOff: "électrode décollée ou signal plat"
            case .saturation: "signal saturé"
            case .mainsHum: "parasites du secteur (\(hint.frequency ?? 50) Hz)"
            case .baselineWander: "ligne de base instable"
            case .gap: "signal absent"
            case .armLeadSwap: "électrodes des bras peut-être inversées"
            }
        return
            "qualité @\(tenth(hint.at)) s, \(tenth(hint.duration)) s : \(what) (\(hint.channels.joined(separator: ", ")))"
    }
}
