import Clinical

/// Time-stamped annotation lists (TALs): `+onset[15 duration]14 text 14 00` (formats.md 3.1).
enum EDFAnnotation {
    static let field: UInt8 = 0x14
    static let durationMark: UInt8 = 0x15

    /// The first TAL of a record, which says when the record begins.
    static func timeKeeping(_ seconds: String) -> [UInt8] { Array("+\(seconds)".utf8) + [field, field, 0] }

    /// One annotation, `kind: text`; control characters in the text become spaces. For people and other programs: reading never makes
    /// a note of that kind of it, since anybody can have written it, about anybody.
    static func bytes(_ note: Note) -> [UInt8] {
        let onset = EDFText.seconds(note.at ?? 0)
        var bytes = Array((onset.hasPrefix("-") ? onset : "+\(onset)").utf8)
        if let duration = note.duration, duration > 0 {
            bytes += [durationMark] + Array(EDFText.seconds(duration).utf8)
        }
        let text = Array("\(note.kind.rawValue): \(note.text)".utf8).map { $0 < 0x20 || $0 == 0x7F ? 0x20 : $0 }
        return bytes + [field] + text + [field, 0]
    }

    struct Stamped: Equatable {
        var onset: Double
        var duration: Double?
        var texts: [String]
    }

    /// All TALs in one record's annotation bytes; what doesn't have the shape is left out and counted.
    static func parse(_ bytes: ArraySlice<UInt8>) -> (found: [Stamped], malformed: Int) {
        var found: [Stamped] = []
        var malformed = 0
        for list in bytes.split(separator: 0) {
            let parts = list.split(separator: field, omittingEmptySubsequences: false)
            let stamp = parts[0].split(separator: durationMark, omittingEmptySubsequences: false)
            guard parts.count >= 2, stamp.count <= 2, let first = stamp.first?.first,
                first == UInt8(ascii: "+") || first == UInt8(ascii: "-"), let onset = number(stamp[0])
            else {
                malformed += 1
                continue
            }
            let texts = parts.dropFirst().filter { !$0.isEmpty }.map { String(decoding: $0, as: UTF8.self) }
            found.append(
                Stamped(onset: onset, duration: stamp.count == 2 ? number(stamp[1]) : nil, texts: texts))
        }
        return (found, malformed)
    }

    private static func number(_ bytes: ArraySlice<UInt8>) -> Double? {
        Ratio(decimal: String(decoding: bytes, as: UTF8.self))?.value
    }
}
