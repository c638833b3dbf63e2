import GRDB
import HTTPTypes
import Hummingbird

/// The FHIR lane: read, search, create, update, transaction.
struct FHIRRoutes {
    let ledger: Ledger
    let faults: Faults

    /// Bytes of one body; recordings go another way.
    static let maxBody = 16 << 20

    func add(to router: Router<Context>) {
        router.get("/fhir/metadata") { request, _ in
            Answer(status: 200, body: Capability.statement(base: request.origin + "/fhir")).response()
        }
        router.get("/fhir/:type/:id") { request, context in
            let (type, id) = try target(context)
            let found = try await ledger.queue.read { try FHIRStore(db: $0).read(type, id) }
            guard let found else { throw Refusal.notFound("there is no such resource") }
            return found.response(to: request)
        }
        router.get("/fhir/:type/:id/_history/:version") { request, context in
            let (type, id) = try target(context)
            guard let version = context.parameters.get("version").flatMap({ Int($0) }) else {
                throw Refusal.notFound("there is no such version")
            }
            let found = try await ledger.queue.read { try FHIRStore(db: $0).read(type, id, version: version) }
            guard let found else { throw Refusal.notFound("there is no such version") }
            return found.response(to: request)
        }
        router.get("/fhir/:type") { request, context in
            let type = try self.type(context)
            let search = try Search(type: type, query: request.uri.query ?? "")
            let base = request.origin + "/fhir"
            let bundle = try await ledger.queue.read { try search.bundle(in: $0, base: base) }
            return Answer(status: 200, body: bundle).response()
        }
        router.put("/fhir/:type/:id") { request, context in
            let (type, id) = try target(context)
            guard request.uri.query == nil else { throw Refusal(400, "not-supported", "an update takes no query") }
            let ifMatch = request.headers[.ifMatch]
            return try await write(request) { store, resource in
                try Validation.shape(resource, type: type, id: id)
                return try store.put(resource, type: type, id: id, ifMatch: ifMatch)
            }
        }
        router.post("/fhir/:type") { request, context in
            let type = try self.type(context)
            let condition = request.headers[.ifNoneExist]
            return try await write(request) { store, resource in
                try Validation.shape(resource, type: type, id: nil)
                return try store.create(resource, type: type, ifNoneExist: condition)
            }
        }
        router.delete("/fhir/:type/:id") { _, _ -> Response in
            throw Refusal(405, "not-supported", "nothing is deleted here", headers: [.allow: "GET, PUT"])
        }
        router.post("/fhir") { request, _ in
            try await answer(request) { db, bundle in
                if faults.hasPoison {
                    for (index, entry) in bundle.all(at: "entry").enumerated()
                    where faults.isPoisoned(entry["resource"]?["id"]?.string ?? "") {
                        throw Refusal.unprocessable("entry \(index): a fault switch is on")
                    }
                }
                return Answer(status: 200, body: try Transaction(bundle).run(in: db))
            }
        }
    }

    private func type(_ context: Context) throws -> String {
        let type = context.parameters.get("type") ?? ""
        try Schema.requireType(type)
        return type
    }

    private func target(_ context: Context) throws -> (type: String, id: String) {
        let type = try type(context)
        guard let id = context.parameters.get("id"), Schema.isID(id) else {
            throw Refusal.invalid("the id is not a FHIR id")
        }
        return (type, id)
    }

    private func write(
        _ request: Request, _ work: @escaping @Sendable (FHIRStore, JSON) throws -> (Stored, FHIRStore.Effect)
    ) async throws -> Response {
        let base = request.origin + "/fhir"
        return try await answer(request) { db, resource in
            let store = FHIRStore(db: db)
            let (stored, effect) = try work(store, resource)
            if effect != .unchanged { try Validation(store: store).check(stored) }
            return Answer(
                status: effect == .created ? 201 : 200,
                headers: [
                    "ETag": stored.etag, "Location": "\(base)/\(stored.reference)/_history/\(stored.version)",
                ], body: stored.body)
        }
    }

    /// Reads the body, runs `work` in one database transaction, and remembers its answer when the request has a key.
    private func answer(
        _ request: Request, _ work: @escaping @Sendable (Database, JSON) throws -> Answer
    ) async throws -> Response {
        if let type = request.headers[.contentType] {
            let plain = type.split(separator: ";").first.map { $0.trimmingSpaces().lowercased() } ?? ""
            guard ["application/fhir+json", "application/json"].contains(plain) else {
                throw Refusal(415, "not-supported", "the body is not application/fhir+json")
            }
        }
        let key = request.headers[.idempotencyKey]
        if let key, !(1...255).contains(key.utf8.count) {
            throw Refusal.invalid("Idempotency-Key is not 1 to 255 long")
        }
        let bytes = try await request.bytes(upTo: Self.maxBody)
        let resource: JSON
        do { resource = try JSON(parsing: bytes) } catch {
            throw Refusal.invalid("not JSON: \(error.reason), at byte \(error.offset)")
        }
        let digest = Idempotency.digest("\(request.method.rawValue) \(request.uri.path)", bytes)
        let answer = try await ledger.queue.write { db in
            let memory = Idempotency(db: db)
            if let key, let kept = try memory.recall(key, request: digest) { return kept }
            let answer = try work(db, resource)
            if let key { try memory.keep(answer, key, request: digest) }
            return answer
        }
        return answer.response()
    }
}

extension Stored {
    func response(to request: Request) -> Response {
        let headers = ["ETag": etag]
        if let seen = request.headers[.ifNoneMatch],
            seen.split(separator: ",").contains(where: { $0.trimmingSpaces() == etag })
        {
            return Answer(status: 304, headers: headers).response()
        }
        return Answer(status: 200, headers: headers, body: body).response()
    }
}

extension StringProtocol {
    func trimmingSpaces() -> String {
        var rest = self[...]
        while rest.first == " " || rest.first == "\t" { rest = rest.dropFirst() }
        while rest.last == " " || rest.last == "\t" { rest = rest.dropLast() }
        return String(rest)
    }
}
