/// What the first line of a transcript says about it.
public struct TranscriptHeader: Sendable, Equatable {
    /// USB vendor and product id, lower-case hexadecimal, four digits each; nil when the line names no device.
    public var vendorID: String?
    public var productID: String?
    /// The device's name as a person wrote it.
    public var model: String?
    /// `2026-11-22`
    public var date: String?
    /// False when the text had no header line at all.
    public var isPresent: Bool

    public init(
        vendorID: String? = nil, productID: String? = nil, model: String? = nil, date: String? = nil,
        isPresent: Bool = true
    ) {
        self.vendorID = vendorID
        self.productID = productID
        self.model = model
        self.date = date
        self.isPresent = isPresent
    }
}

/// One line of a transcript.
public struct TranscriptEvent: Sendable, Equatable {
    public enum Kind: Sendable, Equatable {
        /// `>`
        case toDevice
        /// `<`
        case fromDevice
        /// `!`
        case error
        /// `=`
        case note
    }

    public var kind: Kind
    /// USB endpoint address; a serial line, which has none, is written as 01 out and 81 in.
    public var endpoint: UInt8?
    /// Empty for errors and notes.
    public var bytes: [UInt8]
    /// Empty for bytes. One line, without white space at its ends.
    public var text: String
    /// Seconds since the previous event; never negative.
    public var after: Double

    public init(kind: Kind, endpoint: UInt8? = nil, bytes: [UInt8] = [], text: String = "", after: Double = 0) {
        self.kind = kind
        self.endpoint = endpoint
        self.bytes = bytes
        self.text = text
        self.after = after
    }

    public static func sent(_ bytes: [UInt8], endpoint: UInt8? = 0x01, after: Double = 0) -> TranscriptEvent {
        TranscriptEvent(kind: .toDevice, endpoint: endpoint, bytes: bytes, after: after)
    }

    public static func received(_ bytes: [UInt8], endpoint: UInt8? = 0x81, after: Double = 0) -> TranscriptEvent {
        TranscriptEvent(kind: .fromDevice, endpoint: endpoint, bytes: bytes, after: after)
    }

    public static func error(_ text: String, endpoint: UInt8? = nil, after: Double = 0) -> TranscriptEvent {
        TranscriptEvent(kind: .error, endpoint: endpoint, text: text, after: after)
    }

    public static func note(_ text: String, after: Double = 0) -> TranscriptEvent {
        TranscriptEvent(kind: .note, text: text, after: after)
    }
}

/// Where a transcript can't be read, and what its author should do.
public struct TranscriptError: Error, Equatable, Sendable, CustomStringConvertible {
    /// From 1; 0 when it is no matter of a line.
    public var line: Int
    public var what: String
    public var remedy: String

    public init(line: Int, what: String, remedy: String) {
        self.line = line
        self.what = what
        self.remedy = remedy
    }

    public var description: String { (line > 0 ? "line \(line): " : "") + "\(what); \(remedy)" }
}

/// A recorded conversation with a device, as text that is made to be read in a review (ARCHITECTURE.md, section 5):
///
///     # ess-agent transcript 1   device 10c4:ea60 "CMS50"   2026-11-22
///     > 01  7D 81 A0 80 80 80 80 80 80
///     < 81  06 80 80 87   +0.0021
///     ! 81  timeout   +1.0000
///     = note electrodes off
///
/// Reading is tolerant (no header, no endpoints, any spacing, remarks after `#` or after the seconds), but never guesses
/// about bytes: what isn't hexadecimal is an error. `-` stands for "no endpoint" and for "no bytes".
public struct Transcript: Sendable, Equatable {
    public static let version = 1
    /// Characters; a longer line is an error.
    public static let longestLine = 4 << 20

    public var header: TranscriptHeader
    public var events: [TranscriptEvent]

    public init(header: TranscriptHeader = TranscriptHeader(), events: [TranscriptEvent] = []) {
        self.header = header
        self.events = events
    }

    public init(parsing text: String) throws(TranscriptError) {
        try self.init(parsing: Array(text.utf8))
    }

    /// UTF-8 text.
    public init(parsing text: [UInt8]) throws(TranscriptError) {
        var parser = TranscriptParser()
        try parser.read(text)
        self = parser.transcript()
    }
}
