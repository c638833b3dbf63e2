/// The name of a directory's entry as text that can be turned back. A Linux name is any bytes: what isn't UTF-8 (a stick written long ago on
/// another system) stands in private-use characters, so that its file is found and kept like any other.
enum EntryName {
    /// U+F780 to U+F7FF for the bytes 80 to FF; below 80 everything is UTF-8.
    private static let base: UInt32 = 0xF700
    private static let stands: ClosedRange<UInt32> = 0xF780...0xF7FF

    private static func hasStandIns(_ text: String) -> Bool {
        text.unicodeScalars.contains { stands.contains($0.value) }
    }

    /// As the system takes it.
    static func terminated(_ bytes: [UInt8]) -> [CChar] { bytes.map(CChar.init(truncatingIfNeeded:)) + [0] }

    /// - Parameter bytes: without the zero at the end.
    static func text(_ bytes: [UInt8]) -> String {
        // Nearly every name, and a card has tens of thousands.
        if let text = String(validating: bytes, as: UTF8.self), !hasStandIns(text) { return text }
        var text = String.UnicodeScalarView()
        var index = 0
        while index < bytes.count {
            // A character of UTF-8 has one to four bytes.
            let next = (1...4).lazy.compactMap { length -> (Unicode.Scalar, Int)? in
                guard index + length <= bytes.count,
                    let found = String(validating: bytes[index..<index + length], as: UTF8.self),
                    let scalar = found.unicodeScalars.first
                else { return nil }
                return (scalar, length)
            }.first
            // A name that really has one of these characters keeps it byte by byte: there is one way back.
            if let (scalar, length) = next, !stands.contains(scalar.value) {
                text.append(scalar)
                index += length
            } else {
                if let scalar = Unicode.Scalar(base + UInt32(bytes[index])) { text.append(scalar) }
                index += 1
            }
        }
        return String(text)
    }

    /// As the directory has it, without the zero at the end.
    static func bytes(_ text: String) -> [UInt8] {
        guard hasStandIns(text) else { return Array(text.utf8) }
        return text.unicodeScalars.flatMap { scalar in
            stands.contains(scalar.value) ? [UInt8(truncatingIfNeeded: scalar.value)] : Array(String(scalar).utf8)
        }
    }
}
