public import FoundationEssentials

/// Immutable bytes that are sent to the server under one identity, with one receipt.
public struct Document: Sendable, Equatable, Codable, Identifiable {
    public enum Role: String, Sendable, Codable, CaseIterable {
        /// The standard file derived from the recording (DICOM, EDF+). Its id is the recording's.
        case artefact
        /// The bytes that the device or card delivered. Its id is derived from the recording's (UUIDv5).
        case original
    }

    public var id: UUID
    public var recording: RecordingID
    public var role: Role
    /// `application/dicom`, `application/edf`, `application/octet-stream`.
    public var mediaType: String
    /// Bytes.
    public var size: Int
    /// Lower-case hexadecimal.
    public var sha256: String
    /// Base64; FHIR R4's `attachment.hash` is SHA-1 (sync.md 1.1).
    public var sha1: String

    public init(
        id: UUID, recording: RecordingID, role: Role, mediaType: String, size: Int, sha256: String, sha1: String
    ) {
        self.id = id
        self.recording = recording
        self.role = role
        self.mediaType = mediaType
        self.size = size
        self.sha256 = sha256
        self.sha1 = sha1
    }
}
