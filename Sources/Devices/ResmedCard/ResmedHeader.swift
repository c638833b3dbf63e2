import Clinical
import Wire

/// What of an EDF header only ResMed's files have: checksums in the patient field, and who made it (devices.md 4.2, 4.3).
struct ResmedHeader: Equatable {
    static let size = 256

    /// As the header says it; nil when that names no time.
    var start: LocalTime?
    /// Bytes of the whole header.
    var headerSize: Int
    /// -1 while recording.
    var records: Int
    /// Seconds of a record, 0 for annotations.
    var recordSeconds: Double
    var signals: Int
    /// `SRN`, `MID` and `VID` of the recording field.
    var serial: String?
    var platform: String?
    var variant: String?
    /// Of bytes 25…255 and of the signal headers; nil when the patient field has none (perhaps an S9's).
    var checksums: (main: UInt16, signals: UInt16)?
    /// The main header's checksum is there and right, or isn't there.
    var isSound: Bool

    /// One of ResMed's, by its maker's fields.
    var isResmed: Bool { serial != nil || checksums != nil }

    /// Nil when the bytes begin no EDF file with numbers where numbers belong.
    /// - Parameter bytes: the first 256 bytes, or more.
    init?(_ bytes: some Collection<UInt8>) {
        let bytes = Array(bytes.prefix(Self.size))
        guard bytes.count == Self.size, bytes[0] == UInt8(ascii: "0"), bytes[1..<8].allSatisfy({ $0 == 0x20 }) else {
            return nil
        }
        func text(_ range: Range<Int>) -> String {
            String(String.UnicodeScalarView(bytes[range].map { Unicode.Scalar($0 == 0 ? 0x20 : $0) }))
        }
        func number(_ range: Range<Int>) -> Int? { text(range).split(separator: " ").first.flatMap { Int($0) } }
        guard let signals = number(252..<256), (1...999).contains(signals), let records = number(236..<244),
            let seconds = text(244..<252).split(separator: " ").first.flatMap({ Double($0) }), seconds.isFinite,
            seconds >= 0
        else { return nil }
        self.signals = signals
        self.records = records
        recordSeconds = seconds
        headerSize = Self.size * (signals + 1)
        let date = text(168..<176).split(separator: ".").compactMap { Int($0) }
        let time = text(176..<184).split(separator: ".").compactMap { Int($0) }
        if date.count == 3, time.count == 3 {
            start = LocalTime(
                year: 2000 + date[2], month: date[1], day: date[0], hour: time[0], minute: time[1], second: time[2])
        }
        for word in text(88..<168).split(separator: " ") {
            if word.hasPrefix("SRN=") { serial = Self.nonEmpty(word.dropFirst(4)) }
            if word.hasPrefix("MID=") { platform = Self.nonEmpty(word.dropFirst(4)) }
            if word.hasPrefix("VID=") { variant = Self.nonEmpty(word.dropFirst(4)) }
        }
        let tokens = text(8..<88).split(separator: " ")
        isSound = true
        // Six words without checksums are an old file's.
        if tokens.count >= 6, let main = Self.checksum(tokens[4]), let signals = Self.checksum(tokens[5]) {
            checksums = (main, signals)
            isSound = main == CRC16.ccittFalse(bytes[25...])
        }
    }

    /// Exactly four digits.
    private static func checksum(_ text: Substring) -> UInt16? {
        text.utf8.count == 4 && text.allSatisfy(\.isHexDigit) ? UInt16(text, radix: 16) : nil
    }

    private static func nonEmpty(_ text: Substring) -> String? { text.isEmpty ? nil : String(text) }

    static func == (left: ResmedHeader, right: ResmedHeader) -> Bool {
        left.start == right.start && left.records == right.records && left.serial == right.serial
            && left.signals == right.signals && left.recordSeconds == right.recordSeconds
    }
}
