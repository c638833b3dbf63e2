/// The numbers in a DICOM structured report, as the program that wrote it names them (PS3.3 C.17.3, content items of type NUM). Who
/// measured is not known from here: they are shown as unverified.
public struct DicomMeasurements: Sendable, Equatable {
    public struct Value: Sendable, Equatable {
        /// Code meaning of the concept.
        public var name: String
        /// As written.
        public var value: String
        /// Code of the unit, UCUM as a rule.
        public var unit: String?
        /// The site, the view, the method: meanings of the item's own modifiers.
        public var modifiers: [String]
    }

    public var values: [Value]
    /// Manufacturer, model and software versions, as far as the report says them.
    public var producer: [String]

    /// Reports are text; what is larger is something else.
    public static let limit = 8 << 20
    private static let valueLimit = 500

    /// - Returns: nil for what is no structured report in little-endian, or can't be read to its end.
    public init?(_ file: [UInt8]) {
        guard file.count <= Self.limit, var reader = Reader(file), let items = reader.dataset() else { return nil }
        let isReport = items.contains { $0.tag == 0x0040_A730 || $0.tag == 0x0008_0060 && $0.text == "SR" }
        guard isReport else { return nil }
        producer = [0x0008_0070, 0x0008_1090, 0x0018_1020].compactMap { tag in
            items.first { $0.tag == tag }?.text
        }.filter { !$0.isEmpty }
        values = []
        collect(items)
    }

    private mutating func collect(_ items: [Reader.Element]) {
        for content in items where content.tag == 0x0040_A730 {
            for item in content.items where values.count < Self.valueLimit {
                if item.text(0x0040_A040) == "NUM", let name = item.code(0x0040_A043, meaning: true),
                    let measured = item.sequence(0x0040_A300), let value = measured.text(0x0040_A30A), !value.isEmpty
                {
                    let modifiers = item.filter { $0.tag == 0x0040_A730 }.flatMap(\.items).compactMap { modifier in
                        modifier.text(0x0040_A040) == "CODE" ? modifier.code(0x0040_A168, meaning: true) : nil
                    }
                    values.append(
                        Value(
                            name: name, value: value, unit: measured.code(0x0040_08EA, meaning: false),
                            modifiers: modifiers))
                }
                collect(item)
            }
        }
    }
}

extension [Reader.Element] {
    fileprivate func text(_ tag: Int) -> String? { first { $0.tag == tag }?.text }
    fileprivate func sequence(_ tag: Int) -> [Reader.Element]? { first { $0.tag == tag }?.items.first }
    fileprivate func code(_ tag: Int, meaning: Bool) -> String? {
        sequence(tag)?.text(meaning ? 0x0008_0104 : 0x0008_0100)
    }
}

/// A whole little-endian data set as a tree; for files that are small and known to be so.
private struct Reader {
    struct Element {
        var tag: Int
        var bytes: ArraySlice<UInt8>
        var items: [[Element]]

        /// UTF-8 or Latin-1: what reports are written in here; other letters come out wrong, numbers never do.
        var text: String {
            let trimmed = bytes.filter { $0 != 0 }
            let text =
                String(validating: trimmed, as: UTF8.self)
                ?? String(String.UnicodeScalarView(trimmed.map { Unicode.Scalar($0) }))
            var slice = text[...]
            while slice.last == " " { slice = slice.dropLast() }
            while slice.first == " " { slice = slice.dropFirst() }
            return String(slice)
        }
    }

    private static let undefined = 0xFFFF_FFFF
    private static let longForms: Set<String> = [
        "OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV",
    ]
    private static let elementLimit = 200_000

    private let file: [UInt8]
    private var position = 132
    private var isImplicit = false
    private var elements = 0

    init?(_ file: [UInt8]) {
        guard file.count > 132, file[128..<132].elementsEqual("DICM".utf8) else { return nil }
        self.file = file
    }

    /// The data set behind the meta group; nil when it can't be read to its end.
    mutating func dataset() -> [Element]? {
        var syntax = ""
        while number(at: position, 2) == 2 {
            guard let element = element(depth: 0) else { return nil }
            if element.tag == 0x0002_0010 { syntax = element.text }
        }
        guard syntax == "1.2.840.10008.1.2" || syntax == "1.2.840.10008.1.2.1" else { return nil }
        isImplicit = syntax == "1.2.840.10008.1.2"
        var found: [Element] = []
        while position < file.count {
            guard let element = element(depth: 0) else { return nil }
            found.append(element)
        }
        return found
    }

    private func number(at place: Int, _ bytes: Int) -> Int? {
        guard place + bytes <= file.count else { return nil }
        return (0..<bytes).reduce(0) { $0 | Int(file[place + $1]) << (8 * $1) }
    }

    private mutating func element(depth: Int) -> Element? {
        elements += 1
        guard elements < Self.elementLimit, depth < 32, let group = number(at: position, 2),
            let low = number(at: position + 2, 2)
        else { return nil }
        let tag = group << 16 | low
        var isSequence = false
        var length: Int
        if isImplicit || group == 0xFFFE {
            guard let value = number(at: position + 4, 4) else { return nil }
            length = value
            position += 8
            isSequence = length == Self.undefined || Self.sequences.contains(tag)
        } else {
            guard position + 8 <= file.count else { return nil }
            let form = String(decoding: file[position + 4..<position + 6], as: UTF8.self)
            let isLong = Self.longForms.contains(form)
            guard let value = number(at: position + (isLong ? 8 : 6), isLong ? 4 : 2) else { return nil }
            length = value
            position += isLong ? 12 : 8
            isSequence = form == "SQ" || length == Self.undefined
        }
        if isSequence { return items(tag, length, depth: depth).map { Element(tag: tag, bytes: [], items: $0) } }
        guard length <= file.count - position else { return nil }
        defer { position += length }
        return Element(tag: tag, bytes: file[position..<position + length], items: [])
    }

    private mutating func items(_ tag: Int, _ length: Int, depth: Int) -> [[Element]]? {
        let end = length == Self.undefined ? Int.max : position + length
        guard end == Int.max || end <= file.count else { return nil }
        var found: [[Element]] = []
        while position < end {
            guard number(at: position, 2) == 0xFFFE, let low = number(at: position + 2, 2),
                let size = number(at: position + 4, 4)
            else { return nil }
            position += 8
            if low == 0xE0DD { return found }
            guard low == 0xE000 else { return nil }
            let itemEnd = size == Self.undefined ? Int.max : position + size
            guard itemEnd == Int.max || itemEnd <= file.count else { return nil }
            var item: [Element] = []
            while position < itemEnd {
                if number(at: position, 4) == 0xE00D_FFFE {
                    position += 8
                    break
                }
                guard let element = element(depth: depth + 1) else { return nil }
                item.append(element)
            }
            found.append(item)
        }
        return end == Int.max ? nil : found
    }

    /// Those of a report, for implicit encoding, which doesn't say what is a sequence.
    private static let sequences: Set<Int> = [
        0x0040_A730, 0x0040_A043, 0x0040_A168, 0x0040_A300, 0x0040_08EA, 0x0040_A504, 0x0008_1110, 0x0008_1111,
        0x0008_1115, 0x0008_1199, 0x0040_A370, 0x0040_A372, 0x0040_A375, 0x0040_A385, 0x0008_114A,
    ]
}
