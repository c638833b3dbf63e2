public import Clinical

/// An HL7 annotated ECG (aECG, `urn:hl7-org:v3`) as read: the waveforms, not the annotations (formats.md 5).
public struct AnnotatedECG: Sendable, Equatable {
    public struct Group: Sendable, Equatable {
        /// `RHYTHM`, `REPRESENTATIVE_BEAT`.
        public var label: String?
        public var waveform: Waveform
        /// It was calculated from others: a representative beat.
        public var isDerived = false
        /// Absolute time of its first sample, as written; nil where its time is relative.
        public var head: String?
    }

    /// A group for each sequence set of each series.
    public var groups: [Group]
    /// Of the first sample of the first set with an absolute time; local time of wherever it was.
    public var start: LocalTime?
    public var startText: String?
    /// The trial's subject.
    public var claim: IdentityClaim
    public var manufacturer: String?
    public var model: String?
    public var serial: String?
    /// What was odd in the file.
    public var notes: [Note]

    static let format = "hl7-aecg"

    /// True when the first element is `AnnotatedECG`.
    public static func isHeader(_ bytes: [UInt8]) -> Bool {
        let first = bytes.prefix(256).first {
            !($0 == 0x20 || (9...13).contains($0) || [0xEF, 0xBB, 0xBF].contains($0))
        }
        guard first == UInt8(ascii: "<") || XMLEncoding.isUTF16(bytes) else { return false }
        var xml = XMLPull(Array(bytes.prefix(1 << 16)))
        do {
            guard case .start("AnnotatedECG", _) = try xml.next() else { return false }
            return true
        } catch {
            // One in a form that isn't read (a document type definition, say) is one all the same, so that this is what is said of it.
            guard case .unsupported = error else { return false }
            let beginning = String(decoding: bytes.prefix(1 << 16), as: UTF8.self)
            return ["AnnotatedECG", "urn:hl7-org:v3"].allSatisfy { beginning.contains($0) }
        }
    }

    /// - Throws: `.notRecognised`; `.damaged` when the XML or a number in it is broken; `.unsupported` for document type
    ///   definitions, encodings other than Unicode's and Latin-1, and files without waveforms.
    public init(decoding bytes: [UInt8]) throws(DecodeError) {
        guard Self.isHeader(bytes) else { throw .notRecognised("no AnnotatedECG element at the start") }
        var reader = AnnotatedECGReader()
        var xml = XMLPull(bytes)
        do {
            reading: while true {
                switch try xml.next() {
                case .start(let name, let attributes): try reader.start(name, attributes)
                case .text(let text): try reader.text(text)
                case .end: try reader.end()
                case .finished: break reading
                }
            }
        } catch let error as DecodeError {
            throw error
        } catch let error as XMLPull.Failure {
            switch error {
            case .malformed where xml.isAtEnd:
                // What came before the cut is as good as ever.
                try reader.cut()
            case .malformed(let offset, let text):
                throw .damaged(format: Self.format, "near byte \(offset): \(text); export it again from where it came")
            case .unsupported(let text): throw .unsupported(format: Self.format, text)
            }
        } catch {
            throw .damaged(format: Self.format, "it can't be read")
        }
        (groups, claim, notes) = (reader.groups, reader.claim, reader.notes)
        (manufacturer, model, serial) = (reader.manufacturer, reader.model, reader.serial)
        startText = reader.head ?? reader.effective
        start = startText.flatMap(Self.localTime)
        guard !groups.isEmpty else {
            throw .unsupported(format: Self.format, "it has no waveforms; only waveforms are decoded")
        }
    }

    /// `YYYYMMDDHHMMSS` with a fraction and a zone that are left alone.
    private static func localTime(_ text: String) -> LocalTime? {
        let digits = text.prefix { $0.isASCII && $0.isNumber }.compactMap(\.wholeNumberValue)
        guard digits.count >= 12 else { return nil }
        func number(_ range: Range<Int>) -> Int { digits[range].reduce(0) { $0 * 10 + $1 } }
        return LocalTime(
            year: number(0..<4), month: number(4..<6), day: number(6..<8), hour: number(8..<10),
            minute: number(10..<12), second: digits.count >= 14 ? number(12..<14) : 0)
    }
}
