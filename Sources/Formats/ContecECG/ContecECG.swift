public import Clinical
import Wire

/// A case as the Contec ECG90A stores it on its card: the `.ECG` file of devices.md 6.1 (two independent sources, checked on
/// three real files). There is no checksum; damage shows in the size, the header's shape and impossible values.
public struct ContecECG: Sendable, Equatable {
    /// The eight stored leads, in file order.
    public static let stored: [Channel.Signal] = [
        .ecgII, .ecgIII, .ecgV1, .ecgV2, .ecgV3, .ecgV4, .ecgV5, .ecgV6,
    ]
    /// Samples per second.
    public static let rate = Ratio(800)
    /// Bytes up to the first sample.
    public static let headerSize = 43
    public static let footerSize = 37
    /// Bytes of the patient's name.
    public static let nameLimit = 8
    /// Code for "electrode off".
    static let noSignal: UInt16 = 0x6800
    /// Code of 0 µV.
    static let offset = 2048
    static let highest: UInt16 = 4095

    /// ASCII digits, at most seven.
    public var caseNumber: String
    /// The start as written, 19 characters: device local time.
    public var startText: String
    /// The name's eight bytes as written, NUL-padded; their encoding is unknown.
    public var nameBytes: [UInt8]
    /// 0 female, 1 male, FF unknown.
    public var sexCode: UInt8
    /// Years; 0 means not entered.
    public var age: UInt8
    /// Kilograms.
    public var weight: UInt8
    /// Eight arrays of equal length in the order of `stored`: code - 2048 (-2048…2047), 5 µV each, or absent.
    public var leads: [[Sample]]
    /// 37 bytes of unknown meaning, nearly always zero.
    public var footer: [UInt8]
    /// What was odd in the file.
    public var notes: [Note]

    public init(
        caseNumber: String, startText: String, nameBytes: [UInt8], sexCode: UInt8, age: UInt8, weight: UInt8,
        leads: [[Sample]], footer: [UInt8] = Array(repeating: 0, count: ContecECG.footerSize), notes: [Note] = []
    ) {
        self.caseNumber = caseNumber
        self.startText = startText
        self.nameBytes = nameBytes
        self.sexCode = sexCode
        self.age = age
        self.weight = weight
        self.leads = leads
        self.footer = footer
        self.notes = notes
    }

    /// Samples per lead.
    public var count: Int { leads.first?.count ?? 0 }

    /// Nil when the text is not a real date and time.
    public var start: LocalTime? { LocalTime(startText) }

    /// The name without its padding. Bytes above 7F are taken as Latin-1: nobody knows better, and none is lost.
    public var name: String? {
        let text = String(String.UnicodeScalarView(nameBytes.prefix { $0 != 0 }.map { Unicode.Scalar($0) }))
        let start = text.drop { $0 == " " }
        return start.lastIndex { $0 != " " }.map { String(start[...$0]) }
    }

    /// What the file says about whose it is.
    public var claim: IdentityClaim {
        let sex: Sex? = sexCode == 0 ? .female : sexCode == 1 ? .male : nil
        return IdentityClaim(name: name, nameLimit: Self.nameLimit, sex: sex, age: age == 0 ? nil : Int(age))
    }
}

extension ContecECG {
    /// True when the first 43 bytes have the header's shape: digits, NULs and a date in their places. The file's name plays
    /// no part; the size is judged by `init(decoding:)`, so that a cut file is called damaged instead of unknown.
    public static func isHeader(_ bytes: some Collection<UInt8>) -> Bool {
        let header = Array(bytes.prefix(headerSize))
        guard header.count == headerSize else { return false }
        let number = header[0..<8].prefix { isDigit($0) }
        guard (1...7).contains(number.count), header[number.count..<10].allSatisfy({ $0 == 0 }),
            header[29..<32].allSatisfy({ $0 == 0 })
        else { return false }
        let shape = Array("dddd-dd-dd dd:dd:dd".utf8)
        return zip(shape, header[10..<29]).allSatisfy { $0 == UInt8(ascii: "d") ? isDigit($1) : $0 == $1 }
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

    /// Reads a whole file.
    /// A file that is cut short gives what is there, with a note.
    /// - Throws: `.notRecognised` when the header is another one, `.damaged` when there are no samples.
    public init(decoding bytes: [UInt8]) throws(DecodeError) {
        guard Self.isHeader(bytes) else {
            throw .notRecognised("no Contec ECG90A header (case number and date) at the start")
        }
        // Whether a file that is cut ends with samples or with its footer can't be seen: the last bytes are taken for a
        // footer, so that no footer is ever shown as a curve.
        let body = bytes.count - Self.headerSize - Self.footerSize
        guard body >= 16 else {
            throw .damaged(format: "contec-ecg", "there are no samples in it; record the ECG again")
        }
        do {
            try self.init(header: bytes, samples: body / 16)
        } catch {
            throw .damaged(format: "contec-ecg", "the file is cut short")
        }
        guard !body.isMultiple(of: 16) else { return }
        footer = []
        notes.removeAll { $0.text.contains("footer") }
        notes.append(
            Note(
                kind: .gap,
                text: "size is not 80 + 16 n bytes: cut short or changed; \(body / 16) samples of each lead are there")
        )
    }

    private init(header bytes: [UInt8], samples count: Int) throws(WireError) {
        var reader = ByteReader(bytes)
        func text(_ slice: ArraySlice<UInt8>) -> String { String(decoding: slice.prefix { $0 != 0 }, as: UTF8.self) }
        let caseNumber = text(try reader.bytes(8))
        try reader.skip(2)
        let startText = text(try reader.bytes(20))
        try reader.skip(2)
        let nameBytes = Array(try reader.bytes(Self.nameLimit))
        let (sexCode, age, weight) = (try reader.u8(), try reader.u8(), try reader.u8())
        var leads = Self.stored.map { _ in [Sample]() }
        for lead in leads.indices { leads[lead].reserveCapacity(count) }
        var impossible = 0
        for _ in 0..<count {
            for lead in leads.indices {
                let code: UInt16 = try reader.littleEndian()
                if code > Self.highest, code != Self.noSignal { impossible += 1 }
                leads[lead].append(code > Self.highest ? .absent : Sample(code) - Sample(Self.offset))
            }
        }
        let footer = Array(reader.rest())
        self.init(
            caseNumber: caseNumber, startText: startText, nameBytes: nameBytes, sexCode: sexCode, age: age,
            weight: weight, leads: leads, footer: footer)
        notes = surprises(impossible: impossible)
    }

    private func surprises(impossible: Int) -> [Note] {
        var notes: [Note] = []
        func note(_ text: String) { notes.append(Note(kind: .surprise, text: text)) }
        if impossible > 0 { note("\(impossible) sample values above 4095 that are not 6800: taken as no value") }
        if start == nil { note("the date in the header is no real date: start unknown") }
        if nameBytes.contains(where: { $0 > 0x7F }) { note("the name field has bytes above 7F: read as Latin-1") }
        if ![0, 1, 0xFF].contains(sexCode) { note("sex code \(sexCode) is unknown") }
        // Real footers have at most one byte that isn't zero (devices.md 6.1). Samples in its place are of a file that was cut where a block
        // of the disk ends, which is always between two samples.
        switch footer.count(where: { $0 != 0 }) {
        case 0: break
        case 1...3: note("the footer is not all zero (meaning unknown)")
        default:
            notes.append(Note(kind: .gap, text: "there is no footer: the file was probably cut short; copy it again"))
        }
        return notes
    }
}
