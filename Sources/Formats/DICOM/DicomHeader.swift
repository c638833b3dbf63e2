public import Clinical

/// What a DICOM file says of itself before its pixels: read from any transfer syntax, whatever comes after the header, without
/// reading the pixels and without changing a byte. Tolerant in what it takes, exact in what it gives.
public struct DicomHeader: Sendable, Equatable {
    /// How the data set ends.
    public enum Ending: Sendable, Equatable {
        case complete
        /// Bytes that the file announces and doesn't have: a copy that was cut, or a recording that was.
        case truncated
    }

    /// UIDs are given as written, without padding; nil where missing or empty.
    public var sopClass: String?
    public var sopInstance: String?
    public var transferSyntax: String?
    public var studyInstance: String?
    public var seriesInstance: String?
    /// `US`, `SR`, `ECG`, …
    public var modality: String?
    public var manufacturer: String?
    public var model: String?
    public var serial: String?
    public var software: String?
    /// Free text of an operator's: may name a person.
    public var studyDescription: String?
    public var seriesDescription: String?
    public var start: LocalTime?
    /// As written: `20261122230509`, `1994.01.30`.
    public var startText: String?
    /// Patient ID is the empty text where the file has none: see `IdentityClaim.patientID`.
    public var claim: IdentityClaim
    public var frames: Int?
    public var rows: Int?
    public var columns: Int?
    /// Burned In Annotation; nil when the file doesn't say, which proves nothing (formats.md 2.5).
    public var burnedIn: Bool?
    /// Elements of odd groups: they may repeat the patient's name.
    public var privateElements: Int
    /// Where the pixel element begins; nil without pixels.
    public var pixelOffset: Int?
    public var ending: Ending
    public var isSimulated: Bool
    /// The index of a medium, not a recording.
    public var isDirectory: Bool
    /// Bytes that were read to know all this.
    public var bytesRead: Int
    /// What was odd; never a value of the file's.
    public var surprises: [String]

    /// A SOP Instance UID that can serve as a key; nil for one that is missing or that no UID can be (PS3.5 9.1).
    public var objectID: String? {
        guard let uid = sopInstance, (1...64).contains(uid.utf8.count) else { return nil }
        let parts = uid.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count >= 2, parts.allSatisfy({ !$0.isEmpty && $0.allSatisfy { "0"..."9" ~= $0 } }) else {
            return nil
        }
        return uid
    }

    static let directoryClass = "1.2.840.10008.1.3.10"

    /// Bytes at a file's start that tell whether it is one.
    public static let signatureSize = 1024

    /// True for a Part 10 file, and for the files without preamble that old programs wrote: a data set that begins with its file
    /// meta group, or with group 0008 and says a DICOM class within the first bytes.
    public static func isHeader(_ bytes: [UInt8]) -> Bool {
        if bytes.count >= 132, bytes[128..<132].elementsEqual("DICM".utf8) { return true }
        guard bytes.count >= 32, bytes[0] == 0x02 || bytes[0] == 0x08, bytes[1] == 0, bytes[3] == 0, bytes[2] <= 0x18
        else { return false }
        return contains("1.2.840.10008.", in: bytes)
    }

    /// True when a file's beginning says that it is the index of a medium.
    public static func isDirectory(_ bytes: [UInt8]) -> Bool {
        let text = Array(directoryClass.utf8)
        return (0..<max(0, min(bytes.count, signatureSize) - text.count)).contains {
            // All of it: other classes begin alike.
            bytes[$0..<$0 + text.count].elementsEqual(text) && !"0123456789.".utf8.contains(bytes[$0 + text.count])
        }
    }

    private static func contains(_ text: String, in bytes: [UInt8]) -> Bool {
        let wanted = Array(text.utf8)
        let limit = min(bytes.count, signatureSize) - wanted.count
        guard limit > 0 else { return false }
        return (0..<limit).contains { bytes[$0..<$0 + wanted.count].elementsEqual(wanted) }
    }
}
