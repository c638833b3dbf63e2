/// A name reduced to what survives every device: upper-case letters without accents, and digits, in words.
/// `Lefèbvre-Noël, Œnone` becomes `LEFEBVRE`, `NOEL`, `OENONE`.
struct FoldedName: Equatable {
    let words: [String]

    /// All words without separators.
    var joined: String { words.joined() }

    init(_ text: String) {
        var words: [String] = []
        var word = ""
        for scalar in text.unicodeScalars {
            // Combining marks: a decomposed accent must not cut its word in two.
            if (0x0300...0x036F).contains(scalar.value) { continue }
            if let letters = Self.letters[scalar] {
                word += letters
            } else if scalar.properties.isAlphabetic || ("0"..."9").contains(Character(scalar)) {
                word += scalar.properties.uppercaseMapping
            } else if !word.isEmpty {
                words.append(word)
                word = ""
            }
        }
        if !word.isEmpty { words.append(word) }
        self.words = words
    }

    /// Latin-1 and Latin Extended-A letters with their plain form (the unaccented ones map by their upper case).
    private static let letters: [Unicode.Scalar: String] = {
        let table = [
            ("A", "ÀÁÂÃÄÅĀĂĄàáâãäåāăą"), ("C", "ÇĆĈĊČçćĉċč"), ("D", "ÐĎĐðďđ"), ("E", "ÈÉÊËĒĔĖĘĚèéêëēĕėęě"),
            ("G", "ĜĞĠĢĝğġģ"), ("H", "ĤĦĥħ"), ("I", "ÌÍÎÏĨĪĬĮİìíîïĩīĭįı"), ("J", "Ĵĵ"), ("K", "Ķķĸ"),
            ("L", "ĹĻĽĿŁĺļľŀł"), ("N", "ÑŃŅŇŊñńņňŉŋ"), ("O", "ÒÓÔÕÖØŌŎŐòóôõöøōŏő"), ("R", "ŔŖŘŕŗř"),
            ("S", "ŚŜŞŠȘśŝşšșſ"), ("T", "ŢŤŦȚţťŧț"), ("U", "ÙÚÛÜŨŪŬŮŰŲùúûüũūŭůűų"), ("W", "Ŵŵ"), ("Y", "ÝŶŸýŷÿ"),
            ("Z", "ŹŻŽźżž"), ("AE", "Ææ"), ("OE", "Œœ"), ("IJ", "Ĳĳ"), ("TH", "Þþ"), ("SS", "ßẞ"),
        ]
        var letters: [Unicode.Scalar: String] = [:]
        for (plain, accented) in table {
            for scalar in accented.unicodeScalars { letters[scalar] = plain }
        }
        return letters
    }()
}

/// Whether a name on a device can be a patient's.
struct NameMatch {
    private let claim: FoldedName
    /// The device had no room left: the last word may be the beginning of a longer one.
    private let isCut: Bool

    init(claim: String, limit: Int?) {
        self.claim = FoldedName(claim)
        isCut = limit.map { claim.count >= $0 } ?? false
    }

    func matches(_ patient: Patient) -> Bool {
        // No letters: no claim at all.
        guard !claim.words.isEmpty else { return true }
        let family = FoldedName(patient.family)
        let given = patient.given.map { FoldedName($0) }
        return sharesWord(family.words + given.flatMap(\.words)) || isWritten(family, given)
    }

    /// Words that half of a register has in common, and letters, prove nothing by themselves.
    private static let particles: Set<String> = [
        "DE", "DU", "DES", "LA", "LE", "LES", "EL", "AL", "BEN", "VAN", "VON", "DER", "DEN", "DA", "DI", "DOS", "ST",
        "STE", "SAINT", "SAINTE", "MR", "MME", "MLLE", "MM", "DR",
    ]

    private func sharesWord(_ expected: [String]) -> Bool {
        for (index, word) in claim.words.enumerated() where word.count > 1 {
            if expected.contains(word) && !Self.particles.contains(word) { return true }
            // Three letters at least: shorter stumps begin too many names.
            guard isCut, index == claim.words.count - 1, word.count >= 3 else { continue }
            if expected.contains(where: { $0.hasPrefix(word) }) { return true }
        }
        return false
    }

    /// The whole name in any usual order, however it is separated, possibly cut; or its initials.
    private func isWritten(_ family: FoldedName, _ given: [FoldedName]) -> Bool {
        let first = given.map(\.joined).joined()
        var spellings = [family.joined, first, family.joined + first, first + family.joined]
        for name in given { spellings += [name.joined, family.joined + name.joined, name.joined + family.joined] }
        let written = claim.joined
        if spellings.contains(written) { return true }
        // Two letters are a cut name's least; one is nothing.
        if isCut, written.count >= 2, spellings.contains(where: { $0.hasPrefix(written) }) { return true }
        let familyInitial = String(family.joined.prefix(1))
        let givenInitials = given.map { String($0.joined.prefix(1)) }
        guard let firstInitial = givenInitials.first, !familyInitial.isEmpty else { return false }
        let all = givenInitials.joined()
        return [
            familyInitial + firstInitial, firstInitial + familyInitial, familyInitial + all, all + familyInitial,
        ].contains(written)
    }
}
