import Agent
import FoundationEssentials
import HTTPTypes
import Hummingbird
import Logging
import NIOCore

/// What a door knows of who comes through it.
protocol DoorContext: RequestContext {
    /// Who the page's session belongs to; nil at the command line's door, where the caller says it.
    var person: String? { get }
    /// A visit is opened only with a checked identity.
    var demandsIdentityCheck: Bool { get }
}

/// The local API: one line per verb, no decisions, the same at both doors (ARCHITECTURE.md, "Local API"). Errors are
/// `Problem`s as JSON.
func addAPI<Context: DoorContext>(_ verbs: Verbs, to api: RouterGroup<Context>) {
    api.get("status") { _, _ in JSON(try await verbs.status()) }
    api.get("devices") { _, _ in JSON(await verbs.devices()) }
    api.get("visits") { _, _ in JSON(try await verbs.visits()) }
    api.post("visits/:id/open") { request, context in
        let body = try await request.decoded(OpenVisitRequest.self)
        let check =
            context.demandsIdentityCheck
            ? body.check ?? IdentityCheck(birthDate: nil, traitsConfirmed: false) : body.check
        return JSON(
            try await verbs.openVisit(try context.parameters.require("id"), by: context.person ?? body.by, check: check)
        )
    }
    api.get("recordings") { _, _ in JSON(try await verbs.recordings()) }
    api.get("recordings/:id") { _, context in
        JSON(try await verbs.recording(try context.parameters.require("id")))
    }
    api.get("recordings/:id/trace") { request, context in
        let query = request.uri.queryParameters
        return JSON(
            try await verbs.trace(
                try context.parameters.require("id"), from: try number(query["from"]) ?? 0,
                seconds: try number(query["seconds"]), columns: try number(query["columns"])))
    }
    api.get("recordings/:id/identity") { _, context in
        JSON(try await verbs.identity(try context.parameters.require("id")))
    }
    api.get("recordings/:id/export") { request, context in
        let format = request.uri.queryParameters["format"].map(String.init) ?? "original"
        let export = try await verbs.export(try context.parameters.require("id"), format: format)
        return Response(
            status: .ok, headers: [.contentType: export.mediaType, .cacheControl: "no-store"],
            body: body(of: export))
    }
    api.post("recordings/:id/attribute") { request, context in
        var body = try await request.decoded(AttributeRequest.self)
        body.by = context.person ?? body.by
        return JSON(try await verbs.attribute(try context.parameters.require("id"), body))
    }
    api.post("recordings/:id/start-time") { request, context in
        var body = try await request.decoded(StartTimeRequest.self)
        body.by = context.person ?? body.by
        return JSON(try await verbs.setStart(try context.parameters.require("id"), body))
    }
    api.post("documents/:id/requeue") { _, context in
        JSON(try await verbs.requeue(try context.parameters.require("id")))
    }
    api.post("devices/:name/start") { request, context in
        let body = try await request.decoded(StartRequest.self)
        return JSON(try await verbs.start(try context.parameters.require("name"), by: context.person ?? body.by))
    }
    api.post("devices/:name/download") { request, context in
        let body = try await request.decoded(StartRequest.self)
        return JSON(try await verbs.download(try context.parameters.require("name"), by: context.person ?? body.by))
    }
    api.get("devices/known") { _, _ in JSON(try await verbs.knownDevices()) }
    api.post("devices/:name/identify") { request, context in
        var body = try await request.decoded(IdentifyRequest.self)
        body.by = context.person ?? body.by
        return JSON(try await verbs.identify(try context.parameters.require("name"), body))
    }
    api.post("devices/:name/erase") { request, context in
        var body = try await request.decoded(EraseRequest.self)
        body.by = context.person ?? body.by
        return JSON(try await verbs.erase(try context.parameters.require("name"), body))
    }
    api.post("devices/:name/stop") { _, context in
        JSON(try await verbs.stop(try context.parameters.require("name")))
    }
    api.get("live/:device") { _, context in
        Response.live(try await verbs.live(try context.parameters.require("device")))
    }
    api.post("import") { request, context in
        var body = try await request.decoded(ImportRequest.self)
        body.by = context.person ?? body.by
        return JSON(try await verbs.importTree(body))
    }
    api.get("loans") { _, _ in JSON(try await verbs.loans()) }
    api.post("loans") { request, context in
        var body = try await request.decoded(LoanRequest.self)
        body.by = context.person ?? body.by
        return JSON(try await verbs.lend(body))
    }
    api.post("loans/:id/return") { request, context in
        var body = try await request.decoded(StartTimeRequest.self)
        body.by = context.person ?? body.by
        return JSON(try await verbs.takeBack(try context.parameters.require("id"), body))
    }
    api.post("purge") { request, _ in JSON(try await verbs.purge(try await request.decoded(PurgeRequest.self))) }
    api.get("audit") { request, _ in
        JSON(try await verbs.auditTrail(limit: request.uri.queryParameters.get("limit", as: Int.self) ?? 100))
    }
    api.get("audit/verify") { _, _ in JSON(try await verbs.verifyAudit()) }
    api.get("doctor") { request, _ in
        JSON(try await verbs.doctor(isThorough: request.uri.queryParameters["thorough"] == "1"))
    }
    api.get("report") { _, _ in
        let report = try await verbs.report()
        return Response(
            status: .ok, headers: [.contentType: report.mediaType, .cacheControl: "no-store"],
            body: body(of: report))
    }
    api.post("key/rotate") { request, _ in
        JSON(try await verbs.rotateKey(try await request.decoded(KeyRotationRequest.self)))
    }
    api.post("backup") { request, _ in JSON(try await verbs.backup(try await request.decoded(BackupRequest.self))) }
    api.get("sync") { _, _ in JSON(await verbs.syncView()) }
    api.post("sync") { _, _ in JSON(await verbs.syncNow()) }
    addSyncAPI(verbs, to: api)
    addPlanAPI(verbs, to: api)
    addMediaAPI(verbs, to: api)
}

/// A number in a query; absent is nil, anything else that isn't one is refused.
private func number<Value: LosslessStringConvertible>(_ text: Substring?) throws -> Value? {
    guard let text else { return nil }
    guard let value = Value(String(text)) else {
        throw Problem.badRequest("Un nombre de la demande n'est pas valable.")
    }
    return value
}

/// A value as JSON, never cached: it may name a patient.
struct JSON<Value: Encodable & Sendable>: ResponseGenerator {
    var value: Value

    init(_ value: Value) { self.value = value }

    func response(from request: Request, context: some RequestContext) throws -> Response {
        try Response.json(value, status: .ok)
    }
}

extension Response {
    static func json(_ value: some Encodable, status: HTTPResponse.Status) throws -> Response {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let body = ByteBuffer(bytes: try encoder.encode(value))
        return Response(
            status: status, headers: [.contentType: "application/json; charset=utf-8", .cacheControl: "no-store"],
            body: ResponseBody(byteBuffer: body))
    }
}

extension Request {
    /// The body as JSON, at most 64 KiB; an empty body reads as `{}`.
    func decoded<Value: Decodable>(_: Value.Type) async throws -> Value {
        let buffer = try await body.collect(upTo: 65_536)
        let bytes = buffer.readableBytes == 0 ? Array("{}".utf8) : Array(buffer.readableBytesView)
        do {
            return try JSONDecoder().decode(Value.self, from: Data(bytes))
        } catch {
            throw Problem.badRequest("Le corps de la requête n'est pas le JSON attendu.")
        }
    }
}

/// Turns every error into a `Problem` and a status; never echoes what was asked.
struct ProblemMiddleware<Context: RequestContext>: RouterMiddleware {
    func handle(
        _ request: Request, context: Context, next: @concurrent (Request, Context) async throws -> Response
    ) async throws -> Response {
        do {
            return try await next(request, context)
        } catch let problem as Problem {
            return try .json(problem, status: problem.status)
        } catch let error as HTTPError where error.status == .notFound {
            return try .json(Problem.badRequest("Cette adresse n'existe pas dans l'API locale."), status: .notFound)
        } catch let error as HTTPError {
            return try .json(Problem.badRequest("La requête n'est pas valable."), status: error.status)
        } catch {
            context.logger.error("request failed", metadata: ["error.type": "\(type(of: error))"])
            return try .json(Problem.internalFailure, status: .internalServerError)
        }
    }
}

extension Problem {
    var status: HTTPResponse.Status {
        switch key {
        case "device-not-found", "visit-not-found", "recording-not-found", "opinion-not-found",
            "medium-not-found":
            .notFound
        case "bad-request", "not-exportable", "path-unreadable", "nothing-to-import", "reply-empty",
            "field-missing", "not-a-number":
            .badRequest
        case "internal", "storage": .internalServerError
        case "not-signed-in": .unauthorized
        case "page-refused": .forbidden
        default: .conflict
        }
    }
}

/// Piece by piece, at the reader's pace.
private func body(of file: Verbs.ExportedFile) -> ResponseBody {
    ResponseBody { writer in
        var offset = 0
        while case let piece = try await file.piece(at: offset), !piece.isEmpty {
            try await writer.write(ByteBuffer(bytes: piece))
            offset += piece.count
        }
        try await writer.finish(nil)
    }
}
