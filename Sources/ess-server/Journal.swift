import Foundation
import GRDB
import HTTPTypes
import Hummingbird
import Logging
import NIOCore

/// Around each request: errors become answers, faults happen, and one line is logged: method, route template, status,
/// request id. A path, a query or a body may name a person, and is never logged.
struct Journal: RouterMiddleware {
    let faults: Faults
    let logger: Logger

    @concurrent func handle(
        _ request: Request, context: Context, next: @concurrent (Request, Context) async throws -> Response
    ) async throws -> Response {
        let id = request.headers[.requestID].flatMap { UUID(uuidString: $0) }?.uuidString.lowercased() ?? context.id
        var response: Response
        switch faults.fate(Faults.lane(request)) {
        case .served: response = await answer(request, context, next)
        case .refused(let code): response = refuse(Self.switched(code), request)
        case .servedButRefused(let code):
            _ = await answer(request, context, next)
            response = refuse(Self.switched(code), request)
        case .stalled:
            // Until the other side gives up.
            try? await context.channel.closeFuture.get()
            throw CancellationError()
        case .portal:
            let page = "<!DOCTYPE html><html><body>Bienvenue. Connectez-vous.</body></html>"
            response = Response(
                status: .ok, headers: [.contentType: "text/html; charset=utf-8"],
                body: .init(byteBuffer: ByteBuffer(string: page)))
        case .redirected: response = Response(status: .found, headers: [.location: "https://portail.invalid/login"])
        }
        response.headers[.requestID] = id
        var note = Logger.Metadata()
        note["method"] = "\(request.method.rawValue)"
        note["route"] = "\(context.endpointPath ?? "-")"
        note["status"] = "\(response.status.code)"
        note["request"] = "\(id)"
        logger.info("request", metadata: note)
        if faults.losesAnswer(to: request.method.rawValue) { await context.cut() }
        return response
    }

    private func answer(
        _ request: Request, _ context: Context, _ next: @concurrent (Request, Context) async throws -> Response
    ) async -> Response {
        do {
            if let contract = request.headers[.essContract], contract.split(separator: ".").first != "1" {
                throw Refusal(
                    426, "not-supported", "this server speaks contract 1.0", headers: [.upgrade: "ess-contract/1.0"])
            }
            return try await next(request, context)
        } catch let refusal as Refusal {
            return refuse(refusal, request)
        } catch let error as HTTPError {
            return refuse(Refusal(error.status.code, "not-found", "there is nothing at this address"), request)
        } catch let error as DatabaseError where error.resultCode == .SQLITE_FULL {
            return refuse(Refusal(507, "no-store", "no space is left on the server"), request)
        } catch {
            // The type only: a message may quote what it choked on.
            logger.error("request failed", metadata: ["error": "\(Swift.type(of: error))"])
            return refuse(Refusal(500, "exception", "the server failed; it may work later"), request)
        }
    }

    /// Only where a server that means it would say so, too.
    private static func switched(_ code: Int) -> Refusal {
        let headers: HTTPFields =
            [408, 423, 425, 429, 500, 502, 503, 504, 507].contains(code) ? [.retryAfter: "1"] : [:]
        return Refusal(code, "transient", "a fault switch is on", headers: headers)
    }

    private func refuse(_ refusal: Refusal, _ request: Request) -> Response {
        refusal.response(fhir: request.uri.path.hasPrefix("/fhir"))
    }
}
