import Foundation

/// `Upload-Metadata`: what the other side says about the bytes that will come.
struct UploadMetadata: Sendable {
    /// The recording's UUID, lower case. It names the file: nothing else from the request does.
    var rid: String
    /// Lower-case hexadecimal.
    var sha256: String
    var filename: String?
    var filetype: String?
    var visit: String?

    init(_ header: String) throws {
        var values: [String: String] = [:]
        for pair in header.split(separator: ",") {
            let sides = pair.trimmingSpaces().split(separator: " ", maxSplits: 1)
            guard let name = sides.first else { throw Refusal.invalid("Upload-Metadata is malformed") }
            let encoded = sides.count > 1 ? String(sides[1]) : ""
            guard let data = Data(base64Encoded: encoded), let value = String(validating: data, as: UTF8.self) else {
                throw Refusal.invalid("Upload-Metadata: a value is not base64 of UTF-8")
            }
            guard values.updateValue(value, forKey: String(name)) == nil else {
                throw Refusal.invalid("Upload-Metadata: a key is there twice")
            }
        }
        guard let rid = values["rid"].flatMap({ UUID(uuidString: $0) }) else {
            throw Refusal.invalid("Upload-Metadata: rid is not a UUID")
        }
        guard let sha256 = values["sha256"]?.lowercased(), sha256.utf8.count == 64,
            Disk.bytes(hexadecimal: sha256) != nil
        else { throw Refusal.invalid("Upload-Metadata: sha256 is not 64 hexadecimal digits") }
        self.rid = rid.uuidString.lowercased()
        self.sha256 = sha256
        filename = values["filename"]
        filetype = values["filetype"]
        visit = values["visit"]
    }
}
