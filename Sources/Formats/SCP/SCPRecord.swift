import Clinical
import Wire

/// An SCP-ECG record cut into its sections, checksums checked (formats.md 4.1).
struct SCPRecord {
    struct Section {
        var version: UInt8
        /// Without the 16-byte header.
        var body: ArraySlice<UInt8>
        /// The file ends within it, so that nobody can check it.
        var isCut = false
    }

    /// 13 = 1.3, 20 = 2.0, 29 and 30 = 3.
    var protocolVersion: Int
    var sections: [Int: Section]
    var notes: [Note]

    static let sectionHeader = 16
    private static let pointerSize = 10
    /// Without these, or with changed bytes in them, no sample or no identity can be trusted.
    private static let vital: Set<Int> = [0, 1, 2, 3, 6, 12]
    /// What a file that is cut short can do without: some leads, and whose they are.
    private static let spareable: Set<Int> = [1, 6, 12]

    /// True when section 0 is where and what EN 1064 says: identifier 0, a whole number of pointers, the first of which points
    /// at section 0 itself. Other makers' `.SCP` files begin alike but fail here.
    static func isHeader(_ bytes: [UInt8]) -> Bool {
        guard bytes.count >= 32, number(bytes, 8, 2) == 0 else { return false }
        let size = number(bytes, 10, 4)
        guard size >= sectionHeader + pointerSize, (size - sectionHeader) % pointerSize < 2 else { return false }
        return bytes[16..<22].elementsEqual("SCPECG".utf8)
            || number(bytes, 22, 2) == 0 && number(bytes, 24, 4) == size && number(bytes, 28, 4) == 7
    }

    init(_ bytes: [UInt8]) throws(DecodeError) {
        guard Self.isHeader(bytes) else { throw .notRecognised("no SCP-ECG pointer section at the start") }
        let announced = Self.number(bytes, 2, 4)
        let isCut = announced > bytes.count
        let record = bytes[..<min(announced, bytes.count)]
        protocolVersion = Int(bytes[15])
        notes = []
        sections = [:]
        func note(_ text: String) { notes.append(Note(kind: .surprise, text: text)) }
        if announced < bytes.count { note("\(bytes.count - announced) bytes follow the record") }
        if isCut {
            notes.append(
                Note(kind: .gap, text: "\(announced) bytes announced, \(bytes.count) in the file: it is cut short"))
        } else if CRC16.ccitt(record.dropFirst(2)) != UInt16(Self.number(bytes, 0, 2)) {
            note("the record's checksum is wrong; those of the sections decide")
        }
        let size = Self.number(bytes, 10, 4)
        guard 6 + size <= record.count else { throw Self.damaged("it ends within its pointer section") }
        guard Self.isIntact(record[6..<6 + size]) else {
            throw Self.damaged("the pointer section's checksum is wrong; copy or export it again")
        }
        for entry in 0..<(size - Self.sectionHeader) / Self.pointerSize {
            let at = 22 + entry * Self.pointerSize
            let (id, length, index) = (
                Self.number(bytes, at, 2), Self.number(bytes, at + 2, 4), Self.number(bytes, at + 6, 4)
            )
            guard id != 0, length > 0 else { continue }
            let isVital = Self.vital.contains(id)
            // Positions count from 1.
            if isCut, Self.spareable.contains(id), index >= 1, index - 1 + length > record.count,
                index - 1 + length <= announced, length >= Self.sectionHeader
            {
                if index - 1 + Self.sectionHeader < record.count, Self.number(bytes, index + 1, 2) == id, id != 1 {
                    let body = record[(index - 1 + Self.sectionHeader)...]
                    sections[id] = Section(version: bytes[index + 7], body: body, isCut: true)
                }
                note("section \(id) is cut short")
                continue
            }
            guard index >= 1, index - 1 + length <= record.count, length >= Self.sectionHeader else {
                if isVital { throw Self.damaged("section \(id) lies outside the file; copy it again") }
                note("section \(id) lies outside the file and is left out")
                continue
            }
            let section = record[index - 1..<index - 1 + length]
            guard Self.isIntact(section), Self.number(bytes, index + 1, 2) == id, sections[id] == nil else {
                if isVital {
                    throw Self.damaged("section \(id) is changed (its checksum or number is wrong); copy it again")
                }
                note("section \(id) is changed (its checksum or number is wrong) and is left out")
                continue
            }
            sections[id] = Section(version: bytes[index + 7], body: section.dropFirst(Self.sectionHeader))
        }
    }

    static func damaged(_ text: String) -> DecodeError { .damaged(format: "scp-ecg", text) }

    private static func isIntact(_ section: ArraySlice<UInt8>) -> Bool {
        let first = section.startIndex
        return section.count >= sectionHeader
            && CRC16.ccitt(section.dropFirst(2)) == UInt16(section[first]) | UInt16(section[first + 1]) << 8
    }

    private static func number(_ bytes: [UInt8], _ offset: Int, _ width: Int) -> Int {
        (0..<width).reduce(0) { $0 | Int(bytes[offset + $1]) << (8 * $1) }
    }
}
