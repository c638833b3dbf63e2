import Foundation
import HTTPTypes
import Hummingbird

/// `PUT` and `GET /fhir/Binary/{id}`: bytes as they are (R4 2.44), for the agent's profile `fhir`. Kept below `DIR/binaries`,
/// where an outsider can hash them.
struct Binaries {
    let home: Home
    let faults: Faults

    /// Bytes of the largest one.
    static let limit = 16 << 20

    func add(to router: Router<Context>) {
        router.put("/fhir/Binary/:id") { request, context in
            let id = try id(context)
            let type = request.headers[.contentType] ?? ""
            guard !type.isEmpty, !type.hasPrefix("application/fhir") else {
                throw Refusal(415, "not-supported", "a Binary comes as its own media type")
            }
            var bytes = try await request.bytes(upTo: Self.limit)
            if faults.corrupts(), !bytes.isEmpty { bytes[bytes.count / 2] ^= 1 }
            let isNew = !Disk.exists(file(id))
            // The type first: bytes without a type can't be served.
            try Disk.write(Data(type.utf8), to: typeFile(id), mode: 0o600)
            try Disk.write(Data(bytes), to: file(id), mode: 0o600)
            try Disk.synchronize(directory: home.binaries)
            return Response(
                status: isNew ? .created : .ok, headers: [.location: "\(request.origin)/fhir/Binary/\(id)"])
        }
        router.get("/fhir/Binary/:id") { _, context in
            let id = try id(context)
            guard let bytes = try? Data(contentsOf: file(id)), let type = try? Data(contentsOf: typeFile(id)) else {
                throw Refusal.notFound("there is no such Binary")
            }
            return Response(
                status: .ok, headers: [.contentType: String(decoding: type, as: UTF8.self)],
                body: .init(byteBuffer: .init(bytes: bytes)))
        }
    }

    private func id(_ context: Context) throws -> String {
        guard let id = context.parameters.get("id"), Schema.isID(id), !id.hasPrefix(".") else {
            throw Refusal.invalid("the id is not a FHIR id")
        }
        return id
    }

    private func file(_ id: String) -> URL { home.binaries.appendingPathComponent(id) }
    private func typeFile(_ id: String) -> URL { home.binaries.appendingPathComponent("\(id).type") }
}
