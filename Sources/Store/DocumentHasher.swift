public import Clinical
internal import Crypto
public import FoundationEssentials

/// The hashes by which documents and sources are known, and the identities that are derived from a recording's.
public enum DocumentHasher {
    /// Describes bytes that are ready to be sent.
    public static func document(
        of recording: RecordingID, role: Document.Role, mediaType: String, bytes: [UInt8]
    ) -> Document {
        Document(
            id: identity(of: role, in: recording), recording: recording, role: role, mediaType: mediaType,
            size: bytes.count, sha256: sha256(bytes), sha1: sha1(bytes))
    }

    /// The artefact carries the recording's own identity, the original one that follows from it: however often
    /// documents are built anew, nothing can arrive twice.
    public static func identity(of role: Document.Role, in recording: RecordingID) -> UUID {
        switch role {
        case .artefact: recording.uuid
        case .original: uuid5(namespace: recording.uuid, name: "original")
        }
    }

    /// Lower-case hexadecimal.
    public static func sha256(_ bytes: some DataProtocol) -> String { hex(SHA256.hash(data: bytes)) }

    /// Base64, for FHIR R4's `attachment.hash`.
    public static func sha1(_ bytes: some DataProtocol) -> String {
        Data(Insecure.SHA1.hash(data: bytes)).base64EncodedString()
    }

    /// SHA-256 over parts, each preceded by its length, so that no two lists of parts give the same bytes.
    public static func fingerprint(_ parts: [[UInt8]]) -> String {
        var hash = SHA256()
        for part in parts {
            hash.update(data: (0..<8).map { UInt8(truncatingIfNeeded: UInt64(part.count) >> (8 * UInt64($0))) })
            hash.update(data: part)
        }
        return hex(hash.finalize())
    }

    /// RFC 9562 section 5.5.
    public static func uuid5(namespace: UUID, name: String) -> UUID {
        let space = namespace.uuid
        var hash = Insecure.SHA1()
        hash.update(data: [
            space.0, space.1, space.2, space.3, space.4, space.5, space.6, space.7,
            space.8, space.9, space.10, space.11, space.12, space.13, space.14, space.15,
        ])
        hash.update(data: Array(name.utf8))
        var b = Array(hash.finalize().prefix(16))
        b[6] = b[6] & 0x0F | 0x50
        b[8] = b[8] & 0x3F | 0x80
        return UUID(
            uuid: (
                b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]
            ))
    }

    static func hex(_ digest: some Sequence<UInt8>) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(decoding: digest.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
}

extension UUID {
    /// Lower case, as on the wire and in every key column.
    var text: String { uuidString.lowercased() }
}
